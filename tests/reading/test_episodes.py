from __future__ import annotations

import numpy as np
import pytest

from mien.reading.history import NO_LABEL, Track
from mien.reading.summary import EpisodeOptions, find_episodes

LABELS = ("happy", "sad", "neutral")


def make_track(text: str, rate_hz: float = 10.0) -> Track:
    """A frame a character: h, s, n show a label, ? abstains, a blank has no face."""
    frames = [i for i, character in enumerate(text) if character != " "]
    shown = np.array([NO_LABEL if text[i] == "?" else "hsn".index(text[i]) for i in frames], np.int8)
    probabilities = np.full((len(frames), 3), 0.1, np.float32)
    probabilities[np.arange(len(frames)), np.maximum(shown, 0)] = 0.8
    times_s = np.array(frames, np.float64) / rate_hz
    return Track(
        1,
        times_s,
        np.full(len(frames), 1 / rate_hz),
        probabilities,
        shown,
        shown,
        np.zeros((len(frames), 3), np.float32),
    )


def found(text: str, rate_hz: float = 10.0, **options: float) -> list[tuple[str, float, float, int]]:
    episodes = find_episodes(make_track(text, rate_hz), LABELS, EpisodeOptions(**options))
    return [(e.label, round(e.start_s, 3), round(e.end_s, 3), e.frames) for e in episodes]


def test_an_episode_lasts_to_the_end_of_its_last_frame() -> None:
    assert found("hhhhsss") == [("happy", 0.0, 0.4, 4), ("sad", 0.4, 0.7, 3)]


def test_short_ones_are_none_and_what_is_around_them_grows_together() -> None:
    assert found("hhhshhhnnnn") == [("happy", 0.0, 0.7, 6), ("neutral", 0.7, 1.1, 4)]
    assert found("hhhshhh", shortest_s=0.1) == [("happy", 0.0, 0.3, 3), ("sad", 0.3, 0.4, 1), ("happy", 0.4, 0.7, 3)]


@pytest.mark.parametrize("gap", [" ", "?", "? ?", "     "])
def test_a_face_that_was_not_found_or_abstained_for_a_moment(gap: str) -> None:
    text = f"hhh{gap}hhh"
    assert found(text) == [("happy", 0.0, len(text) / 10, 6)]
    assert len(found(text, longest_gap_s=0.0)) == 2


def test_a_longer_gap_parts() -> None:
    assert found("hhh      hhh") == [("happy", 0.0, 0.3, 3), ("happy", 0.9, 1.2, 3)]


def test_different_expressions_are_not_joined_over_a_gap() -> None:
    assert found("hhh sss") == [("happy", 0.0, 0.3, 3), ("sad", 0.4, 0.7, 3)]


def test_one_frame_a_second_is_no_gap() -> None:
    assert found("hhs", rate_hz=1.0) == [("happy", 0.0, 2.0, 2), ("sad", 2.0, 3.0, 1)]


@pytest.mark.parametrize("text", ["", "?", "??? ??"])
def test_nothing_to_find(text: str) -> None:
    assert found(text) == []


def test_a_face_that_is_seen_for_a_moment_only_has_its_interval() -> None:
    assert found("h") == [("happy", 0.0, 0.1, 1)]
    assert found("hhhhh s hhh") == [("happy", 0.0, 1.1, 8)]


def test_confidence_is_the_mean_over_the_episodes_own_frames() -> None:
    track = make_track("hhhh")
    track.probabilities[:, 0] = [0.5, 0.6, 0.7, 0.8]
    (episode,) = find_episodes(track, LABELS)
    assert episode.mean_confidence == pytest.approx(0.65)
    assert episode.duration_s == pytest.approx(0.4)
