"""Parts of clips as batches: drawn at random, played faster or slower, with gaps, filled up to one length, masked."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from mien.arrays import Float32, Int64
from mien.workshop.data.base import NO_LABEL
from mien.workshop.temporal.clip_config import SequenceConfig, TemporalConfig
from mien.workshop.temporal.sequences import StepSequence


@dataclass(frozen=True)
class Batch:
    """N parts of clips, filled up to T steps.

    Args:
        steps: float32 (N, T, F), or uint8 (N, T, C, H, W).
        lengths: how many steps of each there are, int64 (N,).
        label: of the clip, int64 (N,), -1 where there is none.
        labels: of each step, int64 (N, T); -1 where there is none, and where nothing but filling is.
        values: valence and arousal, float32 (N, T, 2), NaN likewise.
    """

    steps: Tensor
    lengths: Tensor
    label: Tensor
    labels: Tensor
    values: Tensor

    def to(self, device: torch.device) -> Batch:
        """The same on a device."""
        return Batch(*(part.to(device) for part in vars(self).values()))


class Parts:
    """Draws the batches of an epoch.

    Args:
        sequences: of the training clips.
        config: length, size of batches and changes.
        scale: standard deviation of each feature, (F,), by which noise is measured; empty for crops.
    """

    def __init__(self, sequences: Sequence[StepSequence], config: TemporalConfig, scale: Float32) -> None:
        self.sequences, self.config, self.scale = sequences, config, scale
        self.length = max(2, round(config.clips.length_s * config.clips.rate_hz))
        # A long video gives as many parts as fit into it.
        self.owners = [n for n, one in enumerate(sequences) for _ in range(max(1, round(len(one) / self.length)))]

    def __len__(self) -> int:
        """Batches an epoch; the last, smaller one is left out unless it is the only one."""
        return max(1, len(self.owners) // self.config.fit.batch_size)

    def epoch(self, generator: torch.Generator) -> Iterator[tuple[Batch, list[int]]]:
        """The batches of one epoch, each with the clips that it is from; all chance is the generator's."""
        order = torch.randperm(len(self.owners), generator=generator).tolist()
        # NumPy's own, so that a part costs no dozen of calls to torch; seeded by the one that a checkpoint keeps.
        rng = np.random.default_rng(int(torch.randint(2**62, (1,), generator=generator)))
        size = self.config.fit.batch_size
        for start in range(0, len(self) * size, size):
            chosen = [self.sequences[self.owners[n]] for n in order[start : start + size]]
            yield collate([self._draw(one, rng) for one in chosen]), [one.clip for one in chosen]

    def _draw(self, one: StepSequence, rng: np.random.Generator) -> StepSequence:
        how = self.config.sequence
        speed = float(np.exp(rng.uniform(-1, 1) * np.log1p(how.speed)))
        span = min(len(one), max(2, round(self.length * speed)))
        start = int(rng.integers(0, len(one) - span + 1))
        view = int(rng.integers(0, len(one.steps)))
        part = slice(start, start + span)
        places = np.linspace(0, span - 1, max(1, min(self.length, round(span / speed))))
        nearest = places.round().astype(np.int64)
        steps: npt.NDArray[Any] = _at(one.steps[view, part], places)
        steps = _with_gaps(steps, how, rng)
        if len(self.scale) and how.noise:
            # One draw for all steps: how a face, a camera or a light differs from those of the training.
            steps = steps + np.float32(how.noise) * self.scale * rng.normal(size=len(self.scale)).astype(np.float32)
        return StepSequence(one.clip, steps[None], one.label, one.labels[part][nearest], one.values[part][nearest])


def _at(steps: npt.NDArray[Any], places: npt.NDArray[np.float64]) -> npt.NDArray[Any]:
    """Steps at places between them: crops are the nearest one."""
    if steps.dtype == np.uint8:
        return steps[places.round().astype(np.int64)]
    before = np.minimum(places.astype(np.int64), len(steps) - 1)
    share = (places - before).astype(np.float32)[:, None]
    after = np.minimum(before + 1, len(steps) - 1)
    return np.asarray(steps[before] + share * (steps[after] - steps[before]), np.float32)


def _with_gaps(steps: npt.NDArray[Any], how: SequenceConfig, rng: np.random.Generator) -> npt.NDArray[Any]:
    """As if no face had been found for a while, here and there: what lies in a gap is made of its two ends."""
    left = rng.binomial(len(steps), how.gaps) if how.gaps else 0
    while left > 0 and len(steps) > 2:
        length = min(left, int(rng.integers(1, 7)), len(steps) - 2)
        start = int(rng.integers(1, len(steps) - length))
        share = np.arange(1, length + 1) / (length + 1)
        steps = steps.copy()
        steps[start : start + length] = _at(steps[[start - 1, start + length]], share)
        left -= length
    return steps


def collate(sequences: Sequence[StepSequence]) -> Batch:
    """The first view of each sequence, filled up with zeros to the longest."""
    lengths = torch.tensor([len(one) for one in sequences])
    longest, first = int(lengths.max()), sequences[0].steps
    steps = np.zeros((len(sequences), longest, *first.shape[2:]), first.dtype)
    labels: Int64 = np.full((len(sequences), longest), NO_LABEL, np.int64)
    values: Float32 = np.full((len(sequences), longest, 2), np.nan, np.float32)
    for row, one in enumerate(sequences):
        steps[row, : len(one)] = one.steps[0]
        labels[row, : len(one)] = one.labels
        values[row, : len(one)] = one.values
    label = torch.tensor([one.label for one in sequences])
    return Batch(torch.from_numpy(steps), lengths, label, torch.from_numpy(labels), torch.from_numpy(values))
