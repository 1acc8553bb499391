"""Small data sets with made-up faces."""

from __future__ import annotations

import hashlib

import cv2
import numpy as np

from mien.workshop.data.base import FaceDataset


def draw_face(random: np.random.Generator, *, side: int = 48) -> np.ndarray:
    """A round head with eyes and a mouth, each a little elsewhere, on a mottled ground."""
    face = cv2.resize(random.integers(60, 200, (6, 6)).astype(np.uint8), (side, side), interpolation=cv2.INTER_CUBIC)
    middle = (24 + int(random.integers(-2, 3)), 24 + int(random.integers(-2, 3)))
    skin, dark = int(random.integers(150, 230)), int(random.integers(10, 70))
    cv2.ellipse(face, middle, (15 + int(random.integers(4)), 19 + int(random.integers(4))), 0, 0, 360, skin, -1)
    for shift in (-7, 7):
        cv2.circle(face, (middle[0] + shift, middle[1] - 6), 2 + int(random.integers(2)), dark, -1)
    cv2.ellipse(face, (middle[0], middle[1] + 9), (7, 1 + int(random.integers(4))), 0, 0, 360, dark, -1)
    noise = random.normal(0, 6, (side, side))
    return np.clip(face + noise, 0, 255).astype(np.uint8)


def draw_faces(count: int, *, seed: int = 0) -> np.ndarray:
    random = np.random.default_rng(seed)
    return np.stack([draw_face(random) for _ in range(count)])


def make_dataset(images: np.ndarray, labels: object, split: object = None, name: str = "made up") -> FaceDataset:
    n = len(images)
    return FaceDataset(
        name, images, np.asarray(labels, np.int64),
        np.zeros(n, np.int8) if split is None else np.asarray(split, np.int8),
        np.array([f"face_{row:04d}" for row in range(n)], np.str_), sha256=hashlib.sha256(images.tobytes()).hexdigest(),
    )  # fmt: skip
