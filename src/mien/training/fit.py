"""The training loop, to be read from top to bottom."""

from __future__ import annotations

import contextlib
import copy
import json
import math
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from lightning_fabric import Fabric
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from torch import nn

from mien.datasets.base import FaceDataset
from mien.errors import ArtifactError, ConfigError, DataError, TrainingError
from mien.models.checkpoint import save_network
from mien.models.factory import create_network
from mien.training.augment import augment, blend
from mien.training.config import TrainingConfig
from mien.training.judge import Judge
from mien.training.loaders import Batches, fingerprint, make_batches
from mien.training.losses import total_loss
from mien.training.optim import WeightAverage, create_optimizer, learning_rate, set_learning_rate
from mien.training.state import History, TrainingState, best_epoch

LAST, BEST, HISTORY = "last.safetensors", "best.safetensors", "history.json"


@dataclass(frozen=True)
class FitResult:
    """Where the run is, what it measured in each epoch, and which epoch was kept."""

    folder: Path
    history: History
    best_epoch: int

    @property
    def checkpoint(self) -> Path:
        """The network of the best epoch."""
        return self.folder / BEST


def fit(
    config: TrainingConfig,
    dataset: FaceDataset,
    folder: Path,
    *,
    device: str = "auto",
    console: Console | None = None,
    stop_after: int | None = None,
) -> FitResult:
    """Train a network to its end, or go on with the training that `folder` holds; see `iter_epochs`."""
    for _ in iter_epochs(config, dataset, folder, device=device, console=console, stop_after=stop_after):
        pass
    return load_result(folder)


def load_result(folder: Path) -> FitResult:
    """What a run has measured so far.

    Raises:
        ArtifactError: the folder holds no history of a run.
    """
    try:
        history = json.loads((folder / HISTORY).read_text(encoding="utf-8"))["history"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ArtifactError(f"{folder} holds no run with a {HISTORY}: {error}") from error
    return FitResult(folder, history, best_epoch(history))


def iter_epochs(
    config: TrainingConfig,
    dataset: FaceDataset,
    folder: Path,
    *,
    device: str = "auto",
    console: Console | None = None,
    stop_after: int | None = None,
) -> Iterator[dict[str, float]]:
    """Train epoch by epoch, giving what each measured once it is on disk.

    Whoever has seen enough just stops asking. After each epoch `folder` has the state to go on from
    (last.safetensors), the averaged network of the best epoch on the validation split (best.safetensors) and the
    history (history.json). On the CPU a seed gives the same weights every time, and a run that was killed and taken
    up again gives the same as one that was not.

    Args:
        config: everything that decides the result.
        dataset: with rows in `train` and `validation`; nothing else is looked at.
        folder: made if it is not there.
        device: auto, cpu, cuda or mps.
        console: where the progress goes, nowhere if None.
        stop_after: stop after so many more epochs; a later call goes on.

    Raises:
        DataError: a split is empty.
        ConfigError: the folder holds another run or cannot be made, the device is not there, or a batch is larger
            than the data set.
        ArtifactError: the folder's saved state is damaged.
        TrainingError: the loss is no longer a number, or the memory is too small.
    """
    _require_rows(dataset)
    _make_folder(folder)
    fabric = _create_fabric(device, config.fit.precision)
    fabric.seed_everything(config.fit.seed, verbose=False)

    bare = create_network(
        config.model.arch, spec=config.model.spec, heads=tuple(config.heads.weights), **config.model.options
    ).to(memory_format=torch.channels_last)
    network, optimizer = fabric.setup(bare, create_optimizer(bare, config.optim))
    batches = make_batches(dataset, config, fabric.device)
    average = WeightAverage(bare, config.fit.ema)
    generator = torch.Generator(device=fabric.device).manual_seed(config.fit.seed)
    identity = {"config": config.model_dump(mode="json"), "data": fingerprint(dataset)}
    state = TrainingState(bare, optimizer, average, generator, identity)
    if (folder / LAST).exists():
        state.load(folder / LAST)
    judge = Judge(copy.deepcopy(bare), dataset, config, fabric)
    last_epoch = config.fit.epochs if stop_after is None else min(config.fit.epochs, state.epoch + stop_after)

    with _progress(console, config, batches, state.epoch) as progress:
        for epoch in range(state.epoch, last_epoch):
            if _patience_is_over(state, config.fit.patience):
                break
            started = time.perf_counter()
            sums, rate = _train_epoch(epoch, state, batches, config, fabric, network, progress)
            _require_finite(sums, epoch, folder)
            row = {"epoch": epoch, "train_loss": sums[-1] / len(sums), "lr": rate}
            row["train_seconds"] = time.perf_counter() - started
            row |= judge.measure(average.state)
            row["seconds"] = time.perf_counter() - started
            state.add(row)
            if state.best_epoch == epoch:
                _save_best(folder / BEST, state, config, row, dataset)
            state.save(folder / LAST)
            _write_json(folder / HISTORY, {"identity": identity, "history": state.history})
            progress.console.print(
                _line(row, config.fit.epochs, best=state.best_epoch == epoch), highlight=False, soft_wrap=True
            )
            yield row


def _train_epoch(
    epoch: int,
    state: TrainingState,
    batches: Batches,
    config: TrainingConfig,
    fabric: Fabric,
    network: nn.Module,
    progress: Progress,
) -> tuple[list[float], float]:
    """One pass over the training rows; the running sum of the loss after each step, and the last learning rate."""
    sums = torch.zeros(len(batches) + 1, device=fabric.device)
    rate = 0.0
    scores = [row["score"] for row in state.history]
    network.train()
    for number, (clean, sharp) in enumerate(batches.epoch(state.generator)):
        step = epoch * len(batches) + number
        rate = learning_rate(
            config.optim, step=step, steps_an_epoch=len(batches), epochs=config.fit.epochs, scores=scores
        )
        set_learning_rate(state.optimizer, rate)
        changed = augment(clean, config.augment, state.generator)
        faces, targets = blend(changed, sharp, config.augment, state.generator)
        with _memory_advice(config.fit.batch_size):
            logits = network(faces.contiguous(memory_format=torch.channels_last))
            loss = total_loss(logits, targets, config.heads.weights, focal=config.heads.focal)
            fabric.backward(loss)
        if config.optim.clip:
            fabric.clip_gradients(network, state.optimizer, max_norm=config.optim.clip)
        state.optimizer.step()
        state.optimizer.zero_grad()
        state.average.update(state.network)
        sums[number + 1] = sums[number] + loss.detach()
        progress.advance(progress.task_ids[0])
    return sums[1:].tolist(), rate


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigError(f"cannot make the run's folder {folder}: {error.strerror or error}") from error


def _create_fabric(device: str, precision: Any) -> Fabric:
    try:
        fabric = Fabric(accelerator=device, devices=1, precision=precision)
    except (ValueError, RuntimeError) as error:
        raise ConfigError(f"device {device!r} cannot be used: {error}") from error
    fabric.launch()
    return fabric


def _require_rows(dataset: FaceDataset) -> None:
    for split in ("train", "validation"):
        if not len(dataset.part(split)):
            raise DataError(f"{dataset.name}: training needs rows in the split {split!r}, and there is none")


def _require_finite(sums: list[float], epoch: int, folder: Path) -> None:
    # Not looked at before the epoch's end, because to look at each step would stall an accelerator.
    if math.isfinite(sums[-1]):
        return
    step = next(number for number, value in enumerate(sums, 1) if not math.isfinite(value))
    kept = f"the state before epoch {epoch + 1} is in {folder / LAST}" if epoch else "no epoch was finished before"
    raise TrainingError(
        f"the loss became {sums[step - 1]} at step {step} of {len(sums)} of epoch {epoch + 1}: "
        f"try a lower optim.lr or optim.clip = 1; {kept}"
    )


def _patience_is_over(state: TrainingState, patience: int) -> bool:
    return bool(patience) and state.best_epoch >= 0 and state.epoch - 1 - state.best_epoch >= patience


@contextlib.contextmanager
def _memory_advice(batch_size: int) -> Iterator[None]:
    """Turn an accelerator's out-of-memory error into advice."""
    try:
        yield
    except torch.OutOfMemoryError as error:
        raise TrainingError(
            f"the memory is too small for fit.batch_size = {batch_size}: try {max(2, batch_size // 2)}"
        ) from error


def _save_best(
    path: Path, state: TrainingState, config: TrainingConfig, row: dict[str, float], dataset: FaceDataset
) -> None:
    training = {
        "config": state.identity["config"],
        "epoch": row["epoch"],
        "validation": {
            key: value for key, value in row.items() if key not in ("epoch", "lr", "seconds", "train_seconds")
        },
        "data": {"name": dataset.name, "sha256": state.identity["data"], "rows": len(dataset.part("train"))},
    }
    save_network(
        path,
        state.average.state,
        arch=config.model.arch,
        options=config.model.options,
        spec=config.model.spec,
        heads=tuple(config.heads.weights),
        training=training,
    )


def _write_json(path: Path, value: Any) -> None:
    partial = path.with_suffix(".part")
    partial.write_text(json.dumps(value, indent=1), encoding="utf-8")
    partial.replace(path)


def _progress(console: Console | None, config: TrainingConfig, batches: Batches, done: int) -> Progress:
    progress = Progress(
        TextColumn(config.name),
        BarColumn(),
        TextColumn("{task.percentage:>3.0f} %"),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(elapsed_when_finished=False),
        console=console or Console(quiet=True),
        transient=True,
    )
    progress.add_task("steps", total=config.fit.epochs * len(batches), completed=done * len(batches))
    return progress


def _line(row: dict[str, float], epochs: int, *, best: bool) -> str:
    accuracies = "  ".join(f"{head} {100 * row[head]:.2f} %" for head in ("fer2013", "crowd") if head in row)
    return (
        f"epoch {row['epoch'] + 1:3.0f}/{epochs}  loss {row['train_loss']:.4f}  validation {row['loss']:.4f}  "
        f"{accuracies}  {row['seconds']:.0f} s{'  best' if best else ''}"
    )
