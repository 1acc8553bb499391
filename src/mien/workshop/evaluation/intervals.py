"""Intervals: how far a score could lie off because these faces were tested and not others."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from mien.errors import DataError
from mien.workshop.evaluation.metrics import Float64


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
        level: share of the resamples that lie inside.
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
