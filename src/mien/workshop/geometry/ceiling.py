"""How far the teacher follows itself: asked again about smaller, grey, slightly moved copies of the same faces.

No student can be expected to follow it better than it follows itself.
"""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from mien.images.pictures import to_rgb
from mien.workshop.geometry.answers import CONTEXT, Faces
from mien.workshop.geometry.fusing import LEAST_SD, find_again
from mien.workshop.geometry.teacher import Teacher

Float32 = npt.NDArray[np.float32]

SHIFT_PX, TURN_DEG, SCALE = 1.0, 2.0, 0.02
"""Standard deviations by which a copy is moved."""


def ask_again(teacher: Teacher, faces: Faces, *, size_px: int, move: bool, seed: int = 0) -> Float32:
    """The teacher's blendshapes (N, 52) of the kept grey pictures.

    Args:
        teacher: whom to ask.
        faces: with its answers about the photographs themselves.
        size_px: height of the faces' boxes in the copies.
        move: shift, turn and scale the copies a little, by chance.
        seed: of that.
    """
    rng = np.random.default_rng(seed)
    found = []
    for row in range(len(faces)):
        picture = faces.pictures[row]
        side = round(CONTEXT * size_px)
        ratio = side / len(picture)
        small = cv2.resize(picture, (side, side), interpolation=cv2.INTER_AREA)
        affine: npt.NDArray[Any] = np.eye(2, 3)
        if move:
            affine = cv2.getRotationMatrix2D(
                (side / 2, side / 2), rng.normal(0, TURN_DEG), float(np.exp(rng.normal(0, SCALE)))
            )
            affine = affine + np.hstack([np.zeros((2, 2)), rng.normal(0, SHIFT_PX, (2, 1))])
        moved = cv2.warpAffine(small, affine, (side, side), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
        again = find_again(faces, row, ratio, rng)
        x1, y1, x2, y2 = again.boxes[0].tolist()
        corners = np.vstack([again.landmarks[0, :2], [(x1, y1), (x2, y1), (x1, y2), (x2, y2)]])
        places = (corners @ affine[:, :2].T + affine[:, 2]).astype(np.float32)
        found.append(teacher.ask(to_rgb(np.asarray(moved, np.uint8)), places).blendshapes)
    return np.stack(found)


def agreement(told: Float32, again: Float32) -> float:
    """Mean of Pearson's r of the blendshapes that vary by a standard deviation above 0.05, as in reports."""
    varied = np.flatnonzero(told.std(axis=0) > LEAST_SD)
    return float(np.mean([np.corrcoef(told[:, place], again[:, place])[0, 1] for place in varied]))
