"""What a prediction scores: metrics of confusion matrices, bootstrap and Wilson intervals, spread over seeds.

All but `confusion_matrix` take one matrix (K, K) or a stack of them (..., K, K), rows = truth, and give an
array (...) or (..., K): one call scores a thousand bootstrap resamples.

An undefined figure is NaN: the recall of a class that never occurs in the truth, the precision of
one that is never predicted, the F1 of one that is neither. Means leave NaN out. In scikit-learn's words: the
cells are those of `zero_division=np.nan`, and macro F1 is that of its defaults, where `labels` is the union
of truth and prediction: a class that occurs in only one of the two counts with F1 = 0.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from mien.arrays import Float64, Int64
from mien.errors import DataError


def confusion_matrix(truth: npt.ArrayLike, predicted: npt.ArrayLike, classes: int) -> Int64:
    """How often class i was called class j: int64 (K, K), rows = truth, columns = prediction.

    Args:
        truth: integers (N,), 0 to `classes` - 1.
        predicted: the same for the prediction.
        classes: K, the number of classes, present or not.

    Raises:
        DataError: when the lengths differ or a class is outside 0 to K - 1.

    >>> confusion_matrix([0, 0, 1], [0, 1, 1], 2)
    array([[1, 1],
           [0, 1]])
    """
    true, guess = (_class_numbers(values, classes) for values in (truth, predicted))
    if len(true) != len(guess):
        raise DataError(f"truth and prediction have a row each, but {len(true)} and {len(guess)} rows came")
    # One number a cell of the matrix, so that a single bincount fills it.
    cells = np.bincount(true * classes + guess, minlength=classes**2)
    return cells.reshape(classes, classes).astype(np.int64)


def accuracy(confusion: npt.ArrayLike) -> Float64:
    """Share of rows that are right, sum_i C_ii / N: float64 (...), NaN without rows.

    >>> float(accuracy([[3, 1], [2, 4]]))
    0.7
    """
    counts = _matrices(confusion)
    return _ratio(_hits(counts).sum(axis=-1), counts.sum(axis=(-2, -1)))


def support(confusion: npt.ArrayLike) -> Float64:
    """Rows of each class in the truth, sum_j C_ij: float64 (..., K).

    >>> support([[3, 1], [2, 4]])
    array([4., 6.])
    """
    return np.asarray(_matrices(confusion).sum(axis=-1))


def precision(confusion: npt.ArrayLike) -> Float64:
    """Share of the rows called k that are k, C_kk / sum_i C_ik: float64 (..., K).

    NaN for a class that is never predicted.

    >>> precision([[3, 1], [2, 4]])
    array([0.6, 0.8])
    """
    counts = _matrices(confusion)
    return _ratio(_hits(counts), counts.sum(axis=-2))


def recall(confusion: npt.ArrayLike) -> Float64:
    """Share of the rows of class k that are called k, C_kk / sum_j C_kj: float64 (..., K).

    NaN for a class that never occurs in the truth.

    >>> recall([[3, 1], [1, 4]])
    array([0.75, 0.8 ])
    """
    counts = _matrices(confusion)
    return _ratio(_hits(counts), counts.sum(axis=-1))


def f1(confusion: npt.ArrayLike) -> Float64:
    """Harmonic mean of precision and recall, 2 C_kk / (sum_j C_kj + sum_i C_ik): float64 (..., K).

    0 for a class that occurs in only the truth or the prediction, NaN for one that occurs in neither.

    >>> f1([[1, 1, 0], [0, 2, 0], [0, 0, 0]]).round(3)
    array([0.667, 0.8  ,   nan])
    """
    counts = _matrices(confusion)
    return _ratio(2 * _hits(counts), counts.sum(axis=-1) + counts.sum(axis=-2))


def macro_f1(confusion: npt.ArrayLike) -> Float64:
    """Plain mean of F1 over the classes that occur in the truth or the prediction: float64 (...).

    >>> round(float(macro_f1([[1, 1, 0], [0, 2, 0], [0, 0, 0]])), 4)
    0.7333
    """
    return _mean_of_defined(f1(confusion))


def weighted_f1(confusion: npt.ArrayLike) -> Float64:
    """Mean of F1 weighted by support, sum_k n_k F1_k / N: float64 (...).

    >>> round(float(weighted_f1([[1, 1, 0], [0, 2, 0], [0, 0, 0]])), 4)
    0.7333
    """
    weights = support(confusion)
    # nansum: a class without rows weighs 0, but its F1 may be NaN.
    return _ratio(np.nansum(weights * f1(confusion), axis=-1), weights.sum(axis=-1))


def balanced_accuracy(confusion: npt.ArrayLike) -> Float64:
    """Plain mean of recall over the classes that occur in the truth: float64 (...).

    >>> round(float(balanced_accuracy([[9, 1], [2, 2]])), 3)
    0.7
    """
    return _mean_of_defined(recall(confusion))


def _class_numbers(values: npt.ArrayLike, classes: int) -> Int64:
    numbers = np.asarray(values)
    if numbers.ndim != 1 or (numbers.size and not np.issubdtype(numbers.dtype, np.integer)):
        raise DataError(f"class numbers are integers (N,), but {numbers.dtype} {numbers.shape} came")
    if numbers.size and not (numbers.min() >= 0 and numbers.max() < classes):
        raise DataError(
            f"expected class numbers 0–{classes - 1}, got {numbers.min()}–{numbers.max()}: "
            "drop rows without a label first"
        )
    return numbers.astype(np.int64)


def _matrices(confusion: npt.ArrayLike) -> Float64:
    counts = np.asarray(confusion, np.float64)
    if counts.ndim < 2 or counts.shape[-1] != counts.shape[-2]:
        raise DataError(f"a confusion matrix is (..., K, K), but {counts.shape} came")
    return counts


def _hits(counts: Float64) -> Float64:
    return np.asarray(np.diagonal(counts, axis1=-2, axis2=-1))


def _ratio(numerator: npt.ArrayLike, denominator: npt.ArrayLike) -> Float64:
    over, under = np.asarray(numerator, np.float64), np.asarray(denominator, np.float64)
    return np.asarray(np.divide(over, under, out=np.full(over.shape, np.nan), where=under > 0))


def _mean_of_defined(values: Float64) -> Float64:
    return _ratio(np.nansum(values, axis=-1), np.isfinite(values).sum(axis=-1))


class Interval(NamedTuple):
    """A range of a score, both ends included."""

    low: float
    high: float


def bootstrap_interval(
    confusion: npt.ArrayLike,
    metric: Callable[[npt.ArrayLike], Float64],
    *,
    level: float = 0.95,
    resamples: int = 2000,
    seed: int = 0,
) -> Interval:
    """Percentile bootstrap interval of a metric of the confusion matrix.

    Drawing N rows with replacement is drawing their cells of the confusion matrix from a multinomial
    distribution, so that all resamples come in one call whatever N is. Macro F1 is taken over the classes
    that occur in each resample.

    Args:
        confusion: (K, K) counts, rows = truth.
        metric: takes matrices (B, K, K) and gives scores (B,): `metrics.accuracy`, `metrics.macro_f1`.
        level: share of the resamples inside.
        resamples: B.
        seed: the same seed gives the same interval.

    Raises:
        DataError: when the matrix holds no row.

    >>> from mien.workshop.evaluation.metrics import accuracy
    >>> low, high = bootstrap_interval([[45, 5], [5, 45]], accuracy)
    >>> round(low, 2), round(high, 2)
    (0.84, 0.95)
    """
    counts = np.asarray(confusion, np.int64)
    rows = int(counts.sum())
    if rows == 0:
        raise DataError("a bootstrap interval needs at least one row, but the confusion matrix is empty")
    drawn = np.random.default_rng(seed).multinomial(rows, counts.ravel() / rows, size=resamples)
    scores = metric(drawn.reshape(resamples, *counts.shape))
    tail = 50 * (1 - level)
    low, high = np.percentile(scores, [tail, 100 - tail])
    return Interval(float(low), float(high))


def wilson_interval(hits: int, rows: int, *, z: float = 1.959964) -> Interval:
    """Wilson's score interval of a share, 95 % by default (Wilson 1927): sound for few rows and for shares near 0 or 1.

    Raises:
        DataError: without a row.

    >>> low, high = wilson_interval(9, 10)
    >>> round(low, 3), round(high, 3)
    (0.596, 0.982)
    """
    if rows < 1:
        raise DataError("the interval of a share needs at least one row, and none came")
    share, spread = hits / rows, z * z / rows
    middle = (share + spread / 2) / (1 + spread)
    reach = z * math.sqrt(share * (1 - share) / rows + spread / (4 * rows)) / (1 + spread)
    # Rounding must not put the share itself outside.
    return Interval(min(share, max(0.0, middle - reach)), max(share, min(1.0, middle + reach)))


# A table, because evaluation needs NumPy alone.
T_975 = (
    12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228, 2.201, 2.179, 2.160, 2.145, 2.131,
    2.120, 2.110, 2.101, 2.093, 2.086, 2.080, 2.074, 2.069, 2.064, 2.060, 2.056, 2.052, 2.048, 2.045, 2.042,
)  # fmt: skip
"""97.5 % quantile of Student's t with 1, 2, … degrees of freedom."""


@dataclass(frozen=True)
class Spread:
    """A score over seeds.

    Args:
        count: number of seeds.
        mean: of the score.
        sd: standard deviation with n - 1, 0 for one seed.
        interval: 95 %: by Student's t with two seeds or more, of one seed the bootstrap interval over faces.
        largest_gap: between the best seed and the worst.
    """

    count: int
    mean: float
    sd: float
    interval: Interval
    largest_gap: float


def over_seeds(values: Sequence[float], bootstrap: Interval) -> Spread:
    """Mean and spread of a score in 0–1, a value a seed; the interval is cut at 0 and 1, and `bootstrap` for one seed.

    Raises:
        DataError: for no value.

    >>> spread = over_seeds([0.60, 0.62, 0.61], Interval(0, 1))
    >>> round(spread.mean, 3), round(spread.sd, 3), [round(end, 3) for end in spread.interval]
    (0.61, 0.01, [0.585, 0.635])
    """
    if not values:
        raise DataError("the mean over seeds needs at least one seed")
    found = np.asarray(values, np.float64)
    mean, n = float(found.mean()), len(found)
    if n == 1:
        return Spread(1, mean, 0.0, bootstrap, 0.0)
    sd = float(found.std(ddof=1))
    # Beyond the table the normal quantile is at most 4 % too small.
    reach = (T_975[n - 2] if n - 2 < len(T_975) else 1.96) * sd / math.sqrt(n)
    interval = Interval(max(0.0, mean - reach), min(1.0, mean + reach))
    return Spread(n, mean, sd, interval, float(found.max() - found.min()))
