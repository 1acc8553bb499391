"""Geometry of boxes: overlap, distance, centre and size."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Float32 = npt.NDArray[np.float32]


def overlaps(first: Float32, second: Float32) -> Float32:
    """Intersection over union of all pairs of xyxy boxes (N, 4) and (M, 4), float32 (N, M).

    >>> overlaps(np.float32([[0, 0, 2, 2]]), np.float32([[1, 0, 3, 2], [5, 5, 6, 6]])).round(3).tolist()
    [[0.3330000042915344, 0.0]]
    """
    sides = np.minimum(first[:, None, 2:], second[None, :, 2:]) - np.maximum(first[:, None, :2], second[None, :, :2])
    common = np.prod(np.clip(sides, 0, None), axis=2)
    areas = [np.prod(boxes[:, 2:] - boxes[:, :2], axis=1) for boxes in (first, second)]
    together = areas[0][:, None] + areas[1][None, :] - common
    share: Float32 = (common / np.maximum(together, 1e-9)).astype(np.float32)
    return share


def are_near(found: Float32, foretold: Float32) -> npt.NDArray[np.bool_]:
    """Pairs of centre and size (N, 4) and (M, 4) less than 1.5 heights apart and of sizes within a factor of 1.6."""
    heights = foretold[None, :, 3]
    distance = np.linalg.norm(found[:, None, :2] - foretold[None, :, :2], axis=2)
    ratio = found[:, None, 3] / np.maximum(heights, 1e-3)
    near: npt.NDArray[np.bool_] = (distance < 1.5 * heights) & (ratio < 1.6) & (ratio > 1 / 1.6)
    return near


def centres_and_sizes(boxes: Float32) -> Float32:
    """Centre and size (N, 4) of xyxy boxes."""
    states: Float32 = np.hstack([(boxes[:, :2] + boxes[:, 2:]) / 2, boxes[:, 2:] - boxes[:, :2]]).astype(np.float32)
    return states


def corners(states: Float32) -> Float32:
    """Boxes xyxy (N, 4) from centre and size (N, 4), at least a pixel wide and high."""
    sizes = np.maximum(states[:, 2:], 1)
    boxes: Float32 = np.hstack([states[:, :2] - sizes / 2, states[:, :2] + sizes / 2]).astype(np.float32)
    return boxes
