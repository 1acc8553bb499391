"""A run of a very small network, and whether two runs are the same but for the time they took."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import torch
from stripes import make_dataset

from mien.workshop.networks.checkpoint import load_tensors
from mien.workshop.training.config import TrainingConfig, parse_config
from mien.workshop.training.fit import FitResult, fit, load_result

EPOCHS, STEPS = 4, 7


def small_config(**sections: Any) -> TrainingConfig:
    """Four epochs of seven steps, in a moment; every source of randomness is in use."""
    values: dict[str, Any] = {
        "name": "small",
        "model": {"arch": "shallow_cnn", "options": {"widths": [4, 8], "dense": 8, "dropout": 0.2}, "size": 16},
        "optim": {"lr": 0.1, "warmup_epochs": 1, "clip": 1.0},
        "augment": {"mixup": 0.4, "cutmix": 1.0},
        "fit": {"epochs": EPOCHS, "batch_size": 16, "ema": 0.5, "seed": 3},
    }
    return parse_config(values | {key: values.get(key, {}) | changes for key, changes in sections.items()})


def run(folder: Path, config: TrainingConfig | None = None, **options: Any) -> FitResult:
    """Train the small network, or go on with it."""
    return fit(config or small_config(), make_dataset(), folder, device="cpu", **options)


def assert_same_run(one: Path, other: Path) -> None:
    """Weights, averages, the optimiser's state, random states, best network and history are equal bit by bit."""
    for name in ("last.safetensors", "best.safetensors"):
        tensors, header = load_tensors(one / name)
        others, other_header = load_tensors(other / name)
        assert tensors.keys() == others.keys()
        assert [key for key in tensors if not torch.equal(tensors[key], others[key])] == []
        assert _timeless(header) == _timeless(other_header)
    assert _timeless(load_result(one).history) == _timeless(load_result(other).history)
    assert {path.name for path in one.iterdir()} == {path.name for path in other.iterdir()}


def _timeless(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _timeless(item) for key, item in value.items() if key not in ("seconds", "train_seconds")}
    return [_timeless(item) for item in value] if isinstance(value, list) else value


def stop_in_step(folder: Path, stop: int) -> None:
    """Train, and in the middle of a step counted from 0 say so, and wait for what comes."""
    from mien.workshop.training import fit as module

    compute, done = module.total_loss, iter(range(EPOCHS * STEPS))

    def loss(*arguments: Any, **options: Any) -> torch.Tensor:
        if next(done) == stop:
            os.write(1, b"there")
            os.read(0, 1)
        return compute(*arguments, **options)

    module.total_loss = loss
    run(folder)
