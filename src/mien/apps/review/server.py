"""Starts the review page: Streamlit as a server for this computer alone, without telemetry."""

from __future__ import annotations

import errno
import os
import socket
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from mien.apps.review.desk import Bench
from mien.errors import ConfigError, MissingExtraError

HOST = "127.0.0.1"
PORT = 8511
PAGE = Path(__file__).with_name("page.py")

_benches: list[Bench] = []


def bench() -> Bench:
    """What this server reviews."""
    return _benches[-1]


def need_web_extra() -> None:
    """Raise MissingExtraError without a Streamlit that has components of the second kind."""
    if find_spec("streamlit") is None or find_spec("streamlit.components.v2") is None:
        raise MissingExtraError("streamlit (1.51 or newer)", "web")


def free_port(port: int | None) -> int:
    """The port itself if it can be listened on; for None the first free one from 8511 on.

    Raises:
        ConfigError: it is in use, or none is free.
    """
    for candidate in range(PORT, PORT + 50) if port is None else [port]:
        with socket.socket() as probe:
            if sys.platform != "win32":
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((HOST, candidate))
                return candidate
            except OSError as error:
                if port is not None:
                    reason = "is in use" if error.errno == errno.EADDRINUSE else f"cannot be used: {error.strerror}"
                    raise ConfigError(f"port {port} of {HOST} {reason}: choose another --port") from error
    raise ConfigError(f"no port of {HOST} from {PORT} to {PORT + 49} is free: choose one by --port")


def start(shared: Bench, *, port: int | None = None, browser: bool = True) -> None:
    """Serve the page until Ctrl-C.

    Args:
        shared: what is reviewed.
        port: of 127.0.0.1, a free one for None.
        browser: open it in a browser, where there is a screen.

    Raises:
        MissingExtraError: Streamlit is not installed.
        ConfigError: the port is in use.
    """
    need_web_extra()
    port = free_port(port)
    _benches.append(shared)
    # Read by Streamlit when it is imported, before any option is set.
    os.environ.setdefault("STREAMLIT_BROWSER_GATHER_USAGE_STATS", "false")
    from streamlit.web import bootstrap

    options = server_options(port, browser=browser and _has_screen())
    bootstrap.load_config_options(options)
    count = len(shared.table.issues)
    sys.stdout.write(
        f"{count:,} issues of {shared.table.dataset} to review at http://{HOST}:{port} (Ctrl-C ends it)\n"
        f"decisions go to {shared.decisions.path}\n"
    )
    sys.stdout.flush()
    bootstrap.run(str(PAGE), False, [], options)


def server_options(port: int, *, browser: bool) -> dict[str, Any]:
    """Streamlit's options, named as its flags are; they go before its configuration files."""
    font = 'system-ui, -apple-system, "Segoe UI", Roboto, "Liberation Sans", "DejaVu Sans", sans-serif'
    light = {"primaryColor": "#2f6fb0", "backgroundColor": "#ffffff", "secondaryBackgroundColor": "#f3f5f7",
             "textColor": "#1f2933", "borderColor": "#d3dae0"}  # fmt: skip
    dark = {"primaryColor": "#7ab5e8", "backgroundColor": "#15181c", "secondaryBackgroundColor": "#1f2429",
            "textColor": "#e7eaed", "borderColor": "#353c44"}  # fmt: skip
    return {
        "browser_gatherUsageStats": False,
        "server_showEmailPrompt": False,
        "server_address": HOST,
        "server_port": port,
        "server_headless": not browser,
        "server_enableXsrfProtection": True,
        "server_enableCORS": True,
        # A page elsewhere cannot pass for this one by pointing its name here.
        "server_allowedHosts": ["localhost", HOST],
        "server_fileWatcherType": "none",
        "server_runOnSave": False,
        "client_toolbarMode": "viewer",
        "client_showErrorDetails": "none",
        "runner_magicEnabled": False,
        # A run that the next key interrupts would bring the page no more cards.
        "runner_fastReruns": False,
        "logger_hideWelcomeMessage": True,
        "logger_level": "warning",
        "theme_font": font,
        **{f"theme_light_{name}": value for name, value in light.items()},
        **{f"theme_dark_{name}": value for name, value in dark.items()},
    }


def _has_screen() -> bool:
    if not sys.platform.startswith("linux"):
        return True
    return bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))
