"""What is suspicious in a data set, as finders report it and as a table of issues that people decide on."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from mien.arrays import Float32, Int64
from mien.labels import SEVEN
from mien.workshop.data.base import NO_LABEL

KINDS = {
    "leak": "the same face is in several splits",
    "conflict": "pictures of one face with different labels",
    "duplicate": "the same picture, pixel by pixel",
    "near-duplicate": "almost the same picture",
    "label": "another label fits better",
    "no-face": "no face is visible",
    "flat": "one colour all over",
    "dark": "too dark",
    "bright": "too bright",
    "blur": "out of focus",
    "watermark": "lettering or a watermark",
    "size": "of another size than the rest",
    "class": "a class with hardly any rows",
}
"""Kinds of issues with their meaning, in the order in which a person should look."""

SUGGESTIONS = ("drop", "relabel", "keep")
"""What can be suggested for an issue; for `relabel` its `label` is the new one."""


@dataclass(frozen=True)
class Issue:
    """One suspicion.

    Args:
        number: from 1 on, stays the same while the table lives; decisions refer to it.
        kind: one of `KINDS`.
        rows: positions in the data set; the first is the suspect, or for a group the one that would be kept.
        score: how certain the finding is, 0–1; comparable within a kind only.
        suggestion: one of `SUGGESTIONS`: drop the suspect (of a group: all but the first), relabel it, or keep it.
        label: the suggested label for `relabel`, else empty.
        detail: one sentence that gives the reason.
    """

    number: int
    kind: str
    rows: tuple[int, ...]
    score: float
    suggestion: str
    label: str = ""
    detail: str = ""


@dataclass(frozen=True)
class IssueTable:
    """All issues of a data set, and what the review page shows beside them.

    Args:
        issues: in the order of `KINDS`, highest score first.
        data: path of the data set, as it was given.
        dataset: its name.
        sha256: its hash.
        dataset_rows: its number of rows.
        ids: id of every row that an issue names, by row.
        model: name and version of the artifact that predicted the labels, or empty.
        created: ISO date and time, UTC.
        classes: names of the columns of `probabilities`.
        rows: int64 (M,), sorted: the rows of the arrays below.
        probabilities: float32 (M, K): out-of-fold probabilities of each of `rows`.
        neighbours: int64 (M, J): positions in the data set of the nearest other pictures, nearest first; -1 for none.
        notes: what was not checked, and why.
        mapping: the labels that were given for names or numbers of the data set, to be read again by them.
    """

    issues: tuple[Issue, ...]
    data: str
    dataset: str
    sha256: str
    dataset_rows: int
    ids: dict[int, str]
    model: str
    created: str
    classes: tuple[str, ...]
    rows: Int64
    probabilities: Float32
    neighbours: Int64
    notes: tuple[str, ...] = ()
    mapping: dict[str, str] = field(default_factory=dict)

    def of_kind(self, kind: str) -> tuple[Issue, ...]:
        """The issues of one kind, highest score first."""
        return tuple(issue for issue in self.issues if issue.kind == kind)

    def evidence(self, row: int) -> dict[str, Any] | None:
        """`probabilities` (a dict by class) and `neighbours` (positions) of one row, or None where there are none."""
        place = int(np.searchsorted(self.rows, row))
        if place == len(self.rows) or self.rows[place] != row:
            return None
        return {
            "probabilities": dict(zip(self.classes, self.probabilities[place].tolist(), strict=True)),
            "neighbours": [int(found) for found in self.neighbours[place] if found >= 0],
        }


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
    """Issues in the order of `KINDS`, highest score first, numbered from 1."""
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
