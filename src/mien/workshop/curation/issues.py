"""The table of what is suspicious in a data set: written by `curate`, read by the review page and by `apply`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

KINDS = {
    "leak": "the same face stands in several splits",
    "conflict": "pictures of one face with different labels",
    "duplicate": "the same picture, pixel by pixel",
    "near-duplicate": "almost the same picture",
    "label": "another label fits better",
    "no-face": "no face is to be seen",
    "flat": "one colour all over",
    "dark": "too dark",
    "bright": "too bright",
    "blur": "out of focus",
    "watermark": "lettering or a watermark",
    "size": "of another size than the rest",
    "class": "a class with hardly any rows",
}
"""What an issue can be, in the order in which a person should look; each with its meaning."""

SUGGESTIONS = ("drop", "relabel", "keep")
"""What may be suggested for an issue. `relabel` names the label in `label`."""


@dataclass(frozen=True)
class Issue:
    """One suspicion.

    Args:
        number: from 1 on, stays the same while the table lives; decisions refer to it.
        kind: one of `KINDS`.
        rows: positions in the data set; the first is the suspect, or for a group the one that would be kept.
        score: how sure the finding is, 0–1; comparable within a kind only.
        suggestion: one of `SUGGESTIONS`: drop the suspect (of a group: all but the first), relabel it, or keep it.
        label: the suggested label for `relabel`, else empty.
        detail: one sentence that says why.
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
        issues: in the order of `KINDS`, surest first.
        data: path of the data set, as it was given.
        dataset: its name.
        sha256: its hash.
        dataset_rows: its number of rows.
        ids: id of every row that an issue names, by row.
        model: name and version of the artifact that foretold labels, or empty.
        created: ISO date and time, UTC.
        classes: names of the columns of `probabilities`.
        rows: int64 (M,), sorted: the rows that the arrays below speak of.
        probabilities: float32 (M, K): out-of-fold probabilities of each of `rows`.
        neighbours: int64 (M, J): positions in the data set of the nearest other pictures, nearest first; -1 for none.
        notes: what was not looked for, and why.
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
    rows: npt.NDArray[np.int64]
    probabilities: npt.NDArray[np.float32]
    neighbours: npt.NDArray[np.int64]
    notes: tuple[str, ...] = ()

    def of_kind(self, kind: str) -> tuple[Issue, ...]:
        """The issues of one kind, surest first."""
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
