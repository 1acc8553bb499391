"""Targets and loss: a row's target is a distribution times its weight, and a row without a label is all zero."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import torch
from torch.nn import functional

from mien.errors import DataError
from mien.labels import HEADS
from mien.workshop.data.base import FaceDataset
from mien.workshop.data.ferplus import distribution
from mien.workshop.training.config import HeadsConfig, TrainingConfig


def make_targets(
    dataset: FaceDataset, config: TrainingConfig, *, weights: torch.Tensor | None = None
) -> dict[str, torch.Tensor]:
    """The target of each trained head, float32 (N, K).

    `fer2013`: the label with smoothing ε, (1 - ε) on the label and ε / 7 everywhere (Szegedy et al. 2016), times the
    weight of the label's class.
    `crowd`: the share of the emotion votes, where there are enough of them.

    Args:
        dataset: the rows.
        config: which heads, and how.
        weights: of each FER2013 class, (7,); those of the data set's own labels if None.

    Raises:
        DataError: the crowd head is to be trained and the data set has no votes.
    """
    weights = class_weights(dataset.labels, config.heads) if weights is None else weights
    makers = {
        "fer2013": lambda: _label_targets(dataset, config, weights),
        "crowd": lambda: _vote_targets(dataset, config),
    }
    return {head: makers[head]() for head in config.heads.weights}


def class_weights(labels: npt.NDArray[np.int64], config: HeadsConfig) -> torch.Tensor:
    """Weight of each FER2013 class, float32 (7,), with a mean of 1 over the labelled rows; 0 for a class without rows.

    `inverse` is 1 / n for a class of n rows, `effective` (1 - β) / (1 - β^n) (Cui et al. 2019, equation 6).
    """
    counts = torch.from_numpy(np.bincount(labels[labels >= 0], minlength=len(HEADS["fer2013"]))).double()
    if config.class_weights == "none" or not counts.any():
        return torch.ones(len(counts))
    effective = counts if config.class_weights == "inverse" else (1 - config.beta**counts) / (1 - config.beta)
    weights = torch.where(counts > 0, 1 / effective, 0.0)
    return (weights * counts.sum() / (weights * counts).sum()).float()


def soft_cross_entropy(
    logits: torch.Tensor, targets: torch.Tensor, *, focal: float = 0.0, weight: torch.Tensor | None = None
) -> torch.Tensor:
    """Mean of -Σ t (1 - p)^γ log p over the rows' weight, p the softmax and γ `focal` (Lin et al. 2017).

    Logits and targets (N, K), a scalar in nats. A γ of 0 is the plain cross-entropy. `weight` is that of the whole
    batch where these rows are a part of one: the losses of the parts then sum to that of the batch.
    """
    logs = functional.log_softmax(logits.float(), dim=1)
    if focal:
        # The least value keeps the gradient finite where p is 1 and γ below 1.
        logs = logs * (-torch.expm1(logs)).clamp(min=1e-6) ** focal
    weight = targets.sum() if weight is None else weight
    return -(targets * logs).sum() / weight.clamp(min=1)


def total_loss(
    logits: dict[str, torch.Tensor],
    targets: dict[str, torch.Tensor],
    weights: dict[str, float],
    *,
    focal: float = 0.0,
    whole: dict[str, torch.Tensor] | None = None,
) -> torch.Tensor:
    """Weighted sum of every head's loss; see `soft_cross_entropy`. `whole` has the targets of the whole batch."""
    whole = targets if whole is None else whole
    losses = [
        weight * soft_cross_entropy(logits[head], targets[head], focal=focal, weight=whole[head].sum())
        for head, weight in weights.items()
    ]
    return torch.stack(losses).sum()


def _label_targets(dataset: FaceDataset, config: TrainingConfig, weights: torch.Tensor) -> torch.Tensor:
    labels = torch.from_numpy(dataset.labels)
    classes = len(HEADS["fer2013"])
    smoothing = config.fit.label_smoothing
    weight = torch.where(labels >= 0, weights[labels.clamp(min=0)], 0.0).unsqueeze(1)
    sharp = functional.one_hot(labels.clamp(min=0), classes).float()
    return weight * ((1 - smoothing) * sharp + smoothing / classes)


def _vote_targets(dataset: FaceDataset, config: TrainingConfig) -> torch.Tensor:
    if dataset.votes is None:
        raise DataError(
            f"{dataset.name} has no FER+ votes, which the crowd head learns from: "
            "put ferplus.csv beside the pictures, or set heads.crowd = 0"
        )
    shares, enough = distribution(dataset.votes, minimum_votes=config.heads.minimum_votes)
    return torch.from_numpy(shares) * torch.from_numpy(enough).float().unsqueeze(1)
