"""Square face crops, framed as the training data frames them."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from mien.structures import Detections

UInt8 = npt.NDArray[np.uint8]


def crop_faces(image: UInt8, detections: Detections, *, scale: float | None) -> list[UInt8]:
    """The faces of a picture as squares; beyond the image its edge is repeated.

    Args:
        image: RGB uint8 (H, W, 3).
        detections: where the faces are.
        scale: side of the square as a multiple of the box's height, centred on the box; None takes the box
            whole, for pictures that are crops already.

    Returns:
        RGB uint8 (side, side, 3), one a face, in the order of the detections.
    """
    return [crop_square(image, box, scale=scale) for box in detections.boxes]


def crop_square(image: UInt8, box: npt.NDArray[np.float32], *, scale: float | None) -> UInt8:
    """One square around the centre of an xyxy box."""
    x1, y1, x2, y2 = (float(value) for value in box)
    length = max(x2 - x1, y2 - y1) if scale is None else scale * (y2 - y1)
    side = max(1, round(length))
    left, top = round((x1 + x2 - side) / 2), round((y1 + y2 - side) / 2)
    height, width = image.shape[:2]
    if left >= 0 and top >= 0 and left + side <= width and top + side <= height:
        # A view would keep the whole picture in memory.
        return image[top : top + side, left : left + side].copy()
    rows = np.clip(np.arange(top, top + side), 0, height - 1)
    columns = np.clip(np.arange(left, left + side), 0, width - 1)
    return image[rows[:, None], columns]
