"""The circumplex of a whole video: where each face was, frame by frame."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import numpy.typing as npt

from mien.errors import ConfigError
from mien.images.pictures import write
from mien.reading.circumplex import Panel, draw_panels
from mien.reading.drawing import PALETTE, UNSURE
from mien.reading.history import NO_LABEL, History, Track

UInt8 = npt.NDArray[np.uint8]

MOST_PANELS = 12
_MOST_POINTS = 4000


def draw_history(history: History, title: str, *, dark: bool = False) -> UInt8:
    """Where the faces of one source were, a panel a face, RGB uint8.

    Each frame is a point in the colour of the expression shown; a ring marks the mean over time. Those seen longest are
    kept when there are more than twelve.
    """
    tracks = sorted(history.tracks(), key=lambda track: -track.seconds.sum())[:MOST_PANELS]
    panels = [_panel_of_track(track, history.labels) for track in sorted(tracks, key=lambda track: track.track_id)]
    return draw_panels(panels, title, dark=dark)


def write_circumplex(path: Path, history: History, title: str) -> None:
    """Write `draw_history` to a file, in the format of its ending.

    Raises:
        ConfigError: it cannot be written.
    """
    try:
        write(path, draw_history(history, title))
    except OSError as error:
        raise ConfigError(f"cannot write {path}: {error.strerror or error}") from error


def _panel_of_track(track: Track, labels: tuple[str, ...]) -> Panel:
    # Of a long video some thousand points look the same as all of them.
    step = max(1, math.ceil(len(track.times_s) / _MOST_POINTS))
    palette = np.array([*(PALETTE[label] for label in labels), UNSURE], np.uint8)
    points = track.affect[:, :2]
    known = ~np.isnan(points).any(axis=1)
    mean = None
    if known.any():
        weights = track.seconds[known] if track.seconds[known].any() else None
        valence, arousal = np.average(points[known], axis=0, weights=weights).tolist()
        mean = (valence, arousal)
    shown = np.where(track.shown == NO_LABEL, len(labels), track.shown)
    return Panel(f"face {track.track_id}", points[::step], palette[shown[::step]], mean=mean)
