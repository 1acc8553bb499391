"""Bootstrap intervals against the plain bootstrap over rows, and against the normal approximation."""

from __future__ import annotations

import numpy as np
import pytest

from mien.errors import DataError
from mien.workshop.evaluation.metrics import accuracy, bootstrap_interval, confusion_matrix, macro_f1


def _rows(count: int) -> tuple[np.ndarray, np.ndarray]:
    draw = np.random.default_rng(5)
    truth = draw.choice(7, count, p=[0.13, 0.02, 0.14, 0.25, 0.17, 0.12, 0.17])
    return truth, np.where(draw.random(count) < 0.7, truth, draw.integers(0, 7, count))


@pytest.mark.parametrize("metric", [accuracy, macro_f1])
def test_it_is_the_bootstrap_over_rows(metric):
    truth, guess = _rows(600)
    draw = np.random.default_rng(9)
    scores = []
    for _ in range(1500):
        rows = draw.integers(0, len(truth), len(truth))
        scores.append(float(metric(confusion_matrix(truth[rows], guess[rows], 7))))
    found = bootstrap_interval(confusion_matrix(truth, guess, 7), metric, resamples=4000)
    np.testing.assert_allclose(found, np.percentile(scores, [2.5, 97.5]), atol=0.006)


def test_accuracys_interval_is_near_the_binomial_one():
    truth, guess = _rows(3589)
    confusion = confusion_matrix(truth, guess, 7)
    share = float(accuracy(confusion))
    half = 1.96 * np.sqrt(share * (1 - share) / len(truth))
    np.testing.assert_allclose(bootstrap_interval(confusion, accuracy), (share - half, share + half), atol=0.002)


def test_the_seed_decides_and_a_higher_level_is_wider():
    confusion = confusion_matrix(*_rows(200), 7)
    first = bootstrap_interval(confusion, macro_f1, seed=1)
    assert first == bootstrap_interval(confusion, macro_f1, seed=1)
    assert first != bootstrap_interval(confusion, macro_f1, seed=2)
    wide = bootstrap_interval(confusion, macro_f1, seed=1, level=0.99)
    assert wide.low < first.low
    assert first.high < wide.high


def test_one_row_and_perfect_rows_have_no_width():
    assert bootstrap_interval(confusion_matrix([2], [2], 7), macro_f1) == (1, 1)
    assert bootstrap_interval(np.diag([5, 9, 2]), accuracy) == (1, 1)


def test_no_rows_have_no_interval():
    with pytest.raises(DataError, match="at least one row"):
        bootstrap_interval(np.zeros((7, 7), int), accuracy)
