"""Images a second of a training epoch, against the bare forward and backward pass of the same network and batch.

    python benchmarks/training.py [studies/mien-s.toml] [--batches 12] [--rounds 3]
    python benchmarks/training.py studies/architectures.toml --entry vgg --device cuda [--compile]

Both run in turns on random pictures, so that a machine that is busy with other things slows both. What the epoch has
and the bare pass has not: batches drawn and augmented, targets, the optimiser's step, the average of the weights. The
bars: 90 % on a CPU; 80 % on an accelerator, where an epoch's many small kernels take their time.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
import warnings
from pathlib import Path

import numpy as np
import torch
from lightning_fabric import Fabric

from mien.artifact.input import prepare
from mien.workshop.data.base import FaceDataset
from mien.workshop.experiments.study_plan import load_study
from mien.workshop.experiments.study_records import machine
from mien.workshop.networks.architectures import create_network
from mien.workshop.training.config import DistillConfig, TrainingConfig, load_config
from mien.workshop.training.fit import FitOptions, fit
from mien.workshop.training.objective import make_targets, total_loss

WARM_UP = 5


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


def bare_rate(config: TrainingConfig, dataset: FaceDataset, batches: int, device: str, options: FitOptions) -> float:
    """Images a second of forward and backward alone, on one batch that stays where it is."""
    fabric = Fabric(accelerator=device, devices=1, precision=config.fit.precision)
    network = create_network(config.model.arch, spec=config.model.spec, **config.model.options)
    network = network.to(memory_format=torch.channels_last)
    network = fabric.setup(torch.compile(network) if options.compiled else network)
    torch.backends.cudnn.benchmark = fabric.device.type == "cuda"
    size = config.fit.batch_size
    faces = torch.from_numpy(prepare(dataset.images[:size], config.model.spec)).float().to(fabric.device)
    targets = {head: rows[:size].to(fabric.device) for head, rows in make_targets(dataset[:size], config).items()}
    faces = faces.contiguous(memory_format=torch.channels_last)
    started = 0.0
    for number in range(batches + WARM_UP):
        if number == WARM_UP:
            wait(fabric.device)
            started = time.perf_counter()
        loss = total_loss(network(faces), targets, config.heads.weights)
        fabric.backward(loss)
        network.zero_grad()
    wait(fabric.device)
    return size * batches / (time.perf_counter() - started)


def epoch_rate(config: TrainingConfig, dataset: FaceDataset, device: str, options: FitOptions) -> float:
    """Images a second of the last of `fit`'s three epochs; the first ones warm up."""
    with tempfile.TemporaryDirectory() as folder:
        result = fit(config, dataset, Path(folder), device=device, options=options)
    size = config.fit.batch_size
    rows = len(dataset.part("train")) // size * size
    return rows / result.history[-1]["train_seconds"]


def count_waits(config: TrainingConfig, dataset: FaceDataset, options: FitOptions) -> dict[str, int]:
    """How often the host waited for a CUDA device in the first three epochs, by what PyTorch says of it."""
    torch.cuda.set_sync_debug_mode("warn")
    try:
        with warnings.catch_warnings(record=True) as told, tempfile.TemporaryDirectory() as folder:
            warnings.simplefilter("always")
            fit(config, dataset, Path(folder), device="cuda", options=options)
    finally:
        torch.cuda.set_sync_debug_mode("default")
    places = [f"{Path(line.filename).name}:{line.lineno}" for line in told if "synchroniz" in str(line.message)]
    return {place: places.count(place) for place in sorted(set(places))}


def wait(device: torch.device) -> None:
    """Until the device has done all that it was given."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def load(path: Path, entry: str | None) -> TrainingConfig:
    """A training, or an entry of a study."""
    if entry is None:
        return load_config(path)
    study = load_study(path)
    return study.config(next(found for found in study.entries if found.name == entry), 0)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("config", type=Path, nargs="?", default=Path("studies/mien-s.toml"))
    parser.add_argument("--entry", help="of a study")
    parser.add_argument("--batches", type=int, help="an epoch: 24, on an accelerator 100")
    parser.add_argument("--batch-size", type=int, help="instead of the configuration's")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--waits", action="store_true", help="where a CUDA loop waits for its device, and how often")
    parser.add_argument("--compile", action="store_true", help="both networks by torch.compile")
    arguments = parser.parse_args()
    config = load(arguments.config, arguments.entry)
    size = {} if arguments.batch_size is None else {"batch_size": arguments.batch_size}
    fit_values = config.fit.model_copy(update={"epochs": 3} | size)
    # Teachers and first weights are files; they cost a training nothing.
    model = config.model.model_copy(update={"weights": None})
    config = config.model_copy(update={"fit": fit_values, "distill": DistillConfig(), "model": model})
    batches = arguments.batches or (24 if arguments.device == "cpu" else 100)
    dataset = random_dataset(batches * config.fit.batch_size)
    options, shares = FitOptions(save_every_s=3600, compiled=arguments.compile), []
    print(f"{config.name}, batch {config.fit.batch_size}, {config.fit.precision}, {machine(arguments.device)}")
    if arguments.waits:
        print(f"waits in 3 epochs of {batches} steps: {count_waits(config, dataset, options) or 'none'}")
    for _ in range(arguments.rounds):
        bare = bare_rate(config, dataset, batches, arguments.device, options)
        loop = epoch_rate(config, dataset, arguments.device, options)
        shares.append(loop / bare)
        print(f"bare {bare:.0f} images/s, training {loop:.0f} images/s: {100 * loop / bare:.0f} %", flush=True)
    bar = 90 if arguments.device == "cpu" else 80
    print(f"median {100 * statistics.median(shares):.0f} % of the bare network (bar: {bar} %)")


if __name__ == "__main__":
    main()
