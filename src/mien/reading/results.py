"""A result as tidy rows: one a face, and one for a frame without a face."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from mien.errors import SourceError
from mien.labels import BLENDSHAPES, LANDMARKS
from mien.structures import Face, Frame

Row = dict[str, Any]

BEFORE = (
    "source", "frame", "time_s", "track_id", "face", "success", "detection_score",
    "x", "y", "width", "height",
)  # fmt: skip
AFTER = ("top", "confidence", "abstained", "model", "detector")
GEOMETRY = (
    "yaw", "pitch", "roll", "visible", *(f"{axis}_{place}" for axis in "xy" for place in range(LANDMARKS)),
    *(f"iris_{side}_{axis}" for side in ("right", "left") for axis in "xy"), *BLENDSHAPES,
)  # fmt: skip
"""Degrees, a share of 0–1, pixels and 0–1; see `mien.structures.Face`."""


def columns(labels: tuple[str, ...], *, moving: bool = False, geometry: bool = False) -> tuple[str, ...]:
    """The columns of a row: one probability a label stands between the face and the verdict.

    With `moving` those probabilities are smoothed over time, and those of each frame alone follow at the end, as
    `raw_<label>` and `raw_top`. With `geometry` the head's pose, the share of the 68 landmarks that is seen, the
    landmarks, the irises and the blendshapes follow.
    """
    further = (*(f"raw_{label}" for label in labels), "raw_top") if moving else ()
    return (*BEFORE, *labels, *AFTER, *further, *(GEOMETRY if geometry else ()))


def rows(result: Result, labels: tuple[str, ...], *, moving: bool = False, geometry: bool = False) -> list[Row]:
    """A row a face; one with `success` 0 and empty cells for a frame without; none for an unread picture."""
    if result.frame is None:
        return []
    empty: Row = dict.fromkeys(columns(labels, moving=moving, geometry=geometry))
    head = {"source": result.source, "frame": result.frame.index, "time_s": round(result.frame.time_s, 4)}
    if not result.faces:
        return [empty | head | {"success": 0}]
    return [
        empty | head | _cells(face) | (_raw(face) if moving else {}) | (_shape(face) if geometry else {})
        for face in result.faces
    ]


def _cells(face: Face) -> Row:
    x1, y1, x2, y2 = face.box
    return {
        "track_id": face.track_id,
        "face": face.index,
        "success": 1,
        "detection_score": round(face.detection_score, 4),
        "x": round(x1, 1),
        "y": round(y1, 1),
        "width": round(x2 - x1, 1),
        "height": round(y2 - y1, 1),
        **{label: round(p, 4) for label, p in face.probabilities.items()},
        "top": face.top,
        "confidence": round(face.confidence, 4),
        "abstained": int(face.abstained),
        "model": face.model,
        "detector": face.detector,
    }


def _raw(face: Face) -> Row:
    if face.raw is None:
        return {}
    return {**{f"raw_{label}": round(p, 4) for label, p in face.raw.items()}, "raw_top": face.raw_top}


@dataclass(frozen=True)
class Result:
    """What came of one picture.

    Args:
        source: its name.
        frame: the picture, or None when it could not be read.
        faces: those found in it, the detector's surest first; may be empty.
        error: why it could not be read, or None.
        seconds: spent on it, with its share of the batch.
        entered: in a video, tracks that begin with this frame.
        left: in a video, tracks that are given up at this frame; they were last seen before.
    """

    source: str
    frame: Frame | None
    faces: list[Face]
    error: SourceError | None = None
    seconds: float = 0.0
    entered: tuple[int, ...] = ()
    left: tuple[int, ...] = ()


def _shape(face: Face) -> Row:
    if face.pose is None:
        return {}
    seen = sum(p >= 0.5 for p in face.visible) / max(len(face.visible), 1)
    points = [round(point[axis], 1) for axis in (0, 1) for point in face.landmarks68]
    irises = [round(value, 1) for point in face.iris for value in point]
    weights = [round(value, 4) for value in (face.blendshapes or {}).values()]
    values = (*(round(angle, 1) for angle in face.pose), round(seen, 2), *points, *irises, *weights)
    return dict(zip(GEOMETRY, values, strict=True))
