"""Agreement with annotators against a count over every order, SciPy, and cases that are known beforehand."""

from __future__ import annotations

from itertools import pairwise, permutations

import numpy as np
import pytest
from scipy.spatial.distance import jensenshannon

from mien.errors import DataError
from mien.workshop.data.base import FaceDataset
from mien.workshop.evaluation.agreement import LAPLACE, agreement, jensen_shannon

VOTES = np.array([[2, 1, 1], [4, 0, 0], [2, 2, 0]])


def _people_by_enumeration(k: int) -> tuple[float, float, float]:
    """Top-1, log-likelihood and distance to the rest of k people over every order of the four annotators."""
    top1, likelihood, distance = [], [], []
    for counts in VOTES:
        ballots = np.repeat(np.arange(3), counts)
        for order in permutations(ballots.tolist()):
            seen, rest = (np.bincount(part, minlength=3) for part in (order[:k], order[k:]))
            best = np.flatnonzero(seen == seen.max())
            top1.append((order[-1] in best) / len(best))
            likelihood.append(np.log((seen[order[-1]] + LAPLACE) / (k + 3 * LAPLACE)))
            distance.append(jensenshannon(seen, rest, base=2))
    return float(np.mean(top1)), float(np.mean(likelihood)), float(np.mean(distance))


def test_people_agree_exactly_as_a_count_over_every_order_says() -> None:
    found = agreement(np.full(VOTES.shape, 1 / 3), VOTES)
    for k in (1, 2, 3):
        top1, likelihood, distance = _people_by_enumeration(k)
        assert found.people_top1[k - 1] == pytest.approx(top1, abs=1e-12)
        assert found.people_log_likelihood[k - 1] == pytest.approx(likelihood, abs=1e-12)
        assert found.people_distance[k - 1] == pytest.approx(distance, abs=1e-12)


def test_people_agree_as_random_orders_say() -> None:
    random = np.random.default_rng(0)
    votes = random.multinomial(10, random.dirichlet(np.full(8, 0.3), 300))
    exact = agreement(np.full(votes.shape, 1 / 8), votes)
    ballots = np.stack([np.repeat(np.arange(8), row) for row in votes])
    hits = np.zeros((100, 9))
    for number in range(100):
        order, seen = random.permuted(ballots, axis=1), np.zeros(votes.shape)
        for k in range(9):
            seen[np.arange(300), order[:, k]] += 1
            best = seen == seen.max(axis=1, keepdims=True)
            hits[number, k] = (best / best.sum(axis=1, keepdims=True))[np.arange(300), order[:, -1]].mean()
    off = np.abs(hits.mean(axis=0) - exact.people_top1) / (hits.std(axis=0, ddof=1) / 10)
    assert (off < 4).all()


def test_the_model_and_the_people_are_asked_the_same_of_the_rest() -> None:
    random = np.random.default_rng(1)
    answers = random.dirichlet(np.ones(3), len(VOTES))
    found = agreement(answers, VOTES)
    for k in (1, 2, 3):
        distances = [
            jensenshannon(answer, np.bincount(order[k:], minlength=3), base=2)
            for counts, answer in zip(VOTES, answers, strict=True)
            for order in permutations(np.repeat(np.arange(3), counts).tolist())
        ]
        assert found.model_distance_to_rest[k - 1] == pytest.approx(np.mean(distances), abs=1e-12)
    assert found.model_distance == pytest.approx(jensenshannon(answers, VOTES, base=2, axis=1).mean(), abs=1e-12)


def test_the_crowd_itself_is_worth_all_and_a_guess_none() -> None:
    votes = np.tile(VOTES, (50, 1))
    crowd = agreement(votes / 4, votes)
    assert (crowd.worth_by_top1, crowd.worth_by_log_likelihood, crowd.worth_by_distance) == (3, 3, 3)
    assert crowd.model_top1 == crowd.ceiling_top1 == pytest.approx((0.5 + 1 + 0.5) / 3)
    assert crowd.model_log_likelihood == crowd.ceiling_log_likelihood
    assert crowd.explained_error == pytest.approx(1)
    assert crowd.model_distance == 0
    wrong = agreement(np.tile([0.0, 0.0, 1.0], (150, 1)), votes)
    assert (wrong.worth_by_top1, wrong.worth_by_log_likelihood, wrong.worth_by_distance) == (0, 0, 0)
    guess = agreement(np.full((150, 3), 1 / 3), votes)
    assert guess.model_log_likelihood == pytest.approx(-np.log(3))
    assert guess.model_top1 == pytest.approx(1 / 3)


def test_the_ceiling_is_above_everything() -> None:
    random = np.random.default_rng(2)
    votes = random.multinomial(10, random.dirichlet(np.full(8, 0.5), 200))
    found = agreement(random.dirichlet(np.ones(8), 200), votes)
    assert found.ceiling_top1 >= max(found.model_top1, found.people_top1.max())
    assert found.ceiling_log_likelihood >= max(found.model_log_likelihood, found.people_log_likelihood.max())
    assert found.explained_error == pytest.approx((1 - found.ceiling_top1) / (1 - found.model_top1))
    assert found.explained_error_by_people >= found.explained_error


def test_errors_tell_how_far_people_share_them() -> None:
    votes = np.array([[4, 0, 0], [3, 1, 0], [2, 2, 0], [2, 1, 1]])
    answers = np.eye(3)[[0, 1, 1, 2]]
    found = agreement(answers, votes).errors
    assert found.rate == 0.5, "of two classes chosen equally often both are right"
    assert found.people_rate == pytest.approx((0 + 0.25 + 0.5 + 0.5) / 4)
    assert found.people_rate_there == pytest.approx((0.25 + 0.5) / 2)
    assert (found.backed, found.backed_twice) == (1, 0)
    never_wrong = agreement(np.eye(3)[[0, 0, 1, 0]], votes).errors
    assert never_wrong.rate == 0
    assert np.isnan([never_wrong.people_rate_there, never_wrong.backed, never_wrong.backed_twice]).all()


def test_groups_part_the_faces_by_disagreement() -> None:
    random = np.random.default_rng(3)
    votes = random.multinomial(10, random.dirichlet(np.full(8, 0.4), 400))
    found = agreement(random.dirichlet(np.ones(8), 400), votes)
    groups = found.by_disagreement
    assert [group.rows for group in groups] == pytest.approx([100] * 4, abs=25)
    assert sum(group.rows for group in groups) == 400
    assert all(one.high_bits < other.low_bits for one, other in pairwise(groups))
    for name in ("model_top1", "ceiling_top1", "model_distance"):
        mean = sum(group.rows * getattr(group, name) for group in groups) / 400
        assert mean == pytest.approx(getattr(found, name))
    assert groups[0].ceiling_top1 > groups[-1].ceiling_top1


def test_where_all_agree_there_is_one_group() -> None:
    votes = np.tile([10, 0, 0], (6, 1))
    found = agreement(np.tile([0.8, 0.1, 0.1], (6, 1)), votes)
    assert len(found.by_disagreement) == 1
    assert found.by_disagreement[0].high_bits == 0
    assert np.isnan(found.explained_error), "no error, nothing to explain"


def test_one_face_has_figures_but_no_standard_error() -> None:
    found = agreement([[0.5, 0.3, 0.2]], [[7, 2, 1]])
    assert found.model_top1 == pytest.approx(0.7)
    assert np.isnan(found.model_top1_error)
    assert np.isnan(found.people_top1_error).all()


def test_standard_errors_shrink_with_the_faces() -> None:
    random = np.random.default_rng(4)
    votes = random.multinomial(10, random.dirichlet(np.full(8, 0.4), 100))
    answers = random.dirichlet(np.ones(8), 100)
    few, many = agreement(answers, votes), agreement(np.tile(answers, (16, 1)), np.tile(votes, (16, 1)))
    assert many.model_top1_error == pytest.approx(few.model_top1_error / 4, rel=0.01)
    assert (many.lead_error < few.lead_error).all()


@pytest.mark.parametrize(
    ("probabilities", "votes", "message"),
    [
        (np.ones((2, 3)) / 3, VOTES, "expected the same"),
        (np.ones((0, 3)), np.ones((0, 3)), "N above 0"),
        (np.ones((2, 3)) / 3, [[4, 0, 0], [3, 0, 0]], "the same number of votes"),
        (np.ones((1, 3)) / 3, [[1, 1, 0]], "3 to 20"),
        (np.ones((1, 3)) / 3, [[0, 0, 0]], "3 to 20"),
        (np.ones((1, 3)) / 3, [[30, 1, 0]], "3 to 20"),
        (np.ones((1, 3)) / 3, [[5, -1, 0]], "whole numbers from 0"),
        (np.ones((1, 3)) / 3, [[3.5, 0.5, 0]], "whole numbers from 0"),
        ([[0.5, 0.2, 0.2]], [[4, 0, 0]], "row 0: expected probabilities"),
        ([[np.nan, 0.5, 0.5]], [[4, 0, 0]], "row 0: expected probabilities"),
        ([[1.5, -0.5, 0]], [[4, 0, 0]], "row 0: expected probabilities"),
    ],
)
def test_what_does_not_fit_is_refused(probabilities: object, votes: object, message: str) -> None:
    with pytest.raises(DataError, match=message):
        agreement(probabilities, votes)


@pytest.mark.data
def test_people_on_the_real_faces_agree_as_published(fer2013: FaceDataset) -> None:
    assert fer2013.votes is not None
    votes = fer2013.votes[fer2013.split == 2][:, :8].astype(int)
    votes = votes[votes.sum(axis=1) == 10]
    found = agreement(votes / 10, votes)
    assert found.rows == 2091
    assert found.people_top1[::2] == pytest.approx([0.7388, 0.7811, 0.8000, 0.8072, 0.8113], abs=5e-5)
    assert found.people_log_likelihood[::2] == pytest.approx([-1.2958, -0.9168, -0.7919, -0.7293, -0.6916], abs=5e-5)
    assert found.ceiling_top1 == pytest.approx(0.8327, abs=5e-5)


def test_jensen_shannon_is_scipys() -> None:
    random = np.random.default_rng(0)
    one, other = random.dirichlet(np.full(8, 0.3), 50), random.dirichlet(np.full(8, 0.3), 50)
    one[0], other[0] = np.eye(8)[0], np.eye(8)[1]
    np.testing.assert_allclose(jensen_shannon(one, other), jensenshannon(one, other, base=2, axis=1), atol=1e-9)
