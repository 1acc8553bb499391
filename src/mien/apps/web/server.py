"""Starts the web page on this computer, and finds the reports that it shows."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Any

from mien.apps.streamlit_server import FONT, Address, check_address, need_streamlit, serve, server_options
from mien.errors import ConfigError, SourceError

SCRIPT = Path(__file__).with_name("script.py")
MAX_UPLOAD_MB = 200
SESSION_KEPT_S = 60
"""How long a closed page's data stays in memory."""
CODE_FONT = 'ui-monospace, "SF Mono", Menlo, "DejaVu Sans Mono", monospace'
REPORTS_VARIABLE = "MIEN_APP_REPORTS"
USUAL = (Path("reports"), Path("docs/study"))
MAX_BYTES = 40 * 2**20
MOST = 500
"""Most reports listed."""

_POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:; font-src data:"


def start(
    address: Address, *, browser: bool = True, reports: Sequence[Path] = (), max_upload_mb: int = MAX_UPLOAD_MB
) -> None:
    """Serve the page until Ctrl-C.

    Args:
        address: where to listen.
        browser: open it in a browser if there is a screen.
        reports: folders with reports; empty for the usual ones.
        max_upload_mb: the largest file accepted.

    Raises:
        MissingExtraError: Streamlit is not installed.
        ConfigError: the address cannot be used, or a folder does not exist.
    """
    need_streamlit()
    check_address(address)
    os.environ[REPORTS_VARIABLE] = os.pathsep.join(str(root) for root in find_roots(reports))
    message = f"Mien is running at {address.url} (press Ctrl-C to stop)\n"
    if not address.is_local:
        message += f"Anyone who can reach {address.host} can use it: there is no password.\n"
    options = page_options(address, browser=browser, max_upload_mb=max_upload_mb)

    def make_routes() -> Sequence[Any]:
        # Starlette comes with Streamlit.
        from mien.apps.web.live_routes import create_routes

        return create_routes(options["server_allowedHosts"])

    serve(SCRIPT, options, message, make_routes)


def page_options(address: Address, *, browser: bool, max_upload_mb: int) -> dict[str, Any]:
    """Streamlit's options of this page; see `server_options`."""
    return server_options(
        address, browser=browser, server_maxUploadSize=max_upload_mb, server_disconnectedSessionTTL=SESSION_KEPT_S,
        theme_headingFont=FONT, theme_codeFont=CODE_FONT, theme_baseRadius="8px", theme_showWidgetBorder=True,
        theme_headingFontSizes=["2rem", "1.4rem", "1.1rem"], theme_headingFontWeights=[700, 650, 650],
    )  # fmt: skip


@dataclass(frozen=True)
class Report:
    """A report in one of the folders.

    Args:
        root: the folder passed to `--reports`, or a usual one.
        path: the resolved file.
    """

    root: Path
    path: Path

    @property
    def name(self) -> str:
        """Its path, from the folder's name on."""
        return f"{self.root.name}/{self.path.relative_to(self.root).as_posix()}"


def find_roots(asked: Sequence[Path] = ()) -> list[Path]:
    """The folders with reports: those requested (ConfigError for a missing one), else the usual ones that exist."""
    for folder in asked:
        if not folder.is_dir():
            raise ConfigError(f"no folder {folder}: --reports expects a folder with HTML reports")
    return [folder.resolve() for folder in asked or USUAL if folder.is_dir()]


def named_roots() -> list[Path]:
    """The folders with which the server was started."""
    named = os.environ.get(REPORTS_VARIABLE)
    return find_roots() if named is None else [Path(name) for name in named.split(os.pathsep) if name]


def list_reports(roots: Sequence[Path]) -> list[Report]:
    """The HTML files in the folders, newest first, without links that lead out of them."""
    found = [
        Report(root, path.resolve())
        for root in roots
        for path in root.rglob("*.html")
        # A link could show any file of this computer to visitors.
        if path.is_file() and path.resolve().is_relative_to(root)
    ]
    # The folders may overlap.
    return sorted(dict.fromkeys(found), key=lambda report: (-report.path.stat().st_mtime, report.name))[:MOST]


def read_report(report: Report) -> str:
    """The file's text; SourceError if it is gone, too large, or not text."""
    try:
        # The whole text travels inside the page, see `locked_in`.
        if report.path.stat().st_size > MAX_BYTES:
            raise SourceError(
                f"{report.name} is larger than {MAX_BYTES // 2**20} MB: open the file itself in a browser"
            )
        return report.path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise SourceError(f"{report.name} cannot be read: {error}") from error


def locked_in(html: str, title: str) -> str:
    """A page that shows another one in a sandboxed frame, which can neither run scripts nor load anything."""
    return (
        f'<!DOCTYPE html><html lang="en"><head><meta http-equiv="Content-Security-Policy" content="{_POLICY}">'
        f"<title>{escape(title)}</title>"
        "<style>html,body{margin:0;height:100%}iframe{border:0;width:100%;height:100%;display:block}</style></head>"
        f'<body><iframe sandbox="" title="{escape(title)}" srcdoc="{escape(html)}"></iframe></body></html>'
    )
