"""How logits become probabilities, against SciPy and plain sums."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import special

from mien.artifact.calibration import Calibration, log_softmax, softmax

LOGITS = np.random.default_rng(0).normal(0, 3, (200, 7)).astype(np.float32)


def test_softmax_and_its_logarithm_are_those_of_scipy() -> None:
    np.testing.assert_allclose(softmax(LOGITS), special.softmax(LOGITS, axis=1), rtol=1e-5)
    np.testing.assert_allclose(log_softmax(LOGITS), special.log_softmax(LOGITS, axis=1), rtol=1e-5, atol=1e-6)


def test_a_temperature_divides_the_logits() -> None:
    np.testing.assert_allclose(Calibration(2.0).probabilities(LOGITS), softmax(LOGITS / 2), rtol=1e-6)
    np.testing.assert_array_equal(Calibration().probabilities(LOGITS), softmax(LOGITS))


def test_all_parts_together() -> None:
    scale, bias = np.linspace(0.5, 2, 7), np.linspace(-1, 1, 7)
    found = Calibration(1.5, 0.1, tuple(scale), tuple(bias)).probabilities(LOGITS)
    logs = special.log_softmax(LOGITS.astype(np.float64), axis=1)
    np.testing.assert_allclose(found, special.softmax(logs * scale / 1.5 - 0.1 * logs**2 + bias, axis=1), atol=1e-6)
    assert found.dtype == np.float32


def test_balance_takes_the_prior_out() -> None:
    """Bayes' rule: what is said in the mean of many faces becomes even, and half-way leaves half of the logarithm."""
    before = Calibration(1.5, 0.1, bias=tuple(np.linspace(-1, 1, 7)))
    prior = np.linspace(1, 7, 7) / 28
    said = before.probabilities(LOGITS)
    for balance in (0.0, 0.5, 1.0):
        wanted = said / prior**balance
        found = before.balanced(prior, balance).probabilities(LOGITS)
        np.testing.assert_allclose(found, wanted / wanted.sum(axis=1, keepdims=True), atol=1e-6)


@pytest.mark.parametrize("temperature", [0.3, 1.0, 8.0])
def test_a_curvature_keeps_the_order_of_the_classes(temperature: float) -> None:
    calibration = Calibration(temperature, 0.2)
    order = np.argsort(LOGITS, axis=1)
    ranked = np.take_along_axis(calibration.probabilities(LOGITS), order, axis=1)
    assert (np.diff(ranked, axis=1) >= 0).all()
    assert calibration.keeps_order
    assert not Calibration(bias=(0.0,) * 7).keeps_order


def test_far_logits_give_no_warning() -> None:
    far = np.array([[1e4, -1e4, 0]], np.float32)
    np.testing.assert_array_equal(Calibration(1.0, 0.3).probabilities(far), [[1, 0, 0]])
    assert Calibration(1.0, 0.3).probabilities(np.zeros((0, 3), np.float32)).shape == (0, 3)


def test_in_words() -> None:
    assert str(Calibration(0.98727)) == "temperature 0.987"
    assert str(Calibration(4.0, 0.2)) == "temperature 4.000, curvature 0.200"
    assert str(Calibration(4.0, 0.2, bias=(0.1, 0.2))) == "temperature 4.000, curvature 0.200, scale and bias a class"
