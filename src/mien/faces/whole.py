"""No detector: the picture is a face crop already."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from mien.structures import Detections


class WholePicture:
    """Takes every picture for one face that fills it."""

    name = "none"
    crops_given = True

    def detect(self, image: npt.NDArray[np.uint8]) -> Detections:
        """One box, the picture's own, with score 1; none for an empty picture."""
        height, width = image.shape[:2]
        if height == 0 or width == 0:
            return Detections.empty()
        return Detections.from_boxes([[0, 0, width, height]], [1])
