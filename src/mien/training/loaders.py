"""The data set in the device's memory, cut into random batches: no worker, no copy, no per-picture work."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch

from mien.datasets.base import FaceDataset
from mien.errors import DataError
from mien.labels import HEADS
from mien.preprocessing import prepare
from mien.training.config import TrainingConfig
from mien.training.losses import make_targets


@dataclass(frozen=True)
class Batches:
    """Faces uint8 (N, C, H, W) and the targets of each head (N, K), all on one device."""

    faces: torch.Tensor
    targets: dict[str, torch.Tensor]
    batch_size: int

    def __len__(self) -> int:
        """Batches in an epoch: a last one that is not full is left out, unless it is the only one."""
        return max(1, len(self.faces) // self.batch_size)

    def epoch(self, generator: torch.Generator) -> Iterator[tuple[torch.Tensor, dict[str, torch.Tensor]]]:
        """Every row at most once in random order, as float faces 0–255 and targets."""
        order = torch.randperm(len(self.faces), generator=generator, device=self.faces.device)
        for rows in torch.split(order[: len(self) * self.batch_size], self.batch_size):
            yield self.faces[rows].float(), {head: targets[rows] for head, targets in self.targets.items()}


def make_batches(dataset: FaceDataset, config: TrainingConfig, device: torch.device) -> Batches:
    """Move the training rows that carry any target to the device.

    Raises:
        DataError: no row is left to learn from.
    """
    rows = dataset.part("train")
    targets = make_targets(rows, config)
    useful = torch.stack([head.sum(dim=1) > 0 for head in targets.values()]).any(dim=0)
    if not useful.any():
        raise DataError(f"{dataset.name}: no training row with a label among {len(rows)}")
    faces = torch.from_numpy(prepare(rows.images, config.model.spec))
    return Batches(
        faces[useful].to(device),
        {head: target[useful].to(device) for head, target in targets.items()},
        config.fit.batch_size,
    )


def fingerprint(dataset: FaceDataset) -> str:
    """SHA-256 over pictures, labels, votes and splits: which data a run saw."""
    digest = hashlib.sha256()
    for part in (dataset.images, dataset.labels, dataset.split, dataset.votes):
        if part is not None:
            digest.update(np.ascontiguousarray(part).data)
    return digest.hexdigest()


def class_counts(dataset: FaceDataset) -> dict[str, int]:
    """Rows of each FER2013 class."""
    counts = np.bincount(dataset.labels[dataset.labels >= 0], minlength=len(HEADS["fer2013"]))
    return dict(zip(HEADS["fer2013"], counts.tolist(), strict=True))
