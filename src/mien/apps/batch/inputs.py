"""What there is to read: files of folders, patterns, tables of paths and buckets, each a picture or a video."""

from __future__ import annotations

import glob
import os
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Literal

from mien.apps.storage import WEB, Storage, scheme_of
from mien.errors import ConfigError
from mien.images.pictures import SUFFIXES
from mien.sources.container import VIDEO_SUFFIXES, kind_of, split_address
from mien.sources.photos import describe_skipped

TABLES = frozenset([".csv", ".tsv", ".txt", ".parquet"])
COLUMN = "path"

Kind = Literal["picture", "video"]
Notify = Callable[[str], None]


@dataclass(frozen=True)
class Input:
    """One file to read.

    Args:
        name: its path or address.
        kind: a still picture, or something with frames over time.
        size: bytes; 0 where unknown.
    """

    name: str
    kind: Kind
    size: int = 0


def find_inputs(sources: Iterable[str], on_notice: Notify) -> list[Input]:
    """The files of all sources, each once, in the order in which they are first named.

    Args:
        sources: files, folders (with all below), patterns, tables of paths (.txt a path a line, .csv, .tsv or .parquet
            with a column `path`), and s3://, gs://, az:// or http(s):// addresses.
        on_notice: hears of what is skipped and of what is named twice.

    Raises:
        ConfigError: a source leads to nothing.
        StorageError: a bucket cannot be listed.
    """
    found: dict[str, Input] = {}
    twice = 0
    for source in sources:
        before = len(found) + twice
        for entry in _iter_source(source, on_notice):
            twice += entry.name in found
            found.setdefault(entry.name, entry)
        if len(found) + twice == before:
            raise ConfigError(f"{source}: there is no picture or video")
    if twice:
        on_notice(f"{twice:,} input{'s' if twice > 1 else ''} named more than once: read once")
    return list(found.values())


def _iter_source(source: str, on_notice: Notify) -> Iterator[Input]:
    if scheme_of(source) in WEB:
        yield Input(source, _kind_of_name(source) or "picture")
    elif scheme_of(source):
        yield from _iter_bucket(source, on_notice)
    elif "://" in source:
        raise ConfigError(f"{source}: expected a path, or an address that begins with s3://, gs://, az:// or https://")
    elif glob.has_magic(source) and not Path(source).exists():
        # Path.glob takes no absolute pattern.
        for name in sorted(glob.glob(source, recursive=True)):  # noqa: PTH207
            if Path(name).is_file():
                yield from _iter_file(name)
    elif Path(source).is_dir():
        yield from _iter_folder(source, on_notice)
    elif not Path(source).exists():
        raise ConfigError(f"{source}: there is no such file or folder")
    elif Path(source).suffix.lower() in TABLES:
        yield from _iter_table(Path(source), on_notice)
    else:
        yield from _iter_file(source)


def _iter_file(name: str) -> Iterator[Input]:
    """A file that was named itself is an input whatever it holds: its error stands in the output."""
    yield Input(name, "video" if kind_of(name) == "video" else "picture", _size(name))


def _iter_folder(source: str, on_notice: Notify) -> Iterator[Input]:
    skipped: Counter[str] = Counter()
    closed: list[OSError] = []
    for folder, below, files in os.walk(source, onerror=closed.append):
        # In place: os.walk descends into what is left in this list.
        below[:] = sorted(child for child in below if not child.startswith("."))
        for file in sorted(files):
            if file.startswith("."):
                continue
            name = os.path.join(folder, file)  # noqa: PTH118 — a Path a file takes three times as long
            # A GIF is a picture or a video by its content, and so is what has no known ending.
            kind = _kind_of_name(file) if not file.lower().endswith(".gif") else None
            if kind is None and (content := kind_of(name)) in ("image", "video"):
                kind = "video" if content == "video" else "picture"
            if kind is None:
                skipped[Path(file).suffix.lower() or "without an ending"] += 1
            else:
                yield Input(name, kind, _size(name) if kind == "video" else 0)
    if closed:
        raise ConfigError(f"{closed[0].filename}: cannot be opened: {closed[0].strerror}")
    if skipped:
        on_notice(f"{source}: {describe_skipped(skipped)}")


def _iter_bucket(source: str, on_notice: Notify) -> Iterator[Input]:
    """A file, a folder, or a pattern such as s3://bucket/photos/*.jpg."""
    parts = split_address(source)
    pattern, base = None, source
    if "*" in parts.path:
        pattern = _pattern(parts.path)
        # A store lists folders: all below the last part without a wildcard is looked at.
        base = parts._replace(path=re.split(r"/[^/]*\*", parts.path)[0]).geturl()
    storage = Storage(base)
    if not pattern and storage.exists() == "file":
        yield Input(source, _kind_of_name(parts.path) or "picture")
        return
    if not storage.exists():
        raise ConfigError(f"{base}: there is no such file, folder or bucket")
    above = split_address(base).path.rstrip("/")
    skipped: Counter[str] = Counter()
    for path, size in sorted(storage.list(recursive=True)):
        if (pattern and not pattern.fullmatch(f"{above}/{path}")) or PurePosixPath(path).name.startswith("."):
            continue
        kind = _kind_of_name(path)
        if kind is None:
            skipped[PurePosixPath(path).suffix.lower() or "without an ending"] += 1
        else:
            yield Input(storage.name_of(path), kind, size)
    if skipped:
        on_notice(f"{source}: {describe_skipped(skipped)}")


def _pattern(text: str) -> re.Pattern[str]:
    """A pattern of paths: `*` stays within a folder, `**/` stands for any folders or none."""
    meanings = {"**/": "(?:.*/)?", "*": "[^/]*"}
    return re.compile("".join(meanings.get(part) or re.escape(part) for part in re.split(r"(\*\*/|\*)", text)))


def _iter_table(path: Path, on_notice: Notify) -> Iterator[Input]:
    """The paths in a table, those that are not absolute counted from the table's own folder."""
    names = _read_names(path)
    for name in names:
        if not name:
            continue
        if scheme_of(name):
            yield Input(name, _kind_of_name(split_address(name).path) or "picture")
            continue
        file = os.path.join(path.parent, name)  # noqa: PTH118
        # A name that leads nowhere becomes an error in the output: one bad line of a million stops nothing.
        yield Input(file, _kind_of_name(name) or ("video" if kind_of(file) == "video" else "picture"), 0)


def _read_names(path: Path) -> list[str]:
    import pyarrow as pa
    from pyarrow import csv, parquet

    try:
        if path.suffix.lower() == ".txt":
            return [line.strip() for line in path.read_text(encoding="utf-8-sig").splitlines()]
        if path.suffix.lower() == ".parquet":
            table = parquet.read_table(path)
        else:
            parsing = csv.ParseOptions(delimiter="\t" if path.suffix.lower() == ".tsv" else ",")
            table = csv.read_csv(path, parse_options=parsing)
    except (OSError, pa.ArrowException, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: cannot be read as a table of paths: {' '.join(str(error).split())}") from error
    if COLUMN not in table.column_names:
        raise ConfigError(f"{path}: expected a column {COLUMN!r}, found {', '.join(table.column_names)}")
    return [str(value or "").strip() for value in table.column(COLUMN).to_pylist()]


def _kind_of_name(name: str) -> Kind | None:
    suffix = PurePosixPath(split_address(name).path if "://" in name else name).suffix.lower()
    if suffix in SUFFIXES:
        return "picture"
    return "video" if suffix in VIDEO_SUFFIXES else None


def _size(name: str) -> int:
    try:
        return os.stat(name).st_size  # noqa: PTH116
    except OSError:
        return 0
