"""What the faces of one source showed over time, kept small: some 60 bytes a face and frame."""

from __future__ import annotations

import math
from array import array
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from mien.labels import AFFECT
from mien.reading.results import Result, Row

Float64 = npt.NDArray[np.float64]
Float32 = npt.NDArray[np.float32]
Labels = npt.NDArray[np.int8]

NO_LABEL = -1
"""For a face that is not sure."""

LONGEST_PAUSE_S = 1.0
"""A frame lasts until the next one, but no longer than this or three times the one before it: a source may stall."""


@dataclass(frozen=True)
class Track:
    """One face over N frames.

    Args:
        track_id: its number, from 1.
        times_s: presentation time of each frame, rising, (N,).
        seconds: how long each frame lasts, (N,).
        probabilities: smoothed where the run smooths, (N, K).
        shown: index of the label that was shown, NO_LABEL where the face is not sure, (N,).
        raw: index of the likeliest label of each frame alone, (N,).
        affect: valence, arousal and intensity, smoothed where the run smooths, (N, 3); NaN where nobody knows.
    """

    track_id: int
    times_s: Float64
    seconds: Float64
    probabilities: Float32
    shown: Labels
    raw: Labels
    affect: Float32

    @property
    def confidences(self) -> Float32:
        """Probability of the label that was shown, (N,); 0 where the face is not sure."""
        # -1 would pick the last label; what is picked there is replaced below.
        picked = np.take_along_axis(self.probabilities, np.maximum(self.shown, 0)[:, None].astype(np.intp), axis=1)
        return np.where(self.shown == NO_LABEL, np.float32(0), picked[:, 0]).astype(np.float32)


class History:
    """Takes the results of one source in order; see `tracks`.

    Without tracking, a face's number in its frame is its track.

    Args:
        labels: the users' labels, in the order of the probabilities.
    """

    def __init__(self, labels: tuple[str, ...]) -> None:
        self.labels = labels
        self._index = {label: number for number, label in enumerate(labels)}
        self._times = array("d")
        self._columns: dict[int, _Columns] = {}

    @property
    def frames(self) -> int:
        """How many frames were taken."""
        return len(self._times)

    @property
    def times_s(self) -> Float64:
        """Presentation time of each frame, (frames,)."""
        return np.array(self._times, np.float64)

    @property
    def seconds(self) -> Float64:
        """How long each frame lasts, (frames,)."""
        return frame_seconds(self.times_s)

    def add(self, result: Result) -> None:
        """Add a result; one without a frame is skipped."""
        if result.frame is None:
            return
        self._times.append(result.frame.time_s)
        for face in result.faces:
            number = face.index + 1 if face.track_id is None else face.track_id
            shown = NO_LABEL if face.abstained else self._index[face.top]
            probabilities = [face.probabilities[label] for label in self.labels]
            affect = (face.valence, face.arousal, face.intensity)
            self._put(number, probabilities, shown, self._index[face.raw_top], affect)

    def add_row(self, row: Row) -> None:
        """Take a row of a table in their order, as a resumed run finds them."""
        # A table has a row a face: a later time begins the next frame.
        if not self._times or row["time_s"] > self._times[-1]:
            self._times.append(row["time_s"])
        if row["success"]:
            number = row["face"] + 1 if row["track_id"] is None else row["track_id"]
            shown = NO_LABEL if row["abstained"] else self._index[row["top"]]
            # Tables of runs without tracking have no raw values.
            raw = self._index[row.get("raw_top") or row["top"]]
            self._put(number, [row[label] for label in self.labels], shown, raw, [row.get(name) for name in AFFECT])

    def _put(
        self, number: int, probabilities: list[float], shown: int, raw: int, affect: Sequence[float | None]
    ) -> None:
        columns = self._columns.setdefault(number, _Columns())
        columns.frames.append(len(self._times) - 1)
        columns.probabilities.extend(probabilities)
        columns.shown.append(shown)
        columns.raw.append(raw)
        columns.affect.extend(math.nan if value is None else value for value in affect)

    def tracks(self) -> Iterator[Track]:
        """Each face, by its number."""
        times_s, seconds = self.times_s, self.seconds
        for number, columns in sorted(self._columns.items()):
            frames = np.array(columns.frames, np.int64)
            yield Track(
                track_id=number,
                times_s=times_s[frames],
                seconds=seconds[frames],
                probabilities=np.array(columns.probabilities, np.float32).reshape(-1, len(self.labels)),
                shown=np.array(columns.shown, np.int8),
                raw=np.array(columns.raw, np.int8),
                affect=np.array(columns.affect, np.float32).reshape(-1, len(AFFECT)),
            )


# Arrays of plain numbers: in a list, each would be a Python object.
class _Columns:
    def __init__(self) -> None:
        self.frames = array("q")
        self.probabilities = array("f")
        self.shown = array("b")
        self.raw = array("b")
        self.affect = array("f")


def frame_seconds(times_s: Float64) -> Float64:
    """How long each frame lasts: until the next one, the last as long as the one before; (N,) from rising times (N,).

    >>> frame_seconds(np.array([0.0, 0.5, 1.0, 60.0, 60.5]))
    array([0.5, 0.5, 1.5, 0.5, 0.5])
    """
    if len(times_s) < 2:
        return np.zeros(len(times_s), np.float64)
    steps = np.diff(times_s)
    # Nothing comes before the first step, so it may be of any length.
    before = np.concatenate([[np.inf], steps[:-1]])
    steps = np.minimum(steps, np.maximum(LONGEST_PAUSE_S, 3 * before))
    return np.concatenate([steps, steps[-1:]])
