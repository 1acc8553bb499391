"""Agreement with people: how well a model foretells an annotator's vote, against how well other annotators do."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from mien.errors import DataError
from mien.evaluation.metrics import Float64

LAPLACE = 0.25
"""Added to every class's count where a few annotators' votes become a distribution."""

ORDERS = 400
"""Random orders of the annotators over which the figures of k people are averaged."""


@dataclass(frozen=True)
class Agreement:
    """How well a left-out vote is foretold; people by k = 1 … K.

    Args:
        rows: faces.
        model_top1, model_log_likelihood: of the model; a share of the votes, and nats a vote.
        people_top1, people_log_likelihood: of the average of k other annotators, float64 (K,).
    """

    rows: int
    model_top1: float
    model_log_likelihood: float
    people_top1: Float64
    people_log_likelihood: Float64

    @property
    def worth_by_top1(self) -> int:
        """The largest k whose average the model is at least as good as, by the most likely vote; 0 for none."""
        return _worth(self.model_top1, self.people_top1)

    @property
    def worth_by_log_likelihood(self) -> int:
        """The same by the log-likelihood."""
        return _worth(self.model_log_likelihood, self.people_log_likelihood)


def agreement(probabilities: npt.ArrayLike, votes: npt.ArrayLike, *, seed: int = 0) -> Agreement:
    """Compare a model with the annotators themselves.

    Each annotator in turn is left out. The model answers with its probabilities; k others answer with their votes'
    shares, 0.25 added to every class. Top-1 is how often the most likely class is the left-out vote (ties share),
    the log-likelihood the mean of ln p(vote).

    Args:
        probabilities: (N, K), rows sum to 1.
        votes: counts (N, K), every row with the same number of annotators, three or more.
        seed: of the random orders in which the annotators are taken.

    Raises:
        DataError: shapes that do not fit, or rows with different numbers of votes.
    """
    foretold, counts = np.asarray(probabilities, np.float64), np.asarray(votes, np.int64)
    if foretold.shape != counts.shape or foretold.ndim != 2 or not len(foretold):
        raise DataError(f"probabilities {foretold.shape} and votes {counts.shape}: expected the same (N, K), N above 0")
    people = int(counts[0].sum())
    if people < 3 or (counts.sum(axis=1) != people).any():
        raise DataError("every face needs the same number of votes, three or more: choose the rows that have them")
    shares = counts / people
    top = _top(foretold)
    top1, likelihood = _people(counts, people, np.random.default_rng(seed))
    return Agreement(
        rows=len(counts),
        model_top1=float((top * shares).sum(axis=1).mean()),
        model_log_likelihood=float(
            (np.log(np.maximum(foretold, np.finfo(np.float64).eps)) * shares).sum(axis=1).mean()
        ),
        people_top1=top1,
        people_log_likelihood=likelihood,
    )


def jensen_shannon(first: npt.ArrayLike, second: npt.ArrayLike) -> Float64:
    """Jensen–Shannon distance of each row's two distributions, (N,), the root of the divergence in bits: 0–1.

    >>> jensen_shannon([[1, 0], [0.5, 0.5]], [[0, 1], [0.5, 0.5]])
    array([1., 0.])
    """
    one, other = np.asarray(first, np.float64), np.asarray(second, np.float64)
    middle = (one + other) / 2
    divergence = (_relative_entropy(one, middle) + _relative_entropy(other, middle)) / 2
    return np.asarray(np.sqrt(np.maximum(divergence, 0)))


def _people(counts: npt.NDArray[np.int64], people: int, random: np.random.Generator) -> tuple[Float64, Float64]:
    """Top-1 and log-likelihood of k = 1 … people - 1 annotators, averaged over random orders."""
    rows, classes = counts.shape
    ballots = np.repeat(np.tile(np.arange(classes), rows), counts.ravel()).reshape(rows, people)
    top1, likelihood = np.zeros(people - 1), np.zeros(people - 1)
    each = np.arange(rows)
    for _ in range(ORDERS):
        order = random.permuted(ballots, axis=1)
        left_out, seen = order[:, -1], np.zeros((rows, classes))
        for k in range(people - 1):
            seen[each, order[:, k]] += 1
            top1[k] += _top(seen)[each, left_out].mean()
            likelihood[k] += np.log((seen[each, left_out] + LAPLACE) / (k + 1 + LAPLACE * classes)).mean()
    return top1 / ORDERS, likelihood / ORDERS


def _top(values: Float64) -> Float64:
    """1 at each row's highest value, shared where several are equal."""
    highest = values == values.max(axis=1, keepdims=True)
    return np.asarray(highest / highest.sum(axis=1, keepdims=True))


def _worth(model: float, people: Float64) -> int:
    reached = np.flatnonzero(people <= model)
    return int(reached[-1]) + 1 if len(reached) else 0


def _relative_entropy(values: Float64, base: Float64) -> Float64:
    ratio = np.divide(values, base, out=np.ones_like(values), where=values > 0)
    return np.asarray((values * np.log2(ratio)).sum(axis=1))
