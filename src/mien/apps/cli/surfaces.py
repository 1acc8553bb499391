"""`mien watch`, `app`, `serve`: the window, the web page and the REST API."""

from __future__ import annotations

from pathlib import Path

import click

from mien.apps.cli.parameters import PATH, Command, argument, need
from mien.labels import USER_LABELS

PAGE_PORT, SERVICE_PORT = 8501, 8000
SERVICE_PACKAGES = ("fastapi", "uvicorn", "websockets", "python_multipart", "prometheus_client", "pydantic_settings")


def _drawings(text: str) -> tuple[str, ...]:
    # Here, because it loads OpenCV, and help should come at once.
    from mien.reading.shape_drawing import DRAWINGS, parse_drawings

    # The window has the values in its plot.
    return parse_drawings(text, tuple(DRAWINGS))


@click.command("watch", cls=Command)
@argument("source", "A camera (0), a video or photo, or a stream's address.", required=False)
@click.option("--model", help="A bundled model's name, or an artifact's folder.")
@click.option(
    "--detector", type=click.Choice(["auto", "mien", "yunet", "haar"]), help="Face detector.", show_default=False
)
@click.option("--labels", type=click.Choice(list(USER_LABELS)), help="Label set; eight adds contempt.")
@click.option("--min-confidence", type=click.FloatRange(0, 1), help='Show "not sure" below this confidence.')
@click.option(
    "--balance", type=click.FloatRange(0, 1),
    help="Assumed frequency of expressions: 0 as in the training data, 1 all equal.",
)  # fmt: skip
@click.option("--draw", type=_drawings, metavar="NAMES", help="Draw landmarks, pose, or both.")
@click.option("--temporal", metavar="DIR", help="Temporal model that reads each face over time; causal.")
@click.option("--theme", type=click.Choice(["system", "light", "dark"]), help="Colours of the window.")
def watch(
    source: str | None, model: str | None, detector: str | None, labels: str | None, min_confidence: float | None,
    balance: float | None, theme: str | None, draw: tuple[str, ...] | None, temporal: str | None,
) -> None:  # fmt: skip
    """Open a window with a camera or video and its faces.

    Without SOURCE the window asks for one. Options that are left out keep their last setting; --temporal is for
    this time alone.
    """
    from mien.apps.desktop.app import WindowOptions, start

    code = start(WindowOptions(source, model, detector, labels, min_confidence, balance, theme, draw, temporal))
    raise click.exceptions.Exit(code)


@click.command("app", cls=Command)
@click.option("--port", type=click.IntRange(1, 65535), default=PAGE_PORT, help="TCP port.")
@click.option("--host", default="127.0.0.1", help="Address to listen on; 0.0.0.0 admits others, without a password.")
@click.option("--no-browser", is_flag=True, help="Open no browser.")
@click.option(
    "--reports", type=PATH, multiple=True, show_default="reports, docs/study", metavar="DIR",
    help="Folder of reports to show; repeatable.",
)  # fmt: skip
@click.option("--max-upload", type=click.IntRange(1, 4096), default=200, metavar="MB", help="Largest file accepted.")
def app(port: int, host: str, no_browser: bool, reports: tuple[Path, ...], max_upload: int) -> None:
    """Open the web page: photos, camera, videos, models, reports.

    It runs on this computer; files dropped on it are neither stored nor sent anywhere. Stop it with Ctrl-C.
    """
    from mien.apps.streamlit_server import Address
    from mien.apps.web.server import start

    start(Address(host, port), browser=not no_browser, reports=reports, max_upload_mb=max_upload)


@click.command("serve", cls=Command)
@click.option("--host", help="Address to listen on; 0.0.0.0 for all of the machine's.", show_default="127.0.0.1")
@click.option(
    "--port", type=click.IntRange(0, 65535), help="TCP port; 0 for a free one.", show_default=str(SERVICE_PORT)
)
@click.option("--config", type=PATH, metavar="FILE", help="Settings as TOML; MIEN_SERVICE_… variables override it.")
@click.option("--model", "models", multiple=True, help="Model to serve; repeatable, the first is the default.")
@click.option("--jobs", type=click.IntRange(min=0), help="Detection threads; 0 for one per core.", show_default="0")
@click.option("--make-key", metavar="NAME", help="Print a new API key and its line for the settings, and exit.")
@click.option("--show-settings", is_flag=True, help="Print the resulting settings, and exit.")
def serve(
    host: str | None, port: int | None, config: Path | None, models: tuple[str, ...], jobs: int | None,
    make_key: str | None, show_settings: bool,
) -> None:  # fmt: skip
    """Start the REST API: photos and videos in, JSON out.

    Its documentation is at /docs. SIGTERM or Ctrl-C shuts it down in order.
    """
    need(SERVICE_PACKAGES, "service")
    if make_key:
        from mien.apps.service.admission import describe_key

        click.echo(describe_key(make_key), nl=False)
        return
    # After the check: it imports what the extra brings.
    from mien.apps.service.settings import load_settings

    # None where an option is left out, so that the file and the environment decide.
    settings = load_settings(config, host=host, port=port, models=list(models) or None, workers=jobs)
    if show_settings:
        click.echo(settings.model_dump_json(indent=2))
        return
    from mien.apps.service.server import serve as start

    start(settings)


@click.command("worker", cls=Command)
@click.option("--config", type=PATH, metavar="FILE", help="Settings as TOML; MIEN_SERVICE_… variables override it.")
@click.option("--model", "models", multiple=True, help="Model to read with; repeatable, the first is the default.")
def worker(config: Path | None, models: tuple[str, ...]) -> None:
    """Read the video jobs of services that share a PostgreSQL database.

    MIEN_SERVICE_JOBS names the database and MIEN_SERVICE_STATE_DIR the folder of videos and results, the same for all.
    SIGTERM or Ctrl-C hands back the jobs in progress.
    """
    need((*SERVICE_PACKAGES, "psycopg", "psycopg_pool"), "postgres")
    from mien.apps.service.settings import load_settings
    from mien.apps.service.worker import work

    work(load_settings(config, models=list(models) or None))
