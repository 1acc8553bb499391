"""The page for films: what faces show over time."""

from __future__ import annotations

import streamlit as st

from mien.apps.web import session
from mien.apps.web.cards import PRIVACY
from mien.apps.web.views.film import show_film_reader
from mien.sources.container import VIDEO_SUFFIXES


def show() -> None:
    """The page."""
    st.title("What do they show over time?")
    st.html(PRIVACY)
    upload = st.file_uploader(
        "Drop a film here", type=sorted(suffix.removeprefix(".") for suffix in VIDEO_SUFFIXES), key=session.key("film"),
        help="It lies in a temporary file while it is read, which is deleted at the end, also when you stop.",
    )  # fmt: skip
    if upload is None:
        st.caption("MP4, MOV, MKV, WebM, AVI, animated GIF and more. Faces keep their number while they are in sight.")
        return
    show_film_reader(upload)
