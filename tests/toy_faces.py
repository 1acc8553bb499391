"""Made-up material for the face detector's workshop: a face is white with one black eye."""

from __future__ import annotations

import numpy as np

from mien.workshop.detection.teacher_labels import Material, Seen

EYES = np.float32([[70, 70], [130, 70], [100, 100], [80, 130], [120, 130]])
BOX = np.float32([40, 30, 160, 170])


def seen(score: float = 0.95) -> Seen:
    return Seen(BOX[None], EYES[None], np.float32([score]))


def nothing() -> Seen:
    return Seen(np.zeros((0, 4), np.float32), np.zeros((0, 5, 2), np.float32), np.zeros(0, np.float32))


def face() -> np.ndarray:
    """White, with the right eye black."""
    picture = np.full((200, 200), 255, np.uint8)
    picture[64:77, 64:77] = 0
    return picture


def make_material(faces: int = 300, scenes: int = 120) -> Material:
    rng = np.random.default_rng(0)
    dull = [rng.integers(90, 130, (160, 200)).astype(np.uint8) for _ in range(4)]
    return Material(
        [face()] * faces, [seen()] * faces, [dull[n % 4] for n in range(scenes)], [nothing()] * scenes, [], []
    )
