"""FER+: the votes of about ten people a face, paired with FER2013 by row, and what is made of them."""

from __future__ import annotations

import csv
import hashlib
from dataclasses import replace
from operator import itemgetter
from pathlib import Path

import numpy as np
import numpy.typing as npt

from mien.errors import DataError
from mien.labels import CROWD, VOTE_COLUMNS
from mien.workshop.data.base import FaceDataset
from mien.workshop.data.fer2013 import USAGES

FILE_NAMES = ("ferplus.csv", "fer2013new.csv")
"""Names of the votes' file; the second is that of Microsoft's repository."""

_COLUMNS = ("Usage", *VOTE_COLUMNS)
_USAGE_INDEX = {usage: index for index, usage in enumerate(USAGES)}

Votes = npt.NDArray[np.uint8]


def read_votes(path: Path) -> tuple[npt.NDArray[np.int8], Votes]:
    """Read the votes.

    Returns:
        split int8 (N,), index into `base.SPLITS`, and votes uint8 (N, 10) in the order of `VOTE_COLUMNS`.

    Raises:
        DataError: with file, row and what was expected.
    """
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            header, *rows = list(csv.reader(file)) or [[]]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"{path} cannot be read as a csv of FER+ votes: {error}") from error
    names = [name.strip().lower() for name in header]
    missing = [name for name in _COLUMNS if name.lower() not in names]
    if missing:
        raise DataError(f"{path}, line 1: no column {', '.join(missing)}: expected {', '.join(_COLUMNS)}")
    pick = itemgetter(*(names.index(name.lower()) for name in _COLUMNS))
    split: list[int] = []
    votes = bytearray()
    for number, row in enumerate(rows, start=1):
        if not row:
            continue
        try:
            usage, *counts = pick(row)
            split.append(_USAGE_INDEX[usage.strip()])
            votes += bytes(map(int, counts))
        except (IndexError, KeyError, ValueError):
            raise DataError(f"{path}, row {number} (line {number + 1}): {_what_is_wrong(row, names)}") from None
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


def majority(votes: Votes) -> npt.NDArray[np.int64]:
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
    counted = np.where(votes > 1, votes, 0).astype(np.int64)
    top = counted.argmax(axis=1)
    kept = (2 * counted.max(axis=1) > counted.sum(axis=1)) & (top < len(CROWD))
    return np.where(kept, top, -1).astype(np.int64)


def distribution(votes: Votes, *, minimum_votes: int = 5) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.bool_]]:
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
    return emotions / np.maximum(total, 1)[:, None], total >= minimum_votes
