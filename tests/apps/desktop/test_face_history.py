from __future__ import annotations

import numpy as np
import pytest
from desk_fakes import face

from mien.apps.desktop.history import History


def filled(*moments: tuple[float, str]) -> History:
    history = History()
    for time_s, top in moments:
        history.add(time_s, [face(top, 1.0)])
    return history


def test_the_newest_stands_last() -> None:
    history = filled(*((i / 10, "sad" if i < 50 else "happy") for i in range(101)))
    series = history.series(1, ("happy", "sad"), columns=10, span_s=10)
    assert series.shape == (10, 2)
    np.testing.assert_allclose(series[0], [0, 1], atol=1e-6)
    np.testing.assert_allclose(series[-1], [1, 0], atol=1e-6)


def test_times_without_the_face_are_gaps() -> None:
    history = filled((0, "sad"), (0.5, "sad"), (6, "sad"), (6.5, "sad"))
    known = ~np.isnan(history.series(1, ("sad",), columns=65, span_s=6.5)).ravel()
    assert known[:5].all()
    assert not known[10:55].any()
    assert known[61:].all()


def test_values_between_two_frames_are_blended() -> None:
    history = filled((0, "sad"), (0.8, "happy"))
    series = history.series(1, ("happy",), columns=8, span_s=0.8).ravel()
    np.testing.assert_allclose(series, (np.arange(8) + 0.5) / 8, atol=1e-6)


def test_a_face_unknown_has_no_series() -> None:
    assert np.isnan(filled((0, "sad")).series(7, ("sad",), columns=4, span_s=1)).all()


def test_what_is_old_is_forgotten() -> None:
    history = History(kept_s=5)
    history.add(0, [face(track=1)])
    history.add(4, [face(track=2)])
    assert history.tracks == (1, 2)
    history.add(6, [])
    assert history.tracks == (2,)


def test_going_back_in_time_starts_anew() -> None:
    history = filled((8, "sad"))
    history.add(2, [face(track=3)])
    assert history.tracks == (3,)


@pytest.mark.parametrize(("track", "index", "number"), [(5, 0, 5), (None, 2, 3)])
def test_a_face_that_nobody_follows_goes_by_its_place(track: int | None, index: int, number: int) -> None:
    from dataclasses import replace

    history = History()
    history.add(0, [replace(face(track=track), index=index)])
    assert history.tracks == (number,)


def test_current_values_are_of_the_newest_frame() -> None:
    history = filled((0, "sad"), (0.5, "happy"))
    moment = history.current(1)
    assert moment is not None
    assert moment.probabilities["happy"] == 1.0
    history.add(0.6, [])
    assert history.current(1) is None
