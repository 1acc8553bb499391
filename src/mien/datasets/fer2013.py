"""The challenge's csv: a label, 2,304 grey values and a Usage a row, in either published order of columns."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np
import numpy.typing as npt

from mien.datasets import cache
from mien.datasets.base import SPLITS, FaceDataset
from mien.errors import DataError
from mien.labels import SEVEN

SIDE_PX = 48
PIXELS = SIDE_PX * SIDE_PX
USAGES = ("Training", "PublicTest", "PrivateTest")
"""The csv's names of the splits, in the order of `SPLITS`."""

COUNTS = {"Training": 28_709, "PublicTest": 3_589, "PrivateTest": 3_589}
"""Rows of each split in the challenge's file."""

FILE_NAMES = ("fer2013.csv", "icml_face_data.csv")
_COLUMNS = ("emotion", "pixels", "usage")
_LONGEST_HEADER_BYTES = 4096


def read_csv(path: Path, *, cache_dir: Path | None = None, check_counts: bool = True) -> FaceDataset:
    """Read `fer2013.csv` or `icml_face_data.csv`; from the second time on out of a cache.

    Args:
        path: the csv; its columns are found by name, whatever their order and case.
        cache_dir: where the parsed arrays are kept.
        check_counts: expect exactly the challenge's rows in each split.

    Raises:
        DataError: for anything that is not as expected, with file, row and what was expected.
    """
    folder = cache_dir or cache.default_cache_dir()
    sha256 = cache.file_sha256(path, folder)
    key = f"fer2013-{sha256}"
    arrays = cache.load(folder, key, ("images", "labels", "split"))
    fresh = arrays is None or not _fits(arrays)
    if arrays is None or fresh:
        arrays = _parse(path)
    split = arrays["split"].astype(np.int8, copy=False)
    if check_counts:
        require_counts(path, split)
    if fresh:
        cache.save(folder, key, arrays)
    return FaceDataset(
        name="FER2013",
        images=arrays["images"],  # type: ignore[arg-type]
        labels=arrays["labels"].astype(np.int64),
        split=split,
        ids=row_ids(split),
        sha256=sha256,
    )


def require_counts(path: Path, split: npt.NDArray[np.int8]) -> None:
    """Check that each split has the challenge's number of rows.

    Raises:
        DataError: naming the split and both numbers.
    """
    for index, (usage, expected) in enumerate(COUNTS.items()):
        found = int((split == index).sum())
        if found != expected:
            raise DataError(
                f"{path}: {usage} has {found:,} rows, FER2013 has {expected:,}: the file is not whole, or not the "
                "challenge's; if a part of it is meant, allow any size (--any-size, check_counts=False)"
            )


def row_ids(split: npt.NDArray[np.int8]) -> npt.NDArray[np.str_]:
    """Names of the rows by Usage and position from 0: `Training_00000`."""
    return np.array([f"{USAGES[part]}_{row:05d}" for row, part in enumerate(split)], dtype=np.str_)


def _fits(arrays: cache.Arrays) -> bool:
    n = len(arrays["labels"])
    return (
        arrays["images"].shape == (n, SIDE_PX, SIDE_PX)
        and arrays["images"].dtype == np.uint8
        and arrays["split"].shape == (n,)
    )


@dataclass(frozen=True)
class _Row:
    """One line of the csv, with what an error about it has to say."""

    path: Path
    number: int
    fields: list[bytes]
    columns: Mapping[str, int]
    cut: bool

    def text(self, column: str) -> bytes:
        return self.fields[self.columns[column]].strip(b' \t\r\n"')

    def error(self, expected: str) -> DataError:
        cut = "the file ends in the middle of this row, it is truncated: " if self.cut else ""
        return DataError(f"{self.path}, row {self.number} (line {self.number + 1}): {cut}{expected}")


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
    if not line:
        raise DataError(f"{path} is empty: expected a csv with the columns emotion, pixels and Usage")
    try:
        names = [name.strip(' \t\r\n"').lower() for name in line.decode("utf-8-sig").split(",")]
    except UnicodeDecodeError as error:
        raise DataError(
            f"{path} is no text: expected a csv with the columns emotion, pixels and Usage"
        ) from error
    missing = [name for name in ("emotion", "pixels", "Usage") if name.lower() not in names]
    if missing:
        shown = line[:80].decode("utf-8-sig", "replace").strip()
        raise DataError(
            f"{path}, line 1: no column {', '.join(missing)}: expected emotion, pixels and Usage, found {shown!r}"
        )
    return {name: names.index(name) for name in _COLUMNS}, len(names)


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


def _pixels(row: _Row) -> npt.NDArray[np.uint8]:
    text = row.text("pixels")
    try:
        values = np.fromstring(text.decode("ascii", "replace"), dtype=np.int64, sep=" ")
    except (DeprecationWarning, ValueError):
        words = (word for word in text.split() if not word.lstrip(b"-").isdigit())
        shown = next(words, b"?").decode("utf-8", "replace")[:20]
        raise row.error(f"pixels are whole numbers 0–255 between spaces, found {shown!r}") from None
    if values.size != PIXELS:
        raise row.error(f"expected {PIXELS:,} pixels (48×48), found {values.size:,}")
    if values.min() < 0 or values.max() > 255:
        at = int(np.argmax((values < 0) | (values > 255)))
        raise row.error(f"pixels lie in 0–255, but pixel {at + 1} is {values[at]}")
    return values.astype(np.uint8)


def _label(row: _Row) -> int:
    text = row.text("emotion")
    if len(text) != 1 or text not in b"0123456":
        shown = text.decode("utf-8", "replace")[:20]
        raise row.error(f"emotion is a number 0–{len(SEVEN) - 1} ({', '.join(SEVEN)}), found {shown!r}")
    return int(text)


def _split(row: _Row) -> int:
    usage = row.text("usage").decode("utf-8", "replace")
    if usage not in USAGES:
        raise row.error(f"Usage is one of {', '.join(USAGES)}, found {usage[:40]!r}")
    return USAGES.index(usage)


assert len(USAGES) == len(SPLITS)
