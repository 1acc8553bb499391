"""Probabilities over time: averaged, and held until another expression has led for a while."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Float64 = npt.NDArray[np.float64]

SMOOTH_S, HOLD_S = 0.25, 0.0
"""Defaults of both time constants, seconds: of all settings within one standard error of the best frame accuracy on
synthetic clips the one with the fewest label changes, by `studies/tune_smoothing.py` (study log, 2026-11-29)."""

FLOOR = 1e-3
"""Probabilities below it count as much as it: one frame that is sure of something else must not rule out the rest."""


@dataclass
class _State:
    log_p: Float64
    time_s: float
    frames: int
    shown: Float64
    behind_since_s: float | None = None


class Smoother:
    """Smooths each track's probabilities in log space, with a time constant that does not depend on the frame rate.

    After t seconds an old value has the weight exp(-t / smooth_s) left; the first frames are plainly averaged.
    The label that leads is held with its probabilities: when another one overtakes it, the last ones in which it led
    are given until it has been behind for `hold_s` without a break. So the label to show is always the likeliest one.

    Args:
        smooth_s: time constant in seconds; 0 leaves the probabilities as they are.
        hold_s: seconds; 0 changes the label at once.
    """

    def __init__(self, *, smooth_s: float = SMOOTH_S, hold_s: float = HOLD_S) -> None:
        self.smooth_s = smooth_s
        self.hold_s = hold_s
        self._states: dict[int, _State] = {}

    def update(self, track_id: int, probabilities: npt.ArrayLike, time_s: float) -> Float64:
        """The probabilities to show for a track at a time, (K,), summing to 1.

        Args:
            track_id: whose they are.
            probabilities: of this frame, (K,), summing to 1.
            time_s: of this frame, not before the last one of this track.
        """
        # Where nothing is averaged, nothing can be ruled out for later, and values stay as they are.
        floor = FLOOR if self.smooth_s > 0 else np.finfo(np.float64).tiny
        log_p = np.log(np.maximum(np.asarray(probabilities, np.float64), floor))
        state = self._states.get(track_id)
        if state is None:
            state = self._states[track_id] = _State(log_p, time_s, 1, _normalized(log_p))
        else:
            self._mix(state, log_p, time_s)
            self._hold(state, _normalized(state.log_p), time_s)
        return state.shown

    def forget(self, track_ids: Iterable[int]) -> None:
        """Drop tracks that ended."""
        for track_id in track_ids:
            self._states.pop(track_id, None)

    def _mix(self, state: _State, log_p: Float64, time_s: float) -> None:
        gap_s = max(0.0, time_s - state.time_s)
        share = 1.0 if self.smooth_s <= 0 else 1 - np.exp(-gap_s / self.smooth_s)
        state.frames += 1
        state.log_p = state.log_p + max(share, 1 / state.frames) * (log_p - state.log_p)
        state.time_s = time_s

    def _hold(self, state: _State, smoothed: Float64, time_s: float) -> None:
        if smoothed.argmax() != state.shown.argmax():
            if state.behind_since_s is None:
                state.behind_since_s = time_s
            # Differences of float times may miss the bound by a rounding error.
            if time_s - state.behind_since_s < self.hold_s - 1e-9:
                return
        state.shown, state.behind_since_s = smoothed, None


def _normalized(log_p: Float64) -> Float64:
    # Mixed as logarithms, probabilities no longer sum to 1.
    powers = np.exp(log_p - log_p.max())
    return np.asarray(powers / powers.sum(), np.float64)
