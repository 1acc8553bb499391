"""The same picture, pixel by pixel: within a split, across splits, and with different labels."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from mien.workshop.curation.findings import TRAIN, Finding, Int64, by_group, label_name, listed
from mien.workshop.data.base import NO_LABEL, SPLITS

Float32 = npt.NDArray[np.float32]


def find_copies(groups: Int64, labels: Int64, split: npt.NDArray[np.int8]) -> list[Finding]:
    """Every group of identical pictures, as one or several of `leak`, `conflict` and `duplicate`.

    - A group that stands in several splits is a **leak**. The suggestion drops the rows of train and keeps those that
      scores are measured on: a published test set stays comparable only as a whole, and a model may not learn a face
      that it is asked about later. Between validation and test nothing is dropped.
    - Within a split the group is a **duplicate**; in train all but the first go, elsewhere they stay, for the same
      reason. Where a leak takes them all out of train anyway, that is not said twice.
    - Different labels make it a **conflict**, beside what else it is. The copy that is kept is one that the leak or
      duplicate keeps, of the label that most copies have.

    Args:
        groups: int64 (N,), the first identical row for each row, as `splits.picture_groups` gives it.
        labels: int64 (N,), -1 for none.
        split: int8 (N,), index into `SPLITS`.
    """
    return [found for rows in by_group(groups) for found in _describe(rows, labels, split)]


def _describe(rows: Int64, labels: Int64, split: npt.NDArray[np.int8]) -> Iterator[Finding]:
    ordered = keep_first(rows, labels, split)
    names = splits_of(rows, split)
    held_out = bool((split[rows] != TRAIN).any())
    if len(names) > 1:
        yield leak(ordered, split, 1.0, f"the same pixels in {listed(names)}")
    if len(set(labels[rows].tolist()) - {NO_LABEL}) > 1:
        said = listed(
            f"{label_name(int(label))} in {SPLITS[split[row]]}" for row, label in zip(rows, labels[rows], strict=True)
        )
        yield Finding(
            "conflict",
            tuple(ordered.tolist()),
            1.0,
            suggestion_for(ordered, split),
            "",
            f"the same pixels, labelled {said}",
        )
    for part in np.unique(split[rows]):
        same = ordered[split[ordered] == part]
        if len(same) > 1 and not (part == TRAIN and held_out):
            there = f"{len(same)} times the same pixels in {SPLITS[part]}"
            yield Finding("duplicate", tuple(same.tolist()), 1.0, suggestion_for(same, split), "", there)


def leak(ordered: Int64, split: npt.NDArray[np.int8], score: float, detail: str) -> Finding:
    """A leak of rows that `keep_first` ordered: one that is kept, then those of train, or all if there are none."""
    trained = ordered[split[ordered] == TRAIN]
    rows = np.concatenate([ordered[:1], trained]) if len(trained) else ordered
    return Finding("leak", tuple(rows.tolist()), score, suggestion_for(rows, split), "", detail)


def suggestion_for(ordered: Int64, split: npt.NDArray[np.int8]) -> str:
    """`drop` when all rows but the first are train's: what is measured on stays as it is."""
    return "drop" if (split[ordered[1:]] == TRAIN).all() else "keep"


def keep_first(rows: Int64, labels: Int64, split: npt.NDArray[np.int8]) -> Int64:
    """The rows of a group, first the one to keep: test before validation before train, then the commonest label."""
    found = labels[rows]
    common = np.array([-(found == label).sum() if label != NO_LABEL else 0 for label in found])
    return np.asarray(rows[np.lexsort((rows, common, -split[rows]))])


def splits_of(rows: Int64, split: npt.NDArray[np.int8]) -> list[str]:
    """The names of the splits in which rows stand."""
    return [SPLITS[part] for part in np.unique(split[rows])]
