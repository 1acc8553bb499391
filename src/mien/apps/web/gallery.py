"""Many photos as a grid: which to show, in which order, and the faces of each on request."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import streamlit as st

from mien.apps.web import session
from mien.apps.web.cards import MOST_CARDS, counted, describe, escape_markdown, face_cards
from mien.apps.web.reading import Reading, annotated
from mien.labels import percent

COLUMNS, CELL_PX = 4, 440
GRID_FROM = 4
"""So many photos are a grid; fewer are shown one below the other, at full size."""


@dataclass(frozen=True)
class Selection:
    """What of the photos is to be seen.

    Args:
        labels: photos with a face that shows one of these; empty for all.
        confidence: … with at least this confidence, 0–1.
        order: a key of `ORDERS`.
    """

    labels: frozenset[str] = frozenset()
    confidence: float = 0.0
    order: str = "As they came"


def _highest(reading: Reading) -> float:
    return max((face.confidence for face in reading.faces), default=-1.0)


ORDERS: dict[str, Callable[[Reading], object] | None] = {
    "As they came": None,
    "Name": lambda reading: reading.name.lower(),
    "Expression": lambda reading: min((face.verdict for face in reading.faces), default="~"),
    "Confidence, highest first": lambda reading: -_highest(reading),
    "Confidence, lowest first": lambda reading: _highest(reading) if reading.faces else 2.0,
    "Most faces first": lambda reading: -len(reading.faces),
}
"""What photos are sorted by."""


def pick(readings: Sequence[Reading], selection: Selection) -> list[Reading]:
    """The photos to show, in their order."""

    def fits(reading: Reading) -> bool:
        if not selection.labels and not selection.confidence:
            return True
        # One face has to have both: a sure smile does not stand for a doubtful sadness beside it.
        return any(
            face.confidence >= selection.confidence and (not selection.labels or face.verdict in selection.labels)
            for face in reading.faces
        )

    found, key = [reading for reading in readings if fits(reading)], ORDERS[selection.order]
    return found if key is None else sorted(found, key=key)  # type: ignore[type-var,arg-type]


def show_gallery(readings: Sequence[Reading]) -> None:
    """The grid with its controls."""
    there = sorted({face.verdict for reading in readings for face in reading.faces})
    left, middle, right = st.columns([3, 2, 2], vertical_alignment="bottom")
    with left:
        labels = st.pills("Expression", there, selection_mode="multi", key=session.key("gallery-labels"))
    with middle:
        least = st.slider("Confidence, at least", 0, 100, 0, format="%d %%", key=session.key("gallery-confidence"))
    with right:
        order = st.selectbox("Order", list(ORDERS), key=session.key("gallery-order"))
    found = pick(readings, Selection(frozenset(labels or ()), least / 100, order))
    st.caption(f"{len(found)} of {counted(len(readings), 'photo')}")
    for start in range(0, len(found), COLUMNS):
        for reading, column in zip(found[start : start + COLUMNS], st.columns(COLUMNS), strict=False):
            with column:
                _show(reading)


def _show(reading: Reading) -> None:
    st.image(annotated(reading, CELL_PX), width="stretch", alt=describe(reading))
    shown = ", ".join(f"{face.verdict} {percent(face.confidence)}" for face in reading.faces[:3]) or "no face"
    more = f" and {len(reading.faces) - 3} more" if len(reading.faces) > 3 else ""
    st.caption(f"{escape_markdown(reading.name)}: {shown}{more}")
    if reading.faces:
        with st.popover("Faces", icon=":material/face:"):
            st.html(face_cards(reading))
            if len(reading.faces) > MOST_CARDS:
                st.caption(f"And {len(reading.faces) - MOST_CARDS} more: the table lists all.")
