"""The page as Streamlit runs it: one component that shows cards and handles keys, with a desk behind it."""

from __future__ import annotations

from pathlib import Path

import streamlit as st

from mien.apps.review import server
from mien.apps.review.desk import Desk

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
