"""Pictures that lie on their side or stand on their head without saying so: faces are looked for in turned ones too."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from mien.faces.detection import Detector, ScalableDetector
from mien.structures import Detections

UInt8 = npt.NDArray[np.uint8]
Float32 = npt.NDArray[np.float32]

QUARTERS = (1, 2, 3)
"""Quarter turns clockwise that are tried beside the picture as it is."""

VOTES, TRY_EVERY, MOST_TRIES = 3, 5, 30
"""Of a video: sure frames that settle its turn, and how often frames are looked at turned until then."""


def turned(image: UInt8, quarters: int) -> UInt8:
    """An image (H, W, ...) turned clockwise by so many quarters."""
    # rot90 turns anti-clockwise.
    return np.ascontiguousarray(np.rot90(image, -quarters)) if quarters % 4 else image


def turn_back(found: Detections, quarters: int, height: int, width: int) -> Detections:
    """Detections in a picture turned clockwise by so many quarters, in pixels of the picture (height, width) itself."""
    corners = _back(found.boxes.reshape(-1, 2, 2), quarters, height, width)
    boxes = np.hstack([corners.min(axis=1), corners.max(axis=1)]).astype(np.float32)
    return Detections(boxes, found.scores, _back(found.landmarks, quarters, height, width))


def _back(points: Float32, quarters: int, height: int, width: int) -> Float32:
    x, y = points[..., 0], points[..., 1]
    moved = {0: (x, y), 1: (y, height - x), 2: (width - x, height - y), 3: (width - y, x)}[quarters % 4]
    return np.stack(moved, axis=-1).astype(np.float32)


def is_able(detector: Detector) -> bool:
    """Whether turned pictures can be searched with it.

    That takes a score that tells upright faces from others, `sure_score`, and landmarks, by which each face is then
    turned upright. YuNet has both. Haar has no landmarks.
    """
    return getattr(detector, "sure_score", None) is not None


class TurnSearch:
    """A detector that looks at turned pictures too, where the picture as it is shows no face that it is sure of.

    Of three quarter turns the one is taken whose best face has the highest score, if that reaches the detector's
    `sure_score`; its faces count, in pixels of the picture as it is. Otherwise nothing changes. A picture with a face
    that is sure costs no more, one without costs four looks.

    Args:
        detector: one that `is_able`.
    """

    def __init__(self, detector: Detector) -> None:
        self.detector = detector
        self.name, self.crops_given = detector.name, detector.crops_given
        self._sure: float = detector.sure_score  # type: ignore[attr-defined]
        if isinstance(detector, ScalableDetector):
            self.longest_px = detector.longest_px

    def detect(self, image: UInt8, **options: Any) -> Detections:
        """The faces in an RGB uint8 image (H, W, 3), the best score first; options are the detector's own."""
        return self.look(image, **options)[0]

    def look(self, image: UInt8, **options: Any) -> tuple[Detections, int]:
        """The faces, and by how many quarters clockwise the picture was turned for them."""
        best, quarters = self.detector.detect(image, **options), 0
        if self.is_sure(best):
            return best, 0
        highest = self._sure
        for turn in QUARTERS:
            found = self.look_turned(image, turn, **options)
            if len(found) and found.scores[0] >= highest:
                best, quarters, highest = found, turn, float(found.scores[0])
        return best, quarters

    def look_turned(self, image: UInt8, quarters: int, **options: Any) -> Detections:
        """The faces of the image turned clockwise by so many quarters, in pixels of the image itself."""
        if not quarters:
            return self.detector.detect(image, **options)
        return turn_back(self.detector.detect(turned(image, quarters), **options), quarters, *image.shape[:2])

    def is_sure(self, found: Detections) -> bool:
        """Whether one of the faces is beyond doubt upright."""
        return bool(len(found)) and bool(found.scores[0] >= self._sure)


class SteadyTurn:
    """The same for the frames of one video or camera: the first sure faces decide, then each frame costs one look.

    Until then every fifth frame is looked at turned, up to thirty of them.

    Args:
        search: looks at the frames.
    """

    def __init__(self, search: TurnSearch) -> None:
        self._search = search
        self.name, self.crops_given = search.name, search.crops_given
        if isinstance(search, ScalableDetector):
            self.longest_px = search.longest_px
        self._votes: list[int] = []
        self._frames = 0
        self.quarters: int | None = None

    def detect(self, image: UInt8, **options: Any) -> Detections:
        """The faces in the next frame; options are the detector's own."""
        if self.quarters is not None:
            return self._search.look_turned(image, self.quarters, **options)
        if self._frames % TRY_EVERY:
            found, quarters = self._search.detector.detect(image, **options), 0
        else:
            found, quarters = self._search.look(image, **options)
        self._frames += 1
        if self._search.is_sure(found):
            self._votes.append(quarters)
        if len(self._votes) >= VOTES or self._frames >= MOST_TRIES * TRY_EVERY:
            self.quarters = max(set(self._votes), key=self._votes.count, default=0)
        return found
