"""Which classes are taken for which others, and the errors that a model is surest of."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from mien.workshop.evaluation.scores import SetScores

Int64 = npt.NDArray[np.int64]

TOP = 5
LEAST = 3
"""Faces that a confusion needs to be ranked by its share."""


@dataclass(frozen=True)
class Confusion:
    """Faces of one class that were called another.

    Args:
        truth, predicted: names of the two classes.
        count: faces.
        share: of all faces of the true class, 0–1.
        errors: share of all errors of the set, 0–1.
        rows: positions in the set, int64 (count,), the surest first.
    """

    truth: str
    predicted: str
    count: int
    share: float
    errors: float
    rows: Int64

    @property
    def name(self) -> str:
        """`fear as surprise`."""
        return f"{self.truth} as {self.predicted}"


def confusions(scores: SetScores) -> list[Confusion]:
    """All confusions that occur, the most frequent first."""
    classes, counts = scores.faces.classes, scores.confusion
    wrong = int(counts.sum() - np.trace(counts))
    found = [
        Confusion(
            truth=classes[i],
            predicted=classes[j],
            count=int(counts[i, j]),
            share=float(counts[i, j] / scores.support[i]),
            errors=float(counts[i, j] / wrong),
            rows=_rows(scores, (scores.faces.truth == i) & (scores.predicted == j)),
        )
        for i, j in np.argwhere(counts)
        if i != j
    ]
    return sorted(found, key=lambda row: (-row.count, row.name))


def top_by_share(found: list[Confusion]) -> list[Confusion]:
    """Those of at least `LEAST` faces, the largest share of the true class first."""
    return sorted((row for row in found if row.count >= LEAST), key=lambda row: (-row.share, row.name))


def surest_errors(scores: SetScores, count: int = 24) -> Int64:
    """Positions in the set of the errors with the highest confidence, int64 (at most `count`,)."""
    return _rows(scores, scores.predicted != scores.faces.truth)[:count]


def examples(scores: SetScores, a_class: int = 2, *, seed: int = 0) -> tuple[Int64, Int64]:
    """Faces of every class by chance, right ones and wrong ones: positions in the set, at most `a_class` of each."""
    generator = np.random.default_rng(seed)
    right = scores.predicted == scores.faces.truth
    picked: list[list[Int64]] = [[], []]
    for label in range(len(scores.faces.classes)):
        for number, kind in enumerate((right, ~right)):
            rows = np.flatnonzero(kind & (scores.faces.truth == label))
            picked[number].append(generator.permutation(rows)[:a_class])
    return np.concatenate(picked[0]), np.concatenate(picked[1])


def _rows(scores: SetScores, mask: npt.NDArray[np.bool_]) -> Int64:
    """Positions where the mask holds, the surest first."""
    rows = np.flatnonzero(mask)
    return np.asarray(rows[np.argsort(-scores.confidence[rows], kind="stable")])
