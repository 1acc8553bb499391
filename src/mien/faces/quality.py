"""How well a face can be seen, as a word and a number: what its expression is estimated from may be too little."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from mien.faces.geometry import Geometry
from mien.structures import Detections

UInt8 = npt.NDArray[np.uint8]
Float32 = npt.NDArray[np.float32]

GOOD = "good"


@dataclass(frozen=True)
class Ramp:
    """One kind of trouble: from where it leaves nothing (score 0) to where it is no trouble (score 1).

    Args:
        word: what a face is called whose score is below a half.
        nothing, enough: values of the measurement for the scores 0 and 1; linear between them.
    """

    word: str
    nothing: float
    enough: float

    def score(self, values: Float32) -> Float32:
        """Scores in 0–1 of measurements (N,)."""
        share = (values - self.nothing) / (self.enough - self.nothing)
        return np.asarray(np.clip(share, 0, 1), np.float32)


SMALL = Ramp("small", 0, 48)
"""Height of the box, pixels."""
FAINT = Ramp("faint", 0, 8)
"""Standard deviation of the grey levels, 0–255, of the crop."""
BLURRED = Ramp("blurred", 0, 0.02)
"""Mean square of the Laplacian of the crop by its variance."""
PROFILE = Ramp("profile", 90, 30)
"""Yaw, degrees to either side."""
MOUTH = Ramp("mouth covered", 0.2, 0.8)
EYES = Ramp("eyes covered", 0.2, 0.8)
"""Mean probability of being seen, of the landmarks of the mouth and of the worse seen eye."""

WORDS = (GOOD, *(ramp.word for ramp in (SMALL, FAINT, BLURRED, PROFILE, MOUTH, EYES)))

FAR_EYE_DEG = 20.0
"""From this yaw on the far eye does not count."""

TURN_BY_NOSE = 70.0
"""Degrees of yaw by how far the nose lies off the middle of the eyes, in distances of the eyes."""


class Quality(NamedTuple):
    """How well one face can be seen.

    Args:
        word: the worst trouble, or `good` where no score is below a half.
        score: the lowest of the scores, 0–1.
    """

    word: str
    score: float


def judge(detections: Detections, crops: UInt8, geometry: Geometry | None = None) -> list[Quality]:
    """The quality of each face.

    Args:
        detections: where the faces are.
        crops: what the expression network sees of them, uint8 (N, C, H, W).
        geometry: theirs; without it what covers a face is not known, and its yaw only roughly, from five landmarks.
    """
    if not len(detections):
        return []
    grey = crops.mean(axis=1, dtype=np.float32)
    boxes = detections.boxes
    scores = {
        SMALL.word: SMALL.score(boxes[:, 3] - boxes[:, 1]),
        FAINT.word: FAINT.score(grey.std(axis=(1, 2))),
        BLURRED.word: BLURRED.score(sharpness(grey)),
    }
    if geometry is None:
        scores[PROFILE.word] = PROFILE.score(yaw_by_five(detections.landmarks))
    else:
        scores[PROFILE.word] = PROFILE.score(np.abs(geometry.poses[:, 0]))
        scores[EYES.word] = EYES.score(eyes_seen(geometry))
        scores[MOUTH.word] = MOUTH.score(geometry.visible[:, 48:68].mean(axis=1))
    names, table = list(scores), np.stack(list(scores.values()))
    worst = table.argmin(axis=0)
    return [
        Quality(names[place] if table[place, row] < 0.5 else GOOD, float(table[place, row]))
        for row, place in enumerate(worst.tolist())
    ]


def eyes_seen(geometry: Geometry) -> Float32:
    """Mean probability, (N,), that the landmarks of the worse seen eye are seen; of a turned face's, the nearer eye."""
    right, left = (geometry.visible[:, places].mean(axis=1) for places in (slice(36, 42), slice(42, 48)))
    yaw = geometry.poses[:, 0]
    # The face itself hides the far one.
    nearer = np.where(yaw > 0, right, left)
    return np.asarray(np.where(np.abs(yaw) > FAR_EYE_DEG, nearer, np.minimum(right, left)), np.float32)


def sharpness(grey: Float32) -> Float32:
    """Mean square of the Laplacian by the variance, (N,), of grey pictures (N, H, W): how much of it is fine detail."""
    inner = grey[:, 1:-1, 1:-1]
    laplacian = grey[:, :-2, 1:-1] + grey[:, 2:, 1:-1] + grey[:, 1:-1, :-2] + grey[:, 1:-1, 2:] - 4 * inner
    ratio: Float32 = (laplacian**2).mean(axis=(1, 2)) / np.maximum(grey.var(axis=(1, 2)), 1)
    return ratio


def yaw_by_five(landmarks: Float32) -> Float32:
    """Degrees of yaw to either side, (N,), roughly, of five landmarks (N, 5, 2); 0 where they are not known."""
    middle = (landmarks[:, 0] + landmarks[:, 1]) / 2
    across = landmarks[:, 1] - landmarks[:, 0]
    length = np.maximum(np.linalg.norm(across, axis=1), 1e-6)
    off = np.abs(((landmarks[:, 2] - middle) * across).sum(axis=1)) / length**2
    return np.asarray(np.nan_to_num(np.minimum(TURN_BY_NOSE * off, 90)), np.float32)
