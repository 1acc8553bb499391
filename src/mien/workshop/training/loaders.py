"""The data set in the device's memory, cut into random batches: no worker, no copy, no per-picture work."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch

from mien.artifact.input import prepare
from mien.errors import ConfigError, DataError
from mien.labels import HEADS
from mien.workshop.data.base import FaceDataset
from mien.workshop.training.config import TrainingConfig
from mien.workshop.training.losses import make_targets
from mien.workshop.training.opinions import mix_opinions, read_opinions


@dataclass(frozen=True)
class Batches:
    """Faces uint8 (N, C, H, W) and the targets of each head (N, K), all on one device.

    `numbers` (N,) says which row of the train split each is. With `chances` (N,) an epoch draws rows
    with replacement, each as likely as its share of the chances.
    """

    faces: torch.Tensor
    targets: dict[str, torch.Tensor]
    batch_size: int
    numbers: npt.NDArray[np.int64]
    chances: torch.Tensor | None = None

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
        return torch.split(order[: len(self) * self.batch_size], self.batch_size)

    def take(self, rows: torch.Tensor) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
        """Float faces 0–255 and the targets of some rows."""
        return self.faces[rows].float(), {head: targets[rows] for head, targets in self.targets.items()}


def make_batches(dataset: FaceDataset, config: TrainingConfig, device: torch.device) -> Batches:
    """Move the training rows that carry any target to the device.

    Raises:
        DataError: no row is left to learn from.
        ConfigError: a batch is larger than what is left.
    """
    rows = dataset.part("train")
    opinions = [read_opinions(path) for path in config.distill.teachers]
    targets = mix_opinions(make_targets(rows, config), opinions, rows, config.distill.weight)
    useful = torch.stack([head.sum(dim=1) > 0 for head in targets.values()]).any(dim=0)
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
    )


def balanced_chances(labels: npt.NDArray[np.int64]) -> torch.Tensor:
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
    for part in (dataset.images, dataset.labels, dataset.split, dataset.votes):
        if part is not None:
            digest.update(np.ascontiguousarray(part).data)
    return digest.hexdigest()


def class_counts(dataset: FaceDataset) -> dict[str, int]:
    """Rows of each FER2013 class."""
    counts = np.bincount(dataset.labels[dataset.labels >= 0], minlength=len(HEADS["fer2013"]))
    return dict(zip(HEADS["fer2013"], counts.tolist(), strict=True))
