"""Figures of valence, arousal and intensity: CCC, Pearson's r, RMSE and sign agreement, with bootstrap intervals.

All of them follow from a few sums over the rows, so that a resample costs one weighted sum.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from mien.arrays import Float64
from mien.errors import DataError
from mien.workshop.evaluation.calibration import bin_of
from mien.workshop.evaluation.metrics import Interval

RESAMPLES = 1000


def moments(predicted: npt.ArrayLike, truth: npt.ArrayLike) -> Float64:
    """What every figure is made of, (N, 6): p, t, p², t², p t, and 1 where both have the same sign.

    Raises:
        DataError: not the same number of rows, none at all, or a value that is no number.
    """
    p, t = np.asarray(predicted, np.float64), np.asarray(truth, np.float64)
    if p.shape != t.shape or p.ndim != 1 or not len(p):
        raise DataError(f"expected two rows of values of the same length from 1, got {p.shape} and {t.shape}")
    if not (np.isfinite(p).all() and np.isfinite(t).all()):
        raise DataError("values to compare are finite numbers: leave out the rows that have none")
    return np.column_stack([p, t, p * p, t * t, p * t, np.sign(p) == np.sign(t)])


def concordance(means: Float64) -> Float64:
    """Concordance correlation coefficient 2 s_pt / (s_p² + s_t² + (m_p - m_t)²) (Lin, 1989), of means (…, 6).

    1 for the same values, 0 for constant ones; unlike Pearson's r it falls with a shift or another scale.

    >>> float(concordance(moments([0.0, 1.0], [0.5, 1.5]).mean(axis=0)).round(3))
    0.667
    """
    spread_p, spread_t, both = _spreads(means)
    below = spread_p + spread_t + (means[..., 0] - means[..., 1]) ** 2
    return _ratio(2 * both, below)


def pearson(means: Float64) -> Float64:
    """Pearson's r of means (…, 6); 0 where one of the two is constant.

    >>> float(pearson(moments([0.0, 1.0], [0.5, 1.5]).mean(axis=0)).round(3))
    1.0
    """
    spread_p, spread_t, both = _spreads(means)
    return _ratio(both, np.sqrt(spread_p * spread_t))


def rmse(means: Float64) -> Float64:
    """Root of the mean squared difference, of means (…, 6).

    >>> float(rmse(moments([0.0, 1.0], [0.5, 1.5]).mean(axis=0)).round(3))
    0.5
    """
    return np.asarray(np.sqrt(np.maximum(means[..., 2] + means[..., 3] - 2 * means[..., 4], 0.0)))


def sign_agreement(means: Float64) -> Float64:
    """Share of rows on the same side of 0 (SAGR; Nicolaou et al., 2011), of means (…, 6).

    >>> float(sign_agreement(moments([-0.1, 0.2], [-0.9, -0.1]).mean(axis=0)))
    0.5
    """
    return np.asarray(means[..., 5])


METRICS: dict[str, Callable[[Float64], Float64]] = {
    "ccc": concordance, "pcc": pearson, "rmse": rmse, "sagr": sign_agreement,
}  # fmt: skip
"""By the names that the field has for them."""


@dataclass(frozen=True)
class Figure:
    """A figure and its 95 % interval over rows."""

    value: float
    interval: Interval


def measure_values(
    predicted: npt.ArrayLike, truth: npt.ArrayLike, *, resamples: int = RESAMPLES, seed: int = 0
) -> dict[str, Figure]:
    """Every metric of `METRICS` of values (N,), with percentile bootstrap intervals over rows.

    Raises:
        DataError: as `moments`.
    """
    table = moments(predicted, truth)
    generator = np.random.default_rng(seed)
    rows = len(table)
    drawn = np.empty((resamples, table.shape[1]))
    for number in range(resamples):
        weights = np.bincount(generator.integers(rows, size=rows), minlength=rows)
        drawn[number] = weights @ table / rows
    whole = table.mean(axis=0)
    found = {}
    for name, metric in METRICS.items():
        low, high = np.percentile(metric(drawn), [2.5, 97.5])
        found[name] = Figure(float(metric(whole)), Interval(float(low), float(high)))
    return found


def share_calibration_error(told: npt.ArrayLike, truth: npt.ArrayLike, *, bins: int = 15) -> float:
    """Expected calibration error of a share: the gap between the means told and found in bins of equal width, 0–1.

    Each bin counts by its rows. Both are shares (N,) in 0–1: of annotators who see any expression, for intensity.

    >>> round(share_calibration_error([0.2, 0.2, 0.8], [0.1, 0.3, 0.7]), 3)
    0.033
    """
    x, y = np.asarray(told, np.float64), np.asarray(truth, np.float64)
    if x.shape != y.shape or not len(x):
        raise DataError(f"expected two rows of shares of the same length from 1, got {x.shape} and {y.shape}")
    which = bin_of(x, bins)
    return float(np.abs(np.bincount(which, x - y, bins)).sum() / len(x))


def _spreads(means: Float64) -> tuple[Float64, Float64, Float64]:
    """Variances of both and their covariance; what rounding leaves of a constant one is 0."""
    spread_p = means[..., 2] - means[..., 0] ** 2
    spread_t = means[..., 3] - means[..., 1] ** 2
    return (
        np.where(spread_p > 1e-12, spread_p, 0.0),
        np.where(spread_t > 1e-12, spread_t, 0.0),
        means[..., 4] - means[..., 0] * means[..., 1],
    )


def _ratio(above: Float64, below: Float64) -> Float64:
    return np.asarray(np.where(below > 0, above / np.where(below > 0, below, 1.0), 0.0))
