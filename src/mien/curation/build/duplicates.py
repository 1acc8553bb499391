"""Pictures of the same face within and across sources: equal pixels, re-cropped, relit or mirrored copies."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from mien.curation.build.recipe import Duplicates
from mien.curation.build.rows import FREE, Ledger, Rows
from mien.datasets.base import SPLITS
from mien.images import resize, to_grey

Int64 = npt.NDArray[np.int64]
Float32 = npt.NDArray[np.float32]

CELLS = 12
"""Pictures are compared as so many cells a side first; of those that hardly differ then, the details are compared."""

COARSE = 0.93
"""Correlation of the cells from which details are looked at: frontal faces before a dark wall reach 0.96 without being
the same."""

DETAIL_PX = 48
BLUR_PX, SHIFT_PX = 2.0, 2
"""Details are what blurring takes away, compared at the best shift of up to so many pixels."""

_BLOCK = 1024
_LEAST_CONTRAST = 1e-3

PRIORITY = {"test": 3, "validation": 2, "train": 1}
"""Which picture of a group stays: what is tested on stays whole, what is trained on gives way."""


def find_groups(images: npt.NDArray[np.uint8], rules: Duplicates, progress: Callable[[str, int, int], None]) -> Int64:
    """The first row that shows the same face in the same photograph, for each row, int64 (N,).

    All pairs are compared: the time grows with the square of N; 31,412 pictures take eight seconds of one core.

    Args:
        images: uint8 (N, H, W) or (N, H, W, 3).
        rules: `find` and `similarity` are used.
        progress: told how many rows are compared.
    """
    n = len(images)
    if rules.find == "none":
        return np.arange(n)
    first: dict[bytes, int] = {}
    groups = np.array([first.setdefault(image.tobytes(), row) for row, image in enumerate(images)], np.int64)
    if rules.find == "exact" or n < 2:
        return groups
    different = np.unique(groups)
    pairs = _near_pairs(images[different], rules.similarity, progress)
    near = connected(len(different), pairs)
    return different[near][np.searchsorted(different, groups)]


def connected(n: int, pairs: Int64) -> Int64:
    """The lowest number that is connected with each of 0 … n - 1 by pairs (P, 2).

    >>> connected(5, np.array([[3, 1], [3, 4]])).tolist()
    [0, 1, 2, 1, 1]
    """
    root = np.arange(n)

    def top(one: int) -> int:
        while root[one] != one:
            root[one] = root[root[one]]
            one = int(root[one])
        return one

    for one, other in pairs.tolist():
        a, b = top(one), top(other)
        root[max(a, b)] = min(a, b)
    return np.array([top(one) for one in range(n)], np.int64)


def _near_pairs(images: npt.NDArray[np.uint8], similarity: float, progress: Callable[[str, int, int], None]) -> Int64:
    """Pairs (P, 2) of pictures that are nearly the same, as they are or mirrored."""
    small = np.stack([resize(to_grey(image), DETAIL_PX, DETAIL_PX) for image in images])
    cells = _cells(small)
    mirrored = _cells(small[:, :, ::-1])
    found: list[tuple[int, int]] = []
    n = len(small)
    for start in range(0, n, _BLOCK):
        for turned, others in ((False, cells), (True, mirrored)):
            alike = cells[start : start + _BLOCK] @ others[start:].T
            for one, other in zip(*np.nonzero(alike > COARSE), strict=True):
                a, b = start + int(one), start + int(other)
                if a < b and same_details(small[a], small[b][:, ::-1] if turned else small[b]) >= similarity:
                    found.append((a, b))
        progress("find duplicates", min(start + _BLOCK, n), n)
    return np.array(found, np.int64).reshape(-1, 2)


def _cells(small: npt.NDArray[np.uint8]) -> Float32:
    """Each picture as few cells, a vector of mean 0 and length 1, float32 (N, cells); 0 for a flat one."""
    step = DETAIL_PX // CELLS
    means = small.reshape(len(small), CELLS, step, CELLS, step).mean(axis=(2, 4), dtype=np.float32)
    vectors = means.reshape(len(small), -1)
    vectors -= vectors.mean(axis=1, keepdims=True)
    length = np.linalg.norm(vectors, axis=1, keepdims=True)
    return np.asarray(np.where(length > _LEAST_CONTRAST, vectors / np.maximum(length, _LEAST_CONTRAST), 0), np.float32)


def same_details(one: npt.NDArray[np.uint8], other: npt.NDArray[np.uint8]) -> float:
    """How far the details of two grey pictures of 48×48 agree, -1–1: correlation at the best small shift."""
    window = _details(one)[SHIFT_PX:-SHIFT_PX, SHIFT_PX:-SHIFT_PX]
    return float(cv2.matchTemplate(_details(other), np.ascontiguousarray(window), cv2.TM_CCOEFF_NORMED).max())


def _details(picture: npt.NDArray[np.uint8]) -> Float32:
    """What blurring takes away; the rim, which a border would change, is left out."""
    values = np.ascontiguousarray(picture, np.float32)
    rim = round(BLUR_PX) + 1
    return np.asarray((values - cv2.GaussianBlur(values, (0, 0), BLUR_PX))[rim:-rim, rim:-rim], np.float32)


def drop_conflicts(rows: Rows, ledger: Ledger) -> Rows:
    """Without the groups whose pictures have different labels."""
    lowest, highest = np.full(len(rows) and rows.groups.max() + 1, 99), np.full(len(rows) and rows.groups.max() + 1, -1)
    np.minimum.at(lowest, rows.groups, rows.labels)
    np.maximum.at(highest, rows.groups, rows.labels)
    return ledger.without(rows, (lowest != highest)[rows.groups], "conflict")


def count_conflicts(rows: Rows) -> int:
    """Groups whose pictures have different labels."""
    pairs = np.unique(np.stack([rows.groups, rows.labels]), axis=1)
    return int((np.unique(pairs[0], return_counts=True)[1] > 1).sum())


def keep_one(rows: Rows, ledger: Ledger) -> Rows:
    """One picture of each group: of those that are tested on, else validated with, else trained on, the first."""
    weight = np.zeros(len(SPLITS) + 1, np.int64)
    for name, value in PRIORITY.items():
        weight[SPLITS.index(name)] = value
    order = np.lexsort((np.arange(len(rows)), -weight[rows.split], rows.groups))
    heads = order[np.r_[True, rows.groups[order][1:] != rows.groups[order][:-1]]] if len(rows) else order
    kept = np.zeros(len(rows), np.bool_)
    kept[heads] = True
    stays = {int(rows.groups[row]): int(row) for row in heads}
    head = np.array([stays[int(group)] for group in rows.groups], np.int64)
    details: Any = np.array([f"{rows.sources[row]}/{rows.ids[row]} stays" for row in head], object)
    leak = ~kept & (rows.split != FREE) & (rows.split != rows.split[head])
    rows_left = ledger.without(rows, leak, "leak", details)
    return ledger.without(rows_left, ~kept[~leak], "duplicate", details[~leak])
