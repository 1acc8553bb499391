from __future__ import annotations

import numpy as np
import pytest

from mien.reading.smoothing import Smoother

SURE = np.array([0.9, 0.05, 0.05])
OTHER = np.array([0.05, 0.9, 0.05])


def run(smoother: Smoother, frames: list[np.ndarray], rate_hz: float) -> list[np.ndarray]:
    return [smoother.update(1, values, number / rate_hz) for number, values in enumerate(frames)]


def test_smoothed_values_are_a_distribution() -> None:
    noise = np.random.default_rng(1).dirichlet(np.ones(3), 50)
    for smoothed in run(Smoother(smooth_s=0.3, hold_s=0.1), list(noise), 30):
        assert smoothed.sum() == pytest.approx(1)
        assert smoothed.min() > 0


def test_the_speed_does_not_depend_on_the_frame_rate() -> None:
    ends = []
    for rate_hz in (10, 30, 100):
        frames = [SURE] * (2 * rate_hz) + [OTHER] * (rate_hz // 2)
        ends.append(run(Smoother(smooth_s=0.3, hold_s=0), frames, rate_hz)[-1])
    np.testing.assert_allclose(ends[0], ends[1], atol=0.01)
    np.testing.assert_allclose(ends[1], ends[2], atol=0.01)


def test_a_constant_face_stays_as_it_is() -> None:
    smoothed = run(Smoother(smooth_s=0.3, hold_s=0.2), [SURE] * 40, 30)[-1]
    np.testing.assert_allclose(smoothed, SURE, atol=1e-9)


def test_a_single_odd_frame_changes_no_label() -> None:
    frames = [SURE] * 30 + [OTHER] + [SURE] * 10
    assert {shown.argmax() for shown in run(Smoother(smooth_s=0.3, hold_s=0.15), frames, 30)} == {0}


def test_a_real_change_shows_within_half_a_second() -> None:
    told = run(Smoother(smooth_s=0.3, hold_s=0.15), [SURE] * 60 + [OTHER] * 30, 30)
    assert [shown.argmax() for shown in told][60 + 15 :] == [1] * 15


def test_a_rival_must_lead_without_a_break() -> None:
    close = [np.array([0.45, 0.55, 0.0]), np.array([0.55, 0.45, 0.0])] * 30
    shown = run(Smoother(smooth_s=0, hold_s=0.15), [SURE, *close], 30)
    assert {values.argmax() for values in shown} == {0}


def test_while_a_label_is_held_so_are_its_probabilities() -> None:
    shown = run(Smoother(smooth_s=0, hold_s=0.15), [SURE, OTHER, OTHER, OTHER, SURE], 10)
    np.testing.assert_allclose(shown[1], SURE, atol=1e-9)
    np.testing.assert_allclose(shown[2], SURE, atol=1e-9)
    np.testing.assert_allclose(shown[3], OTHER, atol=1e-9)
    np.testing.assert_allclose(shown[4], OTHER, atol=1e-9)


def test_rivals_that_take_turns_do_not_keep_the_old_label_for_ever() -> None:
    third = np.array([0.05, 0.05, 0.9])
    shown = run(Smoother(smooth_s=0, hold_s=0.25), [SURE, *[OTHER, third] * 5], 10)
    assert [int(values.argmax()) for values in shown[:5]] == [0, 0, 0, 0, 2]


def test_switched_off_it_changes_nothing() -> None:
    frames = list(np.random.default_rng(2).dirichlet(np.ones(3), 30))
    for values, smoothed in zip(frames, run(Smoother(smooth_s=0, hold_s=0), frames, 30), strict=True):
        np.testing.assert_allclose(smoothed, values)
        assert smoothed.argmax() == values.argmax()


def test_tracks_do_not_mix_and_are_forgotten() -> None:
    smoother = Smoother(smooth_s=10, hold_s=0)
    smoother.update(1, SURE, 0)
    other = smoother.update(2, OTHER, 0.03)
    np.testing.assert_allclose(other, OTHER, atol=1e-9)
    smoother.forget([1])
    again = smoother.update(1, OTHER, 0.06)
    np.testing.assert_allclose(again, OTHER, atol=1e-9)
