"""What a face detector is, and what all of them share."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, runtime_checkable

import cv2
import numpy as np
import numpy.typing as npt

from mien.images.pictures import resize
from mien.structures import Detections

UInt8 = npt.NDArray[np.uint8]
Float32 = npt.NDArray[np.float32]


MIN_FACE_PX = 48.0
"""Height of the smallest face wanted in a large picture, in pixels of that picture."""

LARGEST_PX = 4096
"""No look is larger."""

UPRIGHT_DEG = 30.0
"""A face that leans further than this is turned upright before its expression is estimated."""

ASPECT = 0.78
"""Width of an upright face's box by its height: YuNet's median over 2,442 photographs of one person each."""

LEAST_GAIN = 1.4
"""A second look less than so many times as large as the first would cost more than it finds."""


class Detector(Protocol):
    """Finds faces in an image.

    Boxes are framed alike whoever found them: from the hairline to under the chin, as YuNet does. A face that
    the picture's edge cuts keeps its whole box, which then reaches beyond the picture: see `clip_boxes`.
    One detector serves one picture at a time; the built-in ones may be shared by threads.
    """

    @property
    def name(self) -> str:
        """What results call it."""
        ...

    @property
    def crops_given(self) -> bool:
        """Images are face crops already, to be taken whole: `crop_faces(..., scale=None)`."""
        ...

    def detect(self, image: UInt8) -> Detections:
        """The faces in an RGB uint8 image (H, W, 3), the best score first; empty if there is none."""
        ...


@runtime_checkable
class ScalableDetector(Detector, Protocol):
    """A detector whose images may be reduced further where the faces are known to be large.

    `longest_px` is the longer side to which it reduces a picture by itself.
    """

    longest_px: int

    def detect(self, image: UInt8, *, longest_px: int | None = None) -> Detections:
        """The same, with pictures reduced to this longer side."""
        ...


def shrink(image: UInt8, longest_px: int) -> tuple[UInt8, Float32]:
    """A picture no longer than `longest_px`, and the factors (x, y) that lead back; never enlarged."""
    return shrink_in_turn(image, [longest_px])[0]


def shrink_in_turn(image: UInt8, sides_px: Sequence[int]) -> list[tuple[UInt8, Float32]]:
    """A picture as `shrink` gives it for each of the sides, made of the next larger one: a fraction of the work."""
    height, width = image.shape[:2]
    made: dict[int, tuple[UInt8, Float32]] = {}
    small = image
    for side in sorted(sides_px, reverse=True):
        ratio = min(1.0, side / max(height, width))
        small = resize(small, max(1, round(height * ratio)), max(1, round(width * ratio)))
        made[side] = small, np.array([width / small.shape[1], height / small.shape[0]], np.float32)
    return [made[side] for side in sides_px]


def clip_boxes(boxes: Float32, height: int, width: int) -> Float32:
    """Boxes (N, 4) limited to a picture of that size, as users get them."""
    limits = np.array([width, height, width, height], np.float32)
    return np.clip(boxes, 0, limits).astype(np.float32)


def keep_inside(detections: Detections, height: int, width: int) -> Detections:
    """Detections whose centre is in the image, the best score first."""
    centres = (detections.boxes[:, :2] + detections.boxes[:, 2:]) / 2
    inside = np.all((centres >= 0) & (centres < (width, height)), axis=1)
    # Stable, so that faces with equal scores keep their numbers.
    order = np.argsort(-detections.scores, kind="stable")
    return detections[order[inside[order]]]


def choose_larger_look(longest: int, longest_px: int, ratio: float) -> int | None:
    """The longer side for a second look at a large picture; None where the usual one shows the smallest faces wanted.

    Args:
        longest: the picture's longer side.
        longest_px: that of the usual look.
        ratio: height of the lowest face that the detector finds, by that of the smallest face wanted.
    """
    larger = min(round(longest * ratio), longest, LARGEST_PX)
    return larger if larger >= LEAST_GAIN * longest_px else None


def join(first: Detections, second: Detections) -> Detections:
    """Both, the first before the second."""
    return Detections(
        np.concatenate([first.boxes, second.boxes]),
        np.concatenate([first.scores, second.scores]),
        np.concatenate([first.landmarks, second.landmarks]),
    )


def suppress(found: Detections, max_overlap: float) -> Detections:
    """The detections, the best first, without those that overlap a better one by more than `max_overlap`."""
    found = found[np.argsort(-found.scores, kind="stable")]
    # OpenCV refuses scores of zero; their ranks say the same.
    ranks = np.arange(len(found), 0, -1, dtype=np.float32)
    corners, sizes = found.boxes[:, :2], found.boxes[:, 2:] - found.boxes[:, :2]
    kept = cv2.dnn.NMSBoxes(np.hstack([corners, sizes]).astype(np.float64), ranks, 0.0, max_overlap)  # type: ignore[arg-type]
    return found[np.asarray(kept, np.intp)]


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


def are_near(found: Float32, predicted: Float32) -> npt.NDArray[np.bool_]:
    """Pairs of centre and size (N, 4) and (M, 4) less than 1.5 heights apart and of sizes within a factor of 1.6."""
    heights = predicted[None, :, 3]
    distance = np.linalg.norm(found[:, None, :2] - predicted[None, :, :2], axis=2)
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


def roll_of(five: Float32) -> float:
    """Angle in radians by which a picture has to turn anti-clockwise for the eyes of five landmarks to be level."""
    across = five[1] - five[0]
    return float(np.arctan2(across[1], across[0]))


def lean_of(five: Float32) -> float:
    """The same from eyes and mouth together: in a profile the eyes lie near one another and tell little.

    >>> round(float(np.degrees(lean_of(np.float32([[0, 0], [0, 10], [0, 0], [-10, 0], [-10, 10]])))))
    90
    """
    across, down = five[1] - five[0], (five[3] + five[4]) / 2 - (five[0] + five[1]) / 2
    return float(np.arctan2(across[1] - down[0], across[0] + down[1]))


def crop_faces(image: UInt8, detections: Detections, *, scale: float | None) -> list[UInt8]:
    """The faces of a picture as squares; beyond the image its edge is repeated.

    A face whose five landmarks lean by more than 30° is turned upright. Without landmarks nothing tells how it leans.

    Args:
        image: RGB uint8 (H, W, 3).
        detections: where the faces are.
        scale: side of the square as a multiple of the box's height, centred on the box; None takes the box
            whole, for pictures that are crops already.

    Returns:
        RGB uint8 (side, side, 3), one a face, in the order of the detections.
    """
    crops = []
    for box, five in zip(detections.boxes, detections.landmarks, strict=True):
        turn = 0.0 if scale is None or np.isnan(five).any() else lean_of(five)
        if scale is not None and abs(turn) > np.radians(UPRIGHT_DEG):
            crops.append(crop_upright(image, box, turn, scale=scale))
        else:
            crops.append(crop_square(image, box, scale=scale))
    return crops


def height_of(box: Float32, turn: float) -> float:
    """Height of a face, in pixels, whose xyxy box is that of an oval leaning by `turn` radians."""
    width, height = (box[2:] - box[:2]).tolist()
    cos, sin = np.cos(turn) ** 2, np.sin(turn) ** 2
    # Both sides of the box tell it, each with an error of its own.
    by_height = height / np.sqrt(cos + ASPECT**2 * sin)
    by_width = width / np.sqrt(sin + ASPECT**2 * cos)
    return float((by_height + by_width) / 2)


def crop_upright(image: UInt8, box: Float32, turn: float, *, scale: float) -> UInt8:
    """One square around the centre of an xyxy box, of a picture turned anti-clockwise by `turn` radians."""
    side = max(1, round(scale * height_of(box, turn)))
    cos, sin = np.cos(turn), np.sin(turn)
    linear = np.array([[cos, sin], [-sin, cos]])
    shift = (side - 1) / 2 - linear @ ((box[:2] + box[2:] - 1) / 2)
    affine = np.hstack([linear, shift[:, None]]).astype(np.float32)
    return np.asarray(
        cv2.warpAffine(image, affine, (side, side), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE), np.uint8
    )


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
    # At least a row and a column are repeated, also where the square lies outside.
    y1, x1 = min(max(top, 0), height - 1), min(max(left, 0), width - 1)
    seen = image[y1 : max(min(top + side, height), y1 + 1), x1 : max(min(left + side, width), x1 + 1)]
    above, before = min(max(-top, 0), side - 1), min(max(-left, 0), side - 1)
    below, after = side - above - seen.shape[0], side - before - seen.shape[1]
    square = cv2.copyMakeBorder(seen, above, below, before, after, cv2.BORDER_REPLICATE)
    # OpenCV drops a last axis of length 1.
    return np.asarray(square, np.uint8).reshape(side, side, *image.shape[2:])
