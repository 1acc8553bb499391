"""The timeline: a lane per face, its probabilities stacked over time, the label shown under them."""

from __future__ import annotations

import math
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from mien.errors import ConfigError
from mien.images.pictures import write
from mien.labels import percent
from mien.reading.drawing import PALETTE, UNSURE, draw_text, fitting_text, text_size
from mien.reading.history import NO_LABEL, Float64, History, Labels, Track
from mien.reading.summary import TrackSummary, summarize_track

UInt8 = npt.NDArray[np.uint8]

WIDTH, MOST_LANES = 1440, 12
_LEFT, _RIGHT, _TOP, _BOTTOM = 196, 40, 104, 60
_LANE, _STRIP, _GAP = 92, 12, 26
# Drawn at a multiple of the size and reduced, for smooth edges.
_FINE = 2
_PAPER, _LANE_PAPER = (255, 255, 255), (244, 245, 247)
_INK, _GREY, _RULE = (31, 41, 51), (110, 120, 132), (222, 226, 231)
_STEPS_S = (0.1, 0.2, 0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14400, 43200, 86400)


def draw_timeline(history: History, title: str) -> UInt8:
    """Draw what the faces of one source showed, RGB uint8 (H, 1440, 3).

    Each lane holds one face, those seen longest first to be kept when there are more than twelve. Its height at each
    moment is divided among the expressions by their probability; the strip below has the colour of the one shown,
    grey where the face is not sure. Where the face was not there, the lane is empty.
    """
    tracks = sorted(history.tracks(), key=lambda track: -track.seconds.sum())
    left_out = len(tracks) - MOST_LANES
    lanes = sorted(tracks[:MOST_LANES], key=lambda track: track.track_id)
    span = _span(history)
    height = _TOP + max(len(lanes), 1) * (_LANE + _STRIP + _GAP) + _BOTTOM
    image = np.full((height, WIDTH, 3), _PAPER, np.uint8)
    _draw_head(image, history, title)
    _draw_axis(image, span, height - _BOTTOM - _GAP // 2)
    for place, track in enumerate(lanes):
        _draw_lane(image, _TOP + place * (_LANE + _STRIP + _GAP), track, history.labels, span)
    if not lanes:
        draw_text(image, "no face in any frame", _LEFT + 24, _TOP + _LANE // 2, 17, _GREY)
    if left_out > 0:
        others = f"and {left_out} more {'face' if left_out == 1 else 'faces'}, seen for a shorter time"
        draw_text(image, others, 28, height - 26, 15, _GREY)
    return image


def write_timeline(path: Path, history: History, title: str) -> None:
    """Write the timeline to a file, in the format of its ending.

    Raises:
        ConfigError: it cannot be written.
    """
    try:
        write(path, draw_timeline(history, title))
    except OSError as error:
        raise ConfigError(f"cannot write {path}: {error.strerror or error}") from error


def _span(history: History) -> tuple[float, float]:
    """First and last moment, seconds."""
    times_s = history.times_s
    if not len(times_s):
        return 0.0, 1.0
    end_s = float(times_s[-1] + history.seconds[-1])
    return float(times_s[0]), end_s if end_s > times_s[0] else float(times_s[0]) + 1.0


def _draw_head(image: UInt8, history: History, title: str) -> None:
    draw_text(image, fitting_text(title, 24, WIDTH - 56, bold=True), 28, 22, 24, _INK, bold=True)
    x = _LEFT
    for label in history.labels:
        cv2.rectangle(image, (x, 67), (x + 14, 81), PALETTE[label], -1)
        x += 22 + draw_text(image, label, x + 22, 66, 16, _INK) + 26
    note = "below: the expression shown"
    draw_text(image, note, WIDTH - _RIGHT - text_size(note, 15), 67, 15, _GREY)


def _draw_axis(image: UInt8, span: tuple[float, float], bottom: int) -> None:
    begin_s, end_s = span
    step_s = next((step for step in _STEPS_S if (end_s - begin_s) / step <= 12), _STEPS_S[-1])
    # The 1e-9 keeps a tick at the very beginning or end in spite of rounding.
    for number in range(math.ceil(begin_s / step_s - 1e-9), math.floor(end_s / step_s + 1e-9) + 1):
        time_s = number * step_s
        x = round(_LEFT + (time_s - begin_s) / (end_s - begin_s) * (WIDTH - _LEFT - _RIGHT))
        cv2.line(image, (x, _TOP - 10), (x, bottom), _RULE, 1)
        text = clock(time_s, decimals=1 if step_s < 1 else 0)
        draw_text(image, text, x - text_size(text, 15) // 2, bottom + 9, 15, _GREY)


def clock(time_s: float, *, decimals: int = 0) -> str:
    """Hours, minutes and seconds, as far as needed.

    >>> clock(5), clock(75.25, decimals=1), clock(3661)
    ('0:05', '1:15.2', '1:01:01')
    """
    units = 10**decimals
    total = round(max(time_s, 0.0) * units)
    minutes, rest = divmod(total, 60 * units)
    hours, minutes = divmod(minutes, 60)
    seconds = f"{rest // units:02}" + (f".{rest % units:0{decimals}}" if decimals else "")
    return f"{hours}:{minutes:02}:{seconds}" if hours else f"{minutes}:{seconds}"


def _draw_lane(image: UInt8, top: int, track: Track, labels: tuple[str, ...], span: tuple[float, float]) -> None:
    width = WIDTH - _LEFT - _RIGHT
    columns = np.linspace(*span, _FINE * width + 1)
    colours = np.array([*(PALETTE[label] for label in labels), UNSURE, _LANE_PAPER], np.uint8)
    _paste(image, colours[_stack(track, columns, _FINE * _LANE)], _LEFT, top)
    strip = np.repeat(_shown(track, columns, len(labels))[None], _FINE * (_STRIP - 4), axis=0)
    _paste(image, np.where(strip[..., None] == len(labels) + 1, np.uint8(255), colours[strip]), _LEFT, top + _LANE + 4)
    for y in (top - 1, top + _LANE):
        cv2.line(image, (_LEFT, y), (WIDTH - _RIGHT - 1, y), _RULE, 1)
    _draw_name(image, top, summarize_track(track, labels))


def _draw_name(image: UInt8, top: int, found: TrackSummary) -> None:
    main = found.labels[found.main_label]
    draw_text(image, f"face {found.track_id}", 28, top + 8, 20, _INK, bold=True)
    draw_text(image, f"seen {clock(found.visible_s, decimals=1)}", 28, top + 36, 15, _GREY)
    cv2.rectangle(image, (28, top + 62), (40, top + 74), PALETTE[found.main_label], -1)
    draw_text(image, f"{found.main_label} {percent(main.share)}", 48, top + 60, 16, _INK)


def _stack(track: Track, columns: Float64, height: int) -> npt.NDArray[np.intp]:
    """Number of the colour of each pixel (height, len(columns) - 1); the last one where the face was not there."""
    count = track.probabilities.shape[1]
    means, covered = mean_by_column(track, columns)
    bounds = np.cumsum(means, axis=1).T
    bounds /= np.maximum(bounds[-1], 1e-9)
    level = (np.arange(height) + 0.5)[::-1, None, None] / height
    number = (level > bounds[None, :-1]).sum(axis=1)
    return np.asarray(np.where(covered[None], number, count + 1), np.intp)


def mean_by_column(track: Track, columns: Float64) -> tuple[Float64, npt.NDArray[np.bool_]]:
    """Time-weighted mean probabilities between successive moments, (len(columns) - 1, K), and where there is any."""
    # np.interp needs rising places, even where a frame lasts no time.
    ends_s = np.maximum(track.times_s + track.seconds, track.times_s + 1e-6)
    moments = np.column_stack([track.times_s, ends_s]).ravel()
    lasting = ends_s - track.times_s
    # Differences of running sums: exact means, however many frames fall into a column.
    reached = np.concatenate([[0.0], np.cumsum(lasting)])
    weight = np.diff(np.interp(columns, moments, np.column_stack([reached[:-1], reached[1:]]).ravel()))
    total = np.empty((len(columns) - 1, track.probabilities.shape[1]))
    for label in range(total.shape[1]):
        summed = np.concatenate([[0.0], np.cumsum(track.probabilities[:, label] * lasting)])
        total[:, label] = np.diff(np.interp(columns, moments, np.column_stack([summed[:-1], summed[1:]]).ravel()))
    covered = weight > 1e-9
    return total / np.maximum(weight, 1e-9)[:, None], covered


def shown_by_column(track: Track, columns: Float64) -> Labels:
    """Index of the label shown in the middle between successive moments, (len(columns) - 1,); NO_LABEL for not sure.

    Where the face was not there (see `mean_by_column`), the last label before.
    """
    middles = (columns[1:] + columns[:-1]) / 2
    frame = np.clip(np.searchsorted(track.times_s, middles, side="right") - 1, 0, len(track.times_s) - 1)
    return track.shown[frame]


def _shown(track: Track, columns: Float64, count: int) -> npt.NDArray[np.intp]:
    """Number of the colour of the label shown in each column."""
    _, covered = mean_by_column(track, columns)
    shown = shown_by_column(track, columns).astype(np.intp)
    return np.where(covered, np.where(shown == NO_LABEL, count, shown), count + 1)


def _paste(image: UInt8, fine: npt.NDArray[np.uint8], x: int, y: int) -> None:
    height, width = fine.shape[0] // _FINE, fine.shape[1] // _FINE
    image[y : y + height, x : x + width] = cv2.resize(fine, (width, height), interpolation=cv2.INTER_AREA)
