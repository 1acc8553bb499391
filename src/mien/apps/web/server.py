"""Starts the web page: Streamlit as a server on this computer, without telemetry."""

from __future__ import annotations

import errno
import ipaddress
import os
import socket
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from mien.apps.web.reports_folder import REPORTS_VARIABLE, find_roots
from mien.apps.web.theme import theme_options
from mien.errors import ConfigError, MissingExtraError

SCRIPT = Path(__file__).with_name("script.py")
MAX_UPLOAD_MB = 200
SESSION_KEPT_S = 60
"""What a page that was closed left in memory is dropped after so long."""


@dataclass(frozen=True)
class Address:
    """Where the page listens."""

    host: str = "127.0.0.1"
    port: int = 8501

    @property
    def url(self) -> str:
        """What to open in a browser on this computer."""
        shown = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(self.host, self.host)
        return f"http://{f'[{shown}]' if ':' in shown and '[' not in shown else shown}:{self.port}"

    @property
    def is_local(self) -> bool:
        """Whether only this computer reaches it."""
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return self.host == "localhost"


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
    need_web_extra()
    check_address(address)
    os.environ[REPORTS_VARIABLE] = os.pathsep.join(str(root) for root in find_roots(reports))
    # Read by Streamlit when it is imported, before any option is set.
    os.environ.setdefault("STREAMLIT_BROWSER_GATHER_USAGE_STATS", "false")
    from streamlit.web import bootstrap

    options = server_options(address, browser=browser and has_screen(), max_upload_mb=max_upload_mb)
    bootstrap.load_config_options(options)
    sys.stdout.write(f"Mien is at {address.url} (Ctrl-C ends it)\n")
    if not address.is_local:
        sys.stdout.write(f"Everyone who can reach {address.host} can use it: there is no password.\n")
    sys.stdout.flush()
    bootstrap.run(str(SCRIPT), False, [], options)


def need_web_extra() -> None:
    """Raise MissingExtraError without Streamlit."""
    if find_spec("streamlit") is None:
        raise MissingExtraError("streamlit", "web")


def check_address(address: Address) -> None:
    """Raise ConfigError where nobody could listen; Streamlit would end without a word on what to do."""
    try:
        family, kind, protocol, _, place = socket.getaddrinfo(
            address.host, address.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
    except OSError as error:
        raise ConfigError(f"{address.host!r} is no address of this computer: try 127.0.0.1") from error
    with socket.socket(family, kind, protocol) as probe:
        if sys.platform != "win32":
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(place)
        except OSError as error:
            raise ConfigError(_why_not(address, error)) from error


def _why_not(address: Address, error: OSError) -> str:
    if error.errno == errno.EADDRINUSE:
        return (
            f"port {address.port} of {address.host} is in use, perhaps by another `mien app`: "
            f"choose another one, --port {address.port + 1 if address.port < 65535 else 8501}"
        )
    return f"cannot listen on port {address.port} of {address.host}: {error.strerror or error}"


def has_screen() -> bool:
    """Whether a browser could be shown."""
    if not sys.platform.startswith("linux"):
        return True
    return bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))


def server_options(address: Address, *, browser: bool, max_upload_mb: int) -> dict[str, Any]:
    """Streamlit's options, named as its flags are; they go before its configuration files."""
    return {
        "browser_gatherUsageStats": False,
        "server_showEmailPrompt": False,
        "server_address": address.host,
        "server_port": address.port,
        "server_headless": not browser,
        "server_enableXsrfProtection": True,
        "server_enableCORS": True,
        # A page elsewhere cannot pass for this one by pointing its name here.
        "server_allowedHosts": ["localhost", "127.0.0.1", "[::1]", "::1", address.host] if address.is_local else (),
        "server_maxUploadSize": max_upload_mb,
        "server_disconnectedSessionTTL": SESSION_KEPT_S,
        "server_fileWatcherType": "none",
        "server_runOnSave": False,
        "client_toolbarMode": "viewer",
        "client_showErrorDetails": "none",
        "runner_magicEnabled": False,
        "logger_hideWelcomeMessage": True,
        "logger_level": "warning",
        **theme_options(),
    }
