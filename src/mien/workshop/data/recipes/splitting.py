"""Rows to splits: by duplicate group, person and clip, none of which may stand on two sides."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from mien.labels import SEVEN
from mien.workshop.curation.groups import connected
from mien.workshop.data.base import SPLITS
from mien.workshop.data.recipes.recipe import Recipe
from mien.workshop.data.recipes.rows import FREE, Ledger, Rows

Int64 = npt.NDArray[np.int64]


def units(rows: Rows) -> Int64:
    """The number of the unit that each row belongs to, int64 (N,): the same for one face, person or clip."""
    pairs = [np.zeros((0, 2), np.int64)]
    for names in (rows.groups.astype(np.str_), rows.persons, rows.clips):
        known = np.flatnonzero(names != "")
        if known.size:
            _, first, place = np.unique(names[known], return_index=True, return_inverse=True)
            pairs.append(np.stack([known[first][place], known], axis=1))
    return connected(len(rows), np.concatenate(pairs))


def split_rows(rows: Rows, recipe: Recipe, ledger: Ledger) -> Rows:
    """Every row on a side.

    A unit that has rows with a split of their own stands where the most precious of them does: test before
    validation before train; its other rows of other sides are left out, and its free rows follow. Units that are
    free as a whole are divided by the shares of their source, class by class.
    """
    unit = units(rows)
    fixed = np.full(len(rows), FREE, np.int8)
    np.maximum.at(fixed, unit, rows.split)
    side = fixed[unit]
    leaks = (rows.split != FREE) & (rows.split != side)
    details = [f"stands in {SPLITS[part]} too" if part != FREE else "" for part in side]
    free = np.flatnonzero(side == FREE)
    shares = {source.name: (source.split or recipe.split).values for source in recipe.sources}
    for source in recipe.sources:
        mine = free[rows.sources[free] == source.name]
        # A free unit of several sources is divided with the first of them.
        mine = mine[side[mine] == FREE]
        if mine.size:
            whole = free[np.isin(unit[free], unit[mine])]
            side[whole] = _divide(unit[whole], rows.labels[whole], shares[source.name], recipe.seed)
    settled = Rows(**{**vars(rows), "split": side.astype(np.int8)})
    return ledger.without(settled, leaks, "leak", details)


def _divide(unit: Int64, labels: Int64, shares: tuple[float, float, float], seed: int) -> npt.NDArray[np.int8]:
    """A side for each row: large units first, each to where its classes are most lacking."""
    names, place = np.unique(unit, return_inverse=True)
    counts = np.zeros((len(names), len(SEVEN)))
    np.add.at(counts, (place, labels), 1)
    wanted = np.outer(shares, counts.sum(axis=0))
    have = np.zeros_like(wanted)
    order = np.random.default_rng(seed).permutation(len(names))
    order = order[np.argsort(-counts[order].sum(axis=1), kind="stable")]
    chosen = np.zeros(len(names), np.int8)
    for number in order:
        missing = ((wanted - have) / np.maximum(wanted, 1e-9)) @ counts[number]
        missing[np.array(shares) == 0] = -np.inf
        chosen[number] = best = int(missing.argmax())
        have[best] += counts[number]
    return chosen[place]
