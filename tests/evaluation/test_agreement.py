"""Agreement with annotators against a count over every order, SciPy, and cases that are known beforehand."""

from __future__ import annotations

from itertools import permutations

import numpy as np
import pytest
from scipy.spatial.distance import jensenshannon

from mien.errors import DataError
from mien.evaluation.agreement import LAPLACE, agreement, jensen_shannon

VOTES = np.array([[2, 1, 1], [4, 0, 0], [2, 2, 0]])


def _people_by_enumeration(k: int) -> tuple[float, float]:
    """Top-1 and log-likelihood of k people over every order of the four annotators."""
    top1, likelihood = [], []
    for counts in VOTES:
        ballots = np.repeat(np.arange(3), counts)
        for order in permutations(ballots.tolist()):
            seen = np.bincount(order[:k], minlength=3)
            best = np.flatnonzero(seen == seen.max())
            top1.append((order[-1] in best) / len(best))
            likelihood.append(np.log((seen[order[-1]] + LAPLACE) / (k + 3 * LAPLACE)))
    return float(np.mean(top1)), float(np.mean(likelihood))


def test_people_agree_as_a_count_over_every_order_says() -> None:
    votes = np.tile(VOTES, (300, 1))
    found = agreement(np.full(votes.shape, 1 / 3), votes)
    for k in (1, 2, 3):
        top1, likelihood = _people_by_enumeration(k)
        assert found.people_top1[k - 1] == pytest.approx(top1, abs=5e-3)
        assert found.people_log_likelihood[k - 1] == pytest.approx(likelihood, abs=1e-2)


def test_the_crowd_itself_is_worth_all_and_a_guess_none() -> None:
    votes = np.tile(VOTES, (50, 1))
    crowd = agreement(votes / 4, votes)
    assert (crowd.worth_by_top1, crowd.worth_by_log_likelihood) == (3, 3)
    assert crowd.model_top1 == pytest.approx((0.5 + 1 + 0.5) / 3)
    wrong = agreement(np.tile([0.0, 0.0, 1.0], (150, 1)), votes)
    assert (wrong.worth_by_top1, wrong.worth_by_log_likelihood) == (0, 0)
    guess = agreement(np.full((150, 3), 1 / 3), votes)
    assert guess.model_log_likelihood == pytest.approx(-np.log(3))
    assert guess.model_top1 == pytest.approx(1 / 3)


def test_the_same_seed_gives_the_same_figures() -> None:
    first, again = (agreement(VOTES / 4, VOTES, seed=7) for _ in range(2))
    np.testing.assert_array_equal(first.people_top1, again.people_top1)


@pytest.mark.parametrize(
    ("probabilities", "votes", "message"),
    [
        (np.ones((2, 3)) / 3, VOTES, "expected the same"),
        (np.ones((0, 3)), np.ones((0, 3)), "N above 0"),
        (np.ones((2, 3)) / 3, [[4, 0, 0], [3, 0, 0]], "the same number of votes"),
        (np.ones((1, 3)) / 3, [[1, 1, 0]], "three or more"),
    ],
)
def test_what_does_not_fit_is_refused(probabilities: object, votes: object, message: str) -> None:
    with pytest.raises(DataError, match=message):
        agreement(probabilities, votes)


def test_jensen_shannon_is_scipys() -> None:
    random = np.random.default_rng(0)
    one, other = random.dirichlet(np.full(8, 0.3), 50), random.dirichlet(np.full(8, 0.3), 50)
    one[0], other[0] = np.eye(8)[0], np.eye(8)[1]
    np.testing.assert_allclose(jensen_shannon(one, other), jensenshannon(one, other, base=2, axis=1), atol=1e-9)
