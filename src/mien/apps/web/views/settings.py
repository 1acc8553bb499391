"""The settings that every reading has."""

from __future__ import annotations

from dataclasses import dataclass

import streamlit as st

from mien.apps.web import session
from mien.labels import USER_LABELS


@dataclass(frozen=True)
class Settings:
    """How faces are read.

    Args:
        threshold: from which probability on a face's expression is told, 0–1.
        balance: as `Pipeline` takes it, 0–1 or None.
        labels: which set of expressions there is.
    """

    threshold: float = 0.4
    balance: float | None = None
    labels: str = "seven"


def ask_settings(prefix: str) -> Settings:
    """What the visitor chooses; the balance begins with the model's rule, and rests for one without a prior."""
    left, middle, right = st.columns(3, vertical_alignment="bottom")
    with left:
        threshold = st.slider(
            "Not sure below", 0, 100, 40, 5, format="%d %%", key=session.key(f"{prefix}-threshold"),
            help="A face whose highest probability is lower than this counts as not sure.",
        )  # fmt: skip
    with middle:
        choice = session.choice()
        model = session.load(choice.reference)
        known = any(head.prior for head in model.manifest.heads.values())
        rule = round(100 * model.as_shown(choice.head).balance)
        balance = st.slider(
            "Balance", 0, 100, rule, 5, format="%d %%", key=session.key(f"{prefix}-balance-{rule}"), disabled=not known,
            help="At 0 expressions are taken to be as frequent as in the training data, mostly neutral and happy; at "
            "100 % all equally frequent: rare ones are found more often, also where they are not.",
        )  # fmt: skip
    with right:
        labels = st.segmented_control(
            "Expressions", list(USER_LABELS), default="seven", required=True, key=session.key(f"{prefix}-labels"),
            format_func=str.capitalize, help="Eight has contempt beside the usual seven.",
        )  # fmt: skip
    return Settings(threshold / 100, balance / 100 if known else None, labels or "seven")
