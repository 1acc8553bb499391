"""A second look at what the detector takes for faces: each candidate alone, upright and at one size."""

from __future__ import annotations

import math

import cv2
import numpy as np
import numpy.typing as npt

from mien.structures import Detections

UInt8 = npt.NDArray[np.uint8]
Float32 = npt.NDArray[np.float32]

SIDE_PX = 40
"""Of the squares that are judged."""

SURROUNDINGS = 1.5
"""Side of what is cut out, in sides of a square as large as the box."""


def cut_candidates(
    grey: UInt8, found: Detections, *, side_px: int = SIDE_PX, surroundings: float = SURROUNDINGS
) -> UInt8:
    """Each candidate turned upright by its landmarks: squares uint8 (N, side, side); beyond the edge it is repeated.

    Args:
        grey: the picture (H, W) in whose pixels the detections are.
        found: with landmarks.
        side_px: of the squares.
        surroundings: side of what is cut out, in sides of a square as large as the box.
    """
    levels = [grey]
    squares = np.empty((len(found), side_px, side_px), np.uint8)
    for row, (box, points) in enumerate(zip(found.boxes.tolist(), found.landmarks, strict=True)):
        side = surroundings * math.sqrt(max((box[2] - box[0]) * (box[3] - box[1]), 1.0))
        # Shrinking by more than a half in one step would alias.
        depth = max(0, math.floor(math.log2(side / side_px) + 0.3))
        while len(levels) <= depth and min(levels[-1].shape) >= 2:
            height, width = levels[-1].shape
            smaller = cv2.resize(levels[-1], (width // 2, height // 2), interpolation=cv2.INTER_AREA)
            levels.append(smaller.astype(np.uint8, copy=False))
        level = levels[min(depth, len(levels) - 1)]
        down = (points[3] + points[4] - points[0] - points[1]).astype(np.float64)
        length = float(np.hypot(*down))
        x, y = (down / length).tolist() if np.isfinite(length) and length > 1e-3 else (0.0, 1.0)
        turn = side_px / side * np.array([[y, -x], [x, y]])
        ratio = np.array(grey.shape[::-1]) / np.array(level.shape[::-1])
        middle = np.array([box[0] + box[2], box[1] + box[3]]) / 2
        # Pixel middles count, on both sides.
        shift = turn @ (0.5 * ratio - middle) + side_px / 2 - 0.5
        matrix = np.hstack([turn * ratio, shift[:, None]])
        squares[row] = cv2.warpAffine(level, matrix, (side_px, side_px), borderMode=cv2.BORDER_REPLICATE)
    return squares
