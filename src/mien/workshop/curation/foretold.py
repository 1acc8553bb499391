"""What the rest of a data set foretells of each picture: out-of-fold probabilities from a model's embeddings."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from mien.errors import MissingExtraError
from mien.workshop.curation.findings import Advance, Int64
from mien.workshop.data.base import NO_LABEL

Float32 = npt.NDArray[np.float32]

FOLDS = 5
STRENGTH = 0.02
"""The inverse weight of the penalty, C of scikit-learn, on embeddings of unit variance."""


def foretell(
    vectors: Float32, labels: Int64, groups: Int64, *, classes: int, seed: int = 0, advance: Advance | None = None
) -> Float32:
    """Probabilities of each class for each picture, by a logistic regression that saw neither it nor its copies.

    Args:
        vectors: float32 (N, D).
        labels: int64 (N,), -1 for none: such rows are foretold by all folds together, and nobody learns from them.
        groups: int64 (N,): rows of one value never stand on both sides.
        classes: number of columns.
        seed: deals the groups to the folds.

    Returns:
        float32 (N, classes), rows sum to 1; without two classes to tell apart, all 0.

    Raises:
        MissingExtraError: without scikit-learn.
    """
    out = np.zeros((len(vectors), classes), np.float32)
    labelled = labels != NO_LABEL
    if len(np.unique(labels[labelled])) < 2:
        return out
    scaled = _standardised(vectors)
    fold = _deal(groups, labels, seed)
    for number in range(FOLDS):
        learnt, asked = labelled & (fold != number), fold == number
        if len(np.unique(labels[learnt])) > 1 and asked.any():
            out[asked] = _fit(scaled[learnt], labels[learnt], scaled[asked], classes)
        if advance:
            advance(number + 1, FOLDS)
    return out


def _standardised(vectors: Float32) -> Float32:
    spread = vectors.std(axis=0)
    return np.asarray((vectors - vectors.mean(axis=0)) / np.where(spread > 1e-6, spread, 1), np.float32)


def _deal(groups: Int64, labels: Int64, seed: int) -> Int64:
    """A fold for each row, all rows of a group in one, each class spread evenly."""
    firsts, of_row = np.unique(groups, return_index=True, return_inverse=True)[1:]
    order = np.random.default_rng(seed).permutation(len(firsts))
    order = order[np.argsort(labels[firsts[order]], kind="stable")]
    fold = np.empty(len(firsts), np.int64)
    fold[order] = np.arange(len(firsts)) % FOLDS
    return np.asarray(fold[of_row])


def _fit(learnt: Float32, labels: Int64, asked: Float32, classes: int) -> Float32:
    try:
        from sklearn.linear_model import LogisticRegression
    except ImportError as error:
        raise MissingExtraError("scikit-learn", "train") from error
    model: Any = LogisticRegression(C=STRENGTH, max_iter=100, tol=1e-3).fit(learnt, labels)
    out = np.zeros((len(asked), classes), np.float32)
    out[:, model.classes_] = model.predict_proba(asked)
    return out
