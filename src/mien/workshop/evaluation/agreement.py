"""Agreement with people: how well a model predicts an annotator's vote, compared with other annotators.

All figures of people are exact expectations: every way in which k of a face's n annotators can be drawn is weighed by
its probability (multivariate hypergeometric), so nothing here depends on a seed. What remains uncertain is which faces
were tested; the standard errors say how much.

An annotator is a vote: FER+ does not say whose vote is whose, so there is no best annotator, only an average one.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from mien.arrays import Bool, Float64, Int64
from mien.errors import DataError

LAPLACE = 0.25
"""Added to every class's count where a few annotators' votes become a distribution."""

PEOPLE = (3, 20)
"""The fewest and the most annotators a face."""

SUM_TOLERANCE = 1e-3


@dataclass(frozen=True)
class Errors:
    """The model's errors against the most chosen class, and how far people share them.

    Where several classes were chosen equally often, each of them counts as the most chosen one.

    Args:
        rate: share of the faces where the model's class is not the most chosen one.
        people_rate: how often an annotator drawn at random does not choose it either, over all faces.
        people_rate_there: the same over the faces that the model has wrong.
        backed: of the model's errors, the share where at least one annotator chose the model's class.
        backed_twice: the same with at least two annotators.
    """

    rate: float
    people_rate: float
    people_rate_there: float
    backed: float
    backed_twice: float


@dataclass(frozen=True)
class DisagreementGroup:
    """A quarter of the faces by how far people divide; faces as divided as one another stay together.

    Args:
        low_bits, high_bits: least and greatest entropy of the votes.
        rows: faces.
        model_top1, people_top1, ceiling_top1: share of left-out votes that the model, all other annotators together
            and the crowd's own distribution predict.
        model_error: `Errors.rate` of these faces.
        model_distance: mean Jensen–Shannon distance of the model to the crowd.
    """

    low_bits: float
    high_bits: float
    rows: int
    model_top1: float
    people_top1: float
    ceiling_top1: float
    model_error: float
    model_distance: float


@dataclass(frozen=True)
class Agreement:
    """How well a left-out vote is predicted, by the model and by people, k = 1 … K = n - 1 of the n annotators.

    Args:
        rows: faces.
        model_top1, model_log_likelihood: of the model; a share of the votes, and nats a vote.
        people_top1, people_log_likelihood: of the average of k other annotators, float64 (K,).
        model_top1_error: standard error of `model_top1`, from the faces drawn.
        people_top1_error: that of `people_top1`, float64 (K,).
        lead_error: that of the difference model - people by top-1, which is paired by face, float64 (K,).
        ceiling_top1, ceiling_log_likelihood: what the distribution of all n votes itself reaches, the left-out one
            among them: no model can be better on these votes.
        model_distance: mean Jensen–Shannon distance of the model to the distribution of all votes, 0–1.
        people_distance: that of k annotators to the other n - k, float64 (K,).
        model_distance_to_rest: that of the model to the same n - k, float64 (K,): compare these two with one another.
        errors: the model's errors and how far people share them.
        by_disagreement: quarters of the faces, from those on which people agree most.
    """

    rows: int
    model_top1: float
    model_log_likelihood: float
    people_top1: Float64
    people_log_likelihood: Float64
    model_top1_error: float
    people_top1_error: Float64
    lead_error: Float64
    ceiling_top1: float
    ceiling_log_likelihood: float
    model_distance: float
    people_distance: Float64
    model_distance_to_rest: Float64
    errors: Errors
    by_disagreement: tuple[DisagreementGroup, ...] = field(default=())

    @property
    def worth_by_top1(self) -> int:
        """The largest k whose average the model is at least as good as, by the most likely vote; 0 for none."""
        return _worth(self.model_top1, self.people_top1)

    @property
    def worth_by_log_likelihood(self) -> int:
        """The same by the log-likelihood."""
        return _worth(self.model_log_likelihood, self.people_log_likelihood)

    @property
    def worth_by_distance(self) -> int:
        """The largest k whose average is no nearer to the rest of the crowd than the model is; 0 for none."""
        return _worth(0.0, self.model_distance_to_rest - self.people_distance)

    @property
    def explained_error(self) -> float:
        """Share of the model's top-1 error on left-out votes that the crowd's own distribution makes as well.

        (1 - ceiling) / (1 - model): people's disagreement explains so much, the rest is the model's. NaN without error.
        """
        return (1 - self.ceiling_top1) / (1 - self.model_top1) if self.model_top1 < 1 else math.nan

    @property
    def explained_error_by_people(self) -> float:
        """The same against all other annotators together, who do not know the vote; above 1 the model leads."""
        return (1 - float(self.people_top1[-1])) / (1 - self.model_top1) if self.model_top1 < 1 else math.nan


def agreement(probabilities: npt.ArrayLike, votes: npt.ArrayLike) -> Agreement:
    """Compare a model with the annotators themselves.

    Each annotator in turn is left out. The model answers with its probabilities; k others answer with their votes'
    shares, 0.25 added to every class. Top-1 is how often the most likely class is the left-out vote (ties share),
    the log-likelihood the mean of ln p(vote).

    Args:
        probabilities: (N, K), rows sum to 1.
        votes: counts (N, K), every row with the same number of annotators, 3 to 20.

    Raises:
        DataError: shapes that do not fit, what are no probabilities or counts, or rows with different numbers of votes.
    """
    predicted, counts = _checked(probabilities, votes)
    people = int(counts[0].sum())
    shares = counts / people
    model = (_top(predicted) * shares).sum(axis=1)
    top1, likelihood, distance = _people(counts, people)
    to_crowd = jensen_shannon(predicted, shares)
    missed = 1 - (_top(predicted) * _is_top(counts)).sum(axis=1)
    ceiling = (_top(shares) * shares).sum(axis=1)
    return Agreement(
        rows=len(counts),
        model_top1=float(model.mean()),
        model_log_likelihood=float(_log_likelihood(predicted, shares).mean()),
        people_top1=top1.mean(axis=0),
        people_log_likelihood=likelihood.mean(axis=0),
        model_top1_error=float(_standard_error(model[:, None])[0]),
        people_top1_error=_standard_error(top1),
        lead_error=_standard_error(model[:, None] - top1),
        ceiling_top1=float(ceiling.mean()),
        ceiling_log_likelihood=float(_log_likelihood(shares, shares).mean()),
        model_distance=float(to_crowd.mean()),
        people_distance=distance.mean(axis=0),
        model_distance_to_rest=_distance_to_rest(predicted, counts, people),
        errors=_errors(predicted, counts, missed, people),
        by_disagreement=_by_disagreement(
            entropy_bits(shares),
            {"model_top1": model, "people_top1": top1[:, -1], "ceiling_top1": ceiling, "model_error": missed,
             "model_distance": to_crowd},
        ),
    )  # fmt: skip


def jensen_shannon(first: npt.ArrayLike, second: npt.ArrayLike) -> Float64:
    """Jensen–Shannon distance of each row's two distributions, (N,), the root of the divergence in bits: 0–1.

    Rows are scaled to sum to 1 first, as SciPy does; a row without anything gives NaN.

    >>> jensen_shannon([[1, 0], [0.5, 0.5]], [[0, 1], [0.5, 0.5]])
    array([1., 0.])
    """
    # Broadcast, so that one model's answer meets every draw of a face's annotators at once.
    one, other = np.broadcast_arrays(*(_scaled(np.asarray(values, np.float64)) for values in (first, second)))
    middle = (one + other) / 2
    divergence = (_relative_entropy(one, middle) + _relative_entropy(other, middle)) / 2
    # Rounding may leave equal distributions just below 0, and the root would be NaN.
    return np.asarray(np.sqrt(np.maximum(divergence, 0)))


def entropy_bits(shares: npt.ArrayLike) -> Float64:
    """Entropy of each row's distribution in bits, (N,): 0 where all agree.

    >>> entropy_bits([[0.5, 0.5], [1, 0]])
    array([1., 0.])
    """
    values = np.asarray(shares, np.float64)
    logs = np.log2(values, out=np.zeros_like(values), where=values > 0)
    # Adding 0 turns -0 into 0.
    return np.asarray(-(values * logs).sum(axis=1) + 0.0)


def _people(counts: Int64, people: int) -> tuple[Float64, Float64, Float64]:
    """Top-1, log-likelihood and distance of k = 1 … people - 1 annotators for each face, (N, people - 1) each.

    None of them depends on which class is which, so each division of the votes is worked out once.
    """
    divisions, which = np.unique(-np.sort(-counts, axis=1), axis=0, return_inverse=True)
    figures = np.zeros((3, len(divisions), people - 1))
    for row, division in enumerate(divisions):
        for k, drawn, chance in _draws(division):
            rest = (division - drawn) / (people - k)
            answer = (drawn + LAPLACE) / (k + LAPLACE * len(division))
            figures[0, row, k - 1] = chance @ (_top(drawn) * rest).sum(axis=1)
            figures[1, row, k - 1] = chance @ (np.log(answer) * rest).sum(axis=1)
            figures[2, row, k - 1] = chance @ jensen_shannon(drawn / k, rest)
    # Raveled: NumPy 2.0.0 gives the inverse a second axis, earlier and later versions do not.
    top1, likelihood, distance = figures[:, which.ravel()]
    return top1, likelihood, distance


def _distance_to_rest(predicted: Float64, counts: Int64, people: int) -> Float64:
    """Mean distance of the model to the n - k annotators that remain when k are drawn, (people - 1,)."""
    # Here the classes matter, for the model's answers name them: only faces with the very same votes share the work.
    divisions, which = np.unique(counts, axis=0, return_inverse=True)
    total = np.zeros(people - 1)
    for row, division in enumerate(divisions):
        answers = predicted[which.ravel() == row]
        for k, drawn, chance in _draws(division):
            rest = (division - drawn) / (people - k)
            total[k - 1] += (jensen_shannon(answers[:, None], rest[None]) @ chance).sum()
    return np.asarray(total / len(counts))


def _draws(division: Int64) -> Iterator[tuple[int, Int64, Float64]]:
    """For each k below the number of votes: the counts that k drawn of them can give, and how likely each is."""
    # Ten votes over eight classes allow at most 576 counts: few enough to weigh them all, without sampling.
    possible = np.array(list(itertools.product(*(range(count + 1) for count in division))), np.int64)
    ways = np.array([math.prod(map(math.comb, division.tolist(), drawn)) for drawn in possible.tolist()], np.float64)
    size, people = possible.sum(axis=1), int(division.sum())
    for k in range(1, people):
        chosen = size == k
        yield k, possible[chosen], ways[chosen] / math.comb(people, k)


def _errors(predicted: Float64, counts: Int64, missed: Float64, people: int) -> Errors:
    # Where the model's classes tie, their votes are averaged, as `_top` shares the answer.
    own = (_top(predicted) * counts).sum(axis=1)
    others = 1 - counts.max(axis=1) / people
    wrong = missed.sum()

    def there(values: Float64) -> float:
        return float((missed * values).sum() / wrong) if wrong > 0 else math.nan

    return Errors(
        rate=float(missed.mean()),
        people_rate=float(others.mean()),
        people_rate_there=there(others),
        backed=there((own >= 1).astype(np.float64)),
        backed_twice=there((own >= 2).astype(np.float64)),
    )


def _by_disagreement(entropy: Float64, figures: dict[str, Float64]) -> tuple[DisagreementGroup, ...]:
    # inverted_cdf gives values that occur: an interpolated limit could part faces of the same entropy by rounding.
    limits = np.unique(np.quantile(entropy, [0.25, 0.5, 0.75], method="inverted_cdf"))
    quarter = np.searchsorted(limits, entropy, side="left")
    groups = []
    for number in np.unique(quarter):
        inside = quarter == number
        means = {name: float(values[inside].mean()) for name, values in figures.items()}
        low, high = float(entropy[inside].min()), float(entropy[inside].max())
        groups.append(DisagreementGroup(low, high, int(inside.sum()), **means))
    return tuple(groups)


def _checked(probabilities: npt.ArrayLike, votes: npt.ArrayLike) -> tuple[Float64, Int64]:
    predicted, given = np.asarray(probabilities, np.float64), np.asarray(votes)
    if predicted.shape != given.shape or predicted.ndim != 2 or not len(predicted):
        raise DataError(f"probabilities {predicted.shape} and votes {given.shape}: expected the same (N, K), N above 0")
    if not (given >= 0).all() or (given != np.floor(given)).any():
        raise DataError("votes are counts: whole numbers from 0")
    # Negated comparisons, so that NaN counts as wrong.
    wrong = ~(np.abs(predicted.sum(axis=1) - 1) <= SUM_TOLERANCE) | ~(predicted >= 0).all(axis=1)
    if wrong.any():
        raise DataError(f"row {int(wrong.argmax())}: expected probabilities that sum to 1")
    counts = given.astype(np.int64)
    people, (least, most) = int(counts[0].sum()), PEOPLE
    if not least <= people <= most or (counts.sum(axis=1) != people).any():
        raise DataError(f"every face needs the same number of votes, {least} to {most}: choose the rows that have them")
    return predicted, counts


def _top(values: npt.NDArray[np.generic]) -> Float64:
    """1 at each row's highest value, shared where several are equal."""
    highest = _is_top(values)
    return np.asarray(highest / highest.sum(axis=1, keepdims=True))


def _is_top(values: npt.NDArray[np.generic]) -> Bool:
    return np.asarray(values == values.max(axis=1, keepdims=True))


def _log_likelihood(predicted: Float64, shares: Float64) -> Float64:
    # A probability of 0 would make NaN of ln 0 times a share of 0; the limit is scikit-learn's.
    return np.asarray((np.log(np.maximum(predicted, np.finfo(np.float64).eps)) * shares).sum(axis=1))


def _standard_error(values: Float64) -> Float64:
    """Of the mean over rows, (K,); NaN for a single row."""
    rows = len(values)
    return np.asarray(values.std(axis=0, ddof=1) / math.sqrt(rows) if rows > 1 else np.full(values.shape[1], np.nan))


def _worth(model: float, people: Float64) -> int:
    reached = np.flatnonzero(people <= model)
    return int(reached[-1]) + 1 if len(reached) else 0


def _scaled(values: Float64) -> Float64:
    total = values.sum(axis=-1, keepdims=True)
    return np.asarray(np.divide(values, total, out=np.full_like(values, np.nan), where=total > 0))


def _relative_entropy(values: Float64, base: Float64) -> Float64:
    # 0 log 0 counts as 0: where a value is 0, the ratio stays 1.
    ratio = np.divide(values, base, out=np.ones_like(values), where=values > 0)
    return np.asarray((values * np.log2(ratio)).sum(axis=-1))
