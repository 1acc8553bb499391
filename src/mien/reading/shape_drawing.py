"""The geometry of faces drawn into a picture: landmarks joined to lines, and the head's axes."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence

import cv2
import numpy as np
import numpy.typing as npt

from mien.errors import ConfigError
from mien.faces.geometry import from_angles
from mien.structures import Face

UInt8 = npt.NDArray[np.uint8]
Colour = tuple[int, int, int]

LINES = (
    (0, 17, False), (17, 22, False), (22, 27, False), (27, 31, False), (31, 36, False),
    (36, 42, True), (42, 48, True), (48, 60, True), (60, 68, True),
)  # fmt: skip
"""iBUG's lines: the first point, the one behind the last, and whether the line is closed."""

AXES: tuple[Colour, ...] = ((220, 60, 60), (70, 190, 90), (70, 120, 235))
"""RGB of the axes to the person's left, up, and out of the face."""

_LINE: Colour = (245, 247, 250)
_HIDDEN: Colour = (140, 144, 150)
_IRIS: Colour = (96, 196, 240)
_SEEN = 0.5


def draw_landmarks(image: UInt8, faces: Sequence[Face]) -> UInt8:
    """A copy of RGB uint8 (H, W, 3) with the 68 landmarks of each face joined to lines, hidden ones grey."""
    out = image.copy()
    for face in faces:
        if not face.landmarks68:
            continue
        points = np.array(face.landmarks68, np.float32)
        width = max(1, round(_size(face) / 150))
        for first, last, closed in LINES:
            places = [*range(first, last), *([first] if closed else [])]
            for start, end in itertools.pairwise(places):
                seen = min(face.visible[start], face.visible[end]) >= _SEEN if face.visible else True
                _line(out, points[start], points[end], _LINE if seen else _HIDDEN, width)
        for x, y in face.iris:
            radius = max(1, round(_size(face) / 60))
            cv2.circle(out, (round(x), round(y)), radius, _IRIS, -1, cv2.LINE_AA)
    return out


def draw_pose(image: UInt8, faces: Sequence[Face]) -> UInt8:
    """A copy of RGB uint8 (H, W, 3) with the axes of each head, from between the eyes: red to the person's left, green
    up, blue where the face looks."""
    out = image.copy()
    for face in faces:
        if face.pose is None:
            continue
        rotation = from_angles(face.pose)
        origin = np.array(face.landmarks68[27]) if face.landmarks68 else np.array(_middle(face))
        length = 0.45 * _size(face)
        # What points away from the camera is drawn first.
        for axis in sorted(range(3), key=lambda axis: rotation[2, axis]):
            # The head's y points up, the picture's down.
            end = origin + length * rotation[:2, axis] * (1, -1)
            _line(out, origin, end, AXES[axis], max(1, round(_size(face) / 70)))
    return out


DRAWINGS = {"landmarks": draw_landmarks, "pose": draw_pose}
"""What can be drawn of a face's geometry, by name."""


def draw_geometry(image: UInt8, faces: Sequence[Face], names: Sequence[str]) -> UInt8:
    """What `names` lists of `DRAWINGS`, one over another; the image itself where it lists nothing.

    Raises:
        ConfigError: an unknown name.
    """
    for name in names:
        if name not in DRAWINGS:
            raise ConfigError(f"cannot draw {name!r}: expected one of {', '.join(DRAWINGS)}")
        image = DRAWINGS[name](image, faces)
    return image


def parse_drawings(text: str) -> tuple[str, ...]:
    """Names of `DRAWINGS` from a list with commas, each once.

    Raises:
        ConfigError: an unknown name.

    >>> parse_drawings("landmarks, pose")
    ('landmarks', 'pose')
    """
    names = tuple(dict.fromkeys(part.strip() for part in text.split(",") if part.strip()))
    for name in names:
        if name not in DRAWINGS:
            raise ConfigError(f"cannot draw {name!r}: expected some of {', '.join(DRAWINGS)} with commas between")
    return names


def _line(image: UInt8, start: npt.ArrayLike, end: npt.ArrayLike, colour: Colour, width: int) -> None:
    (x1, y1), (x2, y2) = (
        # OpenCV takes 32-bit integers, which a wild estimate must not overflow.
        np.clip(np.asarray(point, np.float64), -1e6, 1e6).round().astype(int).tolist()
        for point in (start, end)
    )
    cv2.line(image, (x1, y1), (x2, y2), colour, width, cv2.LINE_AA)


def _size(face: Face) -> float:
    x1, y1, x2, y2 = face.box
    return math.hypot(x2 - x1, y2 - y1) / math.sqrt(2)


def _middle(face: Face) -> tuple[float, float]:
    x1, y1, x2, y2 = face.box
    return (x1 + x2) / 2, (y1 + y2) / 2
