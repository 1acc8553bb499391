"""Episodes: stretches of time in which a face shows one expression."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from mien.errors import ConfigError
from mien.reading.history import NO_LABEL, Float32, Float64, History, Labels, Track

SHORTEST_S = 0.2
LONGEST_GAP_S = 0.5
_JOINT_S = 1e-6


@dataclass(frozen=True)
class EpisodeOptions:
    """What counts as an episode.

    Args:
        shortest_s: a shorter one is none.
        longest_gap_s: two episodes of the same expression are one if no more than this lies between them: a face that
            was not found or abstained, or an expression that was too short.
    """

    shortest_s: float = SHORTEST_S
    longest_gap_s: float = LONGEST_GAP_S

    def __post_init__(self) -> None:
        if not (self.shortest_s >= 0 and self.longest_gap_s >= 0):
            raise ConfigError(f"episodes take times from 0 seconds, not {self.shortest_s} and {self.longest_gap_s}")


@dataclass(frozen=True)
class Episode:
    """One face with one expression from `start_s` to `end_s`, the end of its last frame."""

    track_id: int
    start_s: float
    end_s: float
    label: str
    mean_confidence: float
    frames: int

    @property
    def duration_s(self) -> float:
        """Seconds from start to end, with the gaps."""
        return self.end_s - self.start_s


@dataclass
class _Run:
    """Successive frames with one label."""

    label: int
    start_s: float
    end_s: float
    confidence_sum: float
    frames: int


def find_all_episodes(history: History, options: EpisodeOptions | None = None) -> list[Episode]:
    """The episodes of all faces of a source, by their start."""
    found = [episode for track in history.tracks() for episode in find_episodes(track, history.labels, options)]
    return sorted(found, key=lambda episode: (episode.start_s, episode.track_id))


def find_episodes(track: Track, labels: tuple[str, ...], options: EpisodeOptions | None = None) -> list[Episode]:
    """The episodes of one face, in order; they do not overlap."""
    options = options or EpisodeOptions()
    runs = _find_runs(track.times_s, track.seconds, track.shown, track.confidences)
    runs = [run for run in _join(runs, 0.0) if run.label != NO_LABEL]
    runs = _join(
        [run for run in runs if run.end_s - run.start_s + _JOINT_S >= options.shortest_s], options.longest_gap_s
    )
    return [
        Episode(track.track_id, run.start_s, run.end_s, labels[run.label], run.confidence_sum / run.frames, run.frames)
        for run in runs
    ]


def _find_runs(times_s: Float64, seconds: Float64, shown: Labels, confidences: Float32) -> list[_Run]:
    if not len(times_s):
        return []
    ends_s = times_s + seconds
    cuts = (np.diff(shown) != 0) | (times_s[1:] - ends_s[:-1] > _JOINT_S)
    starts: npt.NDArray[np.intp] = np.concatenate([[0], np.flatnonzero(cuts) + 1])
    stops = np.append(starts[1:], len(times_s))
    return [
        _Run(
            label=int(shown[start]),
            start_s=float(times_s[start]),
            end_s=float(ends_s[stop - 1]),
            confidence_sum=float(confidences[start:stop].sum()),
            frames=int(stop - start),
        )
        for start, stop in zip(starts, stops, strict=True)
    ]


def _join(runs: list[_Run], gap_s: float) -> list[_Run]:
    """Make one of neighbours with the same label and no more than `gap_s` between them."""
    joined: list[_Run] = []
    for run in runs:
        last = joined[-1] if joined else None
        if last and last.label == run.label and run.start_s - last.end_s <= gap_s + _JOINT_S:
            confidence_sum, frames = last.confidence_sum + run.confidence_sum, last.frames + run.frames
            joined[-1] = _Run(run.label, last.start_s, run.end_s, confidence_sum, frames)
        else:
            joined.append(run)
    return joined
