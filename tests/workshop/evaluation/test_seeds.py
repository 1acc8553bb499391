from __future__ import annotations

import numpy as np
import pytest

from mien.errors import DataError
from mien.workshop.evaluation.metrics import T_975, Interval, over_seeds

BOOTSTRAP = Interval(0.58, 0.66)


@pytest.mark.parametrize("count", [2, 3, 10, 31])
def test_the_interval_is_students(count: int) -> None:
    stats = pytest.importorskip("scipy.stats")
    values = np.random.default_rng(count).normal(0.6, 0.01, count)
    spread = over_seeds(values.tolist(), BOOTSTRAP)
    low, high = stats.t.interval(0.95, count - 1, values.mean(), values.std(ddof=1) / count**0.5)
    assert spread.interval == pytest.approx((low, high), abs=1e-5)
    assert (spread.count, spread.mean, spread.sd) == (
        count,
        pytest.approx(values.mean()),
        pytest.approx(values.std(ddof=1)),
    )
    assert spread.largest_gap == pytest.approx(np.ptp(values))


def test_the_table_of_quantiles_is_right() -> None:
    stats = pytest.importorskip("scipy.stats")
    assert pytest.approx(stats.t.ppf(0.975, np.arange(1, len(T_975) + 1)), abs=6e-4) == T_975


def test_one_seed_has_the_bootstrap_interval_and_no_spread() -> None:
    spread = over_seeds([0.62], BOOTSTRAP)
    assert (spread.interval, spread.sd, spread.largest_gap) == (BOOTSTRAP, 0.0, 0.0)


def test_an_interval_stays_a_share() -> None:
    assert over_seeds([0.1, 0.9], BOOTSTRAP).interval == (0.0, 1.0)


def test_no_seed_has_no_mean() -> None:
    with pytest.raises(DataError, match="at least one seed"):
        over_seeds([], BOOTSTRAP)
