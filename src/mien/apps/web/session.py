"""A visitor's session: its data, its settings, what all sessions share, and how it is forgotten."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, cast

import streamlit as st
from streamlit.delta_generator import DeltaGenerator
from streamlit.runtime.scriptrunner import get_script_run_ctx

from mien.artifact.catalog import DEFAULT_MODEL
from mien.labels import USER_LABELS
from mien.reading.classifier import Model, load_model
from mien.reading.pipeline import Pipeline

READINGS_KEPT = 32
"""Results that a session remembers, about 250 kB each."""
MAX_PIXELS = 64_000_000
AT_ONCE = 2
"""Photos decoded at once, over all sessions: 64 million pixels take 200 MB."""


@dataclass(frozen=True)
class Choice:
    """A model and one of its heads.

    Args:
        reference: a name or path for `load_model`.
        head: an output head; None for the default.
    """

    reference: str = DEFAULT_MODEL
    head: str | None = None


# A resource is shared and never copied, unlike Streamlit's cached data.
@st.cache_resource(max_entries=4, show_spinner="Loading the model")
def load(reference: str) -> Model:
    """The model, verified; shared by all sessions."""
    return load_model(reference)


@st.cache_resource(max_entries=12, show_spinner=False)
def pipeline(choice: Choice, labels: str, balance: float | None, geometry: bool) -> Pipeline:
    """The pipeline for photos; shared by all sessions, as it keeps no state."""
    # Pipelines of one model share it: it is the large part.
    model = load(choice.reference)
    return Pipeline(model, labels=labels, head=choice.head, max_pixels=MAX_PIXELS, balance=balance, geometry=geometry)


@st.cache_resource(show_spinner=False)
def turns() -> threading.BoundedSemaphore:
    """Limits how many photos are decoded at once."""
    return threading.BoundedSemaphore(AT_ONCE)


def begin() -> None:
    """Prepare the session before a page runs."""
    st.session_state.setdefault("round", 0)
    st.session_state.setdefault("choice", Choice())
    st.session_state.setdefault("readings", OrderedDict())


def choice() -> Choice:
    """The model that this session uses."""
    return cast(Choice, st.session_state.choice)


def key(name: str) -> str:
    """A widget's key; it changes when everything is forgotten, so that uploads vanish with the old widget."""
    return f"{name}-{st.session_state.round}"


def remember(place: tuple[Any, ...], reading: Any) -> None:
    """Keep a photo's result, and drop the oldest if there are too many."""
    readings = st.session_state.readings
    readings[place] = reading
    # A session lasts as long as its page is open.
    while len(readings) > READINGS_KEPT:
        readings.popitem(last=False)


def recall(place: tuple[Any, ...]) -> Any:
    """A remembered result, or None."""
    return st.session_state.readings.get(place)


def forget() -> None:
    """Drop everything of this session: photos, results, settings, and uploads in the server's memory."""
    following = st.session_state.get("round", 0) + 1
    st.session_state.clear()
    # Set again, or old widgets would return with their uploads.
    st.session_state.round = following
    begin()
    context = get_script_run_ctx()
    if context is not None:
        # Streamlit would keep the uploads until the session ends.
        context.uploaded_file_mgr.remove_session_files(context.session_id)


def offer_to_forget() -> None:
    """The button at the foot of each page."""
    st.space("small")
    with st.container(horizontal=True, horizontal_alignment="right"):
        st.button(
            "Forget everything", on_click=forget, icon=":material/delete_sweep:", type="tertiary", key="forget",
            help="Removes all photos, videos, results and settings of this session from memory.",
        )  # fmt: skip


def offer(label: str, data: str | bytes | Callable[[], str | bytes], file_name: str, mime: str, *, key: str) -> None:
    """A download button; a callable makes the file on demand."""
    # Any other `on_click` would run the page again, which ends an analysis that is going on.
    st.download_button(label, data, file_name, mime, on_click="ignore", icon=":material/download:", key=key)


@dataclass(frozen=True)
class Settings:
    """How faces are analyzed.

    Args:
        threshold: below this confidence a face is "not sure", 0–1.
        balance: as `Pipeline` takes it, 0–1 or None.
        labels: the label set.
        geometry: estimate landmarks, head pose and blendshapes too.
    """

    threshold: float = 0.0
    balance: float | None = None
    labels: str = "seven"
    geometry: bool = False


def ask_settings(prefix: str) -> tuple[Settings, DeltaGenerator]:
    """The visitor's choices, and the folded container that holds them; the balance starts at the model's own rule, and
    is fixed for a model without a prior."""
    place = st.expander("Settings", icon=":material/tune:")
    with place:
        left, middle, right = st.columns(3, vertical_alignment="bottom")
    with left:
        threshold = st.slider(
            "Not sure below", 0, 100, 0, 5, format="%d %%", key=key(f"{prefix}-threshold"),
            help="Faces whose confidence is below this are shown as not sure.",
        )  # fmt: skip
    with middle:
        model = load(choice().reference)
        known = any(head.prior for head in model.manifest.heads.values())
        rule = round(100 * model.as_shown(choice().head).balance)
        balance = st.slider(
            "Balance", 0, 100, rule, 5, format="%d %%", key=key(f"{prefix}-balance-{rule}"), disabled=not known,
            help="0 %: expressions are as frequent as in the training data, mostly neutral and happy. 100 %: all are "
            "equally frequent, so rare ones are found more often, sometimes wrongly.",
        )  # fmt: skip
    with right:
        labels = st.segmented_control(
            "Labels", list(USER_LABELS), default="seven", required=True, key=key(f"{prefix}-labels"),
            format_func=str.capitalize, help="Eight adds contempt to the usual seven.",
        )  # fmt: skip
        geometry = st.toggle(
            "Landmarks and pose", key=key(f"{prefix}-geometry"),
            help="Draws 68 landmarks and the axes of the head, and lists the strongest blendshapes.",
        )  # fmt: skip
    return Settings(threshold / 100, balance / 100 if known else None, labels or "seven", geometry), place
