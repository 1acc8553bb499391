"""The settings that every reading has."""

from __future__ import annotations

import streamlit as st

from mien.apps.web import session
from mien.labels import USER_LABELS


def threshold_and_labels(prefix: str) -> tuple[float, str]:
    """From which probability on a face's expression is told, 0–1, and which set of expressions there is."""
    left, right = st.columns(2, vertical_alignment="bottom")
    with left:
        threshold = st.slider(
            "Not sure below", 0, 100, 40, 5, format="%d %%", key=session.key(f"{prefix}-threshold"),
            help="A face whose highest probability is lower than this counts as not sure.",
        )  # fmt: skip
    with right:
        labels = st.segmented_control(
            "Expressions", list(USER_LABELS), default="seven", required=True, key=session.key(f"{prefix}-labels"),
            format_func=str.capitalize, help="Eight has contempt beside the usual seven.",
        )  # fmt: skip
    return threshold / 100, labels or "seven"
