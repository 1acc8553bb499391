"""`DeepFace.analyze` by Mien: `from mien.compat import deepface as DeepFace`.

    faces = DeepFace.analyze("photo.jpg", actions=["emotion"])
    print(faces[0]["dominant_emotion"], faces[0]["emotion"], faces[0]["region"])

Arguments and results are those of the PyPI package `deepface`; the values are Mien's calibrated probabilities in per
cent. Age, gender and race are not estimated.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import IO, Any

import numpy as np

from mien.errors import ConfigError, SourceError
from mien.reading.pipeline import Pipeline
from mien.reading.results import Result
from mien.sources.inputs import is_one_image
from mien.structures import Detections, Face, Frame

BACKENDS = {
    "opencv": "auto", "ssd": "auto", "dlib": "auto", "mtcnn": "auto", "fastmtcnn": "auto", "retinaface": "auto",
    "mediapipe": "auto", "yolov8": "auto", "yolov8n": "auto", "yolov8m": "auto", "yolov8l": "auto", "yolov11n": "auto",
    "yolov11s": "auto", "yolov11m": "auto", "yolov11l": "auto", "yolov12n": "auto", "yolov12s": "auto",
    "yolov12m": "auto", "yolov12l": "auto", "centerface": "auto", "yunet": "yunet", "skip": "none",
}  # fmt: skip
"""DeepFace's detectors, and Mien's in their place: `auto` is Mien's own."""

Images = str | np.ndarray[Any, Any] | IO[bytes] | Sequence[str | np.ndarray[Any, Any] | IO[bytes]]


class FaceNotDetected(SourceError, ValueError):  # noqa: N818 - DeepFace's name
    """No face in the image, and `enforce_detection` was asked for."""


class ImageNotRead(SourceError, ValueError):  # noqa: N818
    """There is no such image, or it cannot be read: a ValueError, as in DeepFace."""


def analyze(
    img_path: Images,
    actions: str | Sequence[str] = ("emotion",),
    enforce_detection: bool = True,
    detector_backend: str = "opencv",
    align: bool = True,
    expand_percentage: int = 0,
    silent: bool = False,
    anti_spoofing: bool = False,
) -> list[Any]:
    """The expressions of all faces of an image, or of each of several.

    Args:
        img_path: a path, base64 text or data URI, an open binary file, or a BGR array (H, W, 3) as OpenCV has it; or a
            list of them, or an array (N, H, W, 3).
        actions: `emotion` alone; there is nothing else that Mien estimates.
        enforce_detection: an image without a face is an error; else all of it is taken for one face.
        detector_backend: one of `BACKENDS`; `skip`: each image is a face.
        align, expand_percentage, silent: taken and without effect: faces are cropped as the model was trained.
        anti_spoofing: must be False.

    Returns:
        A dictionary a face: `emotion` (per cent a label), `dominant_emotion`, `region` (x, y, w, h, left_eye,
        right_eye; pixels), `face_confidence` (0–1). For several images a list of such lists.

    Raises:
        FaceNotDetected: no face in an image, with `enforce_detection`.
        ImageNotRead: an image cannot be read.
        ConfigError: another action, an unknown detector, anti-spoofing.
    """
    _check(actions, detector_backend, anti_spoofing)
    pipeline = _pipeline(BACKENDS[detector_backend])
    one = is_one_image(img_path)
    found = [_describe(result, enforce_detection) for result in pipeline.run(_listed(img_path, one), color="bgr")]
    return found[0] if one else found


def _check(actions: str | Sequence[str], backend: str, anti_spoofing: bool) -> None:
    asked = [actions] if isinstance(actions, str) else list(actions)
    if asked != ["emotion"]:
        raise ConfigError(f"actions: expected ['emotion'], the only thing that Mien estimates, not {asked}")
    if backend not in BACKENDS:
        raise ConfigError(f"detector_backend: expected one of {', '.join(BACKENDS)}, not {backend!r}")
    if anti_spoofing:
        raise ConfigError("anti_spoofing: Mien does not tell real faces from pictures of faces: leave it out")


def _listed(images: Any, one: bool) -> list[Any]:
    return [images] if one else list(images)


@functools.cache
def _pipeline(detector: str) -> Pipeline:
    return Pipeline(detector=detector)


def _describe(result: Result, enforce_detection: bool) -> list[dict[str, Any]]:
    if result.frame is None:
        raise ImageNotRead(str(result.error)) from result.error
    if result.faces:
        return [_face(face) for face in result.faces]
    if enforce_detection:
        raise FaceNotDetected(
            f"{result.source}: no face was found; with enforce_detection=False the whole image is taken for one"
        )
    return [_face(face) | {"face_confidence": 0} for face in _whole(result.frame)]


def _whole(frame: Frame) -> list[Face]:
    height, width = frame.image.shape[:2]
    return _pipeline("none").analyze_frame(frame, Detections.from_boxes([[0, 0, width, height]], [1.0]))


def _face(face: Face) -> dict[str, Any]:
    found = face.to_deepface()
    return found | {"dominant_emotion": max(found["emotion"], key=found["emotion"].__getitem__)}
