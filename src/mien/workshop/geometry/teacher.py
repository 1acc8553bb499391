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
from mien.workshop.geometry.mesh import BLENDSHAPE_POINTS, Canonical, read_canonical

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
            from ai_edge_litert.interpreter import Interpreter  # type: ignore[import-not-found, unused-ignore]
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
