"""A source in a few figures: how long each face was there, what it showed, how steadily."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from mien.reading.history import NO_LABEL, History, Labels, Track


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
class TrackSummary:
    """One face.

    Args:
        first_s, last_s: start of its first frame, end of its last.
        visible_s: time in which it was found.
        unsure_share: of that, in which it abstained.
        changes_a_minute: of the label shown, in a minute of visible time.
        raw_changes_a_minute: of the likeliest label of each frame alone.
        labels: by name.
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

    @property
    def main_label(self) -> str:
        """The label shown longest."""
        return max(self.labels, key=lambda name: (self.labels[name].share, self.labels[name].mean))


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
    )


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
