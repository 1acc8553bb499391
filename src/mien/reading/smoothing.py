"""Probabilities over time: averaged for each face, and a label that changes only when the evidence holds."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Float64 = npt.NDArray[np.float64]

FLOOR = 1e-3
"""Probabilities below it count as much as it: one frame that is sure of something else must not rule out the rest."""


@dataclass
class _State:
    log_p: Float64
    time_s: float
    frames: int
    held: int
    rival: int
    rival_since_s: float


class Smoother:
    """Smooths each track's probabilities in log space, with a time constant that does not depend on the frame rate.

    After t seconds an old value has the weight exp(-t / smooth_s) left; the first frames are plainly averaged.
    The held label gives way to another one that has led for `hold_s` without a break.

    Args:
        smooth_s: time constant in seconds; 0 leaves the probabilities as they are.
        hold_s: seconds; 0 changes the label at once.
    """

    def __init__(self, *, smooth_s: float, hold_s: float) -> None:
        self.smooth_s = smooth_s
        self.hold_s = hold_s
        self._states: dict[int, _State] = {}

    def update(self, track_id: int, probabilities: npt.ArrayLike, time_s: float) -> tuple[Float64, int]:
        """The smoothed probabilities (K,) of a track at a time, and the index of its held label.

        Args:
            track_id: whose they are.
            probabilities: of this frame, (K,), summing to 1.
            time_s: of this frame, not before the last one of this track.
        """
        log_p = np.log(np.maximum(np.asarray(probabilities, np.float64), FLOOR))
        state = self._states.get(track_id)
        if state is None:
            top = int(log_p.argmax())
            state = self._states[track_id] = _State(log_p, time_s, 1, top, top, time_s)
        else:
            self._mix(state, log_p, time_s)
        smoothed = np.exp(state.log_p - state.log_p.max())
        smoothed = smoothed / smoothed.sum()
        self._hold(state, int(smoothed.argmax()), time_s)
        return smoothed, state.held

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

    def _hold(self, state: _State, top: int, time_s: float) -> None:
        if top != state.rival:
            state.rival, state.rival_since_s = top, time_s
        if top != state.held and time_s - state.rival_since_s >= self.hold_s - 1e-9:
            state.held = top
