"""Labels that do not fit their picture: out-of-fold predictions, and confident learning (Northcutt et al., 2021)."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from importlib import import_module
from typing import Any

import numpy as np

from mien.arrays import Bool, Float32, Float64, Int64
from mien.errors import MissingExtraError
from mien.labels import SEVEN
from mien.workshop.curation.issues import Finding
from mien.workshop.data.base import NO_LABEL
from mien.workshop.progress import OnProgress

SURE = 0.6
"""A label is suggested from this out-of-fold probability on."""

AGREEING = 0.5
"""And when so large a share of the nearest pictures carries it."""

HARDLY = 0.15
"""A label is doubted altogether when neither its probability nor its share of the nearest pictures reaches this."""

FOLDS = 5
STRENGTH = 0.02
"""scikit-learn's C, the inverse weight of the penalty, for embeddings of unit variance."""


@dataclass(frozen=True)
class Evidence:
    """Evidence for and against the labels, a row each.

    Args:
        out_of_fold: float32 (N, 7), from `predict_out_of_fold`.
        neighbours: int64 (N, J), rows of the nearest other pictures, -1 for none.
        predicted: int64 (N,), the class that the model itself predicts, -1 if not among the seven.
    """

    out_of_fold: Float32
    neighbours: Int64
    predicted: Int64


def find_mislabelled(labels: Int64, evidence: Evidence) -> list[Finding]:
    """Findings `label`: the rows whose labels confident learning considers wrong.

    `relabel` is suggested where another class has a high out-of-fold probability, most of the nearest pictures carry
    it, and the model predicts it too; `drop` where nothing supports the label and there is no agreement on another;
    else `keep`: a person should look.

    Args:
        labels: int64 (N,), -1 for none.
        evidence: of the same rows.

    Raises:
        MissingExtraError: without cleanlab.
    """
    known = np.flatnonzero(labels != NO_LABEL)
    present = np.unique(labels[known])
    if len(present) < 2 or not evidence.out_of_fold.any():
        return []
    # cleanlab takes classes that are numbered without a gap, and shares that sum to 1.
    shares = evidence.out_of_fold[np.ix_(known, present)].astype(np.float64)
    shares /= np.maximum(shares.sum(axis=1, keepdims=True), 1e-12)
    doubted = known[_doubted(np.searchsorted(present, labels[known]), shares)]
    around = neighbour_shares(labels, evidence.neighbours[doubted])
    return [_describe(int(row), labels, evidence, share) for row, share in zip(doubted, around, strict=True)]


def neighbour_shares(labels: Int64, neighbours: Int64) -> Float32:
    """The share of each class among the labelled ones of the nearest pictures, float32 (M, 7)."""
    found = np.where(neighbours >= 0, labels[neighbours], NO_LABEL)
    counts = (found[:, :, None] == np.arange(len(SEVEN))).sum(axis=1)
    return np.asarray(counts / np.maximum(counts.sum(axis=1, keepdims=True), 1), np.float32)


def _doubted(labels: Int64, shares: Float64) -> Bool:
    """A mask of the labels that cleanlab considers wrong."""
    try:
        filters: Any = import_module("cleanlab.filter")
    except ImportError as error:
        raise MissingExtraError("cleanlab", "train") from error
    with warnings.catch_warnings():
        # It warns of classes with few rows, which are reported as issues of their own.
        warnings.simplefilter("ignore")
        return np.asarray(filters.find_label_issues(labels, shares, filter_by="prune_by_noise_rate", n_jobs=1), bool)


def _describe(row: int, labels: Int64, evidence: Evidence, around: Float32) -> Finding:
    label, shares = int(labels[row]), evidence.out_of_fold[row]
    top = int(np.where(np.arange(len(SEVEN)) == label, -1, shares).argmax())
    score = float(1 + shares[top] - shares[label]) / 2
    agreed = shares[top] >= SURE and around[top] >= AGREEING and evidence.predicted[row] == top
    nothing = shares[label] < HARDLY and around[label] < HARDLY and evidence.predicted[row] != label
    suggestion = "relabel" if agreed else "drop" if nothing else "keep"
    said = (
        f"{SEVEN[label]} {shares[label]:.2f}, {SEVEN[top]} {shares[top]:.2f}; "
        f"of the nearest pictures {around[label]:.0%} and {around[top]:.0%}"
    )
    return Finding("label", (row,), score, suggestion, SEVEN[top] if agreed else "", said)


def predict_out_of_fold(
    vectors: Float32,
    labels: Int64,
    groups: Int64,
    *,
    classes: int,
    seed: int = 0,
    on_progress: OnProgress | None = None,
) -> Float32:
    """Probabilities of each class for each picture, by a logistic regression that saw neither it nor its copies.

    Args:
        vectors: float32 (N, D).
        labels: int64 (N,), -1 for none: such rows are predicted, and no fold learns from them.
        groups: int64 (N,): rows of one value are never on both sides.
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
    # STRENGTH is a penalty for features of one scale.
    scaled = _standardised(vectors)
    fold = _deal(groups, labels, seed)
    for number in range(FOLDS):
        learnt, asked = labelled & (fold != number), fold == number
        if len(np.unique(labels[learnt])) > 1 and asked.any():
            out[asked] = _fit(scaled[learnt], labels[learnt], scaled[asked], classes)
        if on_progress:
            on_progress(number + 1, FOLDS)
    return out


def _standardised(vectors: Float32) -> Float32:
    spread = vectors.std(axis=0)
    return np.asarray((vectors - vectors.mean(axis=0)) / np.where(spread > 1e-6, spread, 1), np.float32)


def _deal(groups: Int64, labels: Int64, seed: int) -> Int64:
    """A fold for each row, all rows of a group in one, each class spread evenly."""
    firsts, of_row = np.unique(groups, return_index=True, return_inverse=True)[1:]
    order = np.random.default_rng(seed).permutation(len(firsts))
    # Sorted by class and dealt in turn: every fold gets its share of each class.
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
    # A class that is not among the learned rows has no column.
    out[:, model.classes_] = model.predict_proba(asked)
    return out
