"""Two models on the same faces: is the better one better, or is it chance?"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from mien.errors import DataError
from mien.workshop.evaluation.calibration import bin_of
from mien.workshop.evaluation.intervals import Interval
from mien.workshop.evaluation.scores import Evaluation, SetScores
from mien.workshop.evaluation.sets import LabelledSet

Float64 = npt.NDArray[np.float64]

RESAMPLES = 2000


@dataclass(frozen=True)
class ClassChange:
    """What changes for the faces of one class from the first model to the second.

    Args:
        name: the class.
        faces: how many there are.
        recall, f1: of the first and of the second, NaN where not defined.
        lost: faces of the class that only the first has right.
        gained: faces that only the second has right.
    """

    name: str
    faces: int
    recall: tuple[float, float]
    f1: tuple[float, float]
    lost: int
    gained: int


@dataclass(frozen=True)
class Comparison:
    """Two models on one set of faces.

    Args:
        faces: the set.
        first, second: accuracies, 0–1.
        only_first, only_second: faces that only one of them has right.
        difference: second - first with its 95 % paired bootstrap interval.
        p_value: of McNemar's exact test, two-sided: how often chance alone gives so uneven a division or a more
            uneven one.
        scores: all scores of the first and of the second.
    """

    faces: LabelledSet
    first: float
    second: float
    only_first: int
    only_second: int
    difference: Interval
    p_value: float
    scores: tuple[SetScores, SetScores]

    @property
    def right(self) -> tuple[npt.NDArray[np.bool_], npt.NDArray[np.bool_]]:
        """Which faces the first has right, and which the second, (N,) each."""
        one, other = (scores.predicted == self.faces.truth for scores in self.scores)
        return one, other

    @property
    def classes(self) -> list[ClassChange]:
        """The change of each class that has faces."""
        one, other = self.right
        first, second = self.scores
        return [
            ClassChange(
                name=name,
                faces=int((self.faces.truth == k).sum()),
                recall=(float(first.recall[k]), float(second.recall[k])),
                f1=(float(first.f1[k]), float(second.f1[k])),
                lost=int((one & ~other)[self.faces.truth == k].sum()),
                gained=int((other & ~one)[self.faces.truth == k].sum()),
            )
            for k, name in enumerate(self.faces.classes)
            if (self.faces.truth == k).any()
        ]


def compare(first: Evaluation, second: Evaluation) -> list[Comparison]:
    """Compare two evaluations set by set; sets that only one of them has are left out.

    Raises:
        DataError: they are of different data, or have no set in common.
    """
    if first.dataset_sha256 != second.dataset_sha256 or first.dataset_rows != second.dataset_rows:
        raise DataError(f"{first.dataset} and {second.dataset} are different data: evaluate both models on the same")
    others = {scores.faces.key: scores for scores in second.sets}
    found = []
    for scores in first.sets:
        other = others.get(scores.faces.key)
        if other is not None:
            found.append(_compare(scores, other))
    if not found:
        heads = [sorted({scores.faces.head for scores in found.sets}) for found in (first, second)]
        raise DataError(
            f"{first.model.name} answers with the heads {', '.join(heads[0])}, {second.model.name} with "
            f"{', '.join(heads[1])}: they have none in common to compare"
        )
    return found


def main_comparisons(found: Iterable[Comparison]) -> list[Comparison]:
    """One set a head: the test faces, else those of validation; of head crowd those with a majority, if there are."""
    best: dict[str, Comparison] = {}
    for row in found:
        head = row.faces.head
        if head not in best or _rank(row.faces) < _rank(best[head].faces):
            best[head] = row
    return list(best.values())


def calibration_difference(row: Comparison, *, resamples: int = RESAMPLES) -> Interval:
    """95 % paired bootstrap interval of the expected calibration errors' difference, second - first."""
    n = len(row.faces.rows)
    drawn = np.random.default_rng(0).multinomial(n, np.full(n, 1 / n), resamples).astype(np.float32)
    errors = [np.abs(drawn @ _gaps(scores)).sum(axis=1) / n for scores in row.scores]
    low, high = np.quantile(errors[1] - errors[0], [0.025, 0.975])
    return Interval(float(low), float(high))


def mcnemar(only_first: int, only_second: int) -> float:
    """Two-sided p value of McNemar's exact test, in 0–1 (McNemar 1947).

    Under chance each face that only one model has right is as likely the one's as the other's.

    >>> mcnemar(1, 9)
    0.021484375
    """
    n = only_first + only_second
    tail = sum(math.comb(n, i) for i in range(min(only_first, only_second) + 1))
    return min(1.0, 2 * tail / (1 << n))


def _compare(first: SetScores, second: SetScores) -> Comparison:
    faces = first.faces
    one, other = first.predicted == faces.truth, second.predicted == faces.truth
    n, only_first, only_second = len(one), int((one & ~other).sum()), int((other & ~one).sum())
    shares = np.array([only_first, only_second, n - only_first - only_second]) / n
    drawn = np.random.default_rng(0).multinomial(n, shares, RESAMPLES)
    low, high = np.quantile((drawn[:, 1] - drawn[:, 0]) / n, [0.025, 0.975])
    return Comparison(
        faces=faces,
        first=float(one.mean()),
        second=float(other.mean()),
        only_first=only_first,
        only_second=only_second,
        difference=Interval(float(low), float(high)),
        p_value=mcnemar(only_first, only_second),
        scores=(first, second),
    )


def _rank(faces: LabelledSet) -> int:
    order = [f"{faces.head}-test", f"{faces.head}-validation", "crowd-on-labels-both", "crowd-on-labels-test"]
    return order.index(faces.key) if faces.key in order else len(order)


def _gaps(scores: SetScores, *, bins: int = 15) -> npt.NDArray[np.float32]:
    """Confidence less rightness of each face in the column of its bin, (N, bins)."""
    faces, rows = scores.faces, np.arange(scores.rows)
    right = faces.shares[rows, scores.predicted] if faces.shares is not None else scores.predicted == faces.truth
    gaps = np.zeros((scores.rows, bins), np.float32)
    gaps[rows, bin_of(scores.confidence, bins)] = scores.confidence - right
    return gaps
