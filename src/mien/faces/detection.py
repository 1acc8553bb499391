"""What a face detector is, and what all of them share."""

from __future__ import annotations

from typing import Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt

from mien.images.pictures import resize
from mien.structures import Detections

UInt8 = npt.NDArray[np.uint8]
Float32 = npt.NDArray[np.float32]


class Detector(Protocol):
    """Finds faces in a picture.

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
        """Pictures are face crops already, to be taken whole: `crop_faces(..., scale=None)`."""
        ...

    def detect(self, image: UInt8) -> Detections:
        """The faces in an RGB uint8 picture (H, W, 3), the best score first; empty where there is none."""
        ...


@runtime_checkable
class ScalableDetector(Detector, Protocol):
    """A detector whose pictures may be reduced further where the faces are known to be large.

    `longest_px` is the longer side to which it reduces a picture by itself.
    """

    longest_px: int

    def detect(self, image: UInt8, *, longest_px: int | None = None) -> Detections:
        """The same, with pictures reduced to this longer side."""
        ...


def shrink(image: UInt8, longest_px: int) -> tuple[UInt8, Float32]:
    """A picture no longer than `longest_px`, and the factors (x, y) that lead back; never enlarged."""
    height, width = image.shape[:2]
    ratio = min(1.0, longest_px / max(height, width))
    small_height, small_width = max(1, round(height * ratio)), max(1, round(width * ratio))
    back = np.array([width / small_width, height / small_height], np.float32)
    return resize(image, small_height, small_width), back


def clip_boxes(boxes: Float32, height: int, width: int) -> Float32:
    """Boxes (N, 4) limited to a picture of that size, as users get them."""
    limits = np.array([width, height, width, height], np.float32)
    return np.clip(boxes, 0, limits).astype(np.float32)


def keep_inside(detections: Detections, height: int, width: int) -> Detections:
    """Detections whose centre lies in the picture, the best score first."""
    centres = (detections.boxes[:, :2] + detections.boxes[:, 2:]) / 2
    inside = np.all((centres >= 0) & (centres < (width, height)), axis=1)
    order = np.argsort(-detections.scores, kind="stable")
    return detections[order[inside[order]]]
