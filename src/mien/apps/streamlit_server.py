"""What all Streamlit pages share: their colors, the check of the port, and a start without telemetry."""

from __future__ import annotations

import contextlib
import errno
import ipaddress
import os
import socket
import sys
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from mien.errors import ConfigError, MissingExtraError

FONT = 'system-ui, -apple-system, "Segoe UI", Roboto, "Liberation Sans", "DejaVu Sans", sans-serif'

LIGHT = {
    "primaryColor": "#2f6fb0", "backgroundColor": "#ffffff", "secondaryBackgroundColor": "#f3f5f7",
    "textColor": "#1f2933", "borderColor": "#d3dae0", "linkColor": "#2f6fb0",
}  # fmt: skip
DARK = {
    "primaryColor": "#7ab5e8", "backgroundColor": "#15181c", "secondaryBackgroundColor": "#1f2429",
    "textColor": "#e7eaed", "borderColor": "#353c44", "linkColor": "#7ab5e8",
}  # fmt: skip
"""The colors of the desktop window."""

OLDEST = (1, 67)
"""The first Streamlit whose `App`, with routes of its own, was tried."""

LAST_PORT = 65535


@dataclass(frozen=True)
class Address:
    """Where a page listens."""

    host: str
    port: int

    @property
    def url(self) -> str:
        """The address to open on this computer."""
        shown = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(self.host, self.host)
        return f"http://{f'[{shown}]' if ':' in shown and '[' not in shown else shown}:{self.port}"

    @property
    def is_local(self) -> bool:
        """Whether only this computer can reach it."""
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return self.host == "localhost"


def need_streamlit() -> None:
    """Raise MissingExtraError without a Streamlit that is new enough."""
    try:
        # From its metadata: importing Streamlit must wait until `serve` has switched its telemetry off.
        found = tuple(map(int, version("streamlit").split(".")[:2]))
    except PackageNotFoundError as error:
        raise MissingExtraError("streamlit", "web") from error
    if found < OLDEST:
        raise MissingExtraError(f"streamlit {'.'.join(map(str, OLDEST))} or newer", "web")


def check_address(address: Address) -> None:
    """Raise ConfigError if the address cannot be used; Streamlit would exit without advice."""
    try:
        family, kind, protocol, _, place = socket.getaddrinfo(
            address.host, address.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
    except OSError as error:
        raise ConfigError(f"{address.host!r} is not an address of this computer: try 127.0.0.1") from error
    with socket.socket(family, kind, protocol) as probe:
        if sys.platform != "win32":
            # As servers do: a port that was in use a moment ago is free. On Windows the option would share one in use.
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(place)
        except OSError as error:
            raise ConfigError(_why_not(address, error)) from error


def serve(
    script: Path, options: Mapping[str, Any], message: str, make_routes: Callable[[], Sequence[Any]] | None = None
) -> None:
    """Serve a script with Streamlit until Ctrl-C.

    Args:
        script: run for each visitor.
        options: from `server_options`.
        message: printed to the terminal first.
        make_routes: gives further routes of Starlette, beside the script's pages.
    """
    # Streamlit reads this on import, before any option is set.
    os.environ.setdefault("STREAMLIT_BROWSER_GATHER_USAGE_STATS", "false")
    from streamlit import cli_util, net_util
    from streamlit.starlette import App

    # To know its own address Streamlit asks a server of its maker's cloud, even for a page of another site that knocks.
    for name in ("get_external_ip", "get_internal_ip"):
        setattr(net_util, name, lambda: None)
    given = {name.replace("_", "."): value for name, value in options.items()}

    @contextlib.asynccontextmanager
    async def open_browser(app: Any) -> AsyncIterator[None]:
        # The port is bound by now, so the browser waits for its answer.
        if not given["server.headless"]:
            cli_util.open_browser(Address(given["server.address"], given["server.port"]).url)
        yield

    sys.stdout.write(message)
    sys.stdout.flush()
    # Ctrl-C comes again once the server has ended in order.
    with contextlib.suppress(KeyboardInterrupt):
        App(script, routes=make_routes() if make_routes else (), lifespan=open_browser).run(config=given)


def server_options(address: Address, *, browser: bool, **more: Any) -> dict[str, Any]:
    """Streamlit's options, named like its flags; they override its configuration files.

    Args:
        address: where to listen.
        browser: open a browser if there is a screen.
        more: the page's own options.
    """
    return {
        "browser_gatherUsageStats": False,
        "server_showEmailPrompt": False,
        "server_address": address.host,
        "server_port": address.port,
        "server_headless": not (browser and _has_screen()),
        # Against pages of other sites that send files to this one.
        "server_enableXsrfProtection": True,
        "server_enableCORS": True,
        # A foreign site cannot pass for this page by pointing its name here (DNS rebinding).
        "server_allowedHosts": ["localhost", "127.0.0.1", "[::1]", "::1", address.host] if address.is_local else (),
        # Installed code does not change while it runs.
        "server_fileWatcherType": "none",
        "server_runOnSave": False,
        "client_toolbarMode": "viewer",
        # A traceback would show visitors this computer's folders.
        "client_showErrorDetails": "none",
        "runner_magicEnabled": False,
        "logger_hideWelcomeMessage": True,
        "logger_level": "warning",
        "theme_font": FONT,
        # The browser picks the theme that its system prefers.
        **{f"theme_light_{name}": value for name, value in LIGHT.items()},
        **{f"theme_dark_{name}": value for name, value in DARK.items()},
        **more,
    }


def _why_not(address: Address, error: OSError) -> str:
    if error.errno == errno.EADDRINUSE:
        return (
            f"port {address.port} of {address.host} is in use, perhaps by another Mien page: "
            f"choose another one with --port {address.port % LAST_PORT + 1}"
        )
    return f"cannot listen on port {address.port} of {address.host}: {error.strerror or error}"


def _has_screen() -> bool:
    if not sys.platform.startswith("linux"):
        return True
    return bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))
