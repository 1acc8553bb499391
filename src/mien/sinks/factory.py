"""Sinks by name and by a file's ending."""

from __future__ import annotations

from pathlib import Path

from mien.errors import ConfigError
from mien.sinks.peers import OpenFaceSink, PyFeatSink
from mien.sinks.tables import CsvSink, JsonLinesSink, ParquetSink, TableSink

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
