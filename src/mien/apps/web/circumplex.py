"""The circumplex as a drawing in the page: where a face is, or where it was over time."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

import numpy as np

from mien.html import css_colour
from mien.labels import percent
from mien.reading.affect import CIRCUMPLEX
from mien.reading.drawing import PALETTE, UNSURE
from mien.reading.history import NO_LABEL, Track
from mien.structures import Affect, Face

RADIUS = 50
"""Of the circle, per cent of the drawing's side. Elements with places, for Streamlit takes SVG out of a page's HTML."""
MOST_POINTS = 300


def face_circumplex(face: Face, number: int) -> str:
    """Valence, arousal and intensity of a face in words, and its place; empty where the model does not tell."""
    found = face.affect
    if found is None:
        return ""
    words = describe_affect(found)
    if found.valence is None or found.arousal is None:
        return f'<div class="mien-values">{escape(words)}</div>'
    spread = _mark(
        "b", found.valence, found.arousal,
        f"width:{2 * RADIUS * (found.valence_sd or 0):.1f}%;height:{2 * RADIUS * (found.arousal_sd or 0):.1f}%",
    )  # fmt: skip
    dot = _mark("em", found.valence, found.arousal, _colour(UNSURE if face.abstained else PALETTE[face.top]))
    title = f"Face {number} on the circumplex: {words}"
    return f'<div class="mien-values">{escape(words)}</div>{_drawing(spread + dot, title)}'


def track_circumplex(track: Track, labels: Sequence[str]) -> str:
    """Where a face was over a video, a point a frame in the colour of the expression shown; empty if nobody knows."""
    known = np.flatnonzero(~np.isnan(track.affect[:, :2]).any(axis=1))
    if not len(known):
        return ""
    dots = []
    for row in known[:: max(1, len(known) // MOST_POINTS)]:
        shown = int(track.shown[row])
        colour = _colour(UNSURE if shown == NO_LABEL else PALETTE[labels[shown]])
        dots.append(_mark("s", float(track.affect[row, 0]), float(track.affect[row, 1]), colour))
    valence, arousal = np.average(track.affect[known, :2], axis=0).tolist()
    title = f"Face {track.track_id} on the circumplex: valence {valence:+.2f} and arousal {arousal:+.2f} on average"
    return _drawing("".join(dots) + _mark("u", valence, arousal), title)


def describe_affect(found: Affect) -> str:
    """The values in words.

    >>> describe_affect(Affect(0.49, -0.05, 0.99, 0.11, 0.21, 0.03))
    'valence +0.49 ± 0.11, arousal −0.05 ± 0.21, intensity 99 %'
    """
    parts = [
        f"{name} {value:+.2f}".replace("-", "−") + ("" if sd is None else f" ± {sd:.2f}")
        for name, value, sd in (
            ("valence", found.valence, found.valence_sd), ("arousal", found.arousal, found.arousal_sd),
        ) if value is not None
    ]  # fmt: skip
    return ", ".join([*parts, *([] if found.intensity is None else [f"intensity {percent(found.intensity)}"])])


def _mark(kind: str, valence: float, arousal: float, style: str = "") -> str:
    """An element around a place; its kind is how it looks."""
    left, top = 50 + RADIUS * valence, 50 - RADIUS * arousal
    return f'<{kind} style="left:{left:.1f}%;top:{top:.1f}%;{style}"></{kind}>'


def _colour(rgb: tuple[int, int, int]) -> str:
    return f"--c:{css_colour(rgb)}"


def _drawing(inside: str, title: str) -> str:
    words = "".join(_mark("i", *place, _colour(PALETTE[word])) for word, place in CIRCUMPLEX.items())
    ends = "".join(f'<span class="mien-{end}">{end}</span>' for end in ("excited", "calm", "unpleasant", "pleasant"))
    return f'<div class="mien-circumplex" role="img" aria-label="{escape(title)}">{ends}{words}{inside}</div>'
