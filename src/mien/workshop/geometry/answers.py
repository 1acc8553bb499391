"""The teacher's answers about many faces, asked once and kept in one file a source."""

from __future__ import annotations

import os
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from mien.errors import DataError
from mien.faces.detection import Detector
from mien.files import read_npz, replacing
from mien.images.pictures import decode, to_grey, to_rgb
from mien.workshop.geometry.teacher import MESH_POINTS, Answer, Teacher, facing, head_rotation

UInt8 = npt.NDArray[np.uint8]
Float32 = npt.NDArray[np.float32]

CONTEXT = 2.0
"""Side of a kept picture in heights of the face's box: room to turn, shift and widen a crop."""
MIN_PRESENCE = 0.9
MIN_EYES = 0.2
"""Least distance of the eyes' outer corners, in heights of the box: less is a profile beyond what a mesh can tell."""
BOX_OF_MESH = np.array([-0.43, -0.609, 0.43, 0.458], np.float32)
"""Corners of a detected box about the middle of its mesh, in heights of the mesh: medians of 2,442 faces."""


@dataclass(frozen=True)
class Faces:
    """Faces with their teacher's answers, a row each.

    Args:
        pictures: grey squares of `CONTEXT` box heights about the middle of the detector's box, uint8 (N, S, S).
        boxes_px: height of the box in the original picture, float32 (N,).
        meshes: the teacher's points in pixels of `pictures`, float32 (N, 478, 3).
        landmarks: the detector's five, in the same pixels, float32 (N, 5, 2).
        rotations: of the head, see `mesh.head_rotation`, float32 (N, 3, 3).
        facing: how far each of the 70 points faces the camera, float32 (N, 70).
        blendshapes: float32 (N, 52).
        edges: corners xyxy of the original picture in pixels of `pictures`, which repeat its edge beyond, (N, 4).
        names: which picture, str (N,).
    """

    pictures: UInt8
    boxes_px: Float32
    meshes: Float32
    landmarks: Float32
    rotations: Float32
    facing: Float32
    blendshapes: Float32
    edges: Float32
    names: npt.NDArray[np.str_]

    def __len__(self) -> int:
        return len(self.pictures)

    def __getitem__(self, rows: Any) -> Faces:
        """The rows that a mask, slice or index array picks."""
        return Faces(**{name: value[rows] for name, value in vars(self).items()})


def ask_photographs(archive: Path, detector: Detector, teacher: Teacher, *, side: int) -> Faces:
    """The largest face of each picture in a zip; pictures without a face, or with one the teacher doubts, are left out.

    Args:
        archive: a zip of pictures.
        detector: whose framing the student learns.
        teacher: whom to ask.
        side: of the pictures that are kept, in pixels.
    """
    rows = []
    for name, image in _iter_zip(archive):
        found = detector.detect(image)
        if not len(found):
            continue
        first = int(np.argmax(found.boxes[:, 3] - found.boxes[:, 1]))
        box, points = found.boxes[first], found.landmarks[first]
        x1, y1, x2, y2 = box.tolist()
        corners = np.array([(x1, y1), (x2, y1), (x1, y2), (x2, y2)], np.float32)
        answer = teacher.ask(image, np.vstack([points[:2], corners]))
        if is_plausible(answer, box):
            rows.append(_row(name, to_grey(image), box, points, answer, teacher, side))
    return _stack(rows, archive)


def ask_crops(pictures: UInt8, names: npt.NDArray[np.str_], teacher: Teacher, *, side: int) -> Faces:
    """Faces of pictures that are face crops, grey uint8 (N, H, W), as FER2013's are; the box follows from the mesh."""
    rows = []
    for name, picture in zip(names, pictures, strict=True):
        height, width = picture.shape
        places = [(0.3, 0.38), (0.7, 0.38), (0.05, 0.0), (0.95, 0.0), (0.05, 1.0), (0.95, 1.0)]
        answer = teacher.ask(to_rgb(picture), np.array(places, np.float32) * np.array([width, height], np.float32))
        box = box_of(answer.mesh)
        five = five_of(answer.mesh)
        inside = np.mean(np.all((answer.mesh[:, :2] >= 0) & (answer.mesh[:, :2] < (width, height)), axis=1))
        if is_plausible(answer, box) and inside > 0.8:
            rows.append(_row(str(name), picture, box, five, answer, teacher, side))
    return _stack(rows, Path("crops"))


def is_plausible(answer: Answer, box: Float32) -> bool:
    """Whether the teacher is sure, and its points lie where the box is."""
    height = float(box[3] - box[1])
    middle = answer.mesh[:, :2].mean(axis=0)
    eyes = float(np.linalg.norm(answer.mesh[263, :2] - answer.mesh[33, :2]))
    offset = float(np.linalg.norm(middle - (box[:2] + box[2:]) / 2))
    spread = float(np.ptp(answer.mesh[:, :2], axis=0).max())
    return (
        answer.presence >= MIN_PRESENCE
        and eyes >= MIN_EYES * height
        and offset < 0.25 * height
        and 0.6 < spread / height < 1.4
    )


def box_of(mesh: Float32) -> Float32:
    """Where a detector would put the box xyxy of a face with this mesh: medians of YuNet's boxes about it."""
    low, high = mesh[:, :2].min(axis=0), mesh[:, :2].max(axis=0)
    middle, height = (low + high) / 2, float(high[1] - low[1])
    box: Float32 = (np.tile(middle, 2) + height * BOX_OF_MESH).astype(np.float32)
    return box


def five_of(mesh: Float32) -> Float32:
    """A detector's five landmarks (5, 2) from a mesh."""
    eyes = [mesh[[33, 133], :2].mean(axis=0), mesh[[362, 263], :2].mean(axis=0)]
    return np.array([*eyes, mesh[4, :2], mesh[61, :2], mesh[291, :2]], np.float32)


def save_faces(faces: Faces, path: Path) -> None:
    """Write a .npz."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path) as file:
        np.savez(file, allow_pickle=False, **vars(faces))


def load_faces(path: Path) -> Faces:
    """Read what `save_faces` wrote.

    Raises:
        DataError: the file is missing or something else.
    """
    try:
        return Faces(**read_npz(path, tuple(Faces.__dataclass_fields__)))
    except (OSError, ValueError) as error:
        raise DataError(f"{os.fspath(path)} holds no answers of a teacher: {error}") from error


def _iter_zip(archive: Path) -> Iterator[tuple[str, UInt8]]:
    try:
        with zipfile.ZipFile(archive) as pictures:
            for name in sorted(pictures.namelist()):
                if name.lower().endswith((".jpg", ".jpeg", ".png")):
                    yield name, decode(pictures.read(name), name=name)
    except (OSError, zipfile.BadZipFile) as error:
        raise DataError(f"{os.fspath(archive)} is not a zip of pictures: {error}") from error


def _row(
    name: str, grey: UInt8, box: Float32, points: Float32, answer: Answer, teacher: Teacher, side: int
) -> dict[str, Any]:
    height = float(box[3] - box[1])
    scale = side / (CONTEXT * height)
    shift = side / 2 - scale * (box[:2] + box[2:]) / 2
    to_square = np.array([[scale, 0, shift[0]], [0, scale, shift[1]]], np.float32)
    # Bilinear shrinking by more than two skips pixels, so the picture is shrunk by areas first.
    factor = max(1, int(1 / scale))
    small = grey if factor == 1 else cv2.resize(grey, None, fx=1 / factor, fy=1 / factor, interpolation=cv2.INTER_AREA)
    near = to_square.copy()
    near[:, :2] *= np.array([grey.shape[1] / small.shape[1], grey.shape[0] / small.shape[0]], np.float32)
    kept = cv2.warpAffine(small, near, (side, side), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    mesh = np.hstack([answer.mesh[:, :2] * scale + shift, answer.mesh[:, 2:] * scale]).astype(np.float32)
    rotation = head_rotation(mesh, teacher.canonical)
    edges = np.hstack([shift, scale * np.array([grey.shape[1], grey.shape[0]], np.float32) + shift]).astype(np.float32)
    return {
        "pictures": kept, "edges": edges, "boxes_px": np.float32(height), "meshes": mesh,
        "landmarks": (points * scale + shift).astype(np.float32), "rotations": rotation,
        "facing": facing(rotation, teacher.canonical), "blendshapes": answer.blendshapes, "names": name,
    }  # fmt: skip


def _stack(rows: list[dict[str, Any]], origin: Path) -> Faces:
    if not rows:
        raise DataError(f"{os.fspath(origin)}: no face that the teacher is sure of")
    assert rows[0]["meshes"].shape == (MESH_POINTS, 3)
    return Faces(**{name: np.stack([row[name] for row in rows]) for name in Faces.__dataclass_fields__})
