"""Is the frequency of the classes better taught away (Menon et al. 2021) or divided out afterwards?

    python studies/logit_adjustment.py FER2013-FOLDER [--epochs 6] [--strength 0.3]

A small network learns head `crowd` three times from the same weights and batches: by cross-entropy; by the
logit-adjusted loss, the cross-entropy of `logits + strength × log(prior)`; and by cross-entropy with a head whose
constants begin at `strength × log(prior)`. Cross-entropy is read with `balance` = strength, the adjusted network as it
is. The last two are one and the same, until rounding parts them: what is added to the logits is what the constants of
the head can be, and constants have no weight decay here. Printed are per cent right and mean recall of PublicTest by
the FER+ majority, and the largest difference between the losses of the last two's first steps.
"""

from __future__ import annotations

import argparse
from copy import deepcopy
from pathlib import Path

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from mien.artifact.input import InputSpec, prepare
from mien.labels import CROWD
from mien.workshop.data.base import FaceDataset
from mien.workshop.data.factory import load_dataset
from mien.workshop.data.fer2013 import distribution, majority
from mien.workshop.evaluation import metrics
from mien.workshop.networks.architectures import create_network
from mien.workshop.training.augment import augment
from mien.workshop.training.config import AugmentConfig

BATCH, FIRST = 128, 20
AUGMENT = AugmentConfig().mirroring()
"""Mirrored alone, which the study of the recipe found best for a training as short."""


def train(
    network: nn.Module, faces: torch.Tensor, shares: torch.Tensor, added: torch.Tensor, epochs: int
) -> list[float]:
    """SGD with a falling rate; `added` (8,) goes to the logits before the loss, which is given back step by step."""
    torch.manual_seed(0)
    generator = torch.Generator().manual_seed(0)
    losses: list[float] = []
    decayed = [{"params": [p for p in network.parameters() if p.ndim > 1], "weight_decay": 5e-4}]
    optimizer = torch.optim.SGD(
        [*decayed, {"params": [p for p in network.parameters() if p.ndim < 2]}], lr=0.1, momentum=0.9, nesterov=True
    )
    steps = epochs * (len(faces) // BATCH)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 0.1, total_steps=steps, cycle_momentum=False)
    network.train()
    for epoch in range(epochs):
        order = torch.randperm(len(faces), generator=generator)
        for rows in torch.split(order[: len(faces) // BATCH * BATCH], BATCH):
            seen = augment(faces[rows].float(), AUGMENT, generator).contiguous(memory_format=torch.channels_last)
            loss = functional.cross_entropy(network(seen)["crowd"] + added, shares[rows])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
            losses.append(loss.item())
        print(f"  epoch {epoch}: loss {np.mean(losses[-steps // epochs :]):.4f}", flush=True)
    return losses


@torch.no_grad()
def read(network: nn.Module, rows: FaceDataset) -> torch.Tensor:
    """Logits (N, 8)."""
    network.eval()
    faces = torch.from_numpy(prepare(rows.images, InputSpec())).float()
    return torch.cat([network(part)["crowd"] for part in torch.split(faces, 256)])


def told(name: str, logits: torch.Tensor, rows: FaceDataset) -> str:
    assert rows.votes is not None
    truth = majority(rows.votes)
    clear = truth >= 0
    confusion = metrics.confusion_matrix(truth[clear], logits.argmax(1).numpy()[clear], len(CROWD))
    right, recall = float(metrics.accuracy(confusion)), float(metrics.balanced_accuracy(confusion))
    return f"{name}: {100 * right:.2f} % right, mean recall {100 * recall:.1f} %"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--epochs", type=int, default=6)
    parser.add_argument("--strength", type=float, default=0.3)
    given = parser.parse_args()
    dataset = load_dataset(given.data)
    rows, public = dataset.part("train"), dataset.part("validation")
    assert rows.votes is not None
    shares, enough = distribution(rows.votes)
    faces = torch.from_numpy(prepare(rows.images, InputSpec()))[torch.from_numpy(enough)]
    votes = torch.from_numpy(shares[enough]).float()
    adjustment = given.strength * torch.from_numpy(np.log(shares[enough].mean(axis=0))).float()
    torch.manual_seed(0)
    first = create_network("se_resnet", heads=("crowd",), widths=[24, 48, 64, 96], depths=[1, 1, 1, 1], stem_stride=2)
    first = first.to(memory_format=torch.channels_last)
    shifted = deepcopy(first)
    constants = shifted.heads["crowd"].bias
    assert isinstance(constants, torch.Tensor)
    constants.data += adjustment
    found, losses = {}, []
    for name, network, added in (
        ("cross-entropy", deepcopy(first), torch.zeros(len(CROWD))),
        ("logit-adjusted", deepcopy(first), adjustment),
        ("cross-entropy from shifted constants", shifted, torch.zeros(len(CROWD))),
    ):
        print(name)
        losses.append(train(network, faces, votes, added, given.epochs))
        found[name] = read(network, public)
    plain, adjusted, moved = found.values()
    print(told("cross-entropy, the prior left in", plain, public))
    print(told(f"cross-entropy, balance {given.strength:g}", plain - adjustment, public))
    print(told("logit-adjusted", adjusted, public))
    print(told(f"cross-entropy from shifted constants, balance {given.strength:g}", moved - adjustment, public))
    apart = np.abs(np.subtract(losses[1], losses[2]))
    print(f"the last two's losses differ by at most {apart[:FIRST].max():.1e} in the first {FIRST} steps")


if __name__ == "__main__":
    main()
