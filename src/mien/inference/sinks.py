"""Where results go: JSON Lines and CSV, one tidy row a face."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Protocol, Self

from mien.errors import ConfigError
from mien.inference.pipeline import Result
from mien.structures import Face

Row = dict[str, Any]

BEFORE = (
    "source", "frame", "time_s", "track_id", "face", "success", "detection_score",
    "x", "y", "width", "height",
)  # fmt: skip
AFTER = ("top", "confidence", "abstained", "model", "detector")


def columns(labels: tuple[str, ...]) -> tuple[str, ...]:
    """The columns of a row: one probability a label stands between the face and the verdict."""
    return (*BEFORE, *labels, *AFTER)


def rows(result: Result, labels: tuple[str, ...]) -> list[Row]:
    """A row a face; one with `success` 0 and empty cells for a picture without; none for an unread one."""
    if result.frame is None:
        return []
    head = {"source": result.source, "frame": result.frame.index, "time_s": round(result.frame.time_s, 4)}
    if not result.faces:
        return [dict.fromkeys(columns(labels)) | head | {"success": 0}]
    return [dict.fromkeys(columns(labels)) | head | _cells(face) for face in result.faces]


class Sink(Protocol):
    """Takes results one by one; what was written is complete after `close`."""

    def write(self, result: Result) -> None:
        """Add a picture's rows."""
        ...

    def close(self) -> None:
        """Finish the file."""
        ...

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...


class _FileSink:
    """Streams to `<name>.part` beside the target and renames it when closed.

    After an error or a kill the part stays, with the rows so far; the next run to this target starts it anew.
    """

    def __init__(self, path: str | Path, labels: tuple[str, ...], *, overwrite: bool = False) -> None:
        self.path = Path(path)
        self.labels = labels
        if self.path.exists() and not overwrite:
            raise ConfigError(
                f"{self.path} is there already: choose another name, or allow it with --overwrite (overwrite=True)"
            )
        self.part = self.path.with_name(f"{self.path.name}.part")
        try:
            # A file name that is no Unicode is written with its odd bytes as \udcXX.
            self._file: IO[str] = self.part.open(
                "w", encoding="utf-8", errors="backslashreplace", newline="", buffering=1 << 16
            )
        except OSError as error:
            raise ConfigError(f"cannot write {self.path}: {error.strerror or error}") from error
        self._start(self._file)

    def _start(self, file: IO[str]) -> None:
        """Write what stands before the first row."""

    def _put(self, row: Row) -> None:
        raise NotImplementedError

    def write(self, result: Result) -> None:
        """Add a picture's rows."""
        for row in rows(result, self.labels):
            self._put(row)

    def close(self) -> None:
        """Give the finished file its name."""
        self._file.close()
        self.part.replace(self.path)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None:
            self.close()
        else:
            self._file.close()


class JsonLinesSink(_FileSink):
    """A JSON object a row."""

    def _put(self, row: Row) -> None:
        self._file.write(json.dumps(row, ensure_ascii=False, allow_nan=False) + "\n")


class CsvSink(_FileSink):
    """Comma separated, a line of column names first, empty cells for what there is not."""

    def _start(self, file: IO[str]) -> None:
        self._writer = csv.DictWriter(file, columns(self.labels), lineterminator="\n")
        self._writer.writeheader()

    def _put(self, row: Row) -> None:
        self._writer.writerow(row)


SINKS: dict[str, type[JsonLinesSink] | type[CsvSink]] = {
    ".jsonl": JsonLinesSink, ".ndjson": JsonLinesSink, ".csv": CsvSink,
}  # fmt: skip
"""Writers by the ending of the file's name."""


def create_sink(path: str | Path, labels: tuple[str, ...], *, overwrite: bool = False) -> Sink:
    """A writer by the ending of the file's name; use it in a `with`.

    Raises:
        ConfigError: an unknown ending, a file that is there already, a folder that cannot be written.
    """
    kind = SINKS.get(Path(path).suffix.lower())
    if kind is None:
        raise ConfigError(f"cannot tell the format of {path}: expected a name ending in {', '.join(SINKS)}")
    return kind(path, labels, overwrite=overwrite)


def _cells(face: Face) -> Row:
    x1, y1, x2, y2 = face.box
    return {
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
