"""The teacher: MediaPipe's Face Landmarker, 478 points and 52 blendshapes a face, through LiteRT."""

from __future__ import annotations

import math
import os
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from mien.errors import ArtifactError, ConfigError

UInt8 = npt.NDArray[np.uint8]
Float32 = npt.NDArray[np.float32]

SIDE_PX = 256
MARGIN = 1.5
"""Side of the square that the landmark graph sees, in longer sides of the box about the points (MediaPipe's own)."""
_RIGHT_EYE, _LEFT_EYE = 33, 263


@dataclass(frozen=True)
class Answer:
    """What the teacher says of one face.

    Args:
        mesh: x, y in pixels of the picture, z in the same unit, from the head's centre away from the camera,
            float32 (478, 3).
        blendshapes: 0–1, float32 (52,), in the order of `mien.faces.geometry.BLENDSHAPES`.
        presence: how sure it is that this is a face, 0–1.
    """

    mesh: Float32
    blendshapes: Float32
    presence: float


class Teacher:
    """The two graphs of `face_landmarker.task` that Mien learns from, and its canonical head.

    Args:
        path: the .task file, a zip.

    Raises:
        ConfigError: without the package ai-edge-litert.
        ArtifactError: the file is not a Face Landmarker.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        try:
            from ai_edge_litert.interpreter import Interpreter
        except ImportError as error:
            raise ConfigError("the teacher needs LiteRT: pip install ai-edge-litert") from error
        graphs = [_read_part(path, f"face_{name}.tflite") for name in ("landmarks_detector", "blendshapes")]
        self._landmarks, self._blendshapes = (_Graph(Interpreter(model_content=g, num_threads=1)) for g in graphs)
        self.canonical: Canonical = load_canonical(path)

    def ask(self, image: UInt8, corners: Float32) -> Answer:
        """Ask about the face within `corners`, then once more with the square that its own points give.

        Args:
            image: RGB uint8 (H, W, 3).
            corners: points about the face (N, 2), the eyes' outer corners first: the right one, then the left.
        """
        first = self._look(image, _square(corners, corners[0], corners[1]))
        return self._look(image, _square(first.mesh[:, :2], first.mesh[_RIGHT_EYE, :2], first.mesh[_LEFT_EYE, :2]))

    def _look(self, image: UInt8, square: Float32) -> Answer:
        view = cv2.warpAffine(
            image, square, (SIDE_PX, SIDE_PX), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE
        )
        points, presence, *_ = self._landmarks.run((view[None] / 255).astype(np.float32))
        mesh = points.reshape(-1, 3).astype(np.float32)
        back = cv2.invertAffineTransform(square).astype(np.float32)
        scale = math.sqrt(abs(np.linalg.det(back[:, :2])))
        mesh = np.hstack([mesh[:, :2] @ back[:, :2].T + back[:, 2], mesh[:, 2:] * scale]).astype(np.float32)
        (weights,) = self._blendshapes.run(mesh[None, list(BLENDSHAPE_POINTS), :2])
        score = float(1 / (1 + np.exp(-presence.item())))
        return Answer(mesh, weights.reshape(-1).astype(np.float32), score)


def load_canonical(path: str | os.PathLike[str]) -> Canonical:
    """The canonical head of a `face_landmarker.task`; needs no LiteRT.

    Raises:
        ArtifactError: the file is not a Face Landmarker.
    """
    return read_canonical(_read_part(path, "geometry_pipeline_metadata_landmarks.binarypb"))


def _read_part(path: str | os.PathLike[str], name: str) -> bytes:
    try:
        with zipfile.ZipFile(Path(path)) as parts:
            return parts.read(name)
    except (OSError, KeyError, zipfile.BadZipFile) as error:
        raise ArtifactError(f"{os.fspath(path)} is not MediaPipe's face_landmarker.task: {error}") from error


class _Graph:
    def __init__(self, interpreter: Any) -> None:
        interpreter.allocate_tensors()
        self._interpreter = interpreter
        self._input = interpreter.get_input_details()[0]["index"]
        self._outputs = [detail["index"] for detail in interpreter.get_output_details()]

    def run(self, values: Float32) -> list[Float32]:
        self._interpreter.set_tensor(self._input, values.astype(np.float32))
        self._interpreter.invoke()
        return [self._interpreter.get_tensor(index) for index in self._outputs]


def _square(points: Float32, right_eye: Float32, left_eye: Float32) -> Float32:
    """The affine (2, 3) from the picture to the upright square about the points, turned so that the eyes are level."""
    across = left_eye - right_eye
    axis = across / max(float(np.linalg.norm(across)), 1e-6)
    turn = np.array([[axis[0], axis[1]], [-axis[1], axis[0]]], np.float32)
    turned = points @ turn.T
    low, high = turned.min(axis=0), turned.max(axis=0)
    scale = SIDE_PX / (MARGIN * float((high - low).max()))
    shift = SIDE_PX / 2 - scale * (low + high) / 2
    return np.hstack([scale * turn, shift[:, None]]).astype(np.float32)


MESH_POINTS = 478
"""Of them 468 on the skin, then five an iris, its centre first: 468 the person's right, 473 the left."""

IBUG = (
    (127,), (234,), (93,), (132, 58), (58, 172), (136,), (150,), (176,), (152,),
    (400,), (379,), (365,), (397, 288), (361, 288), (323,), (454,), (356,),
    (70,), (63,), (105,), (66,), (107,), (336,), (296,), (334,), (293,), (300,),
    (168, 6), (197, 195), (5,), (4,), (75,), (97,), (2,), (326,), (305,),
    (33,), (160,), (158,), (133,), (153,), (144,), (362,), (385,), (387,), (263,), (373,), (380,),
    (61,), (39,), (37,), (0,), (267,), (269,), (291,), (321,), (314,), (17,), (84,), (91,),
    (78,), (82,), (13,), (312,), (308,), (317,), (14,), (87,),
    (468,), (473,),
)  # fmt: skip
"""The points of the mesh that each of iBUG's 68 stands between, then the centres of the irises.

The table is the one in common use (github.com/PeizhiYan/Mediapipe_2_Dlib_Landmarks); its one row that was not alike
on both sides of the face, point 14 of the jaw, is made so.
"""

BLENDSHAPE_POINTS = (
    0, 1, 4, 5, 6, 7, 8, 10, 13, 14, 17, 21, 33, 37, 39, 40, 46, 52, 53, 54, 55, 58, 61, 63, 65, 66, 67, 70, 78, 80,
    81, 82, 84, 87, 88, 91, 93, 95, 103, 105, 107, 109, 127, 132, 133, 136, 144, 145, 146, 148, 149, 150, 152, 153,
    154, 155, 157, 158, 159, 160, 161, 162, 163, 168, 172, 173, 176, 178, 181, 185, 191, 195, 197, 234, 246, 249, 251,
    263, 267, 269, 270, 276, 282, 283, 284, 285, 288, 291, 293, 295, 296, 297, 300, 308, 310, 311, 312, 314, 317, 318,
    321, 323, 324, 332, 334, 336, 338, 356, 361, 362, 365, 373, 374, 375, 377, 378, 379, 380, 381, 382, 384, 385, 386,
    387, 388, 389, 390, 397, 398, 400, 402, 405, 409, 415, 454, 466, 468, 469, 470, 471, 472, 473, 474, 475, 476, 477,
)  # fmt: skip
"""The points that MediaPipe's blendshape graph takes, in its order (its face_blendshapes_graph.cc)."""


@dataclass(frozen=True)
class Canonical:
    """The mesh of a neutral head, in centimetres: x to the person's left, y up, z out of the face.

    Args:
        vertices: float32 (468, 3).
        triangles: corners of the surface, int64 (T, 3).
        weights: how much each vertex counts for the head's position; 0 for most, float32 (468,).
    """

    vertices: Float32
    triangles: npt.NDArray[np.int64]
    weights: Float32


def to_ibug(mesh: Float32) -> Float32:
    """iBUG's 68 points and the two centres of the irises, (..., 70, D), of meshes (..., 478, D)."""
    first = [entry[0] for entry in IBUG]
    last = [entry[-1] for entry in IBUG]
    points: Float32 = ((mesh[..., first, :] + mesh[..., last, :]) / 2).astype(np.float32)
    return points


def head_rotation(mesh: Float32, canonical: Canonical) -> Float32:
    """The rotation (3, 3) of a head from its mesh (478, 3) in pixels, x to the right, y down, z away from the camera.

    The neutral head is laid over the mesh by rotation, one scale and a shift (Umeyama, 1991), where the vertices that
    expressions hardly move count. The rotation is in axes x to the picture's right, y up, z towards the camera.
    """
    found = mesh[: len(canonical.vertices)].astype(np.float64) * (1, -1, -1)
    weights = (canonical.weights / canonical.weights.sum())[:, None].astype(np.float64)
    model = canonical.vertices - (weights * canonical.vertices).sum(axis=0)
    found = found - (weights * found).sum(axis=0)
    left, _, right = np.linalg.svd(found.T @ (weights * model))
    keep = np.diag([1.0, 1.0, np.sign(np.linalg.det(left @ right))])
    rotation: Float32 = (left @ keep @ right).astype(np.float32)
    return rotation


def facing(rotation: Float32, canonical: Canonical) -> Float32:
    """How far the skin at each of the 70 points faces the camera: cosines (70,) of a neutral head so turned."""
    corners = canonical.vertices[canonical.triangles]
    flat = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    normals = np.zeros((MESH_POINTS, 3))
    for corner in range(3):
        np.add.at(normals, canonical.triangles[:, corner], flat)
    # An iris has no vertex: it faces where the rims of its eye do.
    normals[468], normals[473] = normals[[33, 133]].sum(axis=0), normals[[362, 263]].sum(axis=0)
    ours = to_ibug(normals.astype(np.float32))
    ours /= np.linalg.norm(ours, axis=1, keepdims=True)
    cosines: Float32 = ours @ rotation[2]
    return cosines


def mirror_of(canonical: Canonical) -> npt.NDArray[np.int64]:
    """For each of `BLENDSHAPE_POINTS`, the place in it of the point that it becomes in the mirror image, (146,)."""
    irises = {468: 473, 469: 476, 470: 475, 471: 474, 472: 477}
    others = irises | {left: right for right, left in irises.items()}
    mirrored = canonical.vertices * np.array([-1, 1, 1], np.float32)
    for point in BLENDSHAPE_POINTS:
        if point < len(mirrored):
            others[point] = int(np.linalg.norm(canonical.vertices - mirrored[point], axis=1).argmin())
    return np.array([BLENDSHAPE_POINTS.index(others[point]) for point in BLENDSHAPE_POINTS], np.int64)


def read_canonical(metadata: bytes) -> Canonical:
    """The canonical head out of `geometry_pipeline_metadata_landmarks.binarypb` (MediaPipe's GeometryPipelineMetadata).

    Raises:
        ArtifactError: the bytes are something else.
    """
    try:
        fields = _fields(metadata)
        mesh = _fields(fields[1][0])
        vertices = np.frombuffer(b"".join(mesh[3]), "<f4").reshape(-1, 5)[:, :3]
        triangles = np.array(mesh[4], np.int64).reshape(-1, 3)
        weights = np.zeros(len(vertices), np.float32)
        for entry in map(_fields, fields[2]):
            weights[entry[1][0]] = np.frombuffer(entry[2][0], "<f4")[0]
    except (KeyError, IndexError, ValueError, TypeError) as error:
        raise ArtifactError(f"the landmarker's geometry metadata cannot be read: {error}") from error
    return Canonical(vertices.copy(), triangles, weights)


def _fields(message: bytes) -> dict[int, list[Any]]:
    """The fields of a protobuf message by number: integers, or the bytes of anything else."""
    found: dict[int, list[Any]] = {}
    at = 0
    while at < len(message):
        key, at = _varint(message, at)
        value: Any
        if key & 7 == 0:
            value, at = _varint(message, at)
        else:
            length = {1: 8, 5: 4}.get(key & 7)
            if length is None:
                length, at = _varint(message, at)
            value, at = message[at : at + length], at + length
        found.setdefault(key >> 3, []).append(value)
    return found


def _varint(message: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = message[at]
        value |= (byte & 127) << shift
        at, shift = at + 1, shift + 7
        if byte < 128:
            return value, at
