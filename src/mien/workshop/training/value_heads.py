"""Targets and losses of the heads that estimate values: valence and arousal, and intensity."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from lightning_fabric import Fabric
from torch import nn

from mien.errors import DataError
from mien.labels import AFFECT, AFFECT_HEADS
from mien.workshop.data.base import FaceDataset

_SMALLEST = 1e-6


OfBatch = Callable[[torch.Tensor], torch.Tensor]
Gather = Callable[[torch.Tensor, OfBatch], torch.Tensor]
"""Takes one process's rows (n, K) and a loss of the whole batch's (N, K), gives this process's part of that loss."""


def alone(mine: torch.Tensor, loss: OfBatch) -> torch.Tensor:
    """The loss of rows that are the whole batch already."""
    return loss(mine)


def gather_over(fabric: Fabric, rows: int) -> Gather:
    """Collects a batch of so many rows, which the processes of a training share as `tensor_split` does.

    A CCC is of a whole batch: it is no sum over parts of it. Each process computes all of it, with gradients to its own
    rows alone, which together are those of one process that had all rows.
    """
    if fabric.world_size == 1:
        return alone
    sizes = [len(part) for part in torch.arange(rows).tensor_split(fabric.world_size)]

    def gather(mine: torch.Tensor, loss: OfBatch) -> torch.Tensor:
        # Processes exchange tensors of one shape; shares may differ by a row.
        padded = nn.functional.pad(mine.detach().float(), (0, 0, 0, max(sizes) - len(mine)))
        others = fabric.all_gather(padded)
        assert isinstance(others, torch.Tensor)
        parts = [mine.float() if rank == fabric.global_rank else others[rank, :size] for rank, size in enumerate(sizes)]
        found = loss(torch.cat(parts))
        # The value of a part, the gradient of the whole.
        return found - found.detach() * (1 - 1 / fabric.world_size)

    return gather


def value_targets(dataset: FaceDataset, head: str) -> torch.Tensor:
    """Values and, behind them, 1 where they are known, float32 (N, 2K); what is unknown is 0 twice.

    Mixed like any other target (mixup), the first half stays the sum of what is known and the second its weight.

    Raises:
        DataError: the training is to learn them, and no row has any.
    """
    names = AFFECT_HEADS[head]
    places = [list(AFFECT).index(name) for name in names]
    if dataset.affect is None:
        raise DataError(
            f"{dataset.name} has no columns {', '.join(names)}, which head {head} learns from: add them, or set "
            f"heads.{head} = 0"
        )
    values = dataset.affect[:, places]
    known = ~np.isnan(values)
    return torch.from_numpy(np.hstack([np.where(known, values, 0), known]).astype(np.float32))


def value_loss(predicted: torch.Tensor, targets: torch.Tensor, *, mse: float) -> torch.Tensor:
    """Mean over the K values of 1 - CCC + `mse` times the mean squared error, of the rows where they are known.

    The concordance correlation coefficient (Lin, 1989) is that of the batch. A batch that knows fewer than two rows of
    a value has none: there the squared error counts alone, and nothing where it knows no row.

    Args:
        predicted: (N, K).
        targets: (N, 2K) as `value_targets` gives them.
        mse: weight of the squared error.
    """
    # In float32 under mixed precision, too: variances are differences of small numbers.
    values, count = predicted.float(), predicted.shape[1]
    weight = targets[:, count:]
    truth = targets[:, :count] / weight.clamp(min=_SMALLEST)
    total = weight.sum(dim=0).clamp(min=_SMALLEST)
    squares = (weight * (values - truth) ** 2).sum(dim=0) / total
    mean_p, mean_t = ((weight * part).sum(dim=0) / total for part in (values, truth))
    apart_p, apart_t = values - mean_p, truth - mean_t
    both, spread_p, spread_t = (
        (weight * part).sum(dim=0) / total for part in (apart_p * apart_t, apart_p**2, apart_t**2)
    )
    concordance = 2 * both / (spread_p + spread_t + (mean_p - mean_t) ** 2 + _SMALLEST)
    counts = (weight > 0).sum(dim=0)
    # Blended rows weigh less than 1, so rows are counted and not weights.
    losses = torch.where(counts > 1, 1 - concordance, 0.0) + mse * squares
    return torch.where(counts > 0, losses, 0.0).mean()


def mean_concordance(predicted: torch.Tensor, targets: torch.Tensor) -> float | None:
    """Mean CCC of the values that any row knows, of all rows together; None where no row knows any."""
    from mien.workshop.evaluation.affect_metrics import concordance, moments

    count = predicted.shape[1]
    found = []
    for column in range(count):
        known = (targets[:, count + column] > 0).numpy()
        if known.any():
            table = moments(predicted[:, column].numpy()[known], targets[:, column].numpy()[known])
            found.append(float(concordance(table.mean(axis=0))))
    return float(np.mean(found)) if found else None
