"""The same training with several seeds: mean, spread, and an interval of the mean."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from mien.errors import DataError
from mien.workshop.evaluation.intervals import Interval

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
    """Mean and spread of a score in 0–1; the interval is cut at 0 and 1.

    Args:
        values: the score of each seed.
        bootstrap: the interval that is given where there is one seed alone.

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
    reach = (T_975[n - 2] if n - 2 < len(T_975) else 1.96) * sd / math.sqrt(n)
    interval = Interval(max(0.0, mean - reach), min(1.0, mean + reach))
    return Spread(n, mean, sd, interval, float(found.max() - found.min()))
