"""Whether probabilities mean what they say: reliability, proper scores, temperature, coverage."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from mien.arrays import Float64, Int64
from mien.errors import DataError

TEMPERATURES = (0.05, 20.0)
"""The lowest and highest temperature that a fit gives."""


@dataclass(frozen=True)
class Reliability:
    """Rows grouped by their confidence into bins of equal width; a bin without rows has NaN.

    Args:
        edges: ends of the bins from 0 to 1, float64 (B + 1,); a bin holds its upper end, not its lower one.
        counts: rows in each bin, int64 (B,).
        confidence: mean confidence in each bin, float64 (B,).
        accuracy: share of right rows in each bin, float64 (B,).
    """

    edges: Float64
    counts: Int64
    confidence: Float64
    accuracy: Float64


@dataclass(frozen=True)
class Coverage:
    """What remains when rows under a confidence are left unanswered, from the strictest threshold to none.

    Args:
        threshold: rows with at least this confidence are answered, float64 (M,), falling.
        coverage: share of the rows that are answered, float64 (M,), rising to 1.
        accuracy: share of the answered rows that are right, float64 (M,).
    """

    threshold: Float64
    coverage: Float64
    accuracy: Float64

    def at(self, share: float) -> float:
        """Accuracy when at least `share` of the rows are answered, at the strictest threshold that does."""
        # A coverage of n / N may miss the share that was asked for by rounding alone.
        first = np.searchsorted(self.coverage, share - 1e-12)
        return float(self.accuracy[min(int(first), len(self.accuracy) - 1)])

    def answered(self, threshold: float) -> tuple[float, float]:
        """Share of the rows with at least this confidence, and their accuracy, NaN without such a row."""
        count = int((self.threshold >= threshold).sum())
        if not count:
            return 0.0, float("nan")
        return float(self.coverage[count - 1]), float(self.accuracy[count - 1])


def reliability(probabilities: npt.ArrayLike, truth: npt.ArrayLike, *, bins: int = 15) -> Reliability:
    """Confidence and accuracy of the top label in bins of equal width.

    Args:
        probabilities: (N, K), rows sum to 1.
        truth: integers (N,), or distributions (N, K), where the top label is right to its share.
        bins: B.

    >>> reliability([[0.9, 0.1], [0.3, 0.7]], [0, 0], bins=2).accuracy
    array([nan, 0.5])
    """
    confidence, right = _top(probabilities, truth)
    which = bin_of(confidence, bins)
    counts = np.bincount(which, minlength=bins)
    # Divided by NaN rather than 0: an empty bin becomes NaN without a warning.
    filled = np.where(counts > 0, counts, np.nan)
    return Reliability(
        edges=np.linspace(0, 1, bins + 1),
        counts=counts.astype(np.int64),
        confidence=np.bincount(which, confidence, bins) / filled,
        accuracy=np.bincount(which, right, bins) / filled,
    )


def bin_of(confidence: npt.ArrayLike, bins: int) -> Int64:
    """The bin of each confidence (N,), 0 to bins - 1, of equal width from 0 to 1; a bin holds its upper end.

    >>> bin_of([0, 0.2, 0.2000001, 1], 5).tolist()
    [0, 0, 1, 4]
    """
    edges = np.linspace(0, 1, bins + 1)
    # Clipped for a confidence of 0, which lies on the lower end of the first bin.
    return np.asarray(np.clip(np.searchsorted(edges, confidence, side="left") - 1, 0, bins - 1), np.int64)


def expected_calibration_error(probabilities: npt.ArrayLike, truth: npt.ArrayLike, *, bins: int = 15) -> float:
    """Mean gap between confidence and accuracy, sum_b n_b / N |acc_b - conf_b|, in 0–1.

    On the top label with bins of equal width, as in Guo et al., "On Calibration of Modern Neural Networks"
    (2017).

    >>> round(expected_calibration_error([[0.9, 0.1], [0.3, 0.7]], [0, 1]), 3)
    0.2
    """
    found = reliability(probabilities, truth, bins=bins)
    gaps = np.abs(found.accuracy - found.confidence)
    # nansum, because 0 rows times the NaN of an empty bin is NaN.
    return float(np.nansum(gaps * found.counts) / found.counts.sum())


def calibration_error_by_chance(confidence: npt.ArrayLike, *, bins: int = 15) -> float:
    """The calibration error to expect on so many rows where every probability is exactly right.

    Whether a row is right is chance, so no bin's accuracy meets its confidence: with n_b rows of confidence c the gap
    is on average sqrt(2 / pi) times its standard deviation sqrt(sum c (1 - c)) / n_b, by the normal approximation. An
    error near this figure is no sign of miscalibration.

    Args:
        confidence: of the top label, (N,), 0–1.
        bins: B.

    >>> round(calibration_error_by_chance(np.full(1000, 0.7)), 4)
    0.0116
    """
    found = np.asarray(confidence, np.float64)
    deviations = np.sqrt(np.bincount(bin_of(found, bins), found * (1 - found), bins))
    return float(np.sqrt(2 / np.pi) * deviations.sum() / len(found))


def brier_score(probabilities: npt.ArrayLike, targets: npt.ArrayLike) -> float:
    """Mean squared distance to the truth, sum_k (p_k - t_k)^2 averaged over rows, in 0–2.

    Over all classes, as Brier wrote it; the two-class form that some use is half of it.

    Args:
        probabilities: (N, K), rows sum to 1.
        targets: integers (N,) or distributions (N, K).

    >>> round(brier_score([[0.9, 0.1], [0.3, 0.7]], [0, 1]), 3)
    0.1
    """
    found = _rows(probabilities)
    return float(np.mean(np.sum((found - _distributions(targets, found.shape)) ** 2, axis=1)))


def negative_log_likelihood(probabilities: npt.ArrayLike, targets: npt.ArrayLike) -> float:
    """Mean of -sum_k t_k ln p_k in nats; a probability under 2.2e-16 counts as that, as in scikit-learn.

    Args:
        probabilities: (N, K), rows sum to 1.
        targets: integers (N,) or distributions (N, K).

    >>> round(negative_log_likelihood([[0.5, 0.5], [0.5, 0.5]], [0, 1]), 4)
    0.6931
    """
    found = _rows(probabilities)
    logs = np.log(np.clip(found, np.finfo(np.float64).eps, 1))
    return float(-np.mean(np.sum(_distributions(targets, found.shape) * logs, axis=1)))


def fit_temperature(logits: npt.ArrayLike, targets: npt.ArrayLike) -> float:
    """The temperature T under which softmax(logits / T) has the least negative log-likelihood.

    With b = 1 / T the loss is mean(logsumexp(b z) - b t·z), which is convex in b; its derivative is followed
    to zero by Newton's steps that bisection keeps inside the bracket. Deterministic, and 1 where every T is
    as good.

    Args:
        logits: float (N, K).
        targets: integers (N,) or distributions (N, K).

    Returns:
        T in `TEMPERATURES`, near a bound where the loss falls all the way there (a model never wrong).

    Raises:
        DataError: for no rows, logits that are not finite, or targets that do not fit them.

    >>> round(fit_temperature([[2.0, 0.0], [2.0, 0.0], [2.0, 0.0]], [0, 0, 1]), 3)
    2.885
    """
    z = _rows(logits)
    # With the highest logit at 0, exp cannot overflow at any T.
    centred = z - z.max(axis=1, keepdims=True)
    wanted = float(np.mean(np.sum(_distributions(targets, z.shape) * centred, axis=1)))
    low, high = 1 / TEMPERATURES[1], 1 / TEMPERATURES[0]
    b = 1.0
    for _ in range(100):
        slope, curvature = _slope(centred, wanted, b)
        # With constant logits every T is as good, and b stays 1.
        if slope == 0:
            break
        low, high = (low, b) if slope > 0 else (b, high)
        # Without curvature the step is put on the bracket's end, so that bisection takes over.
        step = b - slope / curvature if curvature > 0 else low
        following = step if low < step < high else (low + high) / 2
        if abs(following - b) < 1e-12 * b:
            break
        b = following
    return float(np.clip(1 / b, *TEMPERATURES))


def accuracy_against_coverage(probabilities: npt.ArrayLike, truth: npt.ArrayLike) -> Coverage:
    """How accuracy rises when the least confident rows are left unanswered.

    Rows of equal confidence are answered together.

    Args:
        probabilities: (N, K), rows sum to 1.
        truth: integers (N,).

    >>> accuracy_against_coverage([[0.9, 0.1], [0.6, 0.4]], [0, 1]).accuracy
    array([1. , 0.5])
    """
    confidence, right = _top(probabilities, truth)
    order = np.argsort(-confidence, kind="stable")
    falling = confidence[order]
    # No threshold separates equal confidences: only the last of them ends an answerable group.
    last = np.flatnonzero(np.append(falling[1:] != falling[:-1], True))
    answered = last + 1
    return Coverage(falling[last], answered / len(falling), np.cumsum(right[order])[last] / answered)


def _slope(centred: Float64, wanted: float, b: float) -> tuple[float, float]:
    """First and second derivative of the loss by the inverse temperature."""
    weights = np.exp(b * centred)
    weights /= weights.sum(axis=1, keepdims=True)
    mean = np.sum(weights * centred, axis=1)
    variance = np.sum(weights * centred**2, axis=1) - mean**2
    return float(mean.mean() - wanted), float(variance.mean())


def _top(probabilities: npt.ArrayLike, truth: npt.ArrayLike) -> tuple[Float64, Float64]:
    """Confidence (N,) of the top label, and how far it is right: 1 or 0, or its share of a distribution."""
    found = _rows(probabilities)
    true = np.asarray(truth)
    top = found.argmax(axis=1)
    if true.shape == found.shape:
        return found.max(axis=1), _distributions(true, found.shape)[np.arange(len(top)), top]
    if true.shape != found.shape[:1]:
        raise DataError(
            f"{len(found)} rows of probabilities take truth (N,) or {found.shape}, but shape {true.shape} came"
        )
    return found.max(axis=1), (top == true).astype(np.float64)


def _rows(values: npt.ArrayLike) -> Float64:
    found = np.asarray(values, np.float64)
    if found.ndim != 2 or not found.size:
        raise DataError(f"expected (N, K) with at least one row and class, but shape {found.shape} came")
    bad = ~np.isfinite(found).all(axis=1)
    if bad.any():
        raise DataError(f"expected finite numbers, but row {int(bad.argmax())} holds NaN or infinity")
    return found


def _distributions(targets: npt.ArrayLike, shape: tuple[int, ...]) -> Float64:
    """Targets as distributions (N, K), whichever of the two forms they come in."""
    given = np.asarray(targets)
    rows, classes = shape
    if given.shape == (rows,) and np.issubdtype(given.dtype, np.integer):
        if given.min() < 0 or given.max() >= classes:
            raise DataError(f"expected targets in 0–{classes - 1}, but {given.min()}–{given.max()} came")
        return np.asarray(np.eye(classes)[given])
    if given.shape != shape:
        raise DataError(
            f"targets are integers ({rows},) or distributions {shape}, but {given.dtype} {given.shape} came"
        )
    # Wide enough for shares that were rounded.
    off = np.abs(given.sum(axis=1) - 1) > 1e-3
    if off.any() or not (given >= 0).all():
        raise DataError("target distributions are not negative and sum to 1 in every row, but these do not")
    return given.astype(np.float64)
