"""Sinks by name and by a file's ending."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar

from mien.errors import ConfigError
from mien.labels import LANDMARKS
from mien.reading.results import Result, Row
from mien.sinks.tables import CsvSink, JsonLinesSink, ParquetSink, TableSink, csv_text
from mien.structures import Face, Pose

PYFEAT_NAMES = {
    "angry": "anger", "disgust": "disgust", "fear": "fear", "happy": "happiness", "sad": "sadness",
    "surprise": "surprise", "neutral": "neutral", "contempt": "contempt",
}  # fmt: skip


POINT_NAMES = tuple(f"{axis}_{place}" for axis in "xy" for place in range(LANDMARKS))
PYFEAT_POSE = ("Pitch", "Roll", "Yaw")


class OpenFaceSink(TableSink):
    """After OpenFace 2's FeatureExtraction: `frame, face_id, timestamp, confidence, success`, boxes, expressions.

    Frames count from 1 and faces from 0, as there; names and values are parted by a comma and a space. OpenFace has no
    columns for boxes and expressions: those are Mien's, and its gaze and action units are not here. With `geometry`
    its columns `pose_Rx, pose_Ry, pose_Rz` and `x_0 … x_67, y_0 … y_67` follow, see `openface_angles`. `confidence` is
    that of the detector; where there is no face, all values are 0. Nothing in a row names its source, so a table
    holds one.
    """

    resumable: ClassVar[bool] = False
    one_source: ClassVar[bool] = True

    def start(self) -> str:
        """The line of names."""
        names = ("frame", "face_id", "timestamp", "confidence", "success", "x", "y", "width", "height")
        further = ("pose_Rx", "pose_Ry", "pose_Rz", *POINT_NAMES) if self.geometry else ()
        return ", ".join((*names, *self.labels, *further)) + "\n"

    def rows(self, result: Result) -> Sequence[Row]:
        """A row a face, one of zeros without."""
        if result.frame is None:
            return []
        frame = {"frame": str(result.frame.index + 1), "timestamp": f"{result.frame.time_s:.3f}"}
        return [self._row(face) | frame for face in result.faces] or [self._row(None) | frame]

    def text(self, found: Sequence[Row]) -> str:
        """A line a row."""
        return "".join(", ".join(row.values()) + "\n" for row in found)

    def _row(self, face: Face | None) -> Row:
        x1, y1, x2, y2 = face.box if face else (0.0, 0.0, 0.0, 0.0)
        # Keys in column order; the caller fills in frame and time, which keep their place.
        number = _number(face) - 1 if face else 0
        return {
            "frame": "", "face_id": str(number), "timestamp": "",
            "confidence": f"{face.detection_score if face else 0:.2f}", "success": str(int(face is not None)),
            "x": f"{x1:.1f}", "y": f"{y1:.1f}", "width": f"{x2 - x1:.1f}", "height": f"{y2 - y1:.1f}",
            **{label: f"{face.probabilities[label] if face else 0:.4f}" for label in self.labels},
            **(self._shape(face) if self.geometry else {}),
        }  # fmt: skip

    def _shape(self, face: Face | None) -> Row:
        pose = face.pose if face else None
        angles = (0.0, 0.0, 0.0) if pose is None else openface_angles(pose)
        points = _points(face) or [0.0] * len(POINT_NAMES)
        return {f"R{axis}": f"{angle:.3f}" for axis, angle in zip("xyz", angles, strict=True)} | {
            name: f"{value:.1f}" for name, value in zip(POINT_NAMES, points, strict=True)
        }


class PyFeatSink(TableSink):
    """After py-feat's Fex tables: `frame, FaceRectX … FaceScore, anger … neutral, input, approx_time, Identity`.

    Frames count from 0, persons from 1 across all sources: nobody knows whether two sources show the same one. Where
    there is no face, the cells are empty, which pandas reads as NaN. With `geometry` `x_0 … y_67` and
    `Pitch, Roll, Yaw` in degrees stand before the expressions. Its action units are not here.
    """

    resumable: ClassVar[bool] = False
    _highest = _before = 0

    def start(self) -> str:
        """The line of names."""
        boxes = ("FaceRectX", "FaceRectY", "FaceRectWidth", "FaceRectHeight", "FaceScore")
        emotions = (PYFEAT_NAMES[label] for label in self.labels)
        further = (*POINT_NAMES, *PYFEAT_POSE) if self.geometry else ()
        return csv_text([("frame", *boxes, *further, *emotions, "input", "approx_time", "Identity")])

    def rows(self, result: Result) -> Sequence[Row]:
        """A row a face, an empty one without."""
        if result.frame is None:
            return []
        minutes, seconds = divmod(int(result.frame.time_s), 60)
        common = {"frame": result.frame.index, "input": result.source, "approx_time": f"{minutes:02}:{seconds:02}"}
        return [self._row(face) | common for face in result.faces] or [self._row(None) | common]

    def text(self, found: Sequence[Row]) -> str:
        """A line a row."""
        return csv_text([list(row.values()) for row in found])

    def enter(self, source: str) -> None:
        """Number the faces of the next source after those so far."""
        super().enter(source)
        self._before = self._highest

    def _row(self, face: Face | None) -> Row:
        further = (*POINT_NAMES, *PYFEAT_POSE) if self.geometry else ()
        names = (
            "frame", "x", "y", "width", "height", "score", *further, *self.labels, "input", "approx_time", "Identity",
        )  # fmt: skip
        # All keys first, in column order: values that are filled in later keep their place.
        row: Row = dict.fromkeys(names)
        if face is None:
            return row
        x1, y1, x2, y2 = face.box
        person = self._before + _number(face)
        self._highest = max(self._highest, person)
        return row | {
            "x": round(x1, 1), "y": round(y1, 1), "width": round(x2 - x1, 1), "height": round(y2 - y1, 1),
            "score": round(face.detection_score, 4), "Identity": f"Person_{person}",
            **{label: round(p, 4) for label, p in face.probabilities.items()},
            **(_pyfeat_shape(face) if self.geometry else {}),
        }  # fmt: skip


def openface_angles(pose: Pose) -> tuple[float, float, float]:
    """OpenFace's `pose_Rx, pose_Ry, pose_Rz` in radians of a head's pose.

    OpenFace has x to the picture's right, y down and z away from the camera, and R = Rx Ry Rz: Rx is positive when the
    face looks down, Ry when it turns to the picture's left, Rz when it leans to the picture's right.

    >>> [round(angle, 3) for angle in openface_angles(Pose(30, 0, 0))]
    [0.0, -0.524, 0.0]
    """
    yaw, pitch, roll = (math.radians(angle) for angle in pose)
    # Half a turn about x leads from Mien's axes to OpenFace's; there Mien's order is Ry(-yaw) Rx(pitch) Rz(-roll).
    cy, sy, cp, sp, cr, sr = (trig(angle) for angle in (-yaw, pitch, -roll) for trig in (math.cos, math.sin))
    r00, r01, r02 = cy * cr + sy * sp * sr, sy * sp * cr - cy * sr, sy * cp
    # 0 - r01 is never -0.0, as -r01 may be.
    return math.atan2(sp, cy * cp), math.asin(max(-1.0, min(1.0, r02))), math.atan2(0.0 - r01, r00)


def _pyfeat_shape(face: Face) -> Row:
    if face.pose is None:
        return {}
    points = (round(value, 1) for value in _points(face))
    angles = (round(angle, 2) for angle in (face.pose.pitch, face.pose.roll, face.pose.yaw))
    return dict(zip(POINT_NAMES, points, strict=True)) | dict(zip(PYFEAT_POSE, angles, strict=True))


def _points(face: Face | None) -> list[float]:
    """x of all 68 landmarks, then y; empty without."""
    return [point[axis] for axis in (0, 1) for point in face.landmarks68] if face else []


def _number(face: Face) -> int:
    """From 1: the track, or the place in the picture where nobody follows the faces."""
    return face.index + 1 if face.track_id is None else face.track_id


FORMATS: dict[str, type[TableSink]] = {
    "jsonl": JsonLinesSink, "csv": CsvSink, "parquet": ParquetSink, "openface": OpenFaceSink, "pyfeat": PyFeatSink,
}  # fmt: skip
"""Tables by the name of their format."""

SINKS: dict[str, str] = {
    ".jsonl": "jsonl", ".ndjson": "jsonl", ".csv": "csv", ".parquet": "parquet", ".openface.csv": "openface",
    ".pyfeat.csv": "pyfeat",
}  # fmt: skip
"""The format of each ending of a file name; the longest match counts."""


def find_format(path: str | Path, name: str | None = None) -> type[TableSink]:
    """The kind of table by its name, else by the ending of the file's name.

    Raises:
        ConfigError: an unknown name or ending.
    """
    if name is None:
        ending = max((end for end in SINKS if str(path).lower().endswith(end)), key=len, default=None)
        if ending is None:
            raise ConfigError(f"cannot tell the format of {path}: expected a name ending in {', '.join(SINKS)}")
        name = SINKS[ending]
    if name not in FORMATS:
        raise ConfigError(f"unknown format {name!r}: expected one of {', '.join(FORMATS)}")
    return FORMATS[name]


def create_sink(
    path: str | Path,
    labels: tuple[str, ...],
    *,
    format_name: str | None = None,
    overwrite: bool = False,
    moving: bool = False,
    geometry: bool = False,
    append: bool = False,
) -> TableSink:
    """A table to write results to, one row a face and one for a frame without; use it in a `with`.

    Args:
        path: the file, written as `<name>.part` until it is complete.
        labels: the users' labels.
        format_name: a name in `FORMATS`; by the ending of `path` if not given.
        overwrite: the file may be replaced.
        moving: results have smoothed values: those of each frame alone get further columns at the end.
        geometry: results have landmarks, head pose and blendshapes: they get columns as well.
        append: append to the rows of the part.

    Raises:
        ConfigError: an unknown format, an existing file, a folder that cannot be written.
        MissingExtraError: for Parquet without pyarrow.
    """
    kind = find_format(path, format_name)
    return kind(path, labels, overwrite=overwrite, moving=moving, geometry=geometry, append=append)
