"""Reads and writes the table of issues: `issues.csv` or `.parquet`, with a `.json` and an `.npz` of its name beside it.

The table holds a line an issue. The JSON names the data set, the archive holds out-of-fold
probabilities and which pictures are alike. All three belong together; reading fails where they do not.
"""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from mien.errors import ConfigError, DataError, MissingExtraError, OutputError
from mien.files import read_npz, replacing, require_free, write_whole
from mien.workshop.curation.issues import KINDS, SUGGESTIONS, Issue, IssueTable
from mien.workshop.data.base import csv_bytes, read_csv_rows

FORMAT = 1
"""Version of the format on disk; a table with another one is refused."""

COLUMNS = ("number", "kind", "score", "suggestion", "label", "rows", "ids", "detail")
SUFFIXES = (".csv", ".parquet")

_ABOUT = {
    "data": str, "dataset": str, "sha256": str, "dataset_rows": int, "model": str, "created": str, "classes": list,
    "notes": list,
}  # fmt: skip


def table_files(path: Path) -> list[Path]:
    """The files of a table called `path`: itself, `.json`, `.npz`, and the page `.html`.

    Raises:
        ConfigError: for another ending than `SUFFIXES`.
    """
    path = Path(path)
    if path.suffix.lower() not in SUFFIXES:
        raise ConfigError(f"{path}: a table of issues ends in {' or '.join(SUFFIXES)}, such as issues.csv")
    return [path, *(path.with_suffix(ending) for ending in (".json", ".npz", ".html"))]


def require_free_table(path: Path, *, overwrite: bool) -> None:
    """Raise if a table cannot be written: long work checks that before it begins.

    Raises:
        OutputError: one of its files already exists and `overwrite` is not set.
        ConfigError: for another ending.
        MissingExtraError: Parquet is asked for without pyarrow.
    """
    files = table_files(path)
    for file in files:
        require_free(file, overwrite=overwrite)
    if files[0].suffix.lower() == ".parquet":
        _pyarrow()


def write_table(table: IssueTable, path: Path, *, overwrite: bool = False) -> list[Path]:
    """Write the table, its `.json` and its `.npz`, each atomically; the folder is made.

    Args:
        table: what was found.
        path: `….csv` or `….parquet`.
        overwrite: replace files that are there.

    Returns:
        The three files.

    Raises:
        OutputError: one already exists, or cannot be written.
        ConfigError: for another ending.
        MissingExtraError: Parquet is asked for without pyarrow.
    """
    require_free_table(path, overwrite=overwrite)
    main, about, arrays, _ = table_files(path)
    lines = [_line(issue, table.ids) for issue in table.issues]
    try:
        # The table last: whoever finds it finds the other two complete.
        main.parent.mkdir(parents=True, exist_ok=True)
        with replacing(arrays) as file:
            np.savez(
                file, allow_pickle=False, created=np.array(table.created), rows=table.rows,
                probabilities=table.probabilities, neighbours=table.neighbours,
            )  # fmt: skip
        write_whole(about, _about_json(table, lines))
        write_whole(main, _parquet_bytes(lines) if main.suffix.lower() == ".parquet" else csv_bytes([COLUMNS, *lines]))
    except OSError as error:
        raise OutputError.of(main, error) from error
    return [main, about, arrays]


def read_table(path: Path) -> IssueTable:
    """Read what `write_table` wrote.

    Raises:
        DataError: a file is missing or damaged, or they do not belong together.
        ConfigError: for another ending.
        MissingExtraError: for Parquet without pyarrow.
    """
    main, about_file, arrays_file, _ = table_files(path)
    about = _read_about(about_file)
    lines = _read_parquet(main) if main.suffix.lower() == ".parquet" else _read_csv(main)
    # People's decisions name issues by number alone, so a changed table must not pass.
    if _fingerprint(lines) != about["fingerprint"]:
        raise DataError(
            f"{main} and {about_file.name} do not belong together: the table was changed or is of another run; "
            "decisions refer to its numbers, so make it again with mien data curate"
        )
    created, rows, probabilities, neighbours = _read_arrays(arrays_file)
    if created != about["created"] or probabilities.shape[1] != len(about["classes"]):
        raise DataError(f"{arrays_file} and {about_file.name} come from different runs: rerun mien data curate")
    issues: list[Issue] = []
    ids: dict[int, str] = {}
    for line in lines:
        issue, names = _issue(line, main, about["dataset_rows"])
        issues.append(issue)
        ids.update(zip(issue.rows, names, strict=True))
    return IssueTable(
        tuple(issues), about["data"], about["dataset"], about["sha256"], about["dataset_rows"], ids, about["model"],
        about["created"], tuple(about["classes"]), rows, probabilities, neighbours, tuple(about["notes"]),
        {str(word): str(label) for word, label in about.get("mapping", {}).items()},
    )  # fmt: skip


def _line(issue: Issue, ids: dict[int, str]) -> list[str]:
    """The cells of an issue; a semicolon within an id is written as %3B, a per cent sign as %25."""
    names = (ids[row].replace("%", "%25").replace(";", "%3B") for row in issue.rows)
    return [
        # `repr` keeps every digit of the score, so that the fingerprint is that of what is read back.
        str(issue.number), issue.kind, repr(float(issue.score)), issue.suggestion, issue.label,
        ";".join(map(str, issue.rows)), ";".join(names), issue.detail,
    ]  # fmt: skip


def _issue(line: Sequence[str], path: Path, dataset_rows: int) -> tuple[Issue, list[str]]:
    """An issue and the ids of its rows, from its cells."""
    number, kind, score, suggestion, label, rows, ids, detail = line
    try:
        positions = tuple(int(row) for row in rows.split(";") if row)
        issue = Issue(int(number), kind, positions, float(score), suggestion, label, detail)
    except ValueError as error:
        raise DataError(f"{path}, issue {number!r}: {error}; make the table again with mien data curate") from error
    names = [name.replace("%3B", ";").replace("%25", "%") for name in ids.split(";")] if issue.rows else []
    if kind not in KINDS or suggestion not in SUGGESTIONS:
        raise DataError(f"{path}, issue {number}: {kind!r} with {suggestion!r} is not an issue that this version knows")
    if len(names) != len(issue.rows) or any(not 0 <= row < dataset_rows for row in issue.rows):
        raise DataError(f"{path}, issue {number}: its rows do not fit its ids or a data set of {dataset_rows:,} rows")
    return issue, names


def _fingerprint(lines: Iterable[Sequence[str]]) -> str:
    """A hash of the issues, the same for every file format."""
    digest = hashlib.sha256()
    for line in lines:
        # Separators that no cell holds. Ids are names of files, which need not be Unicode.
        digest.update("\x1f".join(line).encode("utf-8", "surrogateescape") + b"\x1e")
    return digest.hexdigest()


def _about_json(table: IssueTable, lines: Sequence[Sequence[str]]) -> bytes:
    content: dict[str, Any] = {"format": FORMAT, "issues": len(lines), "fingerprint": _fingerprint(lines)}
    content |= {name: getattr(table, name) for name in _ABOUT}
    if table.mapping:
        content["mapping"] = table.mapping
    return (json.dumps(content, indent=1) + "\n").encode()


def _read_about(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_bytes())
    except FileNotFoundError as error:
        raise DataError(f"{path} is missing: a table of issues is read with its .json and .npz beside it") from error
    except (OSError, ValueError) as error:
        raise DataError(f"{path} cannot be read: {error}; make it again with mien data curate") from error
    if not isinstance(content, dict) or content.get("format") != FORMAT:
        found = content.get("format") if isinstance(content, dict) else None
        raise DataError(f"{path}: expected format {FORMAT} of a table of issues, found {found!r}")
    for name, kind in {**_ABOUT, "fingerprint": str}.items():
        if not isinstance(content.get(name), kind):
            raise DataError(f"{path}: `{name}` is missing or not a {kind.__name__}; rerun mien data curate")
    if not isinstance(content.get("mapping", {}), dict):
        raise DataError(f"{path}: `mapping` is not a dict; rerun mien data curate")
    return content


def _read_arrays(path: Path) -> tuple[str, Any, Any, Any]:
    try:
        created, rows, shares, near = read_npz(path, ("created", "rows", "probabilities", "neighbours")).values()
    except FileNotFoundError as error:
        raise DataError(f"{path} is missing: a table of issues is read with its .json and .npz beside it") from error
    except (OSError, ValueError) as error:
        raise DataError(f"{path} is damaged: {error}; make it again with mien data curate") from error
    if rows.ndim != 1 or shares.ndim != 2 or near.ndim != 2 or not len(rows) == len(shares) == len(near):
        raise DataError(f"{path}: arrays of shapes {rows.shape}, {shares.shape}, {near.shape} do not fit one another")
    return str(created), rows.astype(np.int64), shares.astype(np.float32), near.astype(np.int64)


def _read_csv(path: Path) -> list[list[str]]:
    header, rows = read_csv_rows(path, "a table of issues", errors="surrogateescape")
    lines = [line for _, line in rows]
    if tuple(header) != COLUMNS or any(len(line) != len(COLUMNS) for line in lines):
        raise DataError(f"{path} is not a table of issues: expected the columns {', '.join(COLUMNS)} in every line")
    return lines


def _parquet_bytes(lines: Sequence[Sequence[str]]) -> bytes:
    arrow, parquet = _pyarrow()
    kinds = {"number": arrow.int64(), "score": arrow.float64()}
    schema = arrow.schema([(name, kinds.get(name, arrow.string())) for name in COLUMNS])
    casts = {"number": int, "score": float}
    records = [{name: casts.get(name, str)(cell) for name, cell in zip(COLUMNS, line, strict=True)} for line in lines]
    sink = io.BytesIO()
    parquet.write_table(arrow.Table.from_pylist(records, schema=schema), sink)
    return sink.getvalue()


def _read_parquet(path: Path) -> list[list[str]]:
    arrow, parquet = _pyarrow()
    try:
        columns = parquet.read_table(io.BytesIO(path.read_bytes()), columns=list(COLUMNS)).to_pydict()
    except (OSError, arrow.ArrowException) as error:
        raise DataError(f"{path} cannot be read as a table of issues: {error}") from error
    if tuple(columns) != COLUMNS:
        raise DataError(f"{path} is not a table of issues: expected the columns {', '.join(COLUMNS)}")
    return [list(map(_cell, line)) for line in zip(*columns.values(), strict=True)]


def _cell(value: object) -> str:
    return repr(value) if isinstance(value, float) else str(value)


def _pyarrow() -> tuple[Any, Any]:
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError as error:
        raise MissingExtraError("pyarrow", "parquet") from error
    return pyarrow, pyarrow.parquet
