"""Faces without a teacher: bright spots where the points are."""

from __future__ import annotations

import cv2
import numpy as np

from mien.faces.geometry import MIRROR, from_angles
from mien.workshop.geometry.answers import Faces
from mien.workshop.geometry.teacher import IBUG, MESH_POINTS


def make_faces(count: int, side: int = 96, seed: int = 0) -> Faces:
    """Faces of `side` pixels, half of it the box: spots for eyes, nose and mouth."""
    rng = np.random.default_rng(seed)
    layout = rng.uniform(0.15, 0.85, (70, 2))
    layout[[36, 45, 39, 42]] = (0.4, 0.45), (0.6, 0.45), (0.46, 0.45), (0.54, 0.45)
    # Alike on both sides, as a face is.
    other = layout[list(MIRROR)] * (-1, 1) + (1, 0)
    layout = (layout + other) / 2
    pictures, meshes, rotations = [], [], []
    for _ in range(count):
        points = (layout + rng.normal(0, 0.01, (1, 2))) * side
        mesh = np.tile(points.mean(axis=0), (MESH_POINTS, 1))
        for entry, point in zip(IBUG, points, strict=True):
            mesh[list(entry)] = point
        picture = np.full((side, side), 40, np.uint8)
        for x, y in points[[36, 45, 39, 42]]:
            cv2.circle(picture, (round(x), round(y)), 2, 255, -1)
        pictures.append(picture)
        meshes.append(np.hstack([mesh, np.zeros((MESH_POINTS, 1))]))
        rotations.append(from_angles(rng.normal(0, 10, 3).tolist()))
    five = np.stack([mesh[[33, 263, 4, 61, 291], :2] for mesh in meshes])
    return Faces(
        pictures=np.stack(pictures), boxes_px=np.full(count, side / 2, np.float32),
        meshes=np.stack(meshes).astype(np.float32), landmarks=five.astype(np.float32),
        rotations=np.stack(rotations), facing=rng.uniform(-0.5, 1, (count, 70)).astype(np.float32),
        blendshapes=rng.uniform(0, 1, (count, 52)).astype(np.float32),
        edges=np.tile(np.float32([0, 0, side, side]), (count, 1)),
        names=np.array([f"faces/{row:04}.jpg" for row in range(count)]),
    )  # fmt: skip
