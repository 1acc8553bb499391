"""The challenge's csv: a label, 2,304 grey values and a Usage a row, in either published order of columns."""

from __future__ import annotations

import contextlib
import hashlib
import logging
import warnings
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from operator import itemgetter
from pathlib import Path
from typing import Any, BinaryIO, cast

import numpy as np
import numpy.typing as npt

from mien import files
from mien.arrays import Bool, Float32, Int8, Int64, UInt8
from mien.errors import DataError
from mien.labels import AFFECT, CROWD, SEVEN, VOTE_COLUMNS
from mien.workshop.data import cache
from mien.workshop.data.affect_columns import affect_names, check_affect, none_if_empty, parse_affect
from mien.workshop.data.base import FaceDataset, read_csv_rows

NAME = "FER2013"
SIDE_PX = 48
PIXELS = SIDE_PX * SIDE_PX

COUNTS = {"Training": 28_709, "PublicTest": 3_589, "PrivateTest": 3_589}
"""Rows of each Usage in the challenge's file."""

USAGES = tuple(COUNTS)
"""The challenge's names of the splits, in the order of `base.SPLITS`."""

FILE_NAMES = ("fer2013.csv", "icml_face_data.csv")
"""The two names under which the challenge published the file."""

_LOG = logging.getLogger("mien")
_ARRAYS = ("images", "labels", "split")
_LONGEST_HEADER_BYTES = 4096

_LABELS = tuple(str(index) for index in range(len(SEVEN)))
_ARCHIVED = ("images", "label", "usage")
VOTE_FILE_NAMES = ("ferplus.csv", "fer2013new.csv")
"""Names of the votes' file; the second is that of Microsoft's repository."""
_COLUMNS = ("Usage", *VOTE_COLUMNS)
_USAGE_INDEX = {usage: index for index, usage in enumerate(USAGES)}
Votes = UInt8


def read_csv(path: Path, *, member: str = "", cache_dir: Path | None = None) -> FaceDataset:
    """Read `fer2013.csv` or `icml_face_data.csv`; from the second time on out of a cache.

    Where a file of this form has columns `valence`, `arousal` and `intensity` as well, they are read.

    Args:
        path: the csv, or a zip archive with it; its columns are found by name, whatever their order and case.
        member: its name in the archive.
        cache_dir: where the parsed arrays are kept; Mien's own cache folder by default.

    Raises:
        DataError: for anything that is not as expected, with file, row and what was expected; nothing is
            cached then.
    """
    folder = cache_dir or cache.default_cache_dir()
    sha256 = cache.file_sha256(path, folder)
    affect = bool(affect_names(_open_header(path, member)))
    key = f"fer2013-{'affect-' if affect else ''}{sha256}"
    cached = cache.load(folder, key, (*_ARRAYS, "affect") if affect else _ARRAYS)
    # Another version of Mien may have written the cache, so its shapes are looked at.
    arrays = cached if cached is not None and _fits(cached) else _parse(path, member)
    warn_of_counts(path, arrays["split"])
    if arrays is not cached:
        cache.save(folder, key, arrays)
    dataset = from_arrays(arrays["images"], arrays["labels"], arrays["split"], sha256=sha256)
    return replace(dataset, affect=none_if_empty(arrays["affect"])) if affect else dataset


def from_arrays(images: UInt8, labels: Int8, split: Int8, *, sha256: str) -> FaceDataset:
    """The container for rows in the challenge's order, which are called `Training_00000` and so on."""
    ids = np.array([f"{USAGES[part]}_{row:05d}" for row, part in enumerate(split)], dtype=np.str_)
    return FaceDataset(NAME, images, labels.astype(np.int64), split.astype(np.int8), ids, sha256=sha256)


def warn_of_counts(path: Path, split: Int8) -> None:
    """Log a warning where a Usage has another number of rows than the challenge: a part of it, or a cut file."""
    for index, (usage, expected) in enumerate(COUNTS.items()):
        found = int((split == index).sum())
        if found != expected:
            _LOG.warning(
                f"{path}: {usage} has {found:,} rows, all of FER2013 has {expected:,}: taken as a part of it; "
                "if it should be whole, get the file again"
            )
            return


def _fits(arrays: cache.Arrays) -> bool:
    """Whether cached arrays are what `_parse` gives."""
    images, labels, split = (arrays[name] for name in _ARRAYS)
    n = len(split)
    shapes = images.shape == (n, SIDE_PX, SIDE_PX) and labels.shape == (n,) and split.shape == (n,)
    if "affect" in arrays and (arrays["affect"].shape != (n, len(AFFECT)) or arrays["affect"].dtype != np.float32):
        return False
    return n > 0 and shapes and [array.dtype.str[1:] for array in (images, labels, split)] == ["u1", "i1", "i1"]


@contextlib.contextmanager
def _open(path: Path, member: str) -> Iterator[BinaryIO]:
    """A file, or an entry of an archive."""
    try:
        with contextlib.ExitStack() as stack:
            if member:
                archive = stack.enter_context(zipfile.ZipFile(path))
                yield cast(BinaryIO, stack.enter_context(archive.open(member)))
            else:
                yield stack.enter_context(path.open("rb"))
    except (OSError, RuntimeError, EOFError, zipfile.BadZipFile, zlib.error) as error:
        raise DataError(f"{path} cannot be read: {getattr(error, 'strerror', None) or error}") from error


def _parse(path: Path, member: str) -> cache.Arrays:
    with _open(path, member) as file:
        columns, width = _read_header(path, file)
        return _parse_rows(path, file, columns, width)


def _open_header(path: Path, member: str) -> list[str]:
    """The names in a file's first line, whatever they are."""
    with _open(path, member) as file:
        return file.readline(_LONGEST_HEADER_BYTES).decode("utf-8-sig", "replace").replace('"', "").split(",")


def _read_header(path: Path, file: BinaryIO) -> tuple[dict[str, int], int]:
    """Position of each needed column, and how many columns there are."""
    # Limited: a file of another kind may have no line end at all.
    line = file.readline(_LONGEST_HEADER_BYTES)
    expected = "expected a csv with the columns emotion, pixels and Usage"
    if not line:
        raise DataError(f"{path} is empty: {expected}")
    try:
        text = line.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise DataError(f"{path} is not a text file: {expected}") from error
    names = [name.strip(' \t\r\n"').lower() for name in text.split(",")]
    missing = [name for name in ("emotion", "pixels", "Usage") if name.lower() not in names]
    if missing:
        raise DataError(f"{path}, line 1: no column {', '.join(missing)} in {text.strip()[:80]!r}: {expected}")
    found = {name: names.index(name) for name in ("emotion", "pixels", "usage")}
    return found | affect_names(names), len(names)


def _parse_rows(path: Path, file: BinaryIO, columns: Mapping[str, int], width: int) -> cache.Arrays:
    images: list[UInt8] = []
    labels: list[int] = []
    split: list[int] = []
    affect: dict[str, list[str]] = {name: [] for name in columns if name in AFFECT}
    with warnings.catch_warnings():
        warnings.simplefilter("error", DeprecationWarning)  # how NumPy reports text that is not a number
        for number, line in enumerate(file, start=1):
            if not line.strip():
                continue
            # No cell of this file holds a comma or a line end: no csv reader is needed. Only the last line can be cut.
            row = _Row(path, number, line.split(b","), columns, cut=not line.endswith(b"\n"))
            if len(row.fields) != width:
                raise row.error(f"expected {width} columns, found {len(row.fields)}")
            images.append(_pixels(row))
            labels.append(_label(row))
            split.append(_split(row))
            for name, cells in affect.items():
                cells.append(row.field(name))
    if not images:
        raise DataError(f"{path} has a header but no rows: expected faces, a row each")
    return {
        "images": np.stack(images).reshape(-1, SIDE_PX, SIDE_PX),
        "labels": np.array(labels, np.int8),
        "split": np.array(split, np.int8),
        **({"affect": parse_affect(affect, str(path))} if affect else {}),
    }


@dataclass(frozen=True)
class _Row:
    """One line of the csv, with what an error about it needs; `number` is 1 after the header."""

    path: Path
    number: int
    fields: list[bytes]
    columns: Mapping[str, int]
    cut: bool

    def field(self, column: str) -> str:
        return self.fields[self.columns[column]].strip(b' \t\r\n"').decode("utf-8", "replace")

    def error(self, message: str) -> DataError:
        cut = "the file may be truncated, it ends within this row: " if self.cut else ""
        return DataError(f"{self.path}, row {self.number} (line {self.number + 1}): {cut}{message}")


def _pixels(row: _Row) -> UInt8:
    text = row.field("pixels")
    try:
        # Wide enough to see 256 and −1 as what they are.
        values = np.fromstring(text, dtype=np.int64, sep=" ")
    except (DeprecationWarning, ValueError):
        odd = next((word for word in text.split() if not word.removeprefix("-").isdecimal()), text)
        raise row.error(f"pixels are whole numbers 0–255 with spaces between, found {odd[:20]!r}") from None
    if values.size != PIXELS:
        raise row.error(f"expected {PIXELS:,} pixels (48×48), found {values.size:,}")
    if values.min() < 0 or values.max() > 255:
        at = int(np.argmax((values < 0) | (values > 255)))
        raise row.error(f"pixels are whole numbers 0–255, but pixel {at + 1} is {values[at]}")
    return values.astype(np.uint8)


def _label(row: _Row) -> int:
    text = row.field("emotion")
    if text not in _LABELS:
        raise row.error(f"emotion is a number 0–{len(SEVEN) - 1} ({', '.join(SEVEN)}), found {text[:20]!r}")
    return int(text)


def _split(row: _Row) -> int:
    text = row.field("usage")
    if text not in USAGES:
        raise row.error(f"Usage is one of {', '.join(USAGES)}, found {text[:20]!r}")
    return USAGES.index(text)


def read_archive(path: Path, *, cache_dir: Path | None = None) -> FaceDataset:
    """Read `images` uint8 (N, 48, 48), `label` (N,), `usage` (N,), and of what is there `votes` (N, 10), `valence`,
    `arousal` and `intensity` (N,), NaN where a row has none.

    Args:
        path: the archive; a row's usage is 0, 1 or 2 for Training, PublicTest and PrivateTest.
        cache_dir: where the file's hash is kept.

    Raises:
        DataError: for anything that is not as expected.
    """
    sha256 = cache.file_sha256(path, cache_dir or cache.default_cache_dir())
    try:
        arrays = files.read_npz(path, _ARCHIVED, optional=("votes", *AFFECT))
    except (OSError, ValueError) as error:
        raise DataError(f"{path} cannot be read as an npz archive of faces: {error}") from error
    n = len(arrays["images"])
    if arrays["images"].dtype != np.uint8 or arrays["images"].shape != (n, SIDE_PX, SIDE_PX):
        found = f"{arrays['images'].dtype} {arrays['images'].shape}"
        raise DataError(f"{path}: images are uint8 (N, 48, 48), found {found}")
    labels = _indices(path, arrays["label"], "label", n, len(SEVEN))
    split = _indices(path, arrays["usage"], "usage", n, len(USAGES))
    warn_of_counts(path, split)
    dataset = from_arrays(arrays["images"], labels, split, sha256=sha256)
    votes = _votes(path, arrays["votes"], n) if "votes" in arrays else None
    return replace(dataset, votes=votes, affect=_affect(path, arrays, n))


def _affect(path: Path, arrays: Mapping[str, npt.NDArray[Any]], n: int) -> Float32 | None:
    """The three columns as one array."""
    values = np.full((n, len(AFFECT)), np.nan, np.float32)
    for place, name in enumerate(AFFECT):
        found = arrays.get(name)
        if found is not None:
            if found.shape != (n,) or found.dtype.kind not in "fiu":
                raise DataError(
                    f"{path}: {name} is a number for each of {n:,} faces, found {found.dtype} {found.shape}"
                )
            values[:, place] = found
    check_affect(values, n, str(path))
    return none_if_empty(values)


def _votes(path: Path, values: npt.NDArray[Any], n: int) -> UInt8:
    if values.shape != (n, len(VOTE_COLUMNS)) or values.dtype.kind not in "iu":
        raise DataError(
            f"{path}: votes are whole numbers ({n}, {len(VOTE_COLUMNS)}), a row for each of {n:,} faces, "
            f"found {values.dtype} {values.shape}"
        )
    wrong = np.flatnonzero(((values < 0) | (values > np.iinfo(np.uint8).max)).any(axis=1))
    if wrong.size:
        row = int(wrong[0])
        raise DataError(f"{path}, row {row + 1}: votes are counts 0–255, found {values[row].tolist()}")
    return values.astype(np.uint8)


def _indices(path: Path, values: npt.NDArray[Any], name: str, n: int, limit: int) -> Int8:
    if values.shape != (n,) or values.dtype.kind not in "iu":
        raise DataError(f"{path}: {name} is a whole number for each of {n:,} faces, found {values.shape}")
    wrong = np.flatnonzero((values < 0) | (values >= limit))
    if wrong.size:
        row = int(wrong[0])
        raise DataError(f"{path}, row {row + 1}: {name} is a number 0–{limit - 1}, found {values[row]}")
    return values.astype(np.int8)


def read_votes(path: Path) -> tuple[Int8, Votes]:
    """Read the votes.

    Returns:
        split int8 (N,), index into `base.SPLITS`, and votes uint8 (N, 10) in the order of `VOTE_COLUMNS`.

    Raises:
        DataError: with file, row and what was expected.
    """
    header, rows = read_csv_rows(path, "a csv of FER+ votes")
    names = [name.lower() for name in header]
    missing = [name for name in _COLUMNS if name.lower() not in names]
    if missing:
        raise DataError(f"{path}, line 1: no column {', '.join(missing)}: expected {', '.join(_COLUMNS)}")
    pick = itemgetter(*(names.index(name.lower()) for name in _COLUMNS))
    split: list[int] = []
    votes = bytearray()
    for line, row in rows:
        try:
            usage, *counts = pick(row)
            split.append(_USAGE_INDEX[usage.strip()])
            # `bytes` refuses all numbers but 0–255; what was wrong is looked for only then.
            votes += bytes(map(int, counts))
        except (IndexError, KeyError, ValueError):
            raise DataError(f"{path}, row {line - 1} (line {line}): {_what_is_wrong(row, names)}") from None
    return np.array(split, np.int8), np.array(votes, np.uint8).reshape(-1, len(VOTE_COLUMNS))


def _what_is_wrong(row: list[str], names: list[str]) -> str:
    """Why a row cannot be read."""
    fields = dict(zip(names, row, strict=False))
    if any(name.lower() not in fields for name in _COLUMNS):
        return f"the row ends early: expected {', '.join(_COLUMNS)}"
    if fields["usage"].strip() not in USAGES:
        return f"Usage is one of {', '.join(USAGES)}, found {fields['usage'][:20]!r}"
    odd = next(name for name in VOTE_COLUMNS if not _is_count(fields[name.lower()]))
    return f"{odd} is a number of votes 0–255, found {fields[odd.lower()][:20]!r}"


def _is_count(text: str) -> bool:
    try:
        return 0 <= int(text) <= 255
    except ValueError:
        return False


def with_votes(dataset: FaceDataset, path: Path) -> FaceDataset:
    """Give each row of `dataset` the votes of the same row of the FER+ file.

    Names of pictures are not looked at: those of FER+ skip rows, and pairs by name drift apart.

    Raises:
        DataError: when the number of rows or the splits do not agree, row by row.
    """
    split, votes = read_votes(path)
    if len(split) != len(dataset):
        raise DataError(
            f"{path} has {len(split):,} rows, {dataset.name} has {len(dataset):,}: "
            "votes belong to faces row by row, so the numbers have to be the same"
        )
    # The splits are the only thing that both files say of a row, and so the only check of their order.
    differing = np.flatnonzero(split != dataset.split)
    if differing.size:
        row = int(differing[0])
        raise DataError(
            f"{path}, row {row + 1} (line {row + 2}): Usage is {USAGES[split[row]]}, but that face of "
            f"{dataset.name} is in {USAGES[dataset.split[row]]}: votes belong to faces row by row, "
            "so both files have to be in the same order"
        )
    sha256 = hashlib.sha256(dataset.sha256.encode() + path.read_bytes()).hexdigest()
    return replace(dataset, votes=votes, sha256=sha256)


def majority(votes: Votes) -> Int64:
    """The crowd's label by the FER+ authors' protocol (CNTK `ferplus.py`), or -1 where there is none.

    Votes of 1 count as 0; a row is kept when its top column has more than half of what is left, over all ten
    columns, and is an emotion. FER2013 keeps 25,060 / 3,199 / 3,153 rows of its splits.

    Args:
        votes: (N, 10) in the order of `VOTE_COLUMNS`.

    Returns:
        int64 (N,), index into `labels.CROWD` or -1.

    >>> majority(np.array([[0, 6, 1, 0, 0, 0, 0, 0, 0, 0], [5, 5, 0, 0, 0, 0, 0, 0, 0, 0]], np.uint8))
    array([ 1, -1])
    """
    # Wider than uint8, in which twice 128 is 0.
    counted = np.where(votes > 1, votes, 0).astype(np.int64)
    top = counted.argmax(axis=1)
    kept = (2 * counted.max(axis=1) > counted.sum(axis=1)) & (top < len(CROWD))
    return np.where(kept, top, -1).astype(np.int64)


def distribution(votes: Votes, *, minimum_votes: int = 5) -> tuple[Float32, Bool]:
    """The share of each emotion among a face's votes for emotions: a soft target.

    Args:
        votes: (N, 10) in the order of `VOTE_COLUMNS`.
        minimum_votes: votes for emotions that a row needs to be relied on.

    Returns:
        float32 (N, 8) in the order of `labels.CROWD`, each row summing to 1 (all 0 without a vote for an
        emotion), and a mask (N,) of the rows with at least `minimum_votes` of them.
    """
    emotions = votes[:, : len(CROWD)].astype(np.float32)
    total = emotions.sum(axis=1)
    # Rows without a vote stay 0 instead of becoming NaN.
    return emotions / np.maximum(total, 1)[:, None], total >= minimum_votes
