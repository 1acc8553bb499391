"""Figures of values against independent implementations, on random and degenerate input."""

from __future__ import annotations

import numpy as np
import pytest

from mien.errors import DataError
from mien.workshop.evaluation.affect_metrics import measure_values, share_calibration_error


@pytest.mark.parametrize("seed", range(5))
def test_figures_are_those_of_numpy(seed: int) -> None:
    random = np.random.default_rng(seed)
    truth = random.uniform(-1, 1, 200)
    told = 0.3 + 0.5 * truth + random.normal(0, 0.4, 200)
    found = {name: figure.value for name, figure in measure_values(told, truth, resamples=10).items()}
    r = np.corrcoef(told, truth)[0, 1]
    ccc = 2 * r * told.std() * truth.std() / (told.var() + truth.var() + (told.mean() - truth.mean()) ** 2)
    assert found == pytest.approx(
        {"ccc": ccc, "pcc": r, "rmse": np.sqrt(np.mean((told - truth) ** 2)), "sagr": np.mean(told * truth > 0)}
    )


def test_intervals_hold_the_value_and_narrow_with_rows() -> None:
    random = np.random.default_rng(0)
    widths = []
    for rows in (50, 5000):
        truth = random.uniform(-1, 1, rows)
        for figure in measure_values(truth + random.normal(0, 0.3, rows), truth).values():
            assert figure.interval.low <= figure.value <= figure.interval.high
            widths.append(figure.interval.high - figure.interval.low)
    assert all(wide > 5 * narrow for wide, narrow in zip(widths[:4], widths[4:], strict=True))


def test_the_interval_of_r_is_as_wide_as_fisher_says() -> None:
    random = np.random.default_rng(3)
    x = random.normal(size=400)
    y = 0.6 * x + 0.8 * random.normal(size=400)
    figure = measure_values(x, y)["pcc"]
    z = np.arctanh(figure.value)
    low, high = np.tanh([z - 1.96 / np.sqrt(397), z + 1.96 / np.sqrt(397)])
    assert (figure.interval.low, figure.interval.high) == pytest.approx((low, high), abs=0.025)


def test_degenerate_values_give_figures_and_no_warning() -> None:
    same = measure_values(np.full(10, 0.3), np.full(10, 0.3), resamples=20)
    assert (same["ccc"].value, same["pcc"].value, same["rmse"].value, same["sagr"].value) == (0, 0, 0, 1)
    constant = measure_values(np.full(10, 0.3), np.linspace(-1, 1, 10), resamples=20)
    assert (constant["ccc"].value, constant["pcc"].value) == pytest.approx((0, 0))
    perfect = measure_values(np.linspace(-1, 1, 10), np.linspace(-1, 1, 10), resamples=20)
    assert perfect["ccc"].value == pytest.approx(1)


@pytest.mark.parametrize(
    ("told", "truth"), [([], []), ([0.1], [0.1, 0.2]), ([float("nan")], [0.1]), ([0.1], [float("inf")])]
)
def test_what_cannot_be_compared_is_refused(told: list[float], truth: list[float]) -> None:
    with pytest.raises(DataError):
        measure_values(told, truth)


def test_the_calibration_error_of_a_share() -> None:
    random = np.random.default_rng(0)
    told = random.uniform(0, 1, 20_000)
    exact = (random.uniform(size=20_000) < told).astype(float)
    assert share_calibration_error(told, exact) < 0.02
    assert share_calibration_error(told, np.clip(told + 0.1, 0, 1)) == pytest.approx(0.1, abs=0.01)
    with pytest.raises(DataError):
        share_calibration_error([], [])
