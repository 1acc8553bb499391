"""Faces that keep their number: SORT (Bewley et al. 2016), and the look of the face where boxes are not enough."""

from __future__ import annotations

from dataclasses import dataclass, field

import cv2
import numpy as np
import numpy.typing as npt

from mien.faces.detection import are_near, centres_and_sizes, corners, crop_square, overlaps
from mien.structures import Detections

UInt8 = npt.NDArray[np.uint8]
Float32 = npt.NDArray[np.float32]

MAX_GAP_S = 1.0
MIN_OVERLAP = 0.2
MIN_LIKENESS = 0.5
THUMB_PX = 16
NOISE = 0.03
"""Standard deviation of a detected box, in heights of the box."""
AGILITY = 4.0
"""Standard deviation of a head's acceleration, in heights of the box per second²."""
COAST_S = 0.2
"""Time constant with which the velocity of a face that is not seen dies away."""


@dataclass
class _Track:
    """One face: a Kalman filter with constant velocity on centre and size, whose noise goes with the box's height."""

    id: int
    state: Float32
    velocity: Float32
    thumb: Float32
    score: float
    landmarks: Float32
    time_s: float
    seen_s: float
    spread: npt.NDArray[np.float64] = field(default_factory=lambda: np.diag([NOISE**2, 1.0]))

    def move(self, time_s: float) -> None:
        dt = max(0.0, time_s - self.time_s)
        before = self.state.copy()
        if time_s - self.seen_s > 2 * COAST_S:
            self.velocity = self.velocity * np.float32(np.exp(-dt / COAST_S))
        self.state = self.state + self.velocity * np.float32(dt)
        self.landmarks = self.landmarks + (self.state - before)[:2]
        step = np.array([[1.0, dt], [0.0, 1.0]])
        push = np.array([dt * dt / 2, dt])
        self.spread = step @ self.spread @ step.T + AGILITY**2 * np.outer(push, push)
        self.time_s = time_s

    def see(self, found: Detections, row: int, thumb: Float32) -> None:
        # One gain for all four coordinates: their noise is alike, in heights of the box.
        gain = self.spread[:, 0] / (self.spread[0, 0] + NOISE**2)
        error = centres_and_sizes(found.boxes[row : row + 1])[0] - self.state
        self.state = self.state + np.float32(gain[0]) * error
        self.velocity = self.velocity + np.float32(gain[1]) * error
        self.spread = self.spread - np.outer(gain, self.spread[0])
        # Averaged, because one blurred or turned view should not replace the look of the face.
        self.thumb = thumb if not self.thumb.any() else 0.8 * self.thumb + 0.2 * thumb
        self.score, self.landmarks, self.seen_s = float(found.scores[row]), found.landmarks[row], self.time_s


class Tracker:
    """Gives the faces of successive frames their track IDs, from 1.

    A face that is not found for `max_gap_s` keeps its number if it comes back near where it was going, looking as
    it did. Boxes are as detected; the filter only predicts them.

    Args:
        max_gap_s: a track that was not seen for so long is given up.
    """

    def __init__(self, *, max_gap_s: float = MAX_GAP_S) -> None:
        self.max_gap_s = max_gap_s
        self.entered: tuple[int, ...] = ()
        self.left: tuple[int, ...] = ()
        self._tracks: list[_Track] = []
        self._count = 0
        self._looked_s = 0.0
        self._time_s = 0.0
        self._interval_s = 0.0

    def update(self, found: Detections, image: UInt8, time_s: float) -> npt.NDArray[np.int64]:
        """The number of each detected face, int64 (N,); `entered` and `left` tell which tracks began and ended.

        Args:
            found: the faces of this frame.
            image: the frame, RGB uint8 (H, W, 3).
            time_s: its time in seconds, not before that of the last call.
        """
        self._move(time_s)
        self._looked_s = time_s
        thumbs = [_thumb(image, box) for box in found.boxes]
        ids = np.zeros(len(found), np.int64)
        for row, track in self._match(found, thumbs):
            track.see(found, row, thumbs[row])
            ids[row] = track.id
        born = [self._begin(found, row, thumbs[row], time_s) for row in np.flatnonzero(ids == 0).tolist()]
        ids[ids == 0] = born
        self._give_up(time_s)
        self.entered = tuple(born)
        return ids

    def predict(self, time_s: float) -> tuple[Detections, npt.NDArray[np.int64]]:
        """Where the faces that were seen at the last `update` should be at a time in a frame nobody looked at."""
        self._move(time_s)
        self._give_up(time_s)
        self.entered = ()
        seen = [track for track in self._tracks if track.seen_s == self._looked_s]
        if not seen:
            return Detections.empty(), np.zeros(0, np.int64)
        boxes = corners(np.stack([track.state for track in seen]))
        scores = np.array([track.score for track in seen], np.float32)
        landmarks = np.stack([track.landmarks for track in seen]).astype(np.float32)
        return Detections(boxes, scores, landmarks), np.array([track.id for track in seen], np.int64)

    def expect(self, time_s: float) -> Float32:
        """Boxes (N, 4) in which the faces that were seen at the last `update` should be then; nothing is changed."""
        states = [
            track.state + track.velocity * np.float32(max(0.0, time_s - track.time_s))
            for track in self._tracks
            if track.seen_s == self._looked_s
        ]
        return corners(np.stack(states)) if states else np.zeros((0, 4), np.float32)

    @property
    def waiting(self) -> bool:
        """Some face is missing since the last `update` and may come back."""
        return any(track.seen_s < self._looked_s for track in self._tracks)

    def _move(self, time_s: float) -> None:
        self._interval_s = time_s - self._time_s
        self._time_s = time_s
        for track in self._tracks:
            track.move(time_s)

    def _give_up(self, time_s: float) -> None:
        # Who would come back too late in the next frame is given up in this one.
        last_s = time_s + self._interval_s - self.max_gap_s - 1e-6
        self.left = tuple(track.id for track in self._tracks if track.seen_s < last_s and track.seen_s < time_s)
        self._tracks = [track for track in self._tracks if track.id not in self.left]

    def _begin(self, found: Detections, row: int, thumb: Float32, time_s: float) -> int:
        self._count += 1
        state = centres_and_sizes(found.boxes[row : row + 1])[0]
        still = np.zeros(4, np.float32)
        track = _Track(self._count, state, still, thumb, float(found.scores[row]), found.landmarks[row], time_s, time_s)
        self._tracks.append(track)
        return self._count

    def _match(self, found: Detections, thumbs: list[Float32]) -> list[tuple[int, _Track]]:
        """Pairs of face and track, the best first, each once."""
        if not self._tracks or not len(found):
            return []
        predicted = np.stack([track.state for track in self._tracks])
        overlap = overlaps(found.boxes, corners(predicted))
        likeness = np.stack(thumbs) @ np.stack([track.thumb for track in self._tracks]).T
        near = are_near(centres_and_sizes(found.boxes), predicted) & (likeness > MIN_LIKENESS)
        worth = np.where((overlap > MIN_OVERLAP) | near, overlap + 0.5 * likeness, -np.inf)
        pairs = []
        for _ in range(min(worth.shape)):
            row, column = np.unravel_index(int(worth.argmax()), worth.shape)
            if worth[row, column] == -np.inf:
                break
            pairs.append((int(row), self._tracks[column]))
            worth[row, :] = worth[:, column] = -np.inf
        return pairs


def _thumb(image: UInt8, box: Float32) -> Float32:
    """A tiny picture of a face in colour, zero mean and unit norm: a dot product measures their likeness."""
    small = cv2.resize(crop_square(image, box, scale=1.0), (THUMB_PX, THUMB_PX), interpolation=cv2.INTER_AREA)
    values: Float32 = small.reshape(-1).astype(np.float32)
    values -= values.mean()
    values /= max(float(np.linalg.norm(values)), 1e-6)
    return values
