from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from made_up import make_face, make_result, make_video

from mien.labels import SEVEN
from mien.reading.history import NO_LABEL, History, frame_seconds
from mien.reading.results import Result, rows
from mien.reading.summary import summarize


def recorded(results: list[Result]) -> History:
    history = History(SEVEN)
    for result in results:
        history.add(result)
    return history


def two_faces() -> list[Result]:
    """Ten frames a second: one face throughout, happy then sad, raw restless; the other in frames 2, 3 and 6."""
    raw = ["happy", "sad"] * 5
    return [
        make_result(
            i,
            [
                make_face("happy" if i < 6 else "sad", 1, raw=raw[i]),
                *([make_face("fear", 2, x=90)] if i in (2, 3, 6) else []),
            ],
        )
        for i in range(10)
    ]


def test_a_frame_lasts_until_the_next_one() -> None:
    assert frame_seconds(np.array([0.0, 0.04, 0.2, 0.24])) == pytest.approx([0.04, 0.16, 0.04, 0.04])
    assert frame_seconds(np.array([0.0, 5.0, 10.0])) == pytest.approx([5.0, 5.0, 5.0])
    assert frame_seconds(np.array([0.0, 0.1, 0.2, 60.0, 60.1])) == pytest.approx([0.1, 0.1, 1.0, 0.1, 0.1])
    assert frame_seconds(np.array([3.0])).tolist() == [0.0]
    assert len(frame_seconds(np.zeros(0))) == 0


def test_each_face_has_its_own_frames() -> None:
    first, second = recorded(two_faces()).tracks()
    assert (first.track_id, second.track_id) == (1, 2)
    assert second.times_s == pytest.approx([0.2, 0.3, 0.6])
    assert [SEVEN[i] for i in first.shown] == ["happy"] * 6 + ["sad"] * 4
    assert first.confidences == pytest.approx(0.7)


def test_without_tracks_the_place_in_the_frame_stands_for_them() -> None:
    faces = [replace(make_face(track_id=None), index=i, raw=None) for i in range(2)]
    assert [track.track_id for track in recorded([make_result(0, faces)]).tracks()] == [1, 2]


def test_abstaining_is_no_label() -> None:
    (track,) = recorded([make_result(0, [replace(make_face(), abstained=True)])]).tracks()
    assert (track.shown.tolist(), track.confidences.tolist()) == ([NO_LABEL], [0.0])


def test_rows_of_a_table_give_the_same() -> None:
    results = [*two_faces(), make_result(10)]
    again = History(SEVEN)
    for result in results:
        for row in rows(result, SEVEN, moving=True):
            again.add_row(row)
    assert summarize(again, "clip.mp4") == summarize(recorded(results), "clip.mp4")


def test_summary() -> None:
    summary = summarize(recorded([*two_faces(), make_result(10)]), "clip.mp4")
    assert (summary.frames, summary.frames_with_face) == (11, 10)
    assert summary.duration_s == pytest.approx(1.1)
    first, second = summary.tracks
    assert (first.visible_s, first.first_s, first.last_s) == pytest.approx((1.0, 0.0, 1.0))
    assert first.labels["happy"].share == pytest.approx(0.6)
    assert first.labels["happy"].mean == pytest.approx(0.6 * 0.7 + 0.4 * 0.05)
    assert (first.labels["sad"].peak, first.labels["sad"].peak_s) == pytest.approx((0.7, 0.6))
    assert (first.main_label, second.main_label) == ("happy", "fear")
    assert (first.changes_a_minute, first.raw_changes_a_minute) == pytest.approx((60.0, 540.0))
    assert second.visible_s == pytest.approx(0.3)


def test_shares_are_of_time_not_of_frames() -> None:
    times_s = [0.0, 0.1, 0.2, 0.9]
    results = [
        Result(r.source, replace(r.frame, time_s=t), r.faces)
        for r, t in zip(make_video("happy", "happy", "sad", "happy"), times_s, strict=True)
        if r.frame
    ]
    (track,) = summarize(recorded(results), "clip.mp4").tracks
    assert track.labels["sad"].share == pytest.approx(0.7 / 1.6)


@pytest.mark.parametrize("results", [[], make_video(None), make_video("happy"), make_video(None, "happy")])
def test_hardly_anything_to_sum_up(results: list[Result]) -> None:
    summary = summarize(recorded(results), "clip.mp4")
    assert summary.frames == len(results)
    assert len(summary.tracks) == sum(bool(result.faces) for result in results)
    assert summary.to_dict()["source"] == "clip.mp4"
