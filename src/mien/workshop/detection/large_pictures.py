"""Large pictures full of small faces with their surroundings: whole photographs, reduced and laid side by side."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from mien.faces.detection import Detector
from mien.images import pictures as images

UInt8 = npt.NDArray[np.uint8]
Float32 = npt.NDArray[np.float32]

WHOLE_HEIGHTS = (40, 60, 80, 120, 200)
"""Heights of the faces, in pixels of the large picture."""

ALIKE = 0.25
"""A photograph's other faces count where their height is that near to the one meant, as a share of it."""

GREY = 110


@dataclass(frozen=True)
class Photograph:
    """A picture, RGB uint8 (H, W, 3), and the faces that a person sees in it, xyxy pixels (N, 4)."""

    picture: UInt8
    boxes: Float32


@dataclass(frozen=True)
class LargePicture:
    """A picture, RGB uint8 (H, W, 3), and those of its faces that are as high as was meant, xyxy pixels (N, 4)."""

    picture: UInt8
    boxes: Float32

    @property
    def count(self) -> int:
        """How many faces there are to be found."""
        return len(self.boxes)

    def found_by(self, detector: Detector) -> float:
        """Share of the faces in which the middle of a found box lies."""
        seen = detector.detect(self.picture).boxes
        middles = (seen[:, None, :2] + seen[:, None, 2:]) / 2
        inside = ((middles >= self.boxes[None, :, :2]) & (middles <= self.boxes[None, :, 2:])).all(axis=2)
        return float(inside.any(axis=0).mean()) if self.count else float("nan")


def read_photographs(folder: Path) -> list[Photograph]:
    """The photographs of a folder that have faces, by the `truth.json` beside them."""
    truth = json.loads((folder / "truth.json").read_text("utf-8"))["images"]
    found = []
    for name, entry in truth.items():
        if entry.get("faces"):
            boxes = np.array([face["box"] for face in entry["faces"]], np.float32)
            boxes[:, 2:] += boxes[:, :2]
            found.append(Photograph(images.read(folder / name), boxes))
    return found


def compose_wholes(
    photographs: Sequence[Photograph], height_px: float, size: tuple[int, int], seed: int = 0
) -> LargePicture:
    """Photographs laid in rows over a picture of that size (height, width), each with its middle face of that height.

    Half of them are mirrored. They come in a drawn order, again and again until the picture is full.
    """
    rng = np.random.default_rng(seed)
    order = rng.permutation(len(photographs)).tolist()
    canvas = np.full((*size, 3), GREY, np.uint8)
    boxes: list[Float32] = []
    x = y = row_height = number = 0
    while True:
        picture, own = _reduce(photographs[order[number % len(order)]], height_px, mirrored=bool(rng.random() < 0.5))
        number += 1
        height, width = min(picture.shape[0], size[0]), min(picture.shape[1], size[1])
        if x + width > size[1]:
            x, y, row_height = 0, y + row_height, 0
        if y + height > size[0]:
            break
        canvas[y : y + height, x : x + width] = picture[:height, :width]
        boxes.append(own + np.array([x, y, x, y], np.float32))
        x, row_height = x + width, max(row_height, height)
    every = np.concatenate(boxes) if boxes else np.zeros((0, 4), np.float32)
    heights = every[:, 3] - every[:, 1]
    return LargePicture(canvas, every[np.abs(heights - height_px) < ALIKE * height_px].astype(np.float32))


def _reduce(photograph: Photograph, height_px: float, *, mirrored: bool) -> tuple[UInt8, Float32]:
    heights = photograph.boxes[:, 3] - photograph.boxes[:, 1]
    ratio = height_px / float(np.median(heights))
    height, width = (max(1, round(side * ratio)) for side in photograph.picture.shape[:2])
    picture = images.resize(photograph.picture, height, width)
    boxes = photograph.boxes * np.float32(ratio)
    if mirrored:
        picture = np.ascontiguousarray(picture[:, ::-1])
        boxes = np.stack([width - boxes[:, 2], boxes[:, 1], width - boxes[:, 0], boxes[:, 3]], axis=1)
    return picture, boxes.astype(np.float32)
