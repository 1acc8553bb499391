"""Starts the review page, for this computer alone."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import Any

import streamlit as st

from mien.apps.review import server
from mien.apps.review.desk import Bench, Desk
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
    """The port itself, or for None the first free one from 8511 on; ConfigError if it is in use, or none is free."""
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


ASSETS = Path(__file__).parent / "assets"
STYLE = """<style>
header[data-testid="stHeader"], [data-testid="stDecoration"], [data-testid="stStatusWidget"] { display: none; }
.stMainBlockContainer, .block-container { padding: .6rem 1rem .4rem; max-width: 100%; }
.stMain { overflow: auto; }
</style>"""


def show() -> None:
    """Process what the page sent, then send what it shows."""
    st.set_page_config(page_title="Review · Mien", layout="wide")
    st.html(STYLE)
    desk = st.session_state.get("desk")
    if desk is None:
        asked = {key: st.query_params.get(key, "") for key in ("reviewer", "kind", "show")}
        # Only a new page takes them from its address; later the page itself sends them.
        desk = st.session_state.desk = Desk(server.bench(), **asked)
    sent = (st.session_state.get("cards") or {}).get("sent") or {}
    desk.receive(sent)
    if dict(st.query_params) != desk.address():
        st.query_params.from_dict(desk.address())
    component = st.components.v2.component(
        "mien_review",
        html=(ASSETS / "review.html").read_text(encoding="utf-8"),
        css=(ASSETS / "review.css").read_text(encoding="utf-8"),
        js=(ASSETS / "review.js").read_text(encoding="utf-8"),
    )
    # Streamlit keeps a component's state only if it has a callback for it.
    component(data=desk.view(frozenset(sent.get("have", []))), key="cards", on_sent_change=lambda: None)


if __name__ == "__main__":
    show()
