"""A result as tidy rows: one a face, and one for a frame without a face."""

from __future__ import annotations

from typing import Any

from mien.structures import Face, Result

Row = dict[str, Any]

BEFORE = (
    "source", "frame", "time_s", "track_id", "face", "success", "detection_score",
    "x", "y", "width", "height",
)  # fmt: skip
AFTER = ("top", "confidence", "abstained", "model", "detector")


def columns(labels: tuple[str, ...], *, moving: bool = False) -> tuple[str, ...]:
    """The columns of a row: one probability a label stands between the face and the verdict.

    With `moving` those probabilities are smoothed over time, and those of each frame alone follow at the end, as
    `raw_<label>` and `raw_top`.
    """
    further = (*(f"raw_{label}" for label in labels), "raw_top") if moving else ()
    return (*BEFORE, *labels, *AFTER, *further)


def rows(result: Result, labels: tuple[str, ...], *, moving: bool = False) -> list[Row]:
    """A row a face; one with `success` 0 and empty cells for a frame without; none for an unread picture."""
    if result.frame is None:
        return []
    empty: Row = dict.fromkeys(columns(labels, moving=moving))
    head = {"source": result.source, "frame": result.frame.index, "time_s": round(result.frame.time_s, 4)}
    if not result.faces:
        return [empty | head | {"success": 0}]
    return [empty | head | _cells(face) | (_raw(face) if moving else {}) for face in result.faces]


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
