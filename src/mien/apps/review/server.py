"""Starts the review page, for this computer alone."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import Any

from mien.apps.review.desk import Bench
from mien.apps.streamlit_server import Address, check_address, need_streamlit, serve, server_options
from mien.errors import ConfigError

HOST = "127.0.0.1"
PORTS = range(8511, 8561)
PAGE = Path(__file__).with_name("page.py")

# Streamlit runs the page as a script of its own; both find the bench through this module.
_benches: list[Bench] = []


def bench() -> Bench:
    """The bench of this server."""
    return _benches[-1]


def free_port(port: int | None) -> int:
    """The port itself if it is free; for None the first free one from 8511 on.

    Raises:
        ConfigError: it is in use, or none is free.
    """
    if port is not None:
        check_address(Address(HOST, port))
        return port
    for candidate in PORTS:
        with suppress(ConfigError):
            return free_port(candidate)
    raise ConfigError(f"no port of {HOST} from {PORTS[0]} to {PORTS[-1]} is free: choose one with --port")


def start(shared: Bench, *, port: int | None = None, browser: bool = True) -> None:
    """Serve the page until Ctrl-C.

    Args:
        shared: what is reviewed.
        port: on 127.0.0.1; None for a free one.
        browser: open it in a browser if there is a screen.

    Raises:
        MissingExtraError: Streamlit is not installed.
        ConfigError: the port is in use.
    """
    need_streamlit()
    address = Address(HOST, free_port(port))
    _benches.append(shared)
    message = (
        f"{len(shared.table.issues):,} issues of {shared.table.dataset} to review at {address.url} "
        "(press Ctrl-C to stop)\n"
        f"decisions are saved to {shared.decisions.path}\n"
    )
    serve(PAGE, page_options(address, browser=browser), message)


def page_options(address: Address, *, browser: bool) -> dict[str, Any]:
    """Streamlit's options of this page; see `server_options`."""
    # A run interrupted by the next key would send no more cards.
    return server_options(address, browser=browser, runner_fastReruns=False)
