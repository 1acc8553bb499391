"""Faces as HTML (crop, label, a bar per probability), small tables, and a face's probabilities over time as a chart."""

from __future__ import annotations

import base64
from collections.abc import Iterable, Sequence
from html import escape
from typing import Any

import altair as alt
import numpy as np

from mien.apps.web.circumplex import face_circumplex
from mien.apps.web.reading import Reading
from mien.faces.quality import GOOD
from mien.html import css_colour
from mien.labels import NOT_SURE, percent
from mien.reading.drawing import PALETTE, UNSURE
from mien.reading.history import NO_LABEL, History, Track
from mien.reading.summary import TrackSummary
from mien.reading.timeline import clock, mean_by_column
from mien.structures import Face

MOST_CARDS = 24
COLUMNS = 160
HEIGHT_PX = 170
POSE = (("to the right", "to the left"), ("down", "up"), ("leaning left", "leaning right"))
"""What positive and negative yaw, pitch and roll are, as seen in the image."""
MOST_BLENDSHAPES, LEAST_BLENDSHAPE = 5, 0.1
# On the axis of the probabilities, below its zero.
_STRIP = (-0.16, -0.05)

PRIVACY = (
    '<div class="mien-private" role="note"><span><b>Private:</b> your files are analyzed in the memory of the computer '
    "that runs this page. Nothing is stored, logged or uploaded elsewhere. <i>Forget everything</i> clears "
    "it.</span></div>"
)


def face_cards(reading: Reading) -> str:
    """A card for each face, side by side if there is room."""
    cards = [
        face_card(face, crop, number)
        for number, (face, crop) in enumerate(zip(reading.faces, reading.crops, strict=True), 1)
    ]
    return f'<div class="mien-faces">{"".join(cards[:MOST_CARDS])}</div>'


def face_card(face: Face, crop: bytes, number: int) -> str:
    """One face."""
    return (
        f'<section class="mien-face" aria-label="Face {number}"><div class="mien-head">'
        f"{inline_image(crop, f'Face {number}, cropped')}<div>"
        f'<div class="mien-who">Face {number}</div>{_verdict(face)}</div></div>'
        f"{bars(face, number)}{face_circumplex(face, number)}{shape(face, number)}</section>"
    )


def inline_image(jpeg: bytes, alt: str, width_px: int | None = None) -> str:
    """An image that needs no request of its own, so it cannot be gone when the browser asks for it."""
    style = f' style="width:{width_px}px;max-width:100%"' if width_px else ""
    return f'<img alt="{escape(alt)}" src="data:image/jpeg;base64,{base64.b64encode(jpeg).decode("ascii")}"{style}>'


def bars(face: Face, number: int) -> str:
    """All probabilities of a face, as a table with a bar in each row."""
    lines = "".join(_bar(label, p, top=label == face.top) for label, p in face.probabilities.items())
    return f'<table class="mien-bars" aria-label="Probabilities of face {number}"><tbody>{lines}</tbody></table>'


def shape(face: Face, number: int) -> str:
    """The head's pose in words, and the strongest blendshapes as a table with bars; empty without geometry."""
    if face.pose is None:
        return ""
    yaw, pitch, roll = (round(angle) for angle in face.pose)
    turns = (
        f"{abs(angle)}° {words[angle < 0]}" for angle, words in zip((yaw, pitch, roll), POSE, strict=True) if angle
    )
    strongest = sorted((face.blendshapes or {}).items(), key=lambda entry: -entry[1])
    lines = "".join(
        f'<tr><th scope="row">{escape(name)}</th><td><div class="mien-track" aria-hidden="true" '
        f'style="--p:{100 * value:.1f}%;--c:var(--mien-shape, #7a8ba8)"><div></div></div></td><td>{value:.2f}</td></tr>'
        for name, value in strongest[:MOST_BLENDSHAPES] if value >= LEAST_BLENDSHAPE and name != "_neutral"
    )  # fmt: skip
    return (
        f'<div class="mien-sure" style="margin-top:.5rem">Head: {", ".join(turns) or "straight"}</div>'
        f'<table class="mien-bars mien-shape" aria-label="Blendshapes of face {number}"><tbody>{lines}</tbody></table>'
    )


def legend(labels: Sequence[str]) -> str:
    """The colours of the labels."""
    colours = [(label, PALETTE[label]) for label in labels] + [(NOT_SURE, UNSURE)]
    items = (
        f'<span role="listitem" style="--c:{css_colour(colour)}"><i></i>{escape(label)}</span>'
        for label, colour in colours
    )
    return f'<div class="mien-legend" role="list" aria-label="Colours">{"".join(items)}</div>'


def plain_table(names: Sequence[str], lines: Iterable[Sequence[str]], *, numbers: Sequence[str] = ()) -> str:
    """A small table of text that scrolls by itself on a narrow screen.

    Args:
        names: the column names.
        lines: rows of plain text.
        numbers: the columns to align right.
    """
    kinds = [' class="number"' if name in numbers else "" for name in names]
    head = "".join(f'<th scope="col"{kind}>{escape(name)}</th>' for name, kind in zip(names, kinds, strict=True))
    body = "".join(
        "<tr>" + "".join(f"<td{kind}>{escape(cell)}</td>" for cell, kind in zip(line, kinds, strict=True)) + "</tr>"
        for line in lines
    )
    return (
        f'<div class="mien-scroll" tabindex="0"><table><thead><tr>{head}</tr></thead>'
        f"<tbody>{body}</tbody></table></div>"
    )


def describe(reading: Reading) -> str:
    """The photo in words, for people who cannot see it."""
    if not reading.faces:
        return f"{reading.name}: no face found"
    shown = [
        f"face {number} {NOT_SURE if face.abstained else face.top} {percent(face.confidence)}"
        for number, face in enumerate(reading.faces[:MOST_CARDS], 1)
    ]
    return f"{reading.name} with {counted(len(reading.faces), 'face')}: {', '.join(shown)}"


def counted(number: int, thing: str) -> str:
    """A number of things.

    >>> counted(1, "face"), counted(3, "face")
    ('1 face', '3 faces')
    """
    return f"{number:,} {thing}{'' if number == 1 else 's'}"


def escape_markdown(text: str) -> str:
    """Text that Markdown shows verbatim.

    >>> escape_markdown("a_b*.jpg")
    'a\\\\_b\\\\*.jpg'
    """
    # Streamlit adds to Markdown: `:` begins icons and colours, `$` formulas, `~` strikes out.
    return "".join(f"\\{sign}" if sign in "\\`*_{}[]<>#|$:~" else sign for sign in text)


def _verdict(face: Face) -> str:
    colour = css_colour(UNSURE if face.abstained else PALETTE[face.top])
    word = NOT_SURE if face.abstained else face.top
    more = (
        f"most likely {face.top}, {percent(face.confidence)}"
        if face.abstained
        else f"probability {percent(face.confidence)}"
    )
    return (
        f'<div class="mien-verdict" style="--c:{colour}"><i></i>{escape(word)}</div>'
        f'<div class="mien-sure">{escape(more)}</div>{_quality(face)}'
    )


def _quality(face: Face) -> str:
    """What makes the face hard to see, if anything does."""
    if face.quality in ("", GOOD):
        return ""
    title = f"Quality {face.quality_score:.2f} of 1"
    return f'<div class="mien-sure" title="{title}">seen poorly: {escape(face.quality)}</div>'


def _bar(label: str, p: float, *, top: bool) -> str:
    style = f"--p:{100 * p:.1f}%;--c:{css_colour(PALETTE[label])}"
    return (
        f'<tr{" class=top" if top else ""}><th scope="row">{escape(label)}</th>'
        f'<td><div class="mien-track" aria-hidden="true" style="{style}"><div></div></div></td>'
        f"<td>{percent(p, digits=1)}</td></tr>"
    )


def chart_track(track: Track, history: History) -> alt.Chart:
    """Probabilities stacked over time; the strip below is the label shown, gray for not sure."""
    names = [*history.labels, NOT_SURE]
    colours = [css_colour(colour) for colour in (*(PALETTE[name] for name in history.labels), UNSURE)]
    begin_s, end_s = span_of(history)
    data: Any = {"values": _rectangles(track, history, begin_s, end_s)}
    chart: alt.Chart = (
        alt.Chart(data)
        .mark_rect(strokeWidth=0)
        .encode(
            x=alt.X("x:Q", title=None, scale=alt.Scale(domain=[begin_s, end_s], nice=False), axis=_time_axis(end_s)),
            x2="x2:Q",
            y=alt.Y("y:Q", title=None, scale=alt.Scale(domain=[_STRIP[0], 1.0], nice=False), axis=None),
            y2="y2:Q",
            color=alt.Color("label:N", scale=alt.Scale(domain=names, range=colours), legend=None),
            tooltip=[
                alt.Tooltip("time:N", title="time"),
                alt.Tooltip("label:N", title="expression"),
                alt.Tooltip("p:N", title="probability"),
            ],
        )
        .properties(height=HEIGHT_PX)
    )
    return chart


def span_of(history: History) -> tuple[float, float]:
    """Start and end, seconds."""
    times_s = history.times_s
    begin_s, end_s = float(times_s[0]), float(times_s[-1] + history.seconds[-1])
    # A single frame has no duration, and an axis needs one.
    return begin_s, end_s if end_s > begin_s else begin_s + 1.0


def track_title(found: TrackSummary) -> str:
    """The face in one line."""
    share, seen = found.labels[found.main_label].share, clock(found.visible_s, decimals=1)
    return f"Face {found.track_id}: visible for {seen}, {found.main_label} for {percent(share)} of that time"


def describe_track(found: TrackSummary) -> str:
    """The chart in words."""
    shares = sorted(
        ((entry.share, label) for label, entry in found.labels.items() if entry.share >= 0.005), reverse=True
    )
    shown = ", ".join(f"{label} {percent(share)}" for share, label in shares) or "none for long"
    unsure = f", not sure {percent(found.unsure_share)}" if found.unsure_share >= 0.005 else ""
    return (
        f"Probabilities of face {found.track_id} over time, from {clock(found.first_s, decimals=1)} to "
        f"{clock(found.last_s, decimals=1)}; expressions shown: {shown}{unsure}"
    )


def _rectangles(track: Track, history: History, begin_s: float, end_s: float) -> list[dict[str, Any]]:
    edges = np.linspace(begin_s, end_s, COLUMNS + 1)
    # Rectangles overlap the next one a little, or gaps would show between them.
    step_s = float(edges[1] - edges[0])
    means, covered = mean_by_column(track, edges)
    found: list[dict[str, Any]] = []
    for column in np.flatnonzero(covered):
        start_s = float(edges[column])
        end_of = round(min(start_s + 1.4 * step_s, end_s), 4)
        place = {"x": round(start_s, 4), "x2": end_of, "time": clock(start_s, decimals=1)}
        # The means of a column may miss 1 by rounding; the layers must fill its height.
        top = np.cumsum(means[column]) / max(float(means[column].sum()), 1e-9)
        for number, label in enumerate(history.labels):
            low = float(top[number - 1]) if number else 0.0
            # Thinner is less than a pixel: left out, the browser gets far fewer rectangles.
            if top[number] - low >= 0.004:
                p = percent(float(means[column, number]))
                found.append({**place, "y": round(low, 4), "y2": round(float(top[number]), 4), "label": label, "p": p})
        found.append(
            {**place, "y": _STRIP[0], "y2": _STRIP[1], "label": _shown(track, history, edges, column), "p": ""}
        )
    return found


def _shown(track: Track, history: History, edges: Any, column: Any) -> str:
    middle = (edges[column] + edges[column + 1]) / 2
    frame = int(np.clip(np.searchsorted(track.times_s, middle, side="right") - 1, 0, len(track.times_s) - 1))
    shown = int(track.shown[frame])
    return NOT_SURE if shown == NO_LABEL else history.labels[shown]


def _time_axis(end_s: float) -> alt.Axis:
    """Minutes and seconds."""
    # Vega formats no durations, so an expression writes minutes and seconds.
    text = "floor(datum.value / 60) + ':' + pad(floor(datum.value % 60), 2, '0', 'left')"
    if end_s <= 8:
        text = "format(datum.value, '.1f') + ' s'"
    return alt.Axis(labelExpr=text, grid=False, tickCount=6, labelOverlap=True)
