"""Targets and loss: a row's target is a distribution times its weight, and a row without a label is all zero."""

from __future__ import annotations

import torch
from torch.nn import functional

from mien.datasets.base import FaceDataset
from mien.datasets.ferplus import distribution
from mien.errors import DataError
from mien.labels import HEADS
from mien.training.config import TrainingConfig


def make_targets(dataset: FaceDataset, config: TrainingConfig) -> dict[str, torch.Tensor]:
    """The target of each trained head, float32 (N, K).

    `fer2013`: the label with smoothing ε, (1 - ε) on the label and ε / 7 everywhere (Szegedy et al. 2016).
    `crowd`: the share of the emotion votes, where there are enough of them.

    Raises:
        DataError: the crowd head is to be trained and the data set has no votes.
    """
    makers = {"fer2013": _label_targets, "crowd": _vote_targets}
    return {head: makers[head](dataset, config) for head in config.heads.weights}


def soft_cross_entropy(logits: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    """Mean of -Σ t log softmax(x) over the rows' weight: logits and targets (N, K), a scalar in nats."""
    loss = -(targets * functional.log_softmax(logits.float(), dim=1)).sum()
    return loss / targets.sum().clamp(min=1)


def total_loss(
    logits: dict[str, torch.Tensor], targets: dict[str, torch.Tensor], weights: dict[str, float]
) -> torch.Tensor:
    """Weighted sum of every head's loss."""
    losses = [weight * soft_cross_entropy(logits[head], targets[head]) for head, weight in weights.items()]
    return torch.stack(losses).sum()


def _label_targets(dataset: FaceDataset, config: TrainingConfig) -> torch.Tensor:
    labels = torch.from_numpy(dataset.labels)
    classes = len(HEADS["fer2013"])
    smoothing = config.fit.label_smoothing
    known = (labels >= 0).float().unsqueeze(1)
    sharp = functional.one_hot(labels.clamp(min=0), classes).float()
    return known * ((1 - smoothing) * sharp + smoothing / classes)


def _vote_targets(dataset: FaceDataset, config: TrainingConfig) -> torch.Tensor:
    if dataset.votes is None:
        raise DataError(
            f"{dataset.name} has no FER+ votes, which the crowd head learns from: "
            "put ferplus.csv beside the pictures, or set heads.crowd = 0"
        )
    shares, enough = distribution(dataset.votes, minimum_votes=config.heads.minimum_votes)
    return torch.from_numpy(shares) * torch.from_numpy(enough).float().unsqueeze(1)
