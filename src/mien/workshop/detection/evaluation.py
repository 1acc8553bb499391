"""How many faces a detector finds, and how many it makes up."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from mien.structures import Detections
from mien.workshop.detection.compose import Composed

UInt8 = npt.NDArray[np.uint8]
Float32 = npt.NDArray[np.float32]

Detect = Callable[[UInt8], Detections]

_NONE = np.zeros(0, np.float32)

LEAST_OVERLAP = 0.4
"""Intersection over union from which a detection is of that face: boxes of turned faces are drawn differently."""


@dataclass(frozen=True)
class Outcome:
    """What a detector did with a set of pictures.

    Args:
        found: for each face the score of the detection that is of it, 0 where none is (F,).
        heights: height of each face in pixels (F,).
        angles: how far each is turned, degrees in -180 to 180 (F,).
        false: scores of the detections that are of no face (D,).
        false_heights: their heights in pixels (D,).
        landmark_errors: mean distance of the landmarks by the face's size, NaN where not found (F,).
        pictures: how many pictures.
    """

    found: Float32
    heights: Float32
    angles: Float32
    false: Float32
    false_heights: Float32
    landmark_errors: Float32
    pictures: int

    def threshold_at(self, false_per_picture: float, heights: tuple[float, float] = (0, np.inf)) -> float:
        """The lowest score at which no more than so many false detections, of these heights, come up a picture."""
        allowed = int(false_per_picture * self.pictures)
        counted = (self.false_heights >= heights[0]) & (self.false_heights < heights[1])
        scores = np.sort(self.false[counted])[::-1]
        return float(np.nextafter(scores[allowed], np.float32(2))) if len(scores) > allowed else 1e-6

    def recall(self, threshold: float, chosen: npt.NDArray[np.bool_] | None = None) -> float:
        """Share of the (chosen) faces found from that score on; NaN without any."""
        found = self.found if chosen is None else self.found[chosen]
        return float((found >= max(threshold, 1e-6)).mean()) if len(found) else float("nan")


def judge(detect: Detect, pictures: Sequence[Composed]) -> Outcome:
    """Run a detector, asked for all it can find, over composed pictures and match what it finds with the truth."""
    parts: list[tuple[Float32, ...]] = []
    for one in pictures:
        found = detect(one.picture)
        parts.append(match(found, one))
    columns = [np.concatenate(each).astype(np.float32) for each in zip(*parts, strict=True)] or [_NONE] * 6
    return Outcome(columns[0], columns[1], columns[2], columns[3], columns[4], columns[5], len(pictures))


def match(found: Detections, truth: Composed) -> tuple[Float32, Float32, Float32, Float32, Float32, Float32]:
    """The columns of an `Outcome` for one picture.

    Detections take the face they overlap most, the best score first, each face once. One of something doubtful is
    neither right nor wrong.
    """
    real = truth.kinds == 1
    boxes = truth.boxes
    scores = np.zeros(len(boxes), np.float32)
    errors = np.full(len(boxes), np.nan, np.float32)
    false = []
    overlaps = _overlaps(found.boxes, boxes)
    for row in np.argsort(-found.scores, kind="stable"):
        free = np.where((scores > 0) & real, 0, overlaps[row])
        best = int(free.argmax()) if len(boxes) else -1
        if best >= 0 and free[best] >= LEAST_OVERLAP:
            scores[best] = found.scores[row]
            size = np.sqrt((boxes[best, 2:] - boxes[best, :2]).prod())
            errors[best] = np.linalg.norm(found.landmarks[row] - truth.landmarks[best], axis=1).mean() / size
        elif not _is_doubtful(found.boxes[row], boxes[~real]):
            false.append(row)
    heights = boxes[:, 3] - boxes[:, 1]
    strays = found[np.array(false, np.int64)]
    tall = strays.boxes[:, 3] - strays.boxes[:, 1]
    return scores[real], heights[real], truth.angles[real], strays.scores, tall, errors[real]


def _is_doubtful(box: Float32, doubtful: Float32) -> bool:
    """More than half of the box, or its middle, lies in something doubtful."""
    if not len(doubtful):
        return False
    common = np.clip(np.minimum(box[2:], doubtful[:, 2:]) - np.maximum(box[:2], doubtful[:, :2]), 0, None).prod(axis=1)
    middle = (box[:2] + box[2:]) / 2
    inside = ((middle >= doubtful[:, :2]) & (middle <= doubtful[:, 2:])).all(axis=1)
    return bool((common > 0.5 * (box[2:] - box[:2]).prod()).any() or inside.any())


def _overlaps(first: Float32, second: Float32) -> Float32:
    sides = np.minimum(first[:, None, 2:], second[None, :, 2:]) - np.maximum(first[:, None, :2], second[None, :, :2])
    common = np.clip(sides, 0, None).prod(axis=2)
    areas = [(boxes[:, 2:] - boxes[:, :2]).prod(axis=1) for boxes in (first, second)]
    share: Float32 = common / np.maximum(areas[0][:, None] + areas[1][None] - common, 1e-6)
    return share
