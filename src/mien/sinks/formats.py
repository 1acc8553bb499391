"""Sinks by name and by a file's ending."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar

from mien.errors import ConfigError
from mien.reading.results import Result, Row
from mien.sinks.tables import CsvSink, JsonLinesSink, ParquetSink, TableSink, csv_text
from mien.structures import Face

PYFEAT_NAMES = {
    "angry": "anger", "disgust": "disgust", "fear": "fear", "happy": "happiness", "sad": "sadness",
    "surprise": "surprise", "neutral": "neutral", "contempt": "contempt",
}  # fmt: skip


class OpenFaceSink(TableSink):
    """After OpenFace 2's FeatureExtraction: `frame, face_id, timestamp, confidence, success`, boxes, expressions.

    Frames count from 1 and faces from 0, as there; names and values are parted by a comma and a space. OpenFace has no
    columns for boxes and expressions: those are Mien's, and its gaze, pose, landmarks and action units are not here.
    `confidence` is that of the detector; where there is no face, all values are 0.
    """

    resumable: ClassVar[bool] = False

    def start(self) -> str:
        """The line of names."""
        names = ("frame", "face_id", "timestamp", "confidence", "success", "x", "y", "width", "height")
        return ", ".join((*names, *self.labels)) + "\n"

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
        number = _number(face) - 1 if face else 0
        return {
            "frame": "", "face_id": str(number), "timestamp": "",
            "confidence": f"{face.detection_score if face else 0:.2f}", "success": str(int(face is not None)),
            "x": f"{x1:.1f}", "y": f"{y1:.1f}", "width": f"{x2 - x1:.1f}", "height": f"{y2 - y1:.1f}",
        } | {label: f"{face.probabilities[label] if face else 0:.4f}" for label in self.labels}  # fmt: skip


class PyFeatSink(TableSink):
    """After py-feat's Fex tables: `frame, FaceRectX … FaceScore, anger … neutral, input, approx_time, Identity`.

    Frames count from 0. Where there is no face, the cells are empty, which pandas reads as NaN. py-feat's landmarks,
    poses and action units are not here.
    """

    resumable: ClassVar[bool] = False

    def start(self) -> str:
        """The line of names."""
        boxes = ("FaceRectX", "FaceRectY", "FaceRectWidth", "FaceRectHeight", "FaceScore")
        emotions = (PYFEAT_NAMES[label] for label in self.labels)
        return csv_text([("frame", *boxes, *emotions, "input", "approx_time", "Identity")])

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

    def _row(self, face: Face | None) -> Row:
        names = ("frame", "x", "y", "width", "height", "score", *self.labels, "input", "approx_time", "Identity")
        row: Row = dict.fromkeys(names)
        if face is None:
            return row
        x1, y1, x2, y2 = face.box
        return row | {
            "x": round(x1, 1), "y": round(y1, 1), "width": round(x2 - x1, 1), "height": round(y2 - y1, 1),
            "score": round(face.detection_score, 4), "Identity": f"Person_{_number(face)}",
            **{label: round(p, 4) for label, p in face.probabilities.items()},
        }  # fmt: skip


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
"""The format that an ending of the file's name stands for; the longest that fits counts."""


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
    append: bool = False,
) -> TableSink:
    """A table to write results to, one row a face and one for a frame without; use it in a `with`.

    Args:
        path: the file, written as `<name>.part` until it is complete.
        labels: the users' labels.
        format_name: a name in `FORMATS`; none for the one that the ending of `path` stands for.
        overwrite: the file may be replaced.
        moving: results have smoothed values: those of each frame alone get further columns at the end.
        append: go on behind the rows of the part.

    Raises:
        ConfigError: an unknown format, a file that is there already, a folder that cannot be written.
        MissingExtraError: for Parquet without pyarrow.
    """
    return find_format(path, format_name)(path, labels, overwrite=overwrite, moving=moving, append=append)
