"""Images a second of a training epoch, against the bare forward and backward pass of the same network and batch.

    python benchmarks/training.py [studies/mien-s.toml] [--batches 12] [--rounds 3]

Both run in turns on random pictures, so that a machine that is busy with other things slows both. The bar: ≥ 90 %.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from pathlib import Path

import numpy as np
import torch
from lightning_fabric import Fabric

from mien.datasets.base import FaceDataset
from mien.models.factory import create_network
from mien.training.config import TrainingConfig, load_config
from mien.training.fit import fit
from mien.training.losses import make_targets, total_loss


def random_dataset(rows: int, validation: int = 64) -> FaceDataset:
    random = np.random.default_rng(0)
    count = rows + validation
    return FaceDataset(
        name="random",
        images=random.integers(0, 256, (count, 48, 48), dtype=np.uint8),
        labels=random.integers(0, 7, count),
        split=(np.arange(count) >= rows).astype(np.int8),
        ids=np.arange(count).astype(str),
        votes=random.multinomial(10, [0.1] * 10, count).astype(np.uint8),
    )


def bare_rate(config: TrainingConfig, dataset: FaceDataset, batches: int, device: str) -> float:
    """Images a second of forward and backward alone, on one batch that stays where it is."""
    fabric = Fabric(accelerator=device, devices=1, precision=config.fit.precision)
    network = create_network(config.model.arch, spec=config.model.spec, **config.model.options)
    network = fabric.setup(network.to(memory_format=torch.channels_last))
    size = config.fit.batch_size
    faces = torch.from_numpy(dataset.images[:size, None]).float().to(fabric.device)
    targets = {head: rows[:size].to(fabric.device) for head, rows in make_targets(dataset, config).items()}
    faces = faces.contiguous(memory_format=torch.channels_last)
    for number in range(batches + 2):
        if number == 2:
            started = time.perf_counter()
        loss = total_loss(network(faces), targets, config.heads.weights)
        fabric.backward(loss)
        network.zero_grad()
    loss.item()
    return size * batches / (time.perf_counter() - started)


def epoch_rate(config: TrainingConfig, dataset: FaceDataset, device: str) -> float:
    """Images a second of the second epoch of `fit`, the first being the warm-up."""
    with tempfile.TemporaryDirectory() as folder:
        result = fit(config, dataset, Path(folder), device=device)
    size = config.fit.batch_size
    rows = len(dataset.part("train")) // size * size
    return rows / result.history[-1]["train_seconds"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("config", type=Path, nargs="?", default=Path("studies/mien-s.toml"))
    parser.add_argument("--batches", type=int, default=24)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--device", default="cpu")
    arguments = parser.parse_args()
    config = load_config(arguments.config)
    config = config.model_copy(update={"fit": config.fit.model_copy(update={"epochs": 2})})
    dataset = random_dataset(arguments.batches * config.fit.batch_size)
    shares = []
    for _ in range(arguments.rounds):
        bare = bare_rate(config, dataset, arguments.batches, arguments.device)
        loop = epoch_rate(config, dataset, arguments.device)
        shares.append(loop / bare)
        print(f"bare {bare:.0f} images/s, training {loop:.0f} images/s: {100 * loop / bare:.0f} %")
    print(f"median {100 * statistics.median(shares):.0f} % of the bare network (bar: 90 %)")


if __name__ == "__main__":
    main()
