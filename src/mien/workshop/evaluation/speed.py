"""How long models take, measured in turns, so that what else the machine does falls on all alike."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from mien.errors import DataError
from mien.workshop.evaluation.intervals import Interval

Answer = Callable[[npt.NDArray[np.uint8]], object]

ROUNDS, SINGLES, BATCH = 15, 16, 64


@dataclass(frozen=True)
class Speed:
    """Milliseconds a face in each round, float64 (rounds,): one by one, and in batches."""

    single_ms: npt.NDArray[np.float64]
    batch_ms: npt.NDArray[np.float64]

    @property
    def single(self) -> float:
        """Median of one by one."""
        return float(np.median(self.single_ms))

    @property
    def batch(self) -> float:
        """Median of batches."""
        return float(np.median(self.batch_ms))


def measure_in_turns(
    models: Sequence[Answer], crops: npt.NDArray[np.uint8], *, rounds: int = ROUNDS, singles: int = SINGLES
) -> list[Speed]:
    """Time models on the same faces, in every round in another order.

    Args:
        models: each takes crops uint8 (N, H, W) or (N, H, W, 3).
        crops: at least one; a batch is of 64, repeated where there are fewer.
        rounds: how often each is timed.
        singles: faces a round that are read one by one.

    Raises:
        DataError: there is no face.
    """
    if not len(crops):
        raise DataError("to measure the speed takes at least one face, and none came")
    batch = crops[np.arange(BATCH) % len(crops)]
    alone = [batch[n : n + 1] for n in range(singles)]
    single_ms, batch_ms = np.empty((2, len(models), rounds))
    for model in models:
        model(batch)
        model(alone[0])
    for number in range(rounds):
        for which in np.roll(np.arange(len(models)), number).tolist():
            single_ms[which, number] = _ms(models[which], alone)
            batch_ms[which, number] = _ms(models[which], [batch])
    return [Speed(one, many) for one, many in zip(single_ms, batch_ms, strict=True)]


def ratio_interval(first: Speed, second: Speed, *, resamples: int = 2000) -> Interval:
    """95 % bootstrap interval of how often the first's time the second takes, one by one: the median over rounds."""
    ratios = second.single_ms / first.single_ms
    drawn = np.random.default_rng(0).choice(ratios, (resamples, len(ratios)))
    low, high = np.quantile(np.median(drawn, axis=1), [0.025, 0.975])
    return Interval(float(low), float(high))


def _ms(model: Answer, parts: Sequence[npt.NDArray[np.uint8]]) -> float:
    """Milliseconds a face."""
    started = time.perf_counter()
    for part in parts:
        model(part)
    return 1e3 * (time.perf_counter() - started) / sum(map(len, parts))
