"""What a visitor's session holds, what all share, and how it is forgotten."""

from __future__ import annotations

import threading
from collections import OrderedDict
from typing import Any, cast

import streamlit as st
from streamlit.runtime.scriptrunner import get_script_run_ctx

from mien.apps.web.choices import Choice
from mien.reading.classifier import Model, load_model
from mien.reading.pipeline import Pipeline

READINGS_KEPT = 32
"""Pictures whose results a session remembers: some 250 kB each."""
MAX_PIXELS = 64_000_000
AT_ONCE = 2
"""Large pictures that are decoded at once, over all sessions: 64 million pixels take 200 MB."""


@st.cache_resource(max_entries=4, show_spinner="Loading the model")
def load(reference: str) -> Model:
    """The model, verified; shared by all sessions."""
    return load_model(reference)


@st.cache_resource(max_entries=12, show_spinner=False)
def pipeline(choice: Choice, labels: str, balance: float) -> Pipeline:
    """The pipeline for pictures; shared by all sessions, as a reading keeps nothing in it."""
    model = load(choice.reference)
    return Pipeline(model, labels=labels, head=choice.head, max_pixels=MAX_PIXELS, balance=balance)


@st.cache_resource(show_spinner=False)
def turns() -> threading.BoundedSemaphore:
    """Whose turn it is to decode."""
    return threading.BoundedSemaphore(AT_ONCE)


def begin() -> None:
    """What must be there before a page runs."""
    st.session_state.setdefault("round", 0)
    st.session_state.setdefault("choice", Choice())
    st.session_state.setdefault("readings", OrderedDict())


def choice() -> Choice:
    """The model that this session uses."""
    return cast(Choice, st.session_state.choice)


def key(name: str) -> str:
    """A widget's key, another one after everything was forgotten: what was uploaded goes with the old widget."""
    return f"{name}-{st.session_state.round}"


def remember(place: tuple[Any, ...], reading: Any) -> None:
    """Keep a picture's result, and drop the oldest where there are too many."""
    readings = st.session_state.readings
    readings[place] = reading
    while len(readings) > READINGS_KEPT:
        readings.popitem(last=False)


def recall(place: tuple[Any, ...]) -> Any:
    """A result that was kept, or None."""
    return st.session_state.readings.get(place)


def forget() -> None:
    """Drop everything of this session: pictures, results, settings, and the uploaded files in the server's memory."""
    following = st.session_state.get("round", 0) + 1
    st.session_state.clear()
    st.session_state.round = following
    begin()
    context = get_script_run_ctx()
    if context is not None:
        context.uploaded_file_mgr.remove_session_files(context.session_id)


def offer_to_forget() -> None:
    """The button at the end of each page."""
    st.space("small")
    with st.container(horizontal=True, horizontal_alignment="right"):
        st.button(
            "Forget everything", on_click=forget, icon=":material/delete_sweep:", type="tertiary", key="forget",
            help="Drops all pictures, films, results and settings of this session from memory.",
        )  # fmt: skip
