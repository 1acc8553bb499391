"""Resuming a killed run: what its table holds, and at which frame the next run begins."""

from __future__ import annotations

import csv
import itertools
import json
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from mien.errors import ConfigError, DataError
from mien.reading.results import WORDS, Result, Row, columns, data_frame
from mien.sinks.base import cannot_write, lock, part_of
from mien.sinks.formats import find_format
from mien.sinks.tables import CsvSink, JsonLinesSink, ParquetSink, TableSink, csv_text, parquet_columns, read_parquet
from mien.structures import Face

OVERLAP_S = 2.0
"""So long before the last frame the next run begins, to know the tracks again and to fill the smoothing."""
JUST_BEFORE_S = 0.0005
"""Times are written in steps of 0.1 ms."""

Box = tuple[float, float, float, float]


@dataclass(frozen=True)
class Writer:
    """Whose rows a table must hold to be resumed: the columns, and name and version of model and detector."""

    labels: tuple[str, ...]
    moving: bool
    model: str
    detector: str
    geometry: bool = False
    still: str = ""
    """What rows of images name as their model, where it is not what rows of videos do."""

    @property
    def columns(self) -> tuple[str, ...]:
        """Those of its rows."""
        return columns(self.labels, moving=self.moving, geometry=self.geometry)


@dataclass(frozen=True)
class Seen:
    """The tracks of one frame: their numbers and xyxy boxes."""

    frame: int
    time_s: float
    boxes: tuple[tuple[int, Box], ...]


@dataclass
class Written:
    """What a table holds, without its last frame, which may lack rows and is done again.

    Args:
        done: sources that are complete.
        source: the one that the run was at; None for an empty table.
        recent: its frames from OVERLAP_S before the last one on; empty when none is kept.
        highest_id: of all its tracks.
    """

    done: set[str] = field(default_factory=set)
    source: str | None = None
    recent: deque[Seen] = field(default_factory=deque)
    highest_id: int = 0

    @property
    def frame(self) -> int:
        """Number of the last frame that is kept, -1 for none."""
        return self.recent[-1].frame if self.recent else -1

    @property
    def start_s(self) -> float:
        """Where to begin reading the source, so that tracks are known again."""
        return max(self.recent[0].time_s - JUST_BEFORE_S, 0.0) if self.recent else 0.0

    def enter(self, source: str) -> None:
        """Rows of this source follow."""
        if source == self.source:
            return
        if self.source is not None:
            self.done.add(self.source)
        # Track IDs begin anew in each source.
        self.source, self.highest_id = source, 0
        self.recent.clear()

    def keep(self, group: list[Row]) -> None:
        """The rows of a whole frame."""
        boxes = tuple((int(row["track_id"]), _box(row)) for row in group if row["track_id"] is not None)
        self.recent.append(Seen(int(group[0]["frame"]), float(group[0]["time_s"]), boxes))
        self.highest_id = max([self.highest_id, *(number for number, _ in boxes)])
        begin_s = self.recent[-1].time_s - OVERLAP_S
        while len(self.recent) > 1 and self.recent[1].time_s <= begin_s:
            self.recent.popleft()


def prepare_resume(path: Path, format_name: str | None, writer: Writer) -> Written:
    """Bring the part of a table, or else the finished table, into a state to resume from: whole frames in a part.

    Nothing is there: nothing is done, and the answer is an empty `Written`.

    Raises:
        ConfigError: the table is of another format, model, detector or label set than this run, or is no such table.
        DataError: it is damaged before its last line.
    """
    kind = find_format(path, format_name)
    if not kind.resumable:
        raise ConfigError(f"{path}: --resume works with Mien's own tables (.csv, .jsonl, .parquet) only")
    part = part_of(path)
    if not part.exists() and not path.exists():
        return Written()
    if part.exists():
        # The part is about to be rewritten: not under the hands of a run that still writes it.
        with part.open("ab") as file:
            lock(file, path)
    found = _check(_iter_table(path, part, kind), writer, path)
    written = Written()
    unnamed = part.with_name(f"{part.name}.tmp")
    try:
        # Into another file first: a kill now must not cost the rows that are there.
        with unnamed.open("w", encoding="utf-8", errors="backslashreplace", newline="") as file:
            file.write(_text(kind, None, writer))
            for row in _whole_frames(found, written):
                file.write(_text(kind, row, writer))
        if written.source is None:
            _require_begun(path, part, kind, writer)
        unnamed.replace(part)
    except OSError as error:
        raise cannot_write(path, error) from error
    except (ValueError, TypeError, KeyError, OverflowError) as error:
        raise DataError(f"{path}: expected the rows of an earlier run, a cell is damaged: {error}") from error
    finally:
        unnamed.unlink(missing_ok=True)
    return written


def iter_rows(path: Path, format_name: str | None = None) -> Iterator[Row]:
    """The rows of a part with their numbers as numbers; an incomplete last line is skipped.

    Raises:
        DataError: a line before the last is damaged.
    """
    return _iter_table(path, part_of(path), find_format(path, format_name))


def read_table(path: str | Path, format_name: str | None = None) -> Any:
    """A table of Mien's, CSV, JSON Lines or Parquet, as a DataFrame with the types of its columns.

    A CSV file holds no types: what reads one without a face takes its empty columns for text.

    Args:
        path: the file; of a run that did not finish, its part is read.
        format_name: a name in `FORMATS`; by the ending of `path` if not given.

    Raises:
        ConfigError: there is no such file, or it is not one of Mien's own tables.
        DataError: a line is damaged.
        MissingExtraError: neither pandas nor polars is installed.
    """
    target = Path(path)
    kind = find_format(target, format_name)
    if not kind.resumable:
        raise ConfigError(f"{path}: only Mien's own tables are read; this has the columns of another tool")
    if not target.exists() and not part_of(target).exists():
        raise ConfigError(f"{path}: no such file")
    found = list(_iter_table(target, part_of(target), kind))
    return data_frame(found, list(found[0]) if found else _names(target, kind))


def _names(path: Path, kind: type[TableSink]) -> list[str]:
    """The columns of a table without rows."""
    if not issubclass(kind, CsvSink):
        return []
    with path.open(encoding="utf-8", newline="") as file:
        return next(csv.reader(file), [])


def _iter_table(path: Path, part: Path, kind: type[TableSink]) -> Iterator[Row]:
    # The part of a Parquet file holds JSON Lines.
    existing = part if part.exists() else path
    read: Callable[[Path], Iterator[Row]] = _read_csv if issubclass(kind, CsvSink) else _read_json_lines
    if existing == path and issubclass(kind, ParquetSink):
        read = read_parquet
    try:
        yield from read(existing)
    except (OSError, ValueError, KeyError, TypeError, csv.Error) as error:
        # Whatever the readers of csv, JSON and Parquet make of a damaged file.
        reason = " ".join(str(error).split())
        raise DataError(f"{existing}: expected the rows of an earlier run, this is damaged: {reason}") from error


def _read_json_lines(path: Path) -> Iterator[Row]:
    with path.open(encoding="utf-8") as file:
        for number, line in enumerate(file, 1):
            # Only the last line can be torn by a kill.
            if not line.endswith("\n"):
                return
            try:
                row = json.loads(line)
            except json.JSONDecodeError as error:
                raise DataError(f"{path}, line {number}: expected a row, found {line[:40]!r}") from error
            if not isinstance(row, dict):
                raise DataError(f"{path}, line {number}: expected a row, found {line[:40]!r}")
            yield row


def _read_csv(path: Path) -> Iterator[Row]:
    with path.open(encoding="utf-8", newline="") as file:
        reader = csv.reader(file)
        names = next(reader, [])
        # One row behind: only the next row shows that this one is not the last, which may be torn.
        last: list[str] | None = None
        for line in itertools.chain(reader, [None]):
            if last is not None and (line is not None or _ends_with_newline(path)):
                if len(last) != len(names):
                    if line is None:
                        return
                    raise DataError(
                        f"{path}, line {reader.line_num - 1}: expected {len(names)} cells, found {len(last)}"
                    )
                yield {name: _value(name, text) for name, text in zip(names, last, strict=True)}
            last = line


def _ends_with_newline(path: Path) -> bool:
    with path.open("rb") as file:
        file.seek(max(file.seek(0, 2) - 1, 0))
        return file.read() == b"\n"


def _value(name: str, text: str) -> str | int | float | None:
    if not text:
        return None
    if name in WORDS:
        return text
    # As a DataFrame writes its flags.
    if text in ("True", "False"):
        return int(text == "True")
    try:
        return int(text)
    except ValueError:
        return float(text)


def _text(kind: type[TableSink], row: Row | None, writer: Writer) -> str:
    """A row as a part holds it; None for the header."""
    if issubclass(kind, JsonLinesSink):
        return "" if row is None else json.dumps(row, ensure_ascii=False, allow_nan=False) + "\n"
    return csv_text([writer.columns if row is None else list(row.values())])


def _check(found: Iterable[Row], writer: Writer, path: Path) -> Iterator[Row]:
    """The same rows; raise ConfigError when another kind of run wrote one."""
    names = writer.columns
    for row in found:
        if tuple(row) != names:
            raise ConfigError(
                f"{path} has other columns than this run would write: the same --labels, --no-track and --geometry "
                "are needed to resume, or --overwrite to start over"
            )
        for what, mine in (("model", writer.model), ("detector", writer.detector)):
            # Rows of frames without a face name neither.
            if row[what] not in (None, mine) and not (what == "model" and row[what] == writer.still):
                raise ConfigError(
                    f"{path} was written with the {what} {row[what]}, this run has {mine}: use the same, or "
                    "--overwrite to start over"
                )
        yield row


def _require_begun(path: Path, part: Path, kind: type[TableSink], writer: Writer) -> None:
    """Raise ConfigError where a file without a whole row is not the beginning of such a table: it is somebody's."""
    existing = part if part.exists() else path
    if existing == path and issubclass(kind, ParquetSink):
        # A whole file, which `read_parquet` has read: it says its columns itself.
        if parquet_columns(path) == writer.columns:
            return
        shown = "a table with other columns"
    else:
        begin = _text(kind, None, writer) or f'{{"{writer.columns[0]}": '
        with existing.open(encoding="utf-8", errors="replace", newline="") as file:
            start = file.read(len(begin))
        if begin.startswith(start):
            return
        shown = f"a file that begins with {start[:40]!r}"
    raise ConfigError(
        f"{existing}: expected the table of an earlier run, this is {shown}: choose another name, or --overwrite to "
        "replace it"
    )


def _whole_frames(found: Iterable[Row], written: Written) -> Iterator[Row]:
    """All rows but those of the last frame; `written` learns what they hold."""
    held: list[Row] = []
    # Rows of a frame are neighbours, so only one frame is held at a time.
    for (source, _), group in itertools.groupby(found, lambda row: (row["source"], row["frame"])):
        if held:
            written.keep(held)
            yield from held
        written.enter(source)
        held = list(group)


def _box(row: Row) -> Box:
    x, y = float(row["x"]), float(row["y"])
    return x, y, x + float(row["width"]), y + float(row["height"])


SAME_FACE = 0.3
"""Two boxes of one frame belong to one face if their overlap over their union is so much."""


class Renumbering:
    """Learns from frames that both runs have seen which new track is which old one; others get higher numbers.

    Args:
        seen: frames of the earlier run.
        highest_id: the earlier run's highest number.
    """

    def __init__(self, seen: Iterable[Seen], highest_id: int) -> None:
        self._seen = {entry.frame: entry.boxes for entry in seen}
        self._highest_id = highest_id
        self._votes: dict[tuple[int, int], float] = {}
        self._numbers: dict[int, int] | None = None

    def learn(self, result: Result) -> None:
        """Take a result of this run for a frame that the earlier one has written."""
        frame = -1 if result.frame is None else result.frame.index
        for old, box in self._seen.get(frame, ()):
            for face in result.faces:
                overlap = overlap_share(box, face.box)
                if face.track_id is not None and overlap >= SAME_FACE:
                    pair = (face.track_id, old)
                    self._votes[pair] = self._votes.get(pair, 0.0) + overlap

    def apply(self, result: Result) -> Result:
        """The result with the earlier run's numbers."""
        return replace(
            result,
            faces=[self._renamed(face) for face in result.faces],
            entered=tuple(map(self._number, result.entered)),
            left=tuple(map(self._number, result.left)),
        )

    def _renamed(self, face: Face) -> Face:
        return face if face.track_id is None else replace(face, track_id=self._number(face.track_id))

    def _number(self, new: int) -> int:
        if self._numbers is None:
            # At the first new frame, when all frames of the overlap have voted.
            self._numbers = match_by_votes(self._votes)
        if new not in self._numbers:
            self._highest_id += 1
            self._numbers[new] = self._highest_id
        return self._numbers[new]


def match_by_votes(votes: dict[tuple[int, int], float]) -> dict[int, int]:
    """One to one, the pair with the most votes first.

    >>> match_by_votes({(1, 7): 3.0, (2, 7): 2.0, (2, 8): 1.0})
    {1: 7, 2: 8}
    """
    matched: dict[int, int] = {}
    for new, old in sorted(votes, key=lambda pair: -votes[pair]):
        if new not in matched and old not in matched.values():
            matched[new] = old
    return matched


def overlap_share(first: Box, second: Box) -> float:
    """Area in common over the area of the union of two xyxy boxes, 0–1.

    >>> overlap_share((0, 0, 2, 2), (1, 0, 3, 2))
    0.3333333333333333
    """
    width = min(first[2], second[2]) - max(first[0], second[0])
    height = min(first[3], second[3]) - max(first[1], second[1])
    common = max(width, 0.0) * max(height, 0.0)
    areas = sum((box[2] - box[0]) * (box[3] - box[1]) for box in (first, second))
    return common / (areas - common) if areas > common else 0.0
