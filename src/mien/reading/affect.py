"""Valence, arousal and intensity of a face, from the words that annotators would choose for it.

Valence and arousal say where people put a face on the circumplex (Russell, "A Circumplex Model of Affect", 1980): from
-1, unpleasant and calm, to 1, pleasant and excited. Intensity is the share of annotators who see any expression. None
of them measures what goes on in a body or a mind.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Iterable, Sequence

import numpy as np
import numpy.typing as npt

from mien.labels import AFFECT
from mien.structures import Affect

Float32 = npt.NDArray[np.float32]

CIRCUMPLEX = {
    "angry": (-0.510, 0.319), "disgust": (-0.566, 0.264), "fear": (-0.694, 0.226), "happy": (0.496, 0.059),
    "sad": (-0.546, 0.112), "surprise": (-0.024, 0.364), "neutral": (0.046, -0.799), "contempt": (-0.135, -0.507),
}  # fmt: skip
"""Valence and arousal of a face for which everybody chooses the word: a face's own are the mean of these, by the share
of annotators who choose each.

Fitted by `studies/circumplex.py` to 25 raters' words, valence and arousal for 1,600 faces of AffectNet, from the public
repository kdoodoo/affectnetc25."""

RESIDUAL = (0.103, 0.205)
"""How far the mean rating of a face is from the map: RMSE of valence and arousal, out of fold, however much the
annotators disagree; same source."""

ANNOTATORS = 6
"""A model's shares are off as if so many annotators had been asked, which adds a variance of the words' values divided
by 6: chosen on PublicTest with the bundled models, by the same study."""

_FLOORS = np.array((*RESIDUAL, 0.0), np.float32) ** 2

COLUMNS = (*AFFECT, *(f"{name}_sd" for name in AFFECT))
"""Values and standard deviations, as arrays and tables have them."""


def estimate_affect(shares: Float32, labels: Sequence[str]) -> Float32:
    """What the words of N faces tell, float32 (N, 6) in the order of `COLUMNS`; NaN where they do not.

    Each standard deviation is how far the mean of many raters is from the value, about two thirds of the time: the
    residual of the map and the model's own error, both larger the more the words disagree.

    Args:
        shares: of the annotators who would choose each word, (N, K), rows summing to 1.
        labels: the words, of `labels.EIGHT`. What is missing among them counts as never chosen; without `neutral`
            there is no intensity.

    >>> estimate_affect(np.float32([[1, 0], [0.5, 0.5]]), ("neutral", "happy"))[:, :3].round(2)
    array([[ 0.05, -0.8 ,  0.  ],
           [ 0.27, -0.37,  0.5 ]], dtype=float32)
    """
    # Values, and behind them the means of their squares; of intensity a word has 1 or 0, and so has its square.
    found = shares @ _table(tuple(labels))
    spread = found[:, 3:] - found[:, :3] ** 2
    found[:, 3:] = np.sqrt(_FLOORS + np.maximum(spread, 0) * np.float32(1 / ANNOTATORS))
    return found


def to_affect(row: Sequence[float], source: str) -> Affect | None:
    """One face's values, (6,) as `COLUMNS` has them; None for NaN, and for a face that has none at all."""
    values = [None if math.isnan(value) else value for value in row]
    return None if values[0] is None and values[2] is None else Affect(*values, source=source)


class AffectSmoother:
    """Averages each track's valence, arousal and intensity over time, as `Smoother` does its probabilities.

    Args:
        smooth_s: time constant in seconds; 0 leaves them as they are.
    """

    def __init__(self, *, smooth_s: float) -> None:
        self.smooth_s = smooth_s
        self._states: dict[int, tuple[Affect, float, int]] = {}

    def update(self, track_id: int, affect: Affect | None, time_s: float) -> Affect | None:
        """The smoothed values of a track at a time, not before the last one of this track."""
        if affect is None or self.smooth_s <= 0:
            return affect
        last, last_s, frames = self._states.get(track_id, (affect, time_s, 0))
        # The first frames are plainly averaged.
        share = max(1 - math.exp(-max(0.0, time_s - last_s) / self.smooth_s), 1 / (frames + 1))
        mixed = [
            # The errors of neighbouring frames are much the same: their mean is no more certain, so neither is its sd.
            new if new is None or old is None else old + share * (new - old)
            for old, new in zip(last[:6], affect[:6], strict=True)
        ]
        smoothed = Affect(*mixed, source=affect.source)
        self._states[track_id] = smoothed, time_s, frames + 1
        return smoothed

    def forget(self, track_ids: Iterable[int]) -> None:
        """Drop tracks that ended."""
        for track_id in track_ids:
            self._states.pop(track_id, None)


@functools.cache
def _table(labels: tuple[str, ...]) -> Float32:
    """Valence, arousal and intensity of each word, and their squares, (K, 6)."""
    known = "neutral" in labels
    values = np.array([(*CIRCUMPLEX[label], label != "neutral" if known else np.nan) for label in labels], np.float32)
    return np.hstack([values, values**2])
