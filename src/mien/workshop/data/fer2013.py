"""The challenge's csv: a label, 2,304 grey values and a Usage a row, in either published order of columns."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np
import numpy.typing as npt

from mien.errors import DataError
from mien.labels import SEVEN
from mien.workshop.data import cache
from mien.workshop.data.base import FaceDataset

NAME = "FER2013"
SIDE_PX = 48
PIXELS = SIDE_PX * SIDE_PX

COUNTS = {"Training": 28_709, "PublicTest": 3_589, "PrivateTest": 3_589}
"""Rows of each Usage in the challenge's file."""

USAGES = tuple(COUNTS)
"""The challenge's names of the splits, in the order of `base.SPLITS`."""

FILE_NAMES = ("fer2013.csv", "icml_face_data.csv")
"""The two names under which the challenge published the file."""

_ARRAYS = ("images", "labels", "split")
_LONGEST_HEADER_BYTES = 4096


def read_csv(path: Path, *, cache_dir: Path | None = None, check_counts: bool = True) -> FaceDataset:
    """Read `fer2013.csv` or `icml_face_data.csv`; from the second time on out of a cache.

    Args:
        path: the csv; its columns are found by name, whatever their order and case.
        cache_dir: where the parsed arrays are kept; Mien's own cache folder by default.
        check_counts: expect exactly the challenge's rows of each Usage.

    Raises:
        DataError: for anything that is not as expected, with file, row and what was expected; nothing is
            cached then.
    """
    folder = cache_dir or cache.default_cache_dir()
    sha256 = cache.file_sha256(path, folder)
    key = f"fer2013-{sha256}"
    cached = cache.load(folder, key, _ARRAYS)
    arrays = cached if cached is not None and _fits(cached) else _parse(path)
    if check_counts:
        require_counts(path, arrays["split"])
    if arrays is not cached:
        cache.save(folder, key, arrays)
    return from_arrays(arrays["images"], arrays["labels"], arrays["split"], sha256=sha256)


def from_arrays(
    images: npt.NDArray[np.uint8], labels: npt.NDArray[np.int8], split: npt.NDArray[np.int8], *, sha256: str
) -> FaceDataset:
    """The container for rows in the challenge's order, which are called `Training_00000` and so on."""
    ids = np.array([f"{USAGES[part]}_{row:05d}" for row, part in enumerate(split)], dtype=np.str_)
    return FaceDataset(NAME, images, labels.astype(np.int64), split.astype(np.int8), ids, sha256=sha256)


def require_counts(path: Path, split: npt.NDArray[np.int8]) -> None:
    """Check that each Usage has the challenge's number of rows.

    Raises:
        DataError: naming the split and both numbers.
    """
    for index, (usage, expected) in enumerate(COUNTS.items()):
        found = int((split == index).sum())
        if found != expected:
            raise DataError(
                f"{path}: {usage} has {found:,} rows, FER2013 has {expected:,}: the file is not whole, or "
                "not the challenge's; if a part of it is meant, allow that (--any-size, check_counts=False)"
            )


def _fits(arrays: cache.Arrays) -> bool:
    """Whether cached arrays are what `_parse` gives."""
    images, labels, split = (arrays[name] for name in _ARRAYS)
    n = len(split)
    shapes = images.shape == (n, SIDE_PX, SIDE_PX) and labels.shape == (n,) and split.shape == (n,)
    return n > 0 and shapes and [array.dtype.str[1:] for array in (images, labels, split)] == ["u1", "i1", "i1"]


def _parse(path: Path) -> cache.Arrays:
    try:
        with path.open("rb") as file:
            columns, width = _read_header(path, file)
            return _parse_rows(path, file, columns, width)
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror or error}") from error


def _read_header(path: Path, file: BinaryIO) -> tuple[dict[str, int], int]:
    """Position of each needed column, and how many columns there are."""
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
    return {name: names.index(name) for name in ("emotion", "pixels", "usage")}, len(names)


def _parse_rows(path: Path, file: BinaryIO, columns: Mapping[str, int], width: int) -> cache.Arrays:
    images: list[npt.NDArray[np.uint8]] = []
    labels: list[int] = []
    split: list[int] = []
    with warnings.catch_warnings():
        warnings.simplefilter("error", DeprecationWarning)  # how NumPy reports text that is not a number
        for number, line in enumerate(file, start=1):
            if not line.strip():
                continue
            row = _Row(path, number, line.split(b","), columns, cut=not line.endswith(b"\n"))
            if len(row.fields) != width:
                raise row.error(f"expected {width} columns, found {len(row.fields)}")
            images.append(_pixels(row))
            labels.append(_label(row))
            split.append(_split(row))
    if not images:
        raise DataError(f"{path} has a header but no rows: expected faces, a row each")
    return {
        "images": np.stack(images).reshape(-1, SIDE_PX, SIDE_PX),
        "labels": np.array(labels, np.int8),
        "split": np.array(split, np.int8),
    }


@dataclass(frozen=True)
class _Row:
    """One line of the csv, with what an error about it has to say; `number` is 1 after the header."""

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


def _pixels(row: _Row) -> npt.NDArray[np.uint8]:
    text = row.field("pixels")
    try:
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


_LABELS = tuple(str(index) for index in range(len(SEVEN)))
