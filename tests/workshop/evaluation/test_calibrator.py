"""The choice of a calibration: what was done to logits is undone, and nothing freer is taken than is needed."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.optimize import minimize
from scipy.special import log_softmax, softmax

from mien.artifact.calibration import Calibration
from mien.errors import DataError
from mien.labels import CROWD, SEVEN
from mien.workshop.data.base import FaceDataset
from mien.workshop.evaluation.calibration import calibration_error_by_chance, expected_calibration_error
from mien.workshop.evaluation.calibrator import calibrate_heads, choose_calibration


def drawn(rows: int = 4000, classes: int = 5, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Logits, and labels (one-hot) drawn by exactly their probabilities."""
    random = np.random.default_rng(seed)
    logits = random.normal(0, 2, (rows, classes))
    labels = (random.random((rows, 1)) > softmax(logits, axis=1).cumsum(axis=1)).sum(axis=1)
    return logits, np.eye(classes)[np.minimum(labels, classes - 1)]


def smoothed(logits: np.ndarray, epsilon: float = 0.15) -> np.ndarray:
    """The logits of a model that never says under epsilon / K, as after label smoothing."""
    return np.asarray(np.log((1 - epsilon) * softmax(logits, axis=1) + epsilon / logits.shape[1]))


def test_a_known_temperature_is_undone_by_a_temperature_alone():
    logits, targets = drawn()
    choice = choose_calibration(2.5 * logits, targets)
    assert choice.taken.form == "temperature"
    assert choice.taken.calibration.temperature == pytest.approx(2.5, rel=0.08)
    assert [trial.form for trial in choice.trials] == ["as it was", "temperature", "curve", "vector"]


def test_the_prior_is_what_it_says_on_average():
    """Calibrated, that is as often as each class is true."""
    logits, _ = drawn()
    logits += [2.0, 0, 0, 0, -20.0]
    targets = softmax(logits, axis=1)
    choice = choose_calibration(logits, targets)
    np.testing.assert_allclose(choice.prior[:4], targets.mean(axis=0)[:4], atol=0.01)
    assert 0 < choice.prior[4] < 0.002
    assert sum(choice.prior) == pytest.approx(1, abs=1e-4)


def test_label_smoothing_is_undone_by_the_curve_and_no_answer_changes():
    logits, targets = drawn()
    flat = smoothed(logits)
    choice = choose_calibration(flat, targets)
    assert choice.taken.form == "curve"
    assert choice.taken.calibration.curvature > 0.01
    other, truth = drawn(seed=1)
    before = Calibration(choice.trials[1].calibration.temperature).probabilities(smoothed(other).astype(np.float32))
    after = choice.taken.calibration.probabilities(smoothed(other).astype(np.float32))
    np.testing.assert_array_equal(before.argmax(axis=1), after.argmax(axis=1))
    assert expected_calibration_error(after, truth) < 0.7 * expected_calibration_error(before, truth)


def test_classes_that_are_said_too_often_take_scale_and_bias():
    logits, targets = drawn()
    biased = logits * [1, 1, 1, 1, 0.3] + [0, 0, 0, 0, 2.0]
    assert choose_calibration(biased, targets).taken.form != "vector"
    choice = choose_calibration(biased, targets, freest="vector")
    assert choice.taken.form == "vector"
    assert choice.taken.calibration.bias[4] == min(choice.taken.calibration.bias)


def test_what_calibrates_better_but_answers_worse_is_not_taken():
    """A class that is never the most likely of a row weighs in the loss, yet its bias may cost right answers."""
    choice = choose_calibration(*drawn(1500, 3), freest="vector")
    for trial in choice.trials[2:]:
        if trial.accuracy < choice.taken.accuracy:
            assert choice.taken.form != trial.form


@pytest.mark.parametrize("form", ["curve", "vector"])
def test_the_fit_is_the_minimum_that_scipy_finds(form):
    logits, targets = drawn(600, 4)
    flat = smoothed(logits)
    logs = log_softmax(flat, axis=1)
    fitted = {trial.form: trial.calibration for trial in choose_calibration(flat, targets).trials}
    curve, first = fitted["curve"], fitted["temperature"]

    def loss(w):
        if form == "curve":
            answers, prior = w[0] * logs - w[1] * logs**2, np.array([1 / first.temperature, 0])
        else:
            answers = w[:4] * logs / curve.temperature - curve.curvature * logs**2 + w[4:]
            prior = np.repeat([1.0, 0.0], 4)
        return -(targets * log_softmax(answers, axis=1)).sum() + ((w - prior) ** 2).sum()

    found = fitted[form]
    ours = [1 / found.temperature, found.curvature] if form == "curve" else [*found.scale, *found.bias]
    start = [1.0, 0.0] if form == "curve" else [1.0] * 4 + [0.0] * 4
    np.testing.assert_allclose(ours, minimize(loss, start, tol=1e-10).x, atol=2e-3)


def test_few_rows_get_a_temperature_alone():
    logits, targets = drawn(300)
    choice = choose_calibration(smoothed(logits), targets)
    assert [trial.form for trial in choice.trials] == ["as it was", "temperature"]
    one = choose_calibration(logits[:1], targets[:1])
    assert one.taken.form == "temperature"


def test_a_model_that_is_never_wrong_stays_finite():
    targets = np.eye(3)[np.arange(600) % 3]
    trials = choose_calibration(5 * targets, targets).trials
    assert [trial.form for trial in trials[1:]] == ["temperature", "curve", "vector"]
    for trial in trials:
        assert np.isfinite(trial.calibration.probabilities((5 * targets).astype(np.float32))).all()


def test_the_same_every_time_and_cross_validated():
    logits, targets = drawn(800)
    first, second = (choose_calibration(logits, targets) for _ in range(2))
    assert first == second
    assert first.trials[3].loss > 0


@pytest.mark.parametrize(
    ("logits", "targets", "message"),
    [
        (np.zeros((0, 3)), np.zeros((0, 3)), "at least one row"),
        (np.full((2, 3), np.nan), np.eye(3)[:2], "finite"),
        (np.zeros((2, 3)), np.zeros((2, 3)), "sum to 1"),
    ],
)
def test_what_cannot_be_fitted_is_told(logits, targets, message):
    with pytest.raises(DataError, match=message):
        choose_calibration(logits, targets)
    with pytest.raises(DataError, match="unknown form"):
        choose_calibration([[1.0, 0.0]], [[1.0, 0.0]], freest="spline")


def faces(rows: int, votes: bool) -> FaceDataset:
    random = np.random.default_rng(2)
    labels = random.integers(0, 7, rows)
    counts = np.zeros((rows, 10), np.uint8)
    counts[np.arange(rows), [CROWD.index(SEVEN[label]) for label in labels]] = 10
    return FaceDataset(
        "mine", np.zeros((rows, 4, 4), np.uint8), labels, np.ones(rows, np.int8), np.arange(rows).astype(str),
        counts if votes else None,
    )  # fmt: skip


@pytest.mark.parametrize("votes", [True, False])
def test_each_head_against_what_the_faces_know(votes):
    random = np.random.default_rng(3)
    logits = {"fer2013": random.normal(size=(600, 7)), "crowd": random.normal(size=(600, 8))}
    current = {name: Calibration() for name in logits}
    found = calibrate_heads({n: v.astype(np.float32) for n, v in logits.items()}, faces(600, votes), current)
    assert found["fer2013"].against == "mine labels"
    assert found["crowd"].against == ("FER+ votes" if votes else "mine labels")
    vector = found["crowd"].trials[3].calibration
    if not votes:
        assert (vector.scale[7], vector.bias[7]) == (1.0, 0.0)


def test_the_error_by_chance_is_what_drawing_gives():
    logits, _ = drawn(3000)
    probabilities = softmax(logits, axis=1)
    random = np.random.default_rng(4)
    errors = []
    for _ in range(100):
        labels = (random.random((3000, 1)) > probabilities.cumsum(axis=1)).sum(axis=1)
        errors.append(expected_calibration_error(probabilities, np.minimum(labels, 4)))
    assert calibration_error_by_chance(probabilities.max(axis=1)) == pytest.approx(np.mean(errors), rel=0.1)
