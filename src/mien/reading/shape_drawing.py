"""The geometry of faces drawn into a picture: landmarks joined to lines, and the head's axes."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Sequence

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

LINE: Colour = (245, 247, 250)
HIDDEN: Colour = (140, 144, 150)
IRIS: Colour = (96, 196, 240)
_SEEN = 0.5


Place = tuple[float, float]


def outline(face: Face) -> Iterator[tuple[Place, Place, bool]]:
    """The lines between the 68 landmarks of a face: both ends in pixels, and whether they are seen; none without."""
    if not face.landmarks68:
        return
    for first, last, closed in LINES:
        places = [*range(first, last), *([first] if closed else [])]
        for start, end in itertools.pairwise(places):
            seen = min(face.visible[start], face.visible[end]) >= _SEEN if face.visible else True
            yield face.landmarks68[start], face.landmarks68[end], seen


def axes(face: Face) -> list[tuple[Place, Place, Colour]]:
    """The axes of a head, from between the eyes, that which points away from the camera first: both ends in pixels and
    the colour; none without a pose."""
    if face.pose is None:
        return []
    rotation = from_angles(face.pose)
    x, y = face.landmarks68[27] if face.landmarks68 else _middle(face)
    length = 0.45 * size_of(face)
    return [
        # The head's y points up, the picture's down.
        ((x, y), (x + length * float(rotation[0, axis]), y - length * float(rotation[1, axis])), AXES[axis])
        for axis in sorted(range(3), key=lambda axis: rotation[2, axis])
    ]


def draw_landmarks(image: UInt8, faces: Sequence[Face]) -> UInt8:
    """A copy of RGB uint8 (H, W, 3) with the 68 landmarks of each face joined to lines, hidden ones grey."""
    out = image.copy()
    for face in faces:
        width = max(1, round(size_of(face) / 150))
        for start, end, seen in outline(face):
            _line(out, start, end, LINE if seen else HIDDEN, width)
        for x, y in face.iris:
            radius = max(1, round(size_of(face) / 60))
            cv2.circle(out, (round(x), round(y)), radius, IRIS, -1, cv2.LINE_AA)
    return out


def draw_pose(image: UInt8, faces: Sequence[Face]) -> UInt8:
    """A copy of RGB uint8 (H, W, 3) with the axes of each head: red to the person's left, green up, blue where the
    face looks."""
    out = image.copy()
    for face in faces:
        for start, end, colour in axes(face):
            _line(out, start, end, colour, max(1, round(size_of(face) / 70)))
    return out


DRAWINGS = {"landmarks": draw_landmarks, "pose": draw_pose}
"""What can be drawn of a face's geometry, by name."""

VALUES = "values"
"""Valence, arousal and intensity as words; `mien.reading.drawing` writes them."""


def draw_geometry(image: UInt8, faces: Sequence[Face], names: Sequence[str]) -> UInt8:
    """What `names` lists of `DRAWINGS`, one over another; the image itself where it lists none of them.

    Raises:
        ConfigError: an unknown name.
    """
    for name in names:
        if name not in (*DRAWINGS, VALUES):
            raise ConfigError(f"cannot draw {name!r}: expected one of {', '.join((*DRAWINGS, VALUES))}")
        image = DRAWINGS[name](image, faces) if name in DRAWINGS else image
    return image


def parse_drawings(text: str, known: Sequence[str] = (*DRAWINGS, VALUES)) -> tuple[str, ...]:
    """Names of drawings from a list with commas, each once.

    Raises:
        ConfigError: an unknown name.

    >>> parse_drawings("landmarks, pose")
    ('landmarks', 'pose')
    """
    names = tuple(dict.fromkeys(part.strip() for part in text.split(",") if part.strip()))
    for name in names:
        if name not in known:
            raise ConfigError(f"cannot draw {name!r}: expected some of {', '.join(known)} with commas between")
    return names


def _line(image: UInt8, start: npt.ArrayLike, end: npt.ArrayLike, colour: Colour, width: int) -> None:
    (x1, y1), (x2, y2) = (
        # OpenCV takes 32-bit integers, which a wild estimate must not overflow.
        np.clip(np.asarray(point, np.float64), -1e6, 1e6).round().astype(int).tolist()
        for point in (start, end)
    )
    cv2.line(image, (x1, y1), (x2, y2), colour, width, cv2.LINE_AA)


def size_of(face: Face) -> float:
    """Side of a square with the diagonal of the face's box, pixels."""
    x1, y1, x2, y2 = face.box
    return math.hypot(x2 - x1, y2 - y1) / math.sqrt(2)


def _middle(face: Face) -> tuple[float, float]:
    x1, y1, x2, y2 = face.box
    return (x1 + x2) / 2, (y1 + y2) / 2
