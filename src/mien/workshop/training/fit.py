"""The training loop, to be read from top to bottom."""

from __future__ import annotations

import contextlib
import copy
import dataclasses
import functools
import logging
import math
import os
import shutil
import sys
import time
from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from lightning_fabric import Fabric
from lightning_fabric.plugins.environments.lightning import LightningEnvironment
from torch import nn

from mien.errors import ConfigError, DataError, TrainingError
from mien.workshop.data.base import FaceDataset
from mien.workshop.training.augment import augment, blend
from mien.workshop.training.classical import fit_svm
from mien.workshop.training.config import TrainingConfig
from mien.workshop.training.display import SILENT, AskRunning, Display, Running
from mien.workshop.training.guard import first_not_finite, memory_advice, not_finite
from mien.workshop.training.objective import Batches, Judge, make_batches, total_loss
from mien.workshop.training.optim import WeightAverage, create_optimizer, freeze_body, learning_rate, set_learning_rate
from mien.workshop.training.processes import Send, run_processes
from mien.workshop.training.run_folder import (
    BEST,
    HISTORY,
    LAST,
    FitResult,
    Saver,
    hold,
    load_result,
    mend,
    require_no_network,
)
from mien.workshop.training.state import Start, TrainingState, draw_seed, settle, start_network, start_run
from mien.workshop.training.value_heads import alone, gather_over

__all__ = ["BEST", "HISTORY", "LAST", "FitOptions", "FitResult", "fit", "iter_epochs", "load_result"]

Row = dict[str, float]
Targets = dict[str, torch.Tensor]

AUGMENTED_PIXELS = 2048 * 48 * 48
"""So many pixels of a colour an accelerator augments at once, if the faces of a batch are fewer."""


@dataclass(frozen=True)
class FitOptions:
    """How a training is run; but for rounding the result is the same, and a run may resume with other options.

    Args:
        save_every_s: seconds between two states on disk at least, 0 for one after each epoch. Whoever stops asking
            for epochs still finds the last one on disk; a kill costs what was not written. One device alone.
        compiled: let torch.compile make the network's kernels, which takes a minute at the start.
        deadline: Unix time, seconds: no epoch is started that would probably end later. The same call resumes.
    """

    save_every_s: float = 0.0
    compiled: bool = False
    deadline: float = math.inf


def fit(
    config: TrainingConfig,
    dataset: FaceDataset,
    folder: Path,
    *,
    device: str = "auto",
    devices: int = 1,
    display: Display = SILENT,
    stop_after: int | None = None,
    options: FitOptions = FitOptions(),
) -> FitResult:
    """Train a network to its end, or resume the training in `folder`; see `iter_epochs`."""
    for _ in iter_epochs(
        config, dataset, folder, device=device, devices=devices, display=display, stop_after=stop_after, options=options
    ):
        pass
    return load_result(folder)


def iter_epochs(
    config: TrainingConfig,
    dataset: FaceDataset,
    folder: Path,
    *,
    device: str = "auto",
    devices: int = 1,
    display: Display = SILENT,
    stop_after: int | None = None,
    options: FitOptions = FitOptions(),
) -> Generator[Row, None, None]:
    """Train epoch by epoch, giving what each measured once it is on disk. The configuration's lists are applied first.

    To stop early, close the generator. After each epoch `folder` has the state to resume from
    (last.safetensors), the averaged network of the best epoch on the validation split (best.safetensors) and the
    history (history.json). On the CPU a seed gives the same weights every time, and a run that was killed and taken
    up again gives the same as one that was not.

    Several devices share each batch, a process each: `fit.batch_size` stays the size of the whole batch. Rows, their
    order and their augmentation, mixup and CutMix included, and the loss are those of one device, but for rounding.
    Dropout draws other masks. Batch norm sees the whole batch on GPUs; on CPUs each process normalises its own share,
    and the running statistics are those of the first. A run may resume with another number of devices.

    Args:
        config: everything that decides the result.
        dataset: with rows in `train` and `validation`; nothing else is looked at.
        folder: made if it is not there.
        device: auto, cpu, cuda or mps.
        devices: how many, on this machine; of a CPU, how many processes.
        display: hears of steps, epochs, and what the lists did.
        stop_after: stop after so many more epochs; a later call resumes.
        options: how often the state is written, whether the network is compiled, and when to stop.

    Raises:
        DataError: a split is empty, or a curated list does not fit the data set.
        ConfigError: the folder holds another run, another process trains in it or it cannot be written to, the device
            or a list is not there, or a batch is larger than the data set or smaller than the number of devices.
        ArtifactError: the folder's saved state is damaged.
        TrainingError: the loss is no longer a number, the memory is too small, or the disk is full. The files of the
            last finished epoch are complete, and the same call resumes from there.
    """
    require_alone()
    # First of all: the run's identity has to hold the architecture, not just the model that it was taken from.
    config = settle(config)
    _require_rows(dataset)
    _require_devices(config, device, devices)
    start = start_run(config, dataset)
    for line in start.lists:
        display.note(line)
    if config.optim.name == "svm":
        # scikit-learn fits on the CPU, whatever device was asked for.
        yield from fit_svm(config, start, folder, _create_fabric(config, "cpu"), display)
        return
    if devices == 1:
        yield from _run(config, start, folder, _create_fabric(config, device), display, stop_after, options)
        return
    cuda = device == "cuda" or (device == "auto" and torch.cuda.is_available())
    work = (config, start, folder, device, devices, stop_after, options)
    for kind, *values in run_processes(_work, devices, *work, cuda=cuda):
        getattr(display, kind)(*values)
        if kind == "epoch":
            yield values[0]


def _run(
    config: TrainingConfig,
    start: Start,
    folder: Path,
    fabric: Fabric,
    display: Display,
    stop_after: int | None,
    options: FitOptions,
) -> Iterator[Row]:
    """The training, in each of its processes; the first one alone measures and writes."""
    first: bool = fabric.is_global_zero
    dataset, data = start.dataset, start.data
    seed = draw_seed(start.identity)
    # First weights and dropout draw from torch's global generators; all else draws from `generator` below.
    fabric.seed_everything(seed, verbose=False)
    with hold(folder) if first else contextlib.nullcontext():
        # Channels last is what, with bf16, made long trainings affordable on a CPU (study log, 2026-11-20).
        bare = start_network(config, dataset, fresh=not (folder / LAST).exists()).to(memory_format=torch.channels_last)
        # A copy, because the averaged weights are loaded into it. Only the first process measures.
        judge = Judge(copy.deepcopy(bare).to(fabric.device), dataset, config, fabric) if first else None
        if fabric.world_size > 1 and fabric.device.type == "cuda":
            bare = nn.SyncBatchNorm.convert_sync_batchnorm(bare)  # type: ignore[no-untyped-call]
        optimizer = create_optimizer(bare, config.optim)
        network, optimizer = fabric.setup(_compiled(bare, fabric) if options.compiled else bare, optimizer)
        average = WeightAverage(bare, config.fit.ema)
        generator = torch.Generator(device=fabric.device).manual_seed(seed)
        # The bare network: DDP's and torch.compile's wrappers rename weights, and a run may resume without either.
        state = TrainingState(bare, optimizer, average, generator, start.identity)
        batches = make_batches(dataset, config, fabric.device)
        run = _Run(config, fabric, network, state, batches, fabric.global_rank, fabric.world_size)
        if (folder / LAST).exists():
            state.load(folder / LAST)
            if first:
                mend(folder, state, config, data)
        elif first:
            require_no_network(folder)
        last_epoch = config.fit.epochs if stop_after is None else min(config.fit.epochs, state.epoch + stop_after)
        display.begin(config.fit.epochs * len(batches), state.epoch * len(batches))
        saver = Saver(folder, state, config, data, every_s=options.save_every_s) if first else None

        for epoch in range(state.epoch, last_epoch):
            if _patience_is_over(state, config.fit.patience):
                break
            # The first process's clock decides: whoever stopped alone would leave the others waiting for its gradients.
            if fabric.broadcast(_would_overrun(state, options.deadline)):
                if not state.history:
                    raise TrainingError("the time limit was over before the first epoch: give a longer one")
                break
            started = time.perf_counter()
            run = dataclasses.replace(run, batches=batches.at(epoch))
            # All processes draw the same order, and `step` takes its share of each batch.
            order = batches.epoch(generator)
            with memory_advice(config.fit.batch_size, run.alone().try_step, processes=fabric.world_size):
                sums, rate = _train_epoch(epoch, run, order, display.step)
            bad = first_not_finite(sums)
            row = {"epoch": epoch, "train_loss": sums[-1] / len(sums), "lr": rate}
            row["train_seconds"] = time.perf_counter() - started
            if bad is None:
                # Shared, because learning rate and patience follow from the scores, in every process.
                row |= fabric.broadcast(judge.measure(average.state) if judge else {})
                # A step's loss is that before its update: weights that broke in the last step show only here.
                bad = None if math.isfinite(row["loss"]) else len(sums)
            if bad is not None:
                rows = batches.numbers[order[min(bad, len(sums) - 1)].cpu().numpy()]
                ids = dataset.part("train").ids[rows].tolist()
                raise not_finite(
                    sums, bad, epoch=epoch, rows=rows.tolist(), ids=ids, folder=folder, write=first,
                    saved=saver.saved if saver else None,
                )  # fmt: skip
            row["seconds"] = time.perf_counter() - started
            state.add(row)
            if saver:
                saver.epoch_done()
            display.epoch(row, config.fit.epochs, state.best_epoch == epoch)
            try:
                yield row
            # With `save_every_s` the last epochs are not on disk yet.
            except GeneratorExit:
                if saver:
                    saver.write()
                raise
        if saver:
            saver.write()


@dataclass(frozen=True)
class _Run:
    """What a step needs."""

    config: TrainingConfig
    fabric: Fabric
    network: nn.Module
    state: TrainingState
    batches: Batches
    rank: int = 0
    processes: int = 1

    def augmented(self, order: Sequence[torch.Tensor]) -> Iterator[tuple[torch.Tensor, Targets]]:
        """Augmented faces and the targets of each batch of rows.

        An accelerator augments several batches at once: its work on one takes less time than the host's calls for it.
        """
        config = self.config
        pixels = config.fit.batch_size * config.model.size**2
        together = 1 if self.fabric.device.type == "cpu" else max(1, AUGMENTED_PIXELS // pixels)
        for start in range(0, len(order), together):
            rows = order[start : start + together]
            clean, targets = self.batches.take(torch.cat(list(rows)) if together > 1 else rows[0])
            # A view is shown as its teacher saw it, but that a mirrored face has the same expression.
            changes = config.augment.mirroring() if self.batches.replay else config.augment
            faces = augment(clean, changes, self.state.generator)
            ends = [len(batch) for batch in rows]
            heads = {head: torch.split(target, ends) for head, target in targets.items()}
            for number, batch in enumerate(torch.split(faces, ends)):
                yield batch, {head: parts[number] for head, parts in heads.items()}

    def step(self, augmented: torch.Tensor, sharp: Targets) -> torch.Tensor:
        """One step of the optimiser on a batch; this process's part of the loss."""
        config = self.config
        faces, targets = augmented, sharp
        # Replayed views were blended before the teacher answered them.
        if self.batches.replay is None:
            faces, targets = blend(augmented, sharp, config.augment, self.state.generator)
        # Blended first and divided then: a face's partner may be in another process's share.
        # Not `chunk`: a batch need not divide by the number of processes.
        share = faces.tensor_split(self.processes)[self.rank]
        mine = {head: rows.tensor_split(self.processes)[self.rank] for head, rows in targets.items()}
        logits = self.network(share.contiguous(memory_format=torch.channels_last))
        gather = gather_over(self.fabric, len(faces)) if self.processes > 1 else alone
        loss = total_loss(logits, mine, config.heads, whole=targets, gather=gather)
        # DDP takes the mean over the processes.
        self.fabric.backward(self.processes * loss)
        if config.optim.clip:
            # No error here for a gradient that is no number: the sum of the losses shows it, and names the rows.
            self.fabric.clip_gradients(
                self.network, self.state.optimizer, max_norm=config.optim.clip, error_if_nonfinite=False
            )
        self.state.optimizer.step()
        self.state.optimizer.zero_grad()
        self.state.average.update(self.state.network)
        return loss.detach()

    def alone(self) -> _Run:
        """The same without the other processes."""
        # Through DDP a trial step would wait for processes that take none.
        return dataclasses.replace(self, network=self.state.network, rank=0, processes=1)

    def try_step(self, size: int) -> None:
        """A step on so many rows, for its need of memory alone."""
        self.state.optimizer.zero_grad()
        self.step(*next(self.augmented([torch.arange(size, device=self.fabric.device)])))


def _train_epoch(
    epoch: int, run: _Run, order: tuple[torch.Tensor, ...], on_step: Callable[[AskRunning], None]
) -> tuple[list[float], float]:
    """One pass over the training rows; the running sum of the loss after each step, and the last learning rate."""
    # Summed on the device and looked at after the epoch, because to look at each step would stall an accelerator.
    sums = torch.zeros(len(order) + 1, device=run.fabric.device)
    scores = [row["score"] for row in run.state.history]
    rate = 0.0
    if run.rank:
        # The processes share all random numbers but those of dropout.
        torch.manual_seed(hash((run.state.seed, epoch, run.rank)))
    run.network.train()
    # After `train`, which sets the batch norms of a frozen body to learn again.
    freeze_body(run.state.network, frozen=epoch < run.config.optim.freeze_epochs)
    for number, batch in enumerate(run.augmented(order)):
        rate = learning_rate(
            run.config.optim,
            step=epoch * len(order) + number,
            steps_an_epoch=len(order),
            epochs=run.config.fit.epochs,
            scores=scores,
        )
        set_learning_rate(run.state.optimizer, rate)
        # Running sums: the first that is no number is the step that broke.
        sums[number + 1] = sums[number] + run.step(*batch)
        mean = functools.partial(_running, epoch, run.config.fit.epochs, sums[number + 1], number + 1, rate)
        on_step(mean)
    whole: Any = run.fabric.all_reduce(sums[1:], reduce_op="sum")
    return whole.tolist(), rate


def _running(epoch: int, epochs: int, total: torch.Tensor, steps: int, rate: float) -> Running:
    return Running(epoch, epochs, float(total) / steps, rate)


def _same(running: Running) -> Running:
    return running


SENT_EVERY_S = 0.5


class _Sending:
    """The display of a process: the process that started it shows what the first one sends."""

    def __init__(self, send: Send) -> None:
        self.send = send
        self.sent_s = 0.0

    def begin(self, steps: int, done: int) -> None:
        self.send(("begin", steps, done))

    def step(self, ask: AskRunning | None = None) -> None:
        running = None
        if ask is not None and time.monotonic() - self.sent_s > SENT_EVERY_S:
            running, self.sent_s = ask(), time.monotonic()
        self.send(("step", running and functools.partial(_same, running)))

    def epoch(self, row: Row, epochs: int, best: bool) -> None:
        self.send(("epoch", row, epochs, best))


def _work(
    send: Send,
    config: TrainingConfig,
    start: Start,
    folder: Path,
    device: str,
    devices: int,
    stop_after: int | None,
    options: FitOptions,
) -> None:
    """What each of several processes does."""
    if torch.distributed.get_rank():
        # What Fabric logs is logged once.
        logging.getLogger("lightning_fabric").setLevel(logging.WARNING)
    fabric = _create_fabric(config, device, devices)
    display: Any = _Sending(send) if fabric.is_global_zero else SILENT
    # Whoever stops asking ends these processes at once, so each epoch is written when it is done.
    for _ in _run(config, start, folder, fabric, display, stop_after, dataclasses.replace(options, save_every_s=0.0)):
        pass


def _create_fabric(config: TrainingConfig, device: str, devices: int = 1) -> Fabric:
    # Frozen, the body has no gradients to share.
    strategy = "ddp_find_unused_parameters_true" if config.optim.freeze_epochs else "ddp"
    # The environment is named, or Fabric would look for a scheduler's (SLURM) and take rank and size from there.
    many: dict[str, Any] = {"strategy": strategy, "plugins": [LightningEnvironment()]} if devices > 1 else {}
    # The bar and our own lines say what matters; what Fabric tells of itself would stand between them.
    logger = logging.getLogger("lightning_fabric")
    level = logger.level
    logger.setLevel(logging.WARNING)
    try:
        fabric = Fabric(accelerator=device, devices=devices, precision=config.fit.precision, **many)
    except (ValueError, RuntimeError) as error:
        raise ConfigError(f"device {device!r} cannot be used: {error}") from error
    finally:
        logger.setLevel(level)
    fabric.launch()
    if fabric.device.type == "cuda":
        # All batches of an epoch have one shape. The precision of float32 products stays: augmentation's grids need it.
        torch.backends.cudnn.benchmark = True
    return fabric


def _compiled(network: nn.Module, fabric: Fabric) -> Any:
    # Asked for here, because torch compiles at the first step and would fail only then.
    compiler = os.environ.get("CXX", "clang++" if sys.platform == "darwin" else "g++")
    if fabric.device.type == "cpu" and sys.platform != "win32" and shutil.which(compiler) is None:
        raise ConfigError(
            f"torch compiles a network for the CPU with {compiler}, which is not here: install it, name another "
            "compiler in CXX, or train without --compile, which is slower and otherwise the same"
        )
    return torch.compile(network)


def require_alone() -> None:
    """Raise ConfigError where torchrun, or another launcher, started this process as one of several."""
    size = os.environ.get("WORLD_SIZE", "")
    if size not in ("", "1"):
        raise ConfigError(
            f"this process was started as one of {size} (WORLD_SIZE={size}, as torchrun sets it), and each would train "
            "by itself: start `mien train` once, with --devices for several GPUs, or unset WORLD_SIZE"
        )


def _require_rows(dataset: FaceDataset) -> None:
    for split in ("train", "validation"):
        if not len(dataset.part(split)):
            raise DataError(f"{dataset.name}: training needs rows in the split {split!r}, and there are none")


def _require_devices(config: TrainingConfig, device: str, devices: int) -> None:
    if devices < 1:
        raise ConfigError(f"a training needs at least 1 device, not {devices}")
    if devices > config.fit.batch_size:
        raise ConfigError(
            f"{devices} devices share each batch, and fit.batch_size = {config.fit.batch_size}: give fewer devices"
        )
    # torch.distributed has no backend for it.
    if devices > 1 and device == "mps":
        raise ConfigError("an Apple GPU trains alone: give one device, or device cpu")


def _would_overrun(state: TrainingState, deadline: float) -> bool:
    """Whether another epoch would probably end after the deadline, by the longest of the last five and a quarter."""
    longest = max((row["seconds"] for row in state.history[-5:]), default=0.0)
    return time.time() + 1.25 * longest > deadline


def _patience_is_over(state: TrainingState, patience: int) -> bool:
    return bool(patience) and state.best_epoch >= 0 and state.epoch - 1 - state.best_epoch >= patience
