"""The data set in the device's memory, cut into random batches: no worker, no copy, no per-picture work."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
import torch
from lightning_fabric import Fabric
from torch import nn
from torch.nn import functional

from mien.arrays import Int64, UInt8
from mien.artifact.input import InputSpec, prepare
from mien.errors import ConfigError, DataError
from mien.labels import AFFECT_HEADS, HEADS
from mien.workshop.data.base import FaceDataset
from mien.workshop.data.fer2013 import distribution, majority
from mien.workshop.training.config import HeadsConfig, TrainingConfig
from mien.workshop.training.distill import digests_of, mix_predictions, read_predictions
from mien.workshop.training.teacher_views import Replay, join_answers, order_digest, read_answers, view_order
from mien.workshop.training.value_heads import Gather, alone, mean_concordance, value_loss, value_targets


@dataclass(frozen=True)
class Batches:
    """Faces uint8 (N, C, H, W) and the targets of each head (N, K), all on one device.

    `numbers` (N,) gives the row of the train split of each. With `chances` (N,) an epoch draws rows
    with replacement, each as likely as its share of the chances. With `replay` every epoch sees other faces, which are
    augmented already; see `at`.
    """

    faces: torch.Tensor
    targets: dict[str, torch.Tensor]
    batch_size: int
    numbers: Int64
    chances: torch.Tensor | None = None
    replay: Replay | None = None
    size: int = 0

    def at(self, epoch: int) -> Batches:
        """What an epoch trains on: the same, or the view whose turn it is, of `size` pixels."""
        if self.replay is None:
            return self
        numbers = torch.from_numpy(self.numbers)
        seen, targets = self.replay.epoch(epoch)
        faces = seen[numbers]
        if faces.shape[-1] != self.size:
            sized = functional.interpolate(faces.float(), size=(self.size, self.size), mode="bilinear", antialias=True)
            faces = sized.round().clamp(0, 255).byte()
        device = self.faces.device
        return replace(
            self, faces=faces.to(device), targets={head: rows[numbers].to(device) for head, rows in targets.items()}
        )

    def __len__(self) -> int:
        """Batches in an epoch: a last one that is not full is left out."""
        return len(self.faces) // self.batch_size

    def epoch(self, generator: torch.Generator) -> tuple[torch.Tensor, ...]:
        """Rows of each batch, in random order, at most once each if there are no chances."""
        count = len(self.faces)
        if self.chances is None:
            order = torch.randperm(count, generator=generator, device=self.faces.device)
        else:
            order = torch.multinomial(self.chances, count, replacement=True, generator=generator)
        # One shape for all batches of an epoch: an accelerator chooses its kernels once.
        return torch.split(order[: len(self) * self.batch_size], self.batch_size)

    def take(self, rows: torch.Tensor) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
        """Float faces 0–255 and the targets of some rows."""
        # All faces stay uint8, 80 MB for FER2013; a batch at a time becomes four times as large.
        return self.faces[rows].float(), {head: targets[rows] for head, targets in self.targets.items()}


def make_batches(dataset: FaceDataset, config: TrainingConfig, device: torch.device) -> Batches:
    """Move the training rows that carry any target to the device.

    Raises:
        DataError: no row is left to learn from.
        ConfigError: a batch is larger than what is left.
    """
    rows = dataset.part("train")
    predictions = [read_predictions(path) for path in config.distill.teachers]
    targets = mix_predictions(make_targets(rows, config), predictions, rows, config.distill.weight)
    # After the teachers: with one of theirs a row without label and votes is worth learning from.
    useful = torch.stack([(head != 0).any(dim=1) for head in targets.values()]).any(dim=0)
    if not useful.any():
        raise DataError(f"{dataset.name}: no training row with a label among {len(rows)}")
    count, size = int(useful.sum()), config.fit.batch_size
    if size > count:
        raise ConfigError(
            f"fit.batch_size = {size} is above the {count} training rows of {dataset.name}: give at most {count}"
        )
    faces = torch.from_numpy(prepare(rows.images, config.model.spec))
    chances = balanced_chances(rows.labels[useful.numpy()]).to(device) if config.fit.sampling == "balanced" else None
    return Batches(
        faces[useful].to(device),
        {head: target[useful].to(device) for head, target in targets.items()},
        size,
        np.flatnonzero(useful.numpy()),
        chances,
        _replay(rows, targets, config),
        config.model.size,
    )


def _replay(rows: FaceDataset, targets: dict[str, torch.Tensor], config: TrainingConfig) -> Replay | None:
    """The answered views of the rows.

    Raises:
        DataError: they were answered for other rows.
    """
    if not config.distill.views:
        return None
    answers = join_answers([read_answers(path) for path in config.distill.views])
    digests = digests_of(rows)
    if order_digest(digests) != answers.pictures or len(rows) != answers.steps.shape[1]:
        raise DataError(
            f"{rows.name}: the answers of distill.views were given to views of {answers.steps.shape[1]:,} other "
            f"pictures: train on the same rows without lists, or ask the teacher about these {len(rows):,}"
        )
    if answers.head not in targets:
        raise ConfigError(f"distill.views teach head {answers.head!r}, whose weight in [heads] is 0")
    order = torch.from_numpy(view_order(digests))
    size = answers.spec.size
    faces = torch.from_numpy(prepare(rows.images, InputSpec(size, size, config.model.channels)))
    ordered = {head: values[order] for head, values in targets.items()}
    distill = config.distill
    weight, temperature = distill.view_weight, distill.view_temperature
    return Replay(answers, faces[order], ordered, order, weight, temperature, config.fit.epochs)


def balanced_chances(labels: Int64) -> torch.Tensor:
    """Chance of each row by which every class is as likely as any other, float64 (N,), summing to N.

    Rows without a label keep their share.
    """
    known = torch.from_numpy(labels >= 0)
    counts = torch.from_numpy(np.bincount(labels[labels >= 0], minlength=len(HEADS["fer2013"])))
    present = (counts > 0).sum()
    chances = torch.ones(len(labels), dtype=torch.float64)
    chances[known] = known.sum() / (present * counts[labels[labels >= 0]]).double()
    return chances


def fingerprint(dataset: FaceDataset) -> str:
    """SHA-256 over pictures, labels, votes and splits: which data a run saw."""
    if dataset.whole:
        return dataset.whole
    digest = hashlib.sha256()
    for part in (dataset.images, dataset.labels, dataset.split, dataset.votes, dataset.affect):
        if part is not None:
            digest.update(np.ascontiguousarray(part).data)
    return digest.hexdigest()


def make_targets(
    dataset: FaceDataset, config: TrainingConfig, *, weights: torch.Tensor | None = None
) -> dict[str, torch.Tensor]:
    """The target of each trained head, float32 (N, K).

    `fer2013`: the label with smoothing ε, (1 - ε) on the label and ε / 7 everywhere (Szegedy et al. 2016), times the
    weight of the label's class.
    `crowd`: the share of the emotion votes, where there are enough of them.
    `valence_arousal`, `intensity`: see `training.value_heads.value_targets`.

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
    return {
        head: value_targets(dataset, head) if head in AFFECT_HEADS else makers[head]() for head in config.heads.weights
    }


def class_weights(labels: Int64, config: HeadsConfig) -> torch.Tensor:
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
    # In float32 under mixed precision, too: half precision has three digits.
    logs = functional.log_softmax(logits.float(), dim=1)
    if focal:
        # The least value keeps the gradient finite where p is 1 and γ below 1.
        logs = logs * (-torch.expm1(logs)).clamp(min=1e-6) ** focal
    weight = targets.sum() if weight is None else weight
    # A batch may hold no target at all of this head.
    return -(targets * logs).sum() / weight.clamp(min=1)


def total_loss(
    logits: dict[str, torch.Tensor],
    targets: dict[str, torch.Tensor],
    heads: HeadsConfig,
    *,
    whole: dict[str, torch.Tensor] | None = None,
    gather: Gather = alone,
) -> torch.Tensor:
    """Weighted sum of every head's loss; see `soft_cross_entropy` and `value_heads.value_loss`.

    Where the rows are one process's part of a batch, `whole` has the targets of all of it and `gather` collects values
    from the other processes: the losses of the parts then sum to that of the batch, and so do their gradients.
    """
    whole = targets if whole is None else whole
    losses = [
        weight
        * (
            gather(logits[head], partial(value_loss, targets=whole[head], mse=heads.mse))
            if head in AFFECT_HEADS
            else soft_cross_entropy(logits[head], targets[head], focal=heads.focal, weight=whole[head].sum())
        )
        for head, weight in heads.weights.items()
    ]
    return torch.stack(losses).sum()


def _label_targets(dataset: FaceDataset, config: TrainingConfig, weights: torch.Tensor) -> torch.Tensor:
    labels = torch.from_numpy(dataset.labels)
    classes = len(HEADS["fer2013"])
    smoothing = config.fit.label_smoothing
    # Rows without a label are computed as class 0, and weigh nothing.
    weight = torch.where(labels >= 0, weights[labels.clamp(min=0)], 0.0).unsqueeze(1)
    sharp = functional.one_hot(labels.clamp(min=0), classes).float()
    return weight * ((1 - smoothing) * sharp + smoothing / classes)


def require_votes(dataset: FaceDataset) -> UInt8:
    """The votes of a data set, without which the crowd head cannot be trained.

    Raises:
        DataError: it has none.
    """
    if dataset.votes is None:
        raise DataError(
            f"{dataset.name} has no FER+ votes, which the crowd head learns from: "
            "put fer2013new.csv (or ferplus.csv) beside the pictures, or set heads.crowd = 0"
        )
    return dataset.votes


def _vote_targets(dataset: FaceDataset, config: TrainingConfig) -> torch.Tensor:
    shares, enough = distribution(require_votes(dataset), minimum_votes=config.heads.minimum_votes)
    return torch.from_numpy(shares) * torch.from_numpy(enough).float().unsqueeze(1)


class Judge:
    """Loss, accuracy of each head, and the score of the averaged weights on the validation split.

    Args:
        network: a copy to load the weights into.
        dataset: its validation rows are used, FER2013's PublicTest.
        config: which heads count, and which of them select.
        fabric: for its precision.
    """

    def __init__(self, network: nn.Module, dataset: FaceDataset, config: TrainingConfig, fabric: Fabric) -> None:
        rows = dataset.part("validation")
        self.network = network.eval()
        self.faces = torch.from_numpy(prepare(rows.images, config.model.spec)).to(fabric.device)
        self.batch_size = 256 if fabric.device.type == "cpu" else 1024
        # Weighted by train's classes, or this loss could not be compared with that of training.
        self.targets = make_targets(rows, config, weights=class_weights(dataset.part("train").labels, config.heads))
        self.truth = {"fer2013": rows.labels}
        if rows.votes is not None:
            self.truth["crowd"] = majority(rows.votes)
        self.config = config
        self.fabric = fabric

    def measure(self, weights: dict[str, torch.Tensor]) -> dict[str, float]:
        """`loss`, an accuracy in 0–1 for each head, and `score`, by which the best epoch is chosen.

        The crowd head's accuracy is on the rows on which the annotators have a majority. A head of values has its mean
        CCC, from -1 to 1, in place of an accuracy.
        """
        self.network.load_state_dict(weights)
        with self.fabric.autocast():
            logits = predict_logits(self.network, self.faces, batch_size=self.batch_size)
        found = {"loss": float(total_loss(logits, self.targets, self.config.heads))}
        for head, values in logits.items():
            if head in AFFECT_HEADS:
                concordance = mean_concordance(values, self.targets[head])
                found |= {} if concordance is None else {head: concordance}
                continue
            known = self.truth[head] >= 0
            if known.any():
                found[head] = float(np.mean(values.argmax(dim=1).numpy()[known] == self.truth[head][known]))
        selecting = tuple(logits) if self.config.fit.selection == "mean" else (self.config.fit.selection,)
        found["score"] = sum(found.get(head, 0.0) for head in selecting) / len(selecting)
        return found


@torch.no_grad()
def predict_logits(network: nn.Module, faces: torch.Tensor, *, batch_size: int = 256) -> dict[str, torch.Tensor]:
    """Logits of every head for faces uint8 (N, C, H, W), on the CPU as float32 (N, K)."""
    device = next(network.parameters()).device
    parts = [network(batch.to(device)) for batch in torch.split(faces, batch_size)]
    return {head: torch.cat([part[head].float() for part in parts]).cpu() for head in parts[0]}
