"""When valence, arousal or intensity of a face was beyond a value: `valence<-0.3`."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from mien.errors import ConfigError
from mien.labels import AFFECT

if TYPE_CHECKING:
    from mien.reading.history import History, Track
    from mien.reading.summary import EpisodeOptions

_CONDITION = re.compile(r"\s*([a-z]+)\s*([<>])=?\s*([-+]?(?:\d+\.?\d*|\.\d+))\s*")


@dataclass(frozen=True)
class Threshold:
    """One of `labels.AFFECT` above or below a value."""

    name: str
    above: bool
    value: float

    def __str__(self) -> str:
        return f"{self.name} {'>' if self.above else '<'} {self.value:g}"


@dataclass(frozen=True)
class ThresholdInterval:
    """One face beyond a threshold from `start_s` to `end_s`, the end of its last frame."""

    track_id: int
    start_s: float
    end_s: float
    label: str
    mean_value: float
    frames: int

    @property
    def duration_s(self) -> float:
        """Seconds from start to end, with the gaps."""
        return self.end_s - self.start_s


def parse_threshold(text: str) -> Threshold:
    """A threshold as people write it, `valence<-0.3` or `arousal > 0.2`.

    Raises:
        ConfigError: another name or sign, no number, or one that is never reached.

    >>> str(parse_threshold("valence<-0.3"))
    'valence < -0.3'
    """
    found = _CONDITION.fullmatch(text.lower())
    if found is None or found[1] not in AFFECT:
        raise ConfigError(
            f"{text!r} is no threshold: expected {', '.join(AFFECT)}, then < or >, then a number, as in valence<-0.3"
        )
    low, high = AFFECT[found[1]]
    if not low <= float(found[3]) <= high:
        raise ConfigError(f"{text!r}: {found[1]} is from {low:g} to {high:g}, so give a number in between")
    return Threshold(found[1], found[2] == ">", float(found[3]))


def find_all_beyond(
    history: History, thresholds: Sequence[Threshold], options: EpisodeOptions | None = None
) -> list[ThresholdInterval]:
    """The intervals of all faces of a source beyond each threshold, by start time."""
    found = [
        interval
        for track in history.tracks()
        for threshold in thresholds
        for interval in find_beyond(track, threshold, options)
    ]
    return sorted(found, key=lambda interval: (interval.start_s, interval.track_id))


def find_beyond(track: Track, threshold: Threshold, options: EpisodeOptions | None = None) -> list[ThresholdInterval]:
    """The intervals of one face beyond a threshold, in order; short ones and gaps as of expression intervals."""
    # Here, because the command line reads its options with this module, and few runs have a history.
    from mien.reading.history import NO_LABEL
    from mien.reading.summary import EpisodeOptions, find_runs

    values = track.affect[:, list(AFFECT).index(threshold.name)]
    # A comparison with NaN, which nobody knows, is false.
    beyond = values > threshold.value if threshold.above else values < threshold.value
    shown = np.where(beyond, 0, NO_LABEL).astype(np.int8)
    return [
        ThresholdInterval(track.track_id, run.start_s, run.end_s, str(threshold), run.mean, run.frames)
        for run in find_runs(track, shown, np.nan_to_num(values), options or EpisodeOptions())
    ]
