"""A source in a few figures: how long each face was there, what it showed, how steadily."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from mien.errors import ConfigError
from mien.labels import AFFECT, NOT_SURE
from mien.reading.history import NO_LABEL, Float32, Float64, History, Labels, Track


@dataclass(frozen=True)
class LabelSummary:
    """One expression of one face.

    Args:
        share: of the visible time in which it was the label shown, 0–1.
        mean: of its probability over the visible time.
        peak: its highest probability.
        peak_s: when that was.
    """

    share: float
    mean: float
    peak: float
    peak_s: float


@dataclass(frozen=True)
class ValueSummary:
    """Valence, arousal or intensity of one face: the mean over its visible time, the lowest and the highest value."""

    mean: float
    low: float
    high: float


@dataclass(frozen=True)
class TrackSummary:
    """One face.

    Args:
        first_s, last_s: start of its first frame, end of its last.
        visible_s: time in which it was found.
        unsure_share: of that, in which it is not sure.
        changes_a_minute: of the label shown, in a minute of visible time.
        raw_changes_a_minute: of the likeliest label of each frame alone.
        labels: by name.
        affect: valence, arousal and intensity by name, without those that nobody knows.
    """

    track_id: int
    frames: int
    first_s: float
    last_s: float
    visible_s: float
    unsure_share: float
    changes_a_minute: float
    raw_changes_a_minute: float
    labels: dict[str, LabelSummary]
    affect: dict[str, ValueSummary] = field(default_factory=dict)

    @property
    def main_label(self) -> str:
        """The label shown longest."""
        # By the mean where no label was ever shown.
        return max(self.labels, key=lambda name: (self.labels[name].share, self.labels[name].mean))

    @property
    def verdict(self) -> str:
        """The label shown longest, or `not sure` where no label was."""
        return NOT_SURE if self.unsure_share > self.labels[self.main_label].share else self.main_label


@dataclass(frozen=True)
class Summary:
    """One source.

    Args:
        duration_s: from its first frame to the end of its last.
        frames_with_face: of `frames`.
    """

    source: str
    frames: int
    frames_with_face: int
    duration_s: float
    tracks: list[TrackSummary]

    def to_dict(self) -> dict[str, Any]:
        """Plain numbers and strings, for JSON."""
        return dict(_rounded(asdict(self)))


def summarize(history: History, source: str) -> Summary:
    """The figures of one source."""
    tracks = list(history.tracks())
    times_s = history.times_s
    with_face = {time_s for track in tracks for time_s in track.times_s.tolist()}
    return Summary(
        source=source,
        frames=history.frames,
        frames_with_face=len(with_face),
        duration_s=float(times_s[-1] + history.seconds[-1] - times_s[0]) if len(times_s) else 0.0,
        tracks=[summarize_track(track, history.labels) for track in tracks],
    )


def summarize_track(track: Track, labels: tuple[str, ...]) -> TrackSummary:
    """The figures of one face; a face seen in a single picture counts as if that lasted a second."""
    seconds = track.seconds if track.seconds.sum() > 0 else np.ones(len(track.times_s))
    visible_s = float(seconds.sum())
    shares = {
        number: float(seconds[track.shown == number].sum() / visible_s) for number in range(NO_LABEL, len(labels))
    }
    means = (track.probabilities * seconds[:, None]).sum(axis=0) / visible_s
    peaks = track.probabilities.argmax(axis=0)
    return TrackSummary(
        track_id=track.track_id,
        frames=len(track.times_s),
        first_s=float(track.times_s[0]),
        last_s=float(track.times_s[-1] + track.seconds[-1]),
        visible_s=float(track.seconds.sum()),
        unsure_share=shares[NO_LABEL],
        # A moment of "not sure" is not a change of expression.
        changes_a_minute=60 * count_changes(track.shown[track.shown != NO_LABEL]) / visible_s,
        raw_changes_a_minute=60 * count_changes(track.raw) / visible_s,
        labels={
            label: LabelSummary(
                share=shares[number],
                mean=float(means[number]),
                peak=float(track.probabilities[peaks[number], number]),
                peak_s=float(track.times_s[peaks[number]]),
            )
            for number, label in enumerate(labels)
        },
        affect=_summarize_affect(track, seconds),
    )


def _summarize_affect(track: Track, seconds: Float64) -> dict[str, ValueSummary]:
    found = {}
    for values, name in zip(track.affect.T, AFFECT, strict=True):
        known = ~np.isnan(values)
        if known.any():
            # Frames of a length of 0 count alike where there are no others.
            weights = seconds[known] if seconds[known].any() else np.ones(known.sum())
            mean = float(np.average(values[known], weights=weights))
            found[name] = ValueSummary(mean, float(values[known].min()), float(values[known].max()))
    return found


def count_changes(labels: Labels) -> int:
    """How often a label differs from the one before it.

    >>> count_changes(np.array([1, 1, 2, 1], np.int8))
    2
    """
    return int(np.count_nonzero(np.diff(labels)))


def _rounded(value: Any) -> Any:
    if isinstance(value, float):
        return round(value, 4)
    if isinstance(value, dict):
        return {key: _rounded(entry) for key, entry in value.items()}
    return [_rounded(entry) for entry in value] if isinstance(value, list) else value


SHORTEST_S = 0.2
LONGEST_GAP_S = 0.5
# Ends are sums of floats: times this close together follow without a gap.
_JOINT_S = 1e-6


@dataclass(frozen=True)
class EpisodeOptions:
    """What counts as an expression interval.

    Args:
        shortest_s: a shorter one does not count, unless the face is not seen for longer.
        longest_gap_s: two intervals of the same expression are one if no more than this is between them: a face that
            was not found or abstained, or an expression that was too short.
    """

    shortest_s: float = SHORTEST_S
    longest_gap_s: float = LONGEST_GAP_S

    def __post_init__(self) -> None:
        if not (self.shortest_s >= 0 and self.longest_gap_s >= 0):
            raise ConfigError(f"intervals take times from 0 seconds, not {self.shortest_s} and {self.longest_gap_s}")


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
class Run:
    """Successive frames with one label, and the sum of what they are to be the mean of."""

    label: int
    start_s: float
    end_s: float
    total: float
    frames: int

    @property
    def mean(self) -> float:
        """Of the frames."""
        return self.total / self.frames


def find_all_episodes(history: History, options: EpisodeOptions | None = None) -> list[Episode]:
    """The expression intervals of all faces of a source, by start time."""
    found = [episode for track in history.tracks() for episode in find_episodes(track, history.labels, options)]
    return sorted(found, key=lambda episode: (episode.start_s, episode.track_id))


def find_episodes(track: Track, labels: tuple[str, ...], options: EpisodeOptions | None = None) -> list[Episode]:
    """The expression intervals of one face, in order; they do not overlap."""
    return [
        Episode(track.track_id, run.start_s, run.end_s, labels[run.label], run.mean, run.frames)
        for run in find_runs(track, track.shown, track.confidences, options or EpisodeOptions())
    ]


def find_runs(track: Track, shown: Labels, values: Float32, options: EpisodeOptions) -> list[Run]:
    """When a track had which number of `shown` (N,), NO_LABEL left out, with the mean of `values` (N,) meanwhile."""
    runs = _find_runs(track.times_s, track.seconds, shown, values)
    runs = [run for run in _join(runs, 0.0) if run.label != NO_LABEL]
    # Short runs go before gaps are closed: one may lie between two parts of a longer interval.
    kept = [run for run in runs if run.end_s - run.start_s + _JOINT_S >= options.shortest_s]
    if not kept and runs and track.seconds.sum() < options.shortest_s:
        # A face that is seen for less than that has shown something all the same.
        kept = [max(runs, key=lambda run: run.end_s - run.start_s)]
    return _join(kept, options.longest_gap_s)


def _find_runs(times_s: Float64, seconds: Float64, shown: Labels, values: Float32) -> list[Run]:
    if not len(times_s):
        return []
    ends_s = times_s + seconds
    cuts = (np.diff(shown) != 0) | (times_s[1:] - ends_s[:-1] > _JOINT_S)
    starts: npt.NDArray[np.intp] = np.concatenate([[0], np.flatnonzero(cuts) + 1])
    stops = np.append(starts[1:], len(times_s))
    return [
        Run(
            label=int(shown[start]),
            start_s=float(times_s[start]),
            end_s=float(ends_s[stop - 1]),
            total=float(values[start:stop].sum()),
            frames=int(stop - start),
        )
        for start, stop in zip(starts, stops, strict=True)
    ]


def _join(runs: list[Run], gap_s: float) -> list[Run]:
    """Make one of neighbours with the same label and no more than `gap_s` between them."""
    joined: list[Run] = []
    for run in runs:
        last = joined[-1] if joined else None
        if last and last.label == run.label and run.start_s - last.end_s <= gap_s + _JOINT_S:
            total, frames = last.total + run.total, last.frames + run.frames
            joined[-1] = Run(run.label, last.start_s, run.end_s, total, frames)
        else:
            joined.append(run)
    return joined
