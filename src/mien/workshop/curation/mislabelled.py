"""Labels that do not fit their picture, by confident learning (Northcutt et al., 2021)."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from importlib import import_module
from typing import Any

import numpy as np
import numpy.typing as npt

from mien.errors import MissingExtraError
from mien.labels import SEVEN
from mien.workshop.curation.findings import Finding, Int64
from mien.workshop.data.base import NO_LABEL

Float32 = npt.NDArray[np.float32]

SURE = 0.6
"""A label is suggested from this out-of-fold probability on."""

AGREEING = 0.5
"""And when so large a share of the nearest pictures carries it."""

HARDLY = 0.15
"""A label is doubted altogether when neither its probability nor its share of the nearest pictures reaches this."""


@dataclass(frozen=True)
class Evidence:
    """What speaks for and against the labels, a row each.

    Args:
        foretold: float32 (N, 7), out-of-fold probabilities, from `foretell`.
        neighbours: int64 (N, J), rows of the nearest other pictures, -1 for none.
        opinion: int64 (N,), the class that the model itself reads, -1 where that is none of the seven.
    """

    foretold: Float32
    neighbours: Int64
    opinion: Int64


def find_mislabelled(labels: Int64, evidence: Evidence) -> list[Finding]:
    """Findings `label`: the rows whose labels confident learning holds for wrong.

    `relabel` is suggested where another class has a high out-of-fold probability, most of the nearest pictures carry
    it, and the model reads it too; `drop` where nothing speaks for the label and there is no agreement on another;
    else `keep`, which is to say: look at it.

    Args:
        labels: int64 (N,), -1 for none.
        evidence: of the same rows.

    Raises:
        MissingExtraError: without cleanlab.
    """
    known = np.flatnonzero(labels != NO_LABEL)
    present = np.unique(labels[known])
    if len(present) < 2 or not evidence.foretold.any():
        return []
    shares = evidence.foretold[np.ix_(known, present)].astype(np.float64)
    shares /= np.maximum(shares.sum(axis=1, keepdims=True), 1e-12)
    doubted = known[_doubted(np.searchsorted(present, labels[known]), shares)]
    around = neighbour_shares(labels, evidence.neighbours[doubted])
    return [_describe(int(row), labels, evidence, share) for row, share in zip(doubted, around, strict=True)]


def neighbour_shares(labels: Int64, neighbours: Int64) -> Float32:
    """The share of each class among the labelled ones of the nearest pictures, float32 (M, 7)."""
    found = np.where(neighbours >= 0, labels[neighbours], NO_LABEL)
    counts = (found[:, :, None] == np.arange(len(SEVEN))).sum(axis=1)
    return np.asarray(counts / np.maximum(counts.sum(axis=1, keepdims=True), 1), np.float32)


def _doubted(labels: Int64, shares: npt.NDArray[np.float64]) -> npt.NDArray[np.bool_]:
    """A mask of the labels that cleanlab holds for wrong."""
    try:
        filters: Any = import_module("cleanlab.filter")
    except ImportError as error:
        raise MissingExtraError("cleanlab", "train") from error
    with warnings.catch_warnings():
        # It warns of classes with few rows; those are told as issues of their own.
        warnings.simplefilter("ignore")
        return np.asarray(filters.find_label_issues(labels, shares, filter_by="prune_by_noise_rate", n_jobs=1), bool)


def _describe(row: int, labels: Int64, evidence: Evidence, around: Float32) -> Finding:
    label, shares = int(labels[row]), evidence.foretold[row]
    top = int(np.where(np.arange(len(SEVEN)) == label, -1, shares).argmax())
    score = float(1 + shares[top] - shares[label]) / 2
    agreed = shares[top] >= SURE and around[top] >= AGREEING and evidence.opinion[row] == top
    nothing = shares[label] < HARDLY and around[label] < HARDLY and evidence.opinion[row] != label
    suggestion = "relabel" if agreed else "drop" if nothing else "keep"
    said = (
        f"{SEVEN[label]} {shares[label]:.2f}, {SEVEN[top]} {shares[top]:.2f}; "
        f"of the nearest pictures {around[label]:.0%} and {around[top]:.0%}"
    )
    return Finding("label", (row,), score, suggestion, SEVEN[top] if agreed else "", said)
