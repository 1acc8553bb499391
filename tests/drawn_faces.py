"""Faces drawn so that their valence, arousal and intensity can be seen: the mouth's curve and the eyes' height."""

from __future__ import annotations

import cv2
import numpy as np

from mien.workshop.data.base import FaceDataset


def draw_face(valence: float, arousal: float, random: np.random.Generator) -> np.ndarray:
    """A grey 48×48 picture; corners of the mouth go up with valence, eyes open with arousal."""
    image = random.integers(90, 120, (48, 48)).astype(np.uint8)
    x, y = random.integers(-2, 3, 2)
    for eye in (15 + x, 33 + x):
        cv2.ellipse(image, (int(eye), int(17 + y)), (5, max(1, round(3 + 3 * arousal))), 0, 0, 360, 240, -1)
    places = np.linspace(-11, 11, 23)
    heights = 35 + y + 6 * valence * (0.5 - (places / 11) ** 2)
    points = np.column_stack([24 + x + places, heights]).round().astype(np.int32)
    cv2.polylines(image, [points], False, 20, 2)
    return image


def make_faces(
    train: int = 320, validation: int = 80, test: int = 80, *, labels: bool = True, seed: int = 0
) -> FaceDataset:
    """Half of the training rows lack arousal, a quarter intensity; smiling faces are happy, the others sad."""
    random = np.random.default_rng(seed)
    rows = train + validation + test
    values = random.uniform(-1, 1, (rows, 2)).astype(np.float32)
    images = np.stack([draw_face(float(v), float(a), random) for v, a in values])
    affect = np.column_stack([values, np.abs(values[:, 0])]).astype(np.float32)
    affect[: train // 2, 1] = np.nan
    affect[: train // 4, 2] = np.nan
    split = np.repeat(np.int8([0, 1, 2]), [train, validation, test])
    named = np.where(values[:, 0] > 0, 3, 4) if labels else np.full(rows, -1)
    return FaceDataset(
        "drawn", images, named.astype(np.int64), split, np.array([f"face{row}" for row in range(rows)]), affect=affect
    )
