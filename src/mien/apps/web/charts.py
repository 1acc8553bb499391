"""A face's probabilities over time as a chart."""

from __future__ import annotations

from typing import Any

import altair as alt
import numpy as np

from mien.apps.web.cards import percent
from mien.apps.web.theme import css_colour
from mien.reading.drawing import PALETTE, UNSURE
from mien.reading.history import NO_LABEL, History, Track
from mien.reading.summary import TrackSummary
from mien.reading.timeline import clock, mean_by_column

COLUMNS = 160
NOT_SURE = "not sure"
HEIGHT_PX = 170
_STRIP = (-0.16, -0.05)


def chart_track(track: Track, history: History) -> alt.Chart:
    """Probabilities stacked over time; the strip below shows the expression that was shown, grey where not sure."""
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
    """First and last moment, seconds."""
    times_s = history.times_s
    begin_s, end_s = float(times_s[0]), float(times_s[-1] + history.seconds[-1])
    return begin_s, end_s if end_s > begin_s else begin_s + 1.0


def track_title(found: TrackSummary) -> str:
    """The face in a line."""
    main = found.labels[found.main_label]
    return (
        f"Face {found.track_id}: seen for {clock(found.visible_s, decimals=1)}, "
        f"{found.main_label} in {percent(main.share)} of that time"
    )


def describe_track(found: TrackSummary) -> str:
    """The chart in words."""
    shares = sorted(
        ((entry.share, label) for label, entry in found.labels.items() if entry.share >= 0.005), reverse=True
    )
    told = ", ".join(f"{label} {percent(share)}" for share, label in shares) or "none for long"
    unsure = f", not sure {percent(found.unsure_share)}" if found.unsure_share >= 0.005 else ""
    return (
        f"Probabilities of face {found.track_id} over time, from {clock(found.first_s, decimals=1)} to "
        f"{clock(found.last_s, decimals=1)}; expressions shown: {told}{unsure}"
    )


def _rectangles(track: Track, history: History, begin_s: float, end_s: float) -> list[dict[str, Any]]:
    edges = np.linspace(begin_s, end_s, COLUMNS + 1)
    # Rectangles reach a little under the next one, or lines of the page would show between them.
    step_s = float(edges[1] - edges[0])
    means, covered = mean_by_column(track, edges)
    found: list[dict[str, Any]] = []
    for column in np.flatnonzero(covered):
        place: dict[str, Any] = {
            "x": round(float(edges[column]), 4),
            "x2": round(min(float(edges[column] + 1.4 * step_s), end_s), 4),
        }
        place["time"] = clock(float(edges[column]), decimals=1)
        top = np.cumsum(means[column]) / max(float(means[column].sum()), 1e-9)
        for number, label in enumerate(history.labels):
            low = float(top[number - 1]) if number else 0.0
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
    text = "floor(datum.value / 60) + ':' + pad(floor(datum.value % 60), 2, '0', 'left')"
    if end_s <= 8:
        text = "format(datum.value, '.1f') + ' s'"
    return alt.Axis(labelExpr=text, grid=False, tickCount=6, labelOverlap=True)
