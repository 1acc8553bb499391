"""Landmarks of face crops, found anew by a detector: how far the heads are turned and tilted."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from mien.faces.detection import Detector
from mien.images.pictures import resize, to_rgb

SIDE_PX = 120
"""Crops are enlarged to this, with a quarter more of replicated border on each side: detectors miss what fills them."""


def find_landmarks(detector: Detector, images: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
    """The five landmarks of the largest face in each crop, float32 (N, 5, 2) in pixels of the enlarged crop.

    Args:
        detector: one that gives landmarks, YuNet; with another all are NaN.
        images: crops, uint8 (N, H, W) or (N, H, W, 3).

    Returns:
        NaN where no face is found.
    """
    found = np.full((len(images), 5, 2), np.nan, np.float32)
    border = SIDE_PX // 4
    for row, image in enumerate(images):
        enlarged = resize(to_rgb(image), SIDE_PX, SIDE_PX)
        faces = detector.detect(np.pad(enlarged, ((border, border), (border, border), (0, 0)), mode="edge"))
        if len(faces):
            sides = faces.boxes[:, 2:] - faces.boxes[:, :2]
            found[row] = faces.landmarks[int(sides.prod(axis=1).argmax())]
    return found
