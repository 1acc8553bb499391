"""What a finder hands on: an issue without its number."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from mien.labels import SEVEN
from mien.workshop.curation.issues import KINDS, Issue
from mien.workshop.data.base import NO_LABEL, SPLITS

Int64 = npt.NDArray[np.int64]
Advance = Callable[[int, int], object]
"""Told how many of how many are done."""

TRAIN, TEST = SPLITS.index("train"), SPLITS.index("test")


@dataclass(frozen=True)
class Finding:
    """As `Issue`, not numbered yet."""

    kind: str
    rows: tuple[int, ...]
    score: float
    suggestion: str
    label: str = ""
    detail: str = ""


def number(findings: Iterable[Finding]) -> tuple[Issue, ...]:
    """Issues in the order of `KINDS`, surest first, numbered from 1."""
    order = {kind: place for place, kind in enumerate(KINDS)}
    ordered = sorted(findings, key=lambda found: (order[found.kind], -found.score, found.rows))
    return tuple(
        Issue(place, f.kind, f.rows, round(float(f.score), 6), f.suggestion, f.label, f.detail)
        for place, f in enumerate(ordered, start=1)
    )


def by_group(groups: Int64) -> list[Int64]:
    """The rows of each group with more than one, in rising order; `groups` names a group for each row (N,).

    >>> [rows.tolist() for rows in by_group(np.array([0, 1, 0, 3, 1]))]
    [[0, 2], [1, 4]]
    """
    order = np.argsort(groups, kind="stable")
    parts = np.split(order, np.flatnonzero(np.diff(groups[order])) + 1) if len(order) else []
    return [part for part in parts if len(part) > 1]


def label_name(label: int) -> str:
    """The word for a label, `no label` for none."""
    return "no label" if label == NO_LABEL else SEVEN[label]


def listed(names: Iterable[str]) -> str:
    """Words in a row: `a`, `a and b`, `a, b and c`.

    >>> listed(["train", "validation", "test"])
    'train, validation and test'
    """
    *first, last = names
    return f"{', '.join(first)} and {last}" if first else last
