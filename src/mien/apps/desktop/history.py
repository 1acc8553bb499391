"""What faces showed in the last minute, for what is drawn of it."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from mien.structures import Face

Float32 = npt.NDArray[np.float32]

KEPT_S = 60.0
"""Seconds of history kept, whatever part of it is shown."""
GAP_S = 1.0
"""More seconds than this without a value are a gap in the timeline."""


@dataclass(frozen=True)
class Moment:
    """The probabilities of one face at one time, and its valence and arousal."""

    time_s: float
    probabilities: dict[str, float]
    affect: tuple[float, float] | None = None


class History:
    """Keeps the last minute of every face; a face not seen for that long is forgotten."""

    def __init__(self, kept_s: float = KEPT_S) -> None:
        self.kept_s = kept_s
        self.now_s = 0.0
        self._moments: dict[int, deque[Moment]] = {}

    @property
    def tracks(self) -> tuple[int, ...]:
        """The track IDs of the remembered faces, ascending."""
        return tuple(sorted(self._moments))

    def clear(self) -> None:
        """Forget everything, for another source or position."""
        self.now_s = 0.0
        self._moments.clear()

    def add(self, time_s: float, faces: Sequence[Face]) -> None:
        """Add the faces of a frame; a time before the last one starts over."""
        # A seek back, or a video that starts again.
        if time_s < self.now_s:
            self.clear()
        self.now_s = time_s
        for face in faces:
            self._moments.setdefault(track_of(face), deque()).append(_moment(time_s, face))
        # A copy, as tracks are deleted on the way.
        for track, moments in list(self._moments.items()):
            while moments and moments[0].time_s < time_s - self.kept_s:
                moments.popleft()
            if not moments:
                del self._moments[track]

    def current(self, track: int) -> Moment | None:
        """The values of a face in the newest frame; None where it is not in it."""
        moments = self._moments.get(track)
        return moments[-1] if moments and moments[-1].time_s == self.now_s else None

    def recent(self, track: int, span_s: float) -> list[Moment]:
        """The values of a face in the last `span_s` seconds, oldest first."""
        moments = self._moments.get(track, deque())
        found = []
        # From the newest back: a minute of values is kept, and seconds are asked for.
        for moment in reversed(moments):
            if moment.time_s < self.now_s - span_s:
                break
            found.append(moment)
        return found[::-1]

    def series(self, track: int, labels: Sequence[str], *, columns: int, span_s: float) -> Float32:
        """Probabilities over the last `span_s` seconds, resampled for drawing.

        Returns:
            float32 (columns, len(labels)), the newest last; NaN where the face was not seen.
        """
        out = np.full((columns, len(labels)), np.nan, np.float32)
        moments = self._moments.get(track)
        if not moments or columns < 1:
            return out
        start_s = self.now_s - span_s
        # A little more than is shown: the left edge is blended from a value before it.
        recent = [moment for moment in moments if moment.time_s >= start_s - GAP_S]
        if not recent:
            return out
        times = np.array([moment.time_s for moment in recent])
        values = np.array([[m.probabilities.get(label, 0.0) for label in labels] for m in recent], np.float32)
        at = start_s + (np.arange(columns) + 0.5) * span_s / columns
        after = np.searchsorted(times, at).clip(0, len(times) - 1)
        before = np.maximum(after - 1, 0)
        # A value without neighbours would fall between two columns and never be seen.
        near_s = max(span_s / columns, 0.05)
        between = (times[before] <= at) & (at <= times[after]) & (times[after] - times[before] <= GAP_S)
        beside = np.minimum(np.abs(times[before] - at), np.abs(times[after] - at)) <= near_s
        weight = ((at - times[before]) / np.maximum(times[after] - times[before], 1e-9)).clip(0, 1)[:, None]
        blended = values[before] * (1 - weight) + values[after] * weight
        known = between | beside
        out[known] = blended[known]
        return out


def track_of(face: Face) -> int:
    """The number of a face: its track ID, or its position in the frame, counted from 1, without tracking."""
    return face.index + 1 if face.track_id is None else face.track_id


def _moment(time_s: float, face: Face) -> Moment:
    known = face.valence is not None and face.arousal is not None
    return Moment(time_s, face.probabilities, (face.valence, face.arousal) if known else None)  # type: ignore[arg-type]
