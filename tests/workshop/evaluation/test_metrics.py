"""Every metric against scikit-learn on random and degenerate input."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn import metrics as reference

from mien.errors import DataError
from mien.workshop.evaluation import metrics

CASES = {
    "random": (7, range(7), range(7), 500),
    "few rows": (7, range(7), range(7), 9),
    "one row": (7, [3], [3], 1),
    "class absent from the truth": (7, [0, 1, 2, 4, 5, 6], range(7), 200),
    "class never predicted": (8, range(8), [0, 1, 2], 200),
    "class in neither": (8, [0, 1, 2], [1, 2, 3], 200),
    "constant prediction": (7, range(7), [5], 200),
    "constant truth": (7, [2], range(7), 200),
    "never right": (7, [0, 1], [2, 3], 50),
}


@pytest.fixture(params=CASES, name="case")
def _case(request: pytest.FixtureRequest) -> tuple[int, np.ndarray, np.ndarray]:
    classes, truths, guesses, rows = CASES[request.param]
    draw = np.random.default_rng(len(request.param))
    truth, guess = draw.choice(list(truths), rows), draw.choice(list(guesses), rows)
    agree = (draw.random(rows) < 0.5) & np.isin(truth, list(guesses))
    return classes, truth, np.where(agree, truth, guess)


def test_the_matrix_counts_as_scikit_learn_does(case):
    classes, truth, guess = case
    found = metrics.confusion_matrix(truth, guess, classes)
    expected = reference.confusion_matrix(truth, guess, labels=range(classes))
    assert found.dtype == np.int64
    np.testing.assert_array_equal(found, expected)


def test_cells_are_those_of_zero_division_nan(case):
    classes, truth, guess = case
    confusion = metrics.confusion_matrix(truth, guess, classes)
    expected = reference.precision_recall_fscore_support(truth, guess, labels=range(classes), zero_division=np.nan)
    for metric, cells in zip((metrics.precision, metrics.recall, metrics.f1, metrics.support), expected, strict=True):
        np.testing.assert_allclose(metric(confusion), cells, rtol=0, atol=1e-9)


def test_means_are_those_of_scikit_learns_default_labels(case):
    classes, truth, guess = case
    confusion = metrics.confusion_matrix(truth, guess, classes)
    expected = {
        metrics.accuracy: reference.accuracy_score(truth, guess),
        metrics.macro_f1: reference.f1_score(truth, guess, average="macro", zero_division=0),
        metrics.weighted_f1: reference.f1_score(truth, guess, average="weighted", zero_division=0),
        metrics.balanced_accuracy: reference.recall_score(
            truth, guess, labels=np.unique(truth), average="macro", zero_division=0
        ),
    }
    for metric, value in expected.items():
        assert float(metric(confusion)) == pytest.approx(value, abs=1e-9), metric.__name__


def test_a_stack_of_matrices_scores_as_each_alone():
    stack = np.random.default_rng(1).integers(0, 9, (5, 2, 7, 7))
    for metric in (metrics.accuracy, metrics.macro_f1, metrics.f1, metrics.balanced_accuracy):
        assert np.array_equal(metric(stack)[3, 1], metric(stack[3, 1]))


def test_no_rows_give_nan_everywhere():
    empty = metrics.confusion_matrix([], [], 3)
    assert empty.sum() == 0
    for metric in (metrics.accuracy, metrics.macro_f1, metrics.weighted_f1, metrics.balanced_accuracy):
        assert np.isnan(metric(empty))


@pytest.mark.parametrize(
    ("truth", "guess", "message"),
    [
        ([0, 1], [0], "2 and 1 rows"),
        ([0, 7], [0, 1], "0–6"),
        ([-1, 0], [0, 1], "without a label"),
        ([0.0, 1.0], [0, 1], "integers"),
        ([[0, 1]], [0, 1], "integers"),
    ],
)
def test_labels_that_cannot_be_are_refused(truth, guess, message):
    with pytest.raises(DataError, match=message):
        metrics.confusion_matrix(truth, guess, 7)


def test_a_matrix_that_is_not_square_is_refused():
    with pytest.raises(DataError, match="K, K"):
        metrics.accuracy([[1, 2, 3], [4, 5, 6]])
