"""Pictures being composed: where their faces come to lie, and how pieces of other pictures are drawn into them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from mien.workshop.detection.teacher_labels import MIRRORED_LANDMARKS, SURE, Seen

UInt8 = npt.NDArray[np.uint8]
Float32 = npt.NDArray[np.float32]
Floats = npt.NDArray[np.floating]

LEAST_PX = 9.0
"""Faces lower than this are neither taught as faces nor as background."""

LEAST_VISIBLE = 0.45
"""A face of which less lies in the picture is neither."""

LEVELS = 4
"""Halvings of each source kept at hand: shrinking in one step would alias."""


@dataclass(frozen=True)
class Composed:
    """A picture and its truth.

    Args:
        picture: grey uint8 (H, W).
        boxes: xyxy pixels (G, 4), whole even where the picture's edge cuts them.
        landmarks: pixels (G, 5, 2), NaN where unknown.
        kinds: (G,), 1 a face, -1 something that is neither face nor background.
        angles: how far each face is turned in the picture's plane, degrees in -180 to 180 (G,).
    """

    picture: UInt8
    boxes: Float32
    landmarks: Float32
    kinds: npt.NDArray[np.int64]
    angles: Float32


@dataclass(frozen=True)
class Source:
    """A picture to paste from: its halvings, its faces, and which of them is the one meant (-1: none)."""

    levels: list[UInt8]
    seen: Seen
    main: int

    @classmethod
    def of(cls, picture: UInt8, seen: Seen) -> Source:
        """With the largest sure face as the one meant."""
        levels = [picture]
        while len(levels) < LEVELS and min(levels[-1].shape[:2]) >= 24:
            height, width = levels[-1].shape[:2]
            smaller = cv2.resize(levels[-1], (width // 2, height // 2), interpolation=cv2.INTER_AREA)
            levels.append(smaller.astype(np.uint8, copy=False))
        sure = np.flatnonzero(seen.scores >= SURE)
        sizes = (seen.boxes[:, 2:] - seen.boxes[:, :2]).prod(axis=1)
        return cls(levels, seen, int(sure[np.argmax(sizes[sure])]) if len(sure) else -1)


@dataclass
class Canvas:
    """A picture being composed, with the faces that are in it so far."""

    picture: UInt8
    boxes: list[Float32] = field(default_factory=list)
    landmarks: list[Float32] = field(default_factory=list)
    kinds: list[int] = field(default_factory=list)
    angles: list[float] = field(default_factory=list)

    def add(self, box: Float32, landmarks: Float32, kind: int, angle: float) -> None:
        """A face, or something doubtful, unless it lies outside."""
        height, width = self.picture.shape[:2]
        whole = max(float((box[2:] - box[:2]).prod()), 1e-6)
        inside = np.clip(box, 0, (width, height, width, height))
        visible = float((inside[2:] - inside[:2]).prod()) / whole
        if visible < 0.05:
            return
        small = box[3] - box[1] < LEAST_PX
        self.boxes.append(box.astype(np.float32))
        self.landmarks.append(landmarks.astype(np.float32))
        self.kinds.append(-1 if small or visible < LEAST_VISIBLE else kind)
        self.angles.append(angle)

    def finish(self) -> Composed:
        """As arrays."""
        return Composed(
            np.ascontiguousarray(self.picture),
            np.asarray(self.boxes, np.float32).reshape(-1, 4),
            np.asarray(self.landmarks, np.float32).reshape(-1, 5, 2),
            np.asarray(self.kinds, np.int64),
            np.asarray(self.angles, np.float32),
        )


def turn_box(box: Float32, matrix: Float32) -> Float32:
    """The upright box of the ellipse in `box` after an affine map (2, 3): a face's outline, not the box's corners."""
    half = (box[2:] - box[:2]) / 2
    middle = matrix[:, :2] @ ((box[2:] + box[:2]) / 2) + matrix[:, 2]
    reach = np.sqrt((matrix[:, :2] ** 2) @ (half**2))
    return np.concatenate([middle - reach, middle + reach]).astype(np.float32)


def map_faces(seen: Seen, matrix: Float32) -> tuple[Float32, Float32]:
    """Boxes and landmarks after an affine map (2, 3); a mirroring one exchanges left and right."""
    boxes = np.array([turn_box(box, matrix) for box in seen.boxes], np.float32).reshape(-1, 4)
    landmarks = seen.landmarks @ matrix[:, :2].T + matrix[:, 2]
    if np.linalg.det(matrix[:, :2]) < 0:
        landmarks = landmarks[:, MIRRORED_LANDMARKS]
    return boxes, landmarks.astype(np.float32)


def make_matrix(centre: Floats, target: Floats, scale: float, degrees: float, mirrored: bool) -> Float32:
    """The affine map (2, 3) that takes `centre` to `target`, scaled, turned clockwise on screen, mirrored first."""
    angle = np.deg2rad(degrees)
    linear = scale * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    if mirrored:
        linear = linear @ np.diag([-1.0, 1.0])
    return np.hstack([linear, (target - linear @ centre)[:, None]]).astype(np.float32)


def draw(source: Source, matrix: Float32, size: tuple[int, int]) -> UInt8:
    """A source through an affine map (2, 3), as a picture of (width, height); its edge goes on where it ends."""
    scale = float(np.sqrt(abs(np.linalg.det(matrix[:, :2]))))
    level = int(np.clip(np.floor(-np.log2(max(scale, 1e-3)) + 0.3), 0, len(source.levels) - 1))
    full = np.array(source.levels[0].shape[1::-1], np.float32)
    ratio = full / np.array(source.levels[level].shape[1::-1], np.float32)
    there = _prescaled(matrix, ratio, 0)
    drawn = cv2.warpAffine(source.levels[level], there, size, borderMode=cv2.BORDER_REPLICATE)
    return drawn.astype(np.uint8, copy=False)


def paste(canvas: UInt8, source: Source, region: Float32, matrix: Float32, mask: UInt8, gain: Float32 | None) -> None:
    """Draw `region` (xyxy) of a source into the canvas through an affine map (2, 3) and a mask over that region."""
    height, width = canvas.shape[:2]
    corners = region[[0, 1, 2, 1, 2, 3, 0, 3]].reshape(4, 2) @ matrix[:, :2].T + matrix[:, 2]
    x1, y1 = np.maximum(np.floor(corners.min(axis=0)), 0).astype(int)
    x2, y2 = np.minimum(np.ceil(corners.max(axis=0)), (width, height)).astype(int)
    if x2 <= x1 or y2 <= y1:
        return
    there = matrix.copy()
    there[:, 2] -= (x1, y1)
    drawn = draw(source, there, (x2 - x1, y2 - y1))
    side = np.array([mask.shape[1], mask.shape[0]], np.float32)
    shape: Float32 = ((region[2:] - region[:2]) / side).astype(np.float32)
    alpha = cv2.warpAffine(mask, _prescaled(there, shape, region[:2]), (x2 - x1, y2 - y1))
    if gain is not None:
        scaled = cv2.convertScaleAbs(drawn, alpha=float(gain[0]), beta=float(gain[1]))
        drawn = scaled.astype(np.uint8, copy=False)
    share = alpha.astype(np.float32) * np.float32(1 / 255)
    under = canvas[y1:y2, x1:x2]
    canvas[y1:y2, x1:x2] = (under + share * (drawn.astype(np.float32) - under) + 0.5).astype(np.uint8)


def _prescaled(matrix: Float32, ratio: npt.NDArray[Any], offset: Float32 | float) -> Float32:
    """`matrix` for pixels of a picture that lies at `offset` and is `ratio` times smaller; pixel middles count."""
    linear = matrix[:, :2] * ratio
    shift = matrix[:, :2] @ (0.5 * ratio + offset) + matrix[:, 2] - 0.5
    return np.hstack([linear, shift[:, None]]).astype(np.float32)


def make_masks() -> list[UInt8]:
    """Soft shapes (64, 64): ellipses of some sharpness, rounded squares, a plain square."""
    y, x = (np.mgrid[:64, :64] + 0.5) / 32 - 1
    shapes = []
    for power, edge in ((2.0, 0.25), (2.0, 0.1), (2.5, 0.15), (4.0, 0.2), (4.0, 0.06), (8.0, 0.05)):
        distance = (abs(x) ** power + abs(y) ** power) ** (1 / power)
        shapes.append(np.clip((0.98 - distance) / edge * 255, 0, 255).astype(np.uint8))
    shapes.append(np.full((64, 64), 255, np.uint8))
    return shapes
