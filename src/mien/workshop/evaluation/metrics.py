"""Classification metrics as pure functions of a confusion matrix.

All but `confusion_matrix` take one matrix (K, K) or a stack of them (..., K, K), rows = truth, and give an
array (...) or (..., K): one call scores a thousand bootstrap resamples.

A figure that is not defined is NaN: the recall of a class that never stands in the truth, the precision of
one that is never predicted, the F1 of one that is neither. Means leave NaN out. In scikit-learn's words: the
cells are those of `zero_division=np.nan`, and macro F1 is that of its defaults, where `labels` is the union
of truth and prediction: a class that stands in one of the two alone counts with F1 = 0.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from mien.errors import DataError

Int64 = npt.NDArray[np.int64]
Float64 = npt.NDArray[np.float64]


def confusion_matrix(truth: npt.ArrayLike, predicted: npt.ArrayLike, classes: int) -> Int64:
    """How often class i was called class j: int64 (K, K), rows = truth, columns = prediction.

    Args:
        truth: integers (N,), 0 to `classes` - 1.
        predicted: the same for the prediction.
        classes: K, the number of classes, present or not.

    Raises:
        DataError: when the lengths differ or a class lies outside 0 to K - 1.

    >>> confusion_matrix([0, 0, 1], [0, 1, 1], 2)
    array([[1, 1],
           [0, 1]])
    """
    true, guess = (_class_numbers(values, classes) for values in (truth, predicted))
    if len(true) != len(guess):
        raise DataError(f"truth and prediction have a row each, but {len(true)} and {len(guess)} rows came")
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

    NaN for a class that never stands in the truth.

    >>> recall([[3, 1], [1, 4]])
    array([0.75, 0.8 ])
    """
    counts = _matrices(confusion)
    return _ratio(_hits(counts), counts.sum(axis=-1))


def f1(confusion: npt.ArrayLike) -> Float64:
    """Harmonic mean of precision and recall, 2 C_kk / (sum_j C_kj + sum_i C_ik): float64 (..., K).

    0 for a class that stands in the truth or the prediction alone, NaN for one that stands in neither.

    >>> f1([[1, 1, 0], [0, 2, 0], [0, 0, 0]]).round(3)
    array([0.667, 0.8  ,   nan])
    """
    counts = _matrices(confusion)
    return _ratio(2 * _hits(counts), counts.sum(axis=-1) + counts.sum(axis=-2))


def macro_f1(confusion: npt.ArrayLike) -> Float64:
    """Plain mean of F1 over the classes that stand in the truth or the prediction: float64 (...).

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
    return _ratio(np.nansum(weights * f1(confusion), axis=-1), weights.sum(axis=-1))


def balanced_accuracy(confusion: npt.ArrayLike) -> Float64:
    """Plain mean of recall over the classes that stand in the truth: float64 (...).

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
            f"class numbers lie in 0–{classes - 1}, but {numbers.min()}–{numbers.max()} came: "
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
