"""Mien's own rows as JSON Lines, CSV and Parquet."""

from __future__ import annotations

import csv
import io
import itertools
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, ClassVar, Self

from mien.errors import ConfigError, MissingExtraError
from mien.reading.results import FLAGS, Result, Row, columns, kind_of, rows
from mien.sinks.base import PartFile, cannot_write, refuse_existing, refuse_unfinished

ROW_GROUP = 20_000
UNITS = {
    "time_s": "seconds from the start of the source", "x, y, width, height": "pixels of the upright frame",
    "probabilities": "0–1", "yaw, pitch, roll": "degrees",
}  # fmt: skip


class TableSink:
    """Rows reach the disk with every result, `count` of them so far; after an error or a kill they are in a part.

    Args:
        path: the target.
        labels: the users' labels, a column of probabilities each.
        overwrite: the target may be replaced.
        moving: results have smoothed values, see `columns`.
        geometry: results have landmarks, head pose and blendshapes.
        append: append to the rows of the part, see `mien.sinks.resume`.

    Raises:
        ConfigError: the target exists, another run is writing it or has left an unfinished part, or it cannot be
            written.
    """

    resumable: ClassVar[bool] = True
    one_source: ClassVar[bool] = False
    """Nothing in a row names its source."""

    def __init__(
        self,
        path: str | Path,
        labels: tuple[str, ...],
        *,
        overwrite: bool = False,
        moving: bool = False,
        geometry: bool = False,
        append: bool = False,
    ) -> None:
        self.path = Path(path)
        self.labels = labels
        self.moving = moving
        self.geometry = geometry
        refuse_existing(self.path, overwrite=overwrite or append)
        if not (overwrite or append):
            refuse_unfinished(self.path)
        self.count = 0
        self._source: str | None = None
        self._check()
        self._file = PartFile(self.path, append=append)
        if not self._file.size:
            self._file.write(self.start())

    def _check(self) -> None:
        """Refuse what cannot be written before any file is made."""

    def start(self) -> str:
        """The header."""
        return ""

    def text(self, found: Sequence[Row]) -> str:
        """Rows as the file holds them."""
        raise NotImplementedError

    def rows(self, result: Result) -> Sequence[Row]:
        """The rows of a result."""
        return rows(result, self.labels, moving=self.moving, geometry=self.geometry)

    def enter(self, source: str) -> None:
        """Begin with the rows of another source.

        Raises:
            ConfigError: the table is of one source, and this is the second.
        """
        if self.one_source and self._source is not None:
            raise several_sources(self.path)
        self._source = source

    def write(self, result: Result) -> None:
        """Add a result's rows.

        Raises:
            ConfigError: they are of a second source, and a table of this kind holds one; or it cannot be written.
        """
        if result.frame is not None and result.source != self._source:
            self.enter(result.source)
        found = self.rows(result)
        self._file.write(self.text(found))
        self.count += len(found)

    def close(self) -> None:
        """Give the finished file its name."""
        self._file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None:
            self.close()
        else:
            self._file.release()


class JsonLinesSink(TableSink):
    """A JSON object a row."""

    def text(self, found: Sequence[Row]) -> str:
        """A line a row."""
        return "".join(json.dumps(row, ensure_ascii=False, allow_nan=False) + "\n" for row in found)


class CsvSink(TableSink):
    """Comma separated, a line of column names first, empty cells for missing values."""

    def start(self) -> str:
        """The line of names."""
        return csv_text([columns(self.labels, moving=self.moving, geometry=self.geometry)])

    def text(self, found: Sequence[Row]) -> str:
        """A line a row."""
        return csv_text([list(row.values()) for row in found])


class ParquetSink(JsonLinesSink):
    """Columns with types, in row groups. Until it is closed the part holds JSON Lines, which survive a kill."""

    def _check(self) -> None:
        need_pyarrow()

    def close(self) -> None:
        """Turn the rows into Parquet and give the file its name."""
        # Closed first, because Windows cannot remove an open file.
        self._file.release()
        names = columns(self.labels, moving=self.moving, geometry=self.geometry)
        write_parquet(self._file.part, self.path, parquet_schema(names), self.labels)


def several_sources(path: Path) -> ConfigError:
    """The error to raise for a second source where no column would tell it from the first."""
    return ConfigError(
        f"{path}: a table with OpenFace's columns has none for the source, so it holds one video or image: write one "
        "file a source, or csv, jsonl, parquet or pyfeat for several"
    )


def csv_text(lines: Sequence[Sequence[Any]]) -> str:
    """Lines of CSV, quoted where that is needed."""
    text = io.StringIO()
    # The csv module's own default is \r\n.
    csv.writer(text, lineterminator="\n").writerows(lines)
    return text.getvalue()


def need_pyarrow() -> None:
    """Raise MissingExtraError unless Parquet can be read and written."""
    from importlib.util import find_spec

    if find_spec("pyarrow") is None:
        raise MissingExtraError("pyarrow", "parquet")


def parquet_schema(names: Sequence[str]) -> Any:
    """The type of each column, an Arrow schema."""
    import pyarrow as pa

    kinds = {"word": pa.string(), "count": pa.int32(), "flag": pa.bool_(), "number": pa.float32()}
    # After three hours, float32 counts seconds in steps of a millisecond; a stream may run for years.
    wide = {"time_s": pa.float64(), "frame": pa.int64()}
    return pa.schema([(name, wide.get(name, kinds[kind_of(name)])) for name in names])


def describe_table(lines: Path, labels: Sequence[str]) -> dict[str, str]:
    """What a Parquet file says of itself under the key `mien`: versions, labels, models and detectors of its rows."""
    used: dict[str, dict[str, None]] = {"model": {}, "detector": {}}
    with lines.open(encoding="utf-8") as file:
        for row in map(json.loads, file):
            for name, values in used.items():
                if row[name] is not None:
                    values[row[name]] = None
    return table_metadata(labels, list(used["model"]), list(used["detector"]))


def table_metadata(labels: Sequence[str], models: Sequence[str], detectors: Sequence[str]) -> dict[str, str]:
    """The key `mien` of a Parquet file's metadata."""
    from importlib.metadata import version

    told = {"version": version("mien"), "labels": list(labels), "models": list(models)}
    return {"mien": json.dumps(told | {"detectors": list(detectors), "units": UNITS}, ensure_ascii=False)}


def write_parquet(lines: Path, target: Path, schema: Any, labels: Sequence[str]) -> None:
    """Turn JSON Lines into Parquet, whole or not at all, and remove the lines.

    Raises:
        ConfigError: it cannot be written; the lines stay.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    unnamed = target.with_name(f".{target.name}.tmp")
    schema = schema.with_metadata(describe_table(lines, labels))
    try:
        with lines.open(encoding="utf-8") as file, pq.ParquetWriter(unnamed, schema, compression="zstd") as writer:
            while group := [for_arrow(json.loads(line)) for line in itertools.islice(file, ROW_GROUP)]:
                # With the schema, because columns of a group without faces would have no type.
                writer.write_table(pa.Table.from_pylist(group, schema=schema))
        unnamed.replace(target)
    except OSError as error:
        unnamed.unlink(missing_ok=True)
        raise cannot_write(target, error, f"; all rows are in {lines}, as JSON Lines") from error
    lines.unlink()


def read_parquet(source: Path) -> Iterator[Row]:
    """The rows of a Parquet file, a group at a time in memory."""
    import pyarrow.parquet as pq

    with pq.ParquetFile(source) as file:
        for batch in file.iter_batches(ROW_GROUP):
            for row in batch.to_pylist():
                # As the other tables have them.
                yield row | {name: None if row[name] is None else int(row[name]) for name in FLAGS}


def parquet_columns(source: Path) -> tuple[str, ...]:
    """The names of a Parquet file's columns."""
    import pyarrow.parquet as pq

    return tuple(pq.read_schema(source).names)


def for_arrow(row: Row) -> Row:
    """A row for Arrow: odd bytes of a file name written out, for its strings hold Unicode alone; flags as booleans."""
    flags = {name: None if row[name] is None else bool(row[name]) for name in FLAGS}
    return row | flags | {"source": row["source"].encode("utf-8", "backslashreplace").decode()}
