"""How much of a session's time is left, and whether one more epoch fits into it."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field

Clock = Callable[[], float]

_MARGIN = 1.25
"""An epoch is reckoned with a quarter more than the longest of the last few."""
_LAST = 5


@dataclass(frozen=True)
class Budget:
    """A session's time.

    Args:
        until: when it has to be over, by the clock.
        reserve_s: seconds of it that are kept for writing the state and the parcel.
        start_s: seconds that must be left to begin with a run: its first epoch waits for the device to warm up.
        asking_s: as many more where teachers are to be asked before.
        clock: seconds that only rise.
    """

    until: float
    reserve_s: float = 20.0
    start_s: float = 30.0
    asking_s: float = 60.0
    clock: Clock = time.monotonic

    @property
    def left_s(self) -> float:
        """Seconds that are left to train."""
        return self.until - self.reserve_s - self.clock()

    def allows_start(self, *, asking: bool = False) -> bool:
        """Whether a run may still begin or go on, after its teachers were asked or at once."""
        return self.left_s >= self.start_s + self.asking_s * asking


@dataclass
class Pace:
    """What an epoch takes with everything around it, by the times at which epochs came."""

    budget: Budget
    laps: list[float] = field(default_factory=list)
    before: float = field(init=False)

    def __post_init__(self) -> None:
        self.before = self.budget.clock()

    def lap(self) -> None:
        """An epoch came."""
        now = self.budget.clock()
        self.laps.append(now - self.before)
        self.before = now

    @property
    def next_s(self) -> float:
        """Seconds to reckon with for the next epoch. The first one, which warmed up, counts only while it is alone."""
        known = self.laps[1:] or self.laps
        return _MARGIN * max(known[-_LAST:], default=0.0)

    @property
    def allows_epoch(self) -> bool:
        """Whether the next epoch ends in time."""
        return self.next_s <= self.budget.left_s
