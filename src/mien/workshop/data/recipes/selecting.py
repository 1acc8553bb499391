"""Which rows are left out for what they are, and which to keep classes and sources in proportion."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from mien.errors import DataError
from mien.labels import VOTE_COLUMNS
from mien.workshop.data import lists
from mien.workshop.data.base import SPLITS
from mien.workshop.data.recipes.recipe import Balance, Filter
from mien.workshop.data.recipes.rows import Ledger, Rows
from mien.workshop.data.splits import flat

TRAIN = SPLITS.index("train")
NF = VOTE_COLUMNS.index("NF")


def filtered(rows: Rows, rules: Filter, ledger: Ledger) -> Rows:
    """Without flat pictures, what most annotators saw no face in, and the rows of drop lists.

    Raises:
        ConfigError: a list is not found.
        DataError: a list names another picture under an id of these rows.
    """
    if rules.flat:
        rows = ledger.without(rows, flat(rows.dataset("rows")), "flat")
    if rules.non_faces:
        counted = np.where(rows.votes > 1, rows.votes, 0)
        rows = ledger.without(rows, counted.any(axis=1) & (counted.argmax(axis=1) == NF), "not a face")
    for name in rules.drop_lists:
        rows = _without_listed(rows, name, ledger)
    return rows


def _without_listed(rows: Rows, name: str, ledger: Ledger) -> Rows:
    """Without the rows that a list drops, as far as they may be trained on: what is tested on stays whole."""
    listed = lists.find_list(name)
    entries = {entry.id: entry for entry in listed.drops}
    lost = np.zeros(len(rows), np.bool_)
    details = np.full(len(rows), "", object)
    for row in np.flatnonzero((rows.split <= TRAIN) & np.isin(rows.ids, list(entries))):
        entry = entries[str(rows.ids[row])]
        if lists.picture_digest(rows.images[row]) != entry.digest:
            raise DataError(
                f"the list {listed.title} names another picture under {entry.id} than source "
                f"{rows.sources[row]!r} has: it was made for {listed.data} ({listed.data_rows:,} rows); "
                "give that data, or another list"
            )
        lost[row], details[row] = True, f"{listed.title}: {entry.reason}".removesuffix(": ")
    return ledger.without(rows, lost, "drop list", details)


def trained_on(rows: Rows, sources: tuple[str, ...], ledger: Ledger) -> Rows:
    """Without the training rows of all but these sources; none named is all of them."""
    if not sources:
        return rows
    return ledger.without(rows, (rows.split == TRAIN) & ~np.isin(rows.sources, sources), "not trained on")


def balanced(rows: Rows, rules: Balance, seed: int, ledger: Ledger) -> Rows:
    """At most so many training rows of each source, then of each class, drawn at random."""
    generator = np.random.default_rng(seed)
    for source, most in rules.per_source.items():
        surplus = _surplus((rows.split == TRAIN) & (rows.sources == source), most, generator)
        rows = ledger.without(rows, surplus, "balance")
    for label in np.unique(rows.labels) if rules.per_class else ():
        surplus = _surplus((rows.split == TRAIN) & (rows.labels == label), rules.per_class, generator)
        rows = ledger.without(rows, surplus, "balance")
    return rows


def _surplus(mask: npt.NDArray[np.bool_], most: int, generator: np.random.Generator) -> npt.NDArray[np.bool_]:
    """The rows of a mask over so many, drawn at random; none for a limit of 0."""
    there = np.flatnonzero(mask)
    out = np.zeros(len(mask), np.bool_)
    if most and len(there) > most:
        out[generator.permutation(there)[most:]] = True
    return out
