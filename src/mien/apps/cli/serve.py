"""`mien serve`: the REST service."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

import click

from mien.apps.cli.parameters import PATH, Command
from mien.errors import MissingExtraError

PACKAGES = ("fastapi", "uvicorn", "websockets", "python_multipart", "prometheus_client", "pydantic_settings")


@click.command("serve", cls=Command)
@click.option("--host", help="Address to listen on; 0.0.0.0 for all of the machine's.", show_default="127.0.0.1")
@click.option("--port", type=click.IntRange(0, 65535), help="TCP port; 0 takes a free one.", show_default="8000")
@click.option("--config", type=PATH, metavar="FILE", help="Settings as TOML; MIEN_SERVICE_… variables go before it.")
@click.option(
    "--model", "models", multiple=True, help="A model to serve; may be given again, the first is the default."
)
@click.option("--workers", type=click.IntRange(min=0), help="Threads that find faces; 0: one a core.", show_default="0")
@click.option("--make-key", metavar="NAME", help="Print a new API key and its line for the settings, and end.")
@click.option("--show-settings", is_flag=True, help="Print all settings as they would be used, and end.")
def app(
    host: str | None,
    port: int | None,
    config: Path | None,
    models: tuple[str, ...],
    workers: int | None,
    make_key: str | None,
    show_settings: bool,
) -> None:
    """Serve the reading of expressions over HTTP: pictures in, JSON out.

    The documentation is at /docs of the service. Ends in order at SIGTERM or Ctrl-C.
    """
    for package in PACKAGES:
        if find_spec(package) is None:
            raise MissingExtraError(package, "service")
    if make_key:
        from mien.apps.service.admission import describe_key

        click.echo(describe_key(make_key), nl=False)
        return
    from mien.apps.service.settings import load_settings

    settings = load_settings(config, host=host, port=port, models=list(models) or None, workers=workers)
    if show_settings:
        click.echo(settings.model_dump_json(indent=2))
        return
    from mien.apps.service.server import serve

    serve(settings)
