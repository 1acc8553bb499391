"""Calibration figures against scikit-learn, SciPy and plain loops."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax, softmax
from sklearn.calibration import calibration_curve
from sklearn.metrics import brier_score_loss, log_loss

from mien.errors import DataError
from mien.workshop.evaluation import calibration


@pytest.fixture(name="rows")
def _rows() -> tuple[np.ndarray, np.ndarray]:
    """Logits (400, 7) and truth (400,) of a model that is often right."""
    draw = np.random.default_rng(3)
    truth = draw.integers(0, 7, 400)
    logits = draw.normal(0, 1.5, (400, 7))
    logits[np.arange(400), truth] += 2
    return logits, truth


def _ece_by_loop(probabilities: np.ndarray, truth: np.ndarray, bins: int) -> float:
    confidence, right, total = probabilities.max(1), probabilities.argmax(1) == truth, 0.0
    for low in np.arange(bins) / bins:
        inside = (confidence > low) & (confidence <= low + 1 / bins)
        if inside.any():
            total += inside.mean() * abs(right[inside].mean() - confidence[inside].mean())
    return total


@pytest.mark.parametrize("bins", [1, 10, 15])
def test_ece_is_that_of_a_plain_loop(rows, bins):
    logits, truth = rows
    probabilities = softmax(logits, axis=1)
    found = calibration.expected_calibration_error(probabilities, truth, bins=bins)
    assert found == pytest.approx(_ece_by_loop(probabilities, truth, bins), abs=1e-9)


def test_bins_are_those_of_scikit_learn(rows):
    logits, truth = rows
    probabilities = softmax(logits, axis=1)
    found = calibration.reliability(probabilities, truth)
    right = probabilities.argmax(1) == truth
    accuracy, confidence = calibration_curve(right, probabilities.max(1), n_bins=15)
    np.testing.assert_allclose(found.accuracy[found.counts > 0], accuracy, atol=1e-9)
    np.testing.assert_allclose(found.confidence[found.counts > 0], confidence, atol=1e-9)
    assert found.counts.sum() == 400
    assert np.isnan(found.accuracy[found.counts == 0]).all()


def test_certain_and_right_is_perfectly_calibrated():
    assert calibration.expected_calibration_error(np.eye(4), np.arange(4)) == 0
    assert calibration.expected_calibration_error(np.eye(4), [1, 2, 3, 0]) == 1


def test_proper_scores_are_those_of_scikit_learn(rows):
    logits, truth = rows
    probabilities = softmax(logits, axis=1)
    brier = calibration.brier_score(probabilities, truth)
    expected = sum(brier_score_loss(truth == label, probabilities[:, label]) for label in range(7))
    assert brier == pytest.approx(expected, abs=1e-9)
    found = calibration.negative_log_likelihood(probabilities, truth)
    assert found == pytest.approx(log_loss(truth, probabilities, labels=range(7)), abs=1e-9)


def test_a_distribution_with_all_mass_on_a_class_is_that_class(rows):
    logits, truth = rows
    probabilities, one_hot = softmax(logits, axis=1), np.eye(7)[truth]
    for score in (calibration.brier_score, calibration.negative_log_likelihood):
        assert score(probabilities, one_hot) == score(probabilities, truth)
    assert calibration.fit_temperature(logits, one_hot) == calibration.fit_temperature(logits, truth)


def test_a_zero_where_the_truth_is_gives_a_large_but_finite_loss():
    assert 30 < calibration.negative_log_likelihood([[1.0, 0.0]], [1]) < 40


@pytest.mark.parametrize("scale", [0.2, 1.0, 4.0])
@pytest.mark.parametrize("soft", [False, True])
def test_temperature_is_the_minimum_that_scipy_finds(rows, scale, soft):
    logits, truth = rows
    targets = np.eye(7)[truth] * 0.7 + 0.3 / 7 if soft else np.eye(7)[truth]

    def loss(log_t: float) -> float:
        return float(-np.mean(np.sum(targets * log_softmax(scale * logits / np.exp(log_t), axis=1), axis=1)))

    expected = minimize_scalar(loss, bounds=np.log([0.05, 20]), method="bounded", options={"xatol": 1e-10})
    found = calibration.fit_temperature(scale * logits, targets if soft else truth)
    assert found == pytest.approx(np.exp(expected.x), rel=1e-5)
    assert loss(np.log(found)) <= expected.fun + 1e-12


def test_temperature_undoes_a_known_scaling():
    draw = np.random.default_rng(0)
    logits = draw.normal(0, 2, (20_000, 7))
    truth = (logits + draw.gumbel(size=logits.shape)).argmax(1)
    assert calibration.fit_temperature(3 * logits, truth) == pytest.approx(3, rel=0.05)
    assert calibration.fit_temperature(3 * logits + 100, truth) == pytest.approx(3, rel=0.05)


def test_temperature_stays_in_its_bounds():
    low, high = calibration.TEMPERATURES
    assert calibration.fit_temperature([[0.1, 0.0], [0.0, 0.1]], [0, 1]) == pytest.approx(low, rel=1e-6)
    assert calibration.fit_temperature([[9.0, 0.0], [0.0, 9.0]], [1, 0]) == pytest.approx(high, rel=1e-6)
    assert calibration.fit_temperature(np.zeros((3, 7)), [0, 1, 2]) == 1
    assert low <= calibration.fit_temperature([[5000.0, 0.0]], [0]) <= high


@pytest.mark.parametrize(
    ("logits", "targets", "message"),
    [
        (np.zeros((0, 7)), np.zeros(0, int), "at least one row"),
        (np.zeros(7), [0], "at least one row"),
        ([[0.0, np.nan]], [0], "row 0 holds NaN"),
        ([[0.0, 1.0]], [2], "expected targets in 0–1"),
        ([[0.0, 1.0]], [-1], "expected targets in 0–1"),
        ([[0.0, 1.0]], [0, 1], "targets are integers"),
        ([[0.0, 1.0]], [[0.7, 0.7]], "sum to 1"),
    ],
)
def test_temperature_refuses_what_cannot_be_fitted(logits, targets, message):
    with pytest.raises(DataError, match=message):
        calibration.fit_temperature(logits, targets)


def test_coverage_falls_with_the_threshold(rows):
    logits, truth = rows
    probabilities = softmax(logits, axis=1)
    curve = calibration.accuracy_against_coverage(probabilities, truth)
    right = probabilities.argmax(1) == truth
    for threshold, coverage, accuracy in zip(curve.threshold, curve.coverage, curve.accuracy, strict=True):
        answered = probabilities.max(1) >= threshold
        assert coverage == pytest.approx(answered.mean())
        assert accuracy == pytest.approx(right[answered].mean())
    assert curve.at(1.0) == pytest.approx(right.mean())
    assert curve.at(0.5) > curve.at(1.0)


def test_equal_confidence_is_answered_together():
    curve = calibration.accuracy_against_coverage([[0.6, 0.4]] * 4, [0, 0, 0, 1])
    assert curve.coverage.tolist() == [1.0]
    assert curve.accuracy.tolist() == [0.75]
    assert curve.at(0.1) == 0.75


def test_against_shares_the_top_label_is_right_to_its_share() -> None:
    probabilities = [[0.7, 0.3], [0.7, 0.3]]
    assert calibration.expected_calibration_error(probabilities, [[0.7, 0.3], [0.7, 0.3]]) == pytest.approx(0)
    assert calibration.expected_calibration_error(probabilities, [[0.5, 0.5], [0.7, 0.3]]) == pytest.approx(0.1)
    sharp = calibration.expected_calibration_error(probabilities, np.eye(2))
    assert sharp == calibration.expected_calibration_error(probabilities, [0, 1])
