"""Two models on the same faces: is the better one better, or is it chance?"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from mien.errors import DataError
from mien.evaluation.evaluate import Evaluation
from mien.evaluation.intervals import Interval
from mien.evaluation.sets import LabelledSet


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
    """

    faces: LabelledSet
    first: float
    second: float
    only_first: int
    only_second: int
    difference: Interval
    p_value: float


def compare(first: Evaluation, second: Evaluation) -> list[Comparison]:
    """Compare two evaluations set by set; sets that only one of them has are left out.

    Raises:
        DataError: they are of different data.
    """
    if first.dataset_sha256 != second.dataset_sha256 or first.dataset_rows != second.dataset_rows:
        raise DataError(f"{first.dataset} and {second.dataset} are different data: evaluate both models on the same")
    others = {scores.faces.key: scores for scores in second.sets}
    found = []
    for scores in first.sets:
        other = others.get(scores.faces.key)
        if other is not None:
            found.append(_compare(scores.faces, scores.predicted, other.predicted))
    return found


def mcnemar(only_first: int, only_second: int) -> float:
    """Two-sided p value of McNemar's exact test, in 0–1 (McNemar 1947).

    Under chance each face that only one model has right is as likely the one's as the other's.

    >>> mcnemar(1, 9)
    0.021484375
    """
    n = only_first + only_second
    tail = sum(math.comb(n, i) for i in range(min(only_first, only_second) + 1))
    return min(1.0, 2 * tail / (1 << n))


def _compare(
    faces: LabelledSet, first: npt.NDArray[np.int64], second: npt.NDArray[np.int64], *, resamples: int = 2000
) -> Comparison:
    one, other = first == faces.truth, second == faces.truth
    n, only_first, only_second = len(one), int((one & ~other).sum()), int((other & ~one).sum())
    shares = np.array([only_first, only_second, n - only_first - only_second]) / n
    drawn = np.random.default_rng(0).multinomial(n, shares, resamples)
    low, high = np.quantile((drawn[:, 1] - drawn[:, 0]) / n, [0.025, 0.975])
    return Comparison(
        faces=faces,
        first=float(one.mean()),
        second=float(other.mean()),
        only_first=only_first,
        only_second=only_second,
        difference=Interval(float(low), float(high)),
        p_value=mcnemar(only_first, only_second),
    )
