"""Starts the web page on this computer."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from mien.apps.streamlit_server import Address, check_address, need_streamlit, serve, server_options
from mien.apps.web.reports_folder import REPORTS_VARIABLE, find_roots
from mien.apps.web.theme import theme_options

SCRIPT = Path(__file__).with_name("script.py")
MAX_UPLOAD_MB = 200
SESSION_KEPT_S = 60
"""What a page that was closed left in memory is dropped after so long."""


def start(
    address: Address, *, browser: bool = True, reports: Sequence[Path] = (), max_upload_mb: int = MAX_UPLOAD_MB
) -> None:
    """Serve the page until Ctrl-C.

    Args:
        address: where it listens.
        browser: open it in a browser, where there is a screen.
        reports: folders with reports; none for those that are usual.
        max_upload_mb: the largest file that is taken.

    Raises:
        MissingExtraError: Streamlit is not installed.
        ConfigError: the address cannot be listened on, or a folder is not there.
    """
    need_streamlit()
    check_address(address)
    os.environ[REPORTS_VARIABLE] = os.pathsep.join(str(root) for root in find_roots(reports))
    told = f"Mien is at {address.url} (Ctrl-C ends it)\n"
    if not address.is_local:
        told += f"Everyone who can reach {address.host} can use it: there is no password.\n"
    serve(SCRIPT, page_options(address, browser=browser, max_upload_mb=max_upload_mb), told)


def page_options(address: Address, *, browser: bool, max_upload_mb: int) -> dict[str, Any]:
    """Streamlit's options of this page; see `server_options`."""
    own = {"server_maxUploadSize": max_upload_mb, "server_disconnectedSessionTTL": SESSION_KEPT_S}
    return server_options(address, browser=browser, **own, **theme_options())
