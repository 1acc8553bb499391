from __future__ import annotations

from fractions import Fraction

import pytest

from mien.sources.video import Timeline

STEP_S = 0.04


def times(stamps: list[float | None], origin: float | None = 0.0) -> list[float]:
    timeline = Timeline(None if origin is None else Fraction(origin), STEP_S)
    return [timeline.time_of(None if stamp is None else Fraction(stamp)) for stamp in stamps]


@pytest.mark.parametrize(
    ("stamps", "origin", "expected"),
    [
        ([None, None, None], None, [0, 0.04, 0.08]),
        ([5, 6, 8], None, [0, 1, 3]),
        ([1, None, 1.5], 1.0, [0, 0.04, 0.5]),
        ([0, 0.5, None, None], 0.0, [0, 0.5, 1.0, 1.5]),
        ([0.5, 1.0], 1.0, [0, 0]),
        ([1.0, 1.5, 1.25, 1.75], 1.0, [0, 0.5, 0.5, 0.75]),
        ([0, 10, 10.5, 0, 0.5], 0.0, [0, 10, 10.5, 11, 11.5]),
    ],
)
def test_times_from_stamps(stamps: list[float | None], origin: float | None, expected: list[float]) -> None:
    assert times(stamps, origin) == pytest.approx(expected)
