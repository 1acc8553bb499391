"""`mien app`: the web page."""

from __future__ import annotations

from pathlib import Path

import click

from mien.apps.cli.parameters import PATH, Command


@click.command("app", cls=Command)
@click.option("--port", type=click.IntRange(1, 65535), default=8501, help="Where it listens.")
@click.option("--host", default="127.0.0.1", help="0.0.0.0 lets other computers in; there is no password.")
@click.option("--no-browser", is_flag=True, help="Open no browser.")
@click.option(
    "--reports", type=PATH, multiple=True, show_default=False,
    help="A folder whose reports are shown; default reports and docs/study.",
)  # fmt: skip
@click.option("--max-upload", type=click.IntRange(1, 4096), default=200, help="The largest file taken, megabytes.")
def app(port: int, host: str, no_browser: bool, reports: tuple[Path, ...], max_upload: int) -> None:
    """Show Mien as a page in the browser: pictures, films, models, reports.

    It runs on this computer, and nothing that is dropped on it is stored or sent anywhere. Ctrl-C ends it.
    """
    from mien.apps.streamlit_server import Address
    from mien.apps.web.server import start

    start(Address(host, port), browser=not no_browser, reports=reports, max_upload_mb=max_upload)
