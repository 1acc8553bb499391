"""Pictures of the same face within and across sources: equal pixels, re-cropped, relit or mirrored copies."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from mien.images.pictures import resize, to_grey
from mien.workshop.curation.cells import close_cells
from mien.workshop.curation.findings import Advance
from mien.workshop.curation.groups import connected
from mien.workshop.curation.near import DETAILS, near_pairs
from mien.workshop.data.base import SPLITS
from mien.workshop.data.recipes.recipe import Duplicates
from mien.workshop.data.recipes.rows import FREE, Ledger, Rows

Int64 = npt.NDArray[np.int64]

DETAIL_PX = 48

PRIORITY = {"test": 3, "validation": 2, "train": 1}
"""Which picture of a group stays: what is tested on stays whole, what is trained on gives way."""


def find_groups(images: npt.NDArray[np.uint8], rules: Duplicates, progress: Callable[[str, int, int], None]) -> Int64:
    """The first row that shows the same face in the same photograph, for each row, int64 (N,).

    No model takes part, so that a recipe means the same data set whatever models there are: all pictures are compared
    with all others from afar (see `cells`), and those alike by their details.

    Args:
        images: uint8 (N, H, W) or (N, H, W, 3).
        rules: `find` and `similarity` are used.
        progress: told each step and how much of it is done.
    """
    n = len(images)
    if rules.find == "none":
        return np.arange(n)
    first: dict[bytes, int] = {}
    groups = np.array([first.setdefault(image.tobytes(), row) for row, image in enumerate(images)], np.int64)
    if rules.find == "exact" or n < 2:
        return groups
    different = np.unique(groups)
    small = np.stack([resize(to_grey(images[row]), DETAIL_PX, DETAIL_PX) for row in different])

    def step(name: str) -> Advance:
        return lambda done, total: progress(name, done, total)

    proposed = close_cells(small, advance=step("find duplicates"))
    likeness = replace(DETAILS, similarity=rules.similarity)
    pairs = near_pairs(small, proposed, likeness, advance=step("compare their details"))
    near = connected(len(different), pairs.rows)
    return different[near][np.searchsorted(different, groups)]


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
