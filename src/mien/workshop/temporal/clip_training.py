"""The training on clips, to be read from top to bottom."""

from __future__ import annotations

import copy
import json
import math
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch

from mien.arrays import Float32
from mien.artifact.input import InputSpec
from mien.errors import ArtifactError, ConfigError, DataError, TrainingError
from mien.workshop.data.clips import ClipDataset
from mien.workshop.data.factory import load_clips
from mien.workshop.networks.checkpoint import load_tensors, write_run_file
from mien.workshop.progress import OnNote, OnProgress, no_note, no_progress
from mien.workshop.temporal.batches import Parts, collate
from mien.workshop.temporal.clip_config import TemporalConfig, load_temporal, parse_temporal
from mien.workshop.temporal.clip_objective import measure, total_loss
from mien.workshop.temporal.networks import Inputs, TemporalNetwork
from mien.workshop.temporal.sequences import Describer, StepSequence, describe_clips, to_sequences
from mien.workshop.training.display import SILENT, Display, draw_curves
from mien.workshop.training.guard import first_not_finite
from mien.workshop.training.optim import WeightAverage, create_optimizer, learning_rate, set_learning_rate
from mien.workshop.training.run_folder import (
    CURVES,
    LAST,
    NOT_FINITE,
    Saver,
    hold,
    load_result,
    mend,
    require_no_network,
)
from mien.workshop.training.state import TrainingState
from mien.workshop.training.train import Trained, TrainOptions

Row = dict[str, float]


@dataclass(frozen=True)
class Material:
    """What a training reads: sequences of train and validation, and what a step is."""

    train: list[StepSequence]
    validation: list[StepSequence]
    inputs: Inputs
    frames: dict[str, str]


def train_clips(
    config: TemporalConfig | Path | str | None,
    data: ClipDataset | Path | str,
    out: Path | str,
    options: TrainOptions = TrainOptions(),
    *,
    on_note: OnNote = no_note,
    on_progress: OnProgress = no_progress,
    display: Display = SILENT,
) -> Trained:
    """Train a temporal model, or resume the training that `out` holds.

    Args:
        config: a configuration, its TOML file, or None for the defaults.
        data: clips with train and validation, or their folder.
        out: folder of the run.
        options: as of a training on faces; `devices`, `compiled` and `journal` are not for clips.
        on_note: hears in a sentence what a person should know.
        on_progress: hears how many clips were described.
        display: shows steps and epochs.

    Raises:
        ConfigError: the configuration is wrong, or the folder holds another run.
        DataError: a split is empty, has no labels to learn from, or a clip cannot be read.
        ArtifactError: the folder's state is damaged.
        TrainingError: the loss is no longer a number, or the disk is full.
    """
    started, folder = time.time(), Path(out)
    given = {key: value for key, value in (("epochs", options.epochs), ("seed", options.seed)) if value is not None}
    settled = load_temporal(Path(config), **given) if isinstance(config, Path | str) else config
    settled = settled or parse_temporal({"fit": given})
    if options.devices > 1 or options.compiled or options.journal:
        raise ConfigError("a training on clips has one device, and neither --compile nor --journal: leave them out")
    dataset = data if isinstance(data, ClipDataset) else load_clips(Path(data))
    material = prepare_material(settled, dataset, on_progress=on_progress)
    on_note(f"{len(material.train):,} sequences to train on, {len(material.validation):,} to validate with")
    deadline = math.inf if options.time_limit_s is None else started + options.time_limit_s
    device = choose_device(options.device)
    for _ in iter_epochs(settled, dataset, material, folder, device, display, options.stop_after, deadline):
        pass
    result = load_result(folder)
    waited = len(result.history) - 1 - result.best_epoch
    finished = len(result.history) >= settled.fit.epochs or 0 < settled.fit.patience <= waited
    draw_curves(result.history, folder / CURVES, title=settled.name, best_epoch=result.best_epoch)
    return Trained(result, finished)


def prepare_material(
    config: TemporalConfig, dataset: ClipDataset, *, on_progress: OnProgress = no_progress
) -> Material:
    """Describe the clips of train and validation and bring them to steps.

    Raises:
        DataError: a split is empty, or has nothing that the heads could learn.
    """
    describer = Describer(config)
    parts: dict[str, list[StepSequence]] = {}
    crops = config.model.kind == "r2plus1d"
    total, done = len(dataset.part("train", "validation")), 0
    for split in ("train", "validation"):
        clips = dataset.part(split)
        if not len(clips):
            raise DataError(f"{dataset.name}: training needs clips in the split {split!r}, and there are none")
        views, before = config.clips.views if split == "train" else 1, done

        def told(n: int, _: int, before: int = before) -> None:
            on_progress(before + n, total)

        seen = describe_clips(clips, describer, views=views, on_progress=told)
        parts[split] = to_sequences(clips.clips, seen, config.clips, crops=crops)
        done += len(clips)
        _require_answers(dataset, split, parts[split], config)
    frames = {
        "name": describer.manifest.name, "version": describer.manifest.version, "sha256": describer.manifest.sha256,
        "embedding": "" if crops else describer.tensor,
    }  # fmt: skip
    inputs = Inputs(0 if crops else describer.features, describer.manifest.input)
    return Material(parts["train"], parts["validation"], inputs, frames)


def _require_answers(dataset: ClipDataset, split: str, sequences: list[StepSequence], config: TemporalConfig) -> None:
    heads = config.heads
    frame = bool(heads.frame) and any((one.labels >= 0).any() for one in sequences)
    clip = bool(heads.clip) and any(one.label >= 0 for one in sequences)
    values = bool(heads.valence_arousal) and any(np.isfinite(one.values).any() for one in sequences)
    if not (frame or clip or values):
        raise DataError(
            f"{dataset.name}: no clip of {split} has what {', '.join(heads.outputs)} could learn: expected a label a "
            "frame or a clip, or valence and arousal with heads.valence_arousal"
        )


def choose_device(name: str) -> torch.device:
    """auto, cpu, cuda or mps as torch's device.

    Raises:
        ConfigError: it is not there.
    """
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        torch.zeros(1, device=name)
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        raise ConfigError(f"device {name!r} cannot be used: {error}") from error
    return torch.device(name)


def create_temporal(config: TemporalConfig, inputs: Inputs) -> TemporalNetwork:
    """The configuration's network with random weights."""
    outputs = config.heads.outputs
    classes = len(config.words) if "expression" in outputs else 0
    return TemporalNetwork(config.model, inputs, classes=classes, values=2 if "valence_arousal" in outputs else 0)


def iter_epochs(
    config: TemporalConfig,
    dataset: ClipDataset,
    material: Material,
    folder: Path,
    device: torch.device,
    display: Display,
    stop_after: int | None,
    deadline: float,
) -> Iterator[Row]:
    """Train epoch by epoch, giving what each measured once it is on disk; a run in the folder resumes, bit for bit."""
    identity = {"config": config.model_dump(mode="json"), "data": dataset.sha256, "frames": material.frames}
    data = {
        "name": dataset.name, "sha256": dataset.sha256, "rows": len(dataset.part("train")), "frames": material.frames,
        "features": material.inputs.features, "spec": asdict(material.inputs.spec),
    }  # fmt: skip
    # First weights and dropout draw from torch's global generator; all else from the one below.
    torch.manual_seed(config.fit.seed)
    with hold(folder):
        network = create_temporal(config, material.inputs)
        scale = _standardize(network, material.train)
        network.to(device)
        judge = copy.deepcopy(network).eval()
        optimizer, average = create_optimizer(network, config.optim), WeightAverage(network, config.fit.ema)
        state = TrainingState(network, optimizer, average, torch.Generator().manual_seed(config.fit.seed), identity)
        parts = Parts(material.train, config, scale)
        if (folder / LAST).exists():
            state.load(folder / LAST)
            mend(folder, state, config, data)
        else:
            require_no_network(folder)
        last_epoch = config.fit.epochs if stop_after is None else min(config.fit.epochs, state.epoch + stop_after)
        display.begin(config.fit.epochs * len(parts), state.epoch * len(parts))
        saver = Saver(folder, state, config, data)
        for epoch in range(state.epoch, last_epoch):
            waited = state.epoch - 1 - state.best_epoch
            longest = max((row["seconds"] for row in state.history[-5:]), default=0.0)
            if 0 < config.fit.patience <= waited or time.time() + 1.25 * longest > deadline:
                break
            started = time.perf_counter()
            loss, rate = _train_epoch(epoch, config, state, parts, device, display, dataset, folder)
            row = {"epoch": epoch, "train_loss": loss, "lr": rate, "train_seconds": time.perf_counter() - started}
            judge.load_state_dict(average.state)
            row |= validate(judge, material.validation, config, device)
            row["seconds"] = time.perf_counter() - started
            state.add(row)
            saver.epoch_done()
            display.epoch(row, config.fit.epochs, state.best_epoch == epoch)
            yield row
        if not state.history:
            raise TrainingError("the time limit was over before the first epoch: give a longer one")


def _standardize(network: TemporalNetwork, sequences: Sequence[StepSequence]) -> Float32:
    """Give the network mean and deviation of the training's features; the deviations (F,)."""
    if network.reads_crops:
        return np.zeros(0, np.float32)
    steps = np.concatenate([one.steps[0] for one in sequences])
    std: Float32 = np.maximum(steps.std(axis=0), 1e-3).astype(np.float32)
    network.mean.copy_(torch.from_numpy(steps.mean(axis=0)))
    network.std.copy_(torch.from_numpy(std))
    return std


def _train_epoch(
    epoch: int, config: TemporalConfig, state: TrainingState, parts: Parts, device: torch.device, display: Display,
    dataset: ClipDataset, folder: Path,
) -> tuple[float, float]:  # fmt: skip
    """One pass over the training clips; the mean loss and the last learning rate."""
    network, losses, rate = cast("TemporalNetwork", state.network), [0.0], 0.0
    network.train()
    scores = [row["score"] for row in state.history]
    for number, (batch, clips) in enumerate(parts.epoch(state.generator)):
        at = {"step": epoch * len(parts) + number, "steps_an_epoch": len(parts), "epochs": config.fit.epochs}
        rate = learning_rate(config.optim, scores=scores, **at)
        set_learning_rate(state.optimizer, rate)
        given = batch.to(device)
        outputs, _ = network(given.steps, network.start(len(given.lengths)), given.lengths)
        loss = total_loss(outputs, given, config.heads, smoothing=config.fit.label_smoothing)
        state.optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        if config.optim.clip:
            torch.nn.utils.clip_grad_norm_(network.parameters(), config.optim.clip)
        state.optimizer.step()
        state.average.update(network)
        losses.append(losses[-1] + float(loss.detach()))
        if first_not_finite(losses) is not None:
            ids = sorted({dataset.part("train").clips[clip].id for clip in clips})
            found = {"epoch": epoch + 1, "step": number + 1, "loss": str(losses[-1]), "ids": ids}
            write_run_file(folder / NOT_FINITE, json.dumps(found, indent=1).encode())
            raise TrainingError(
                f"the loss became {losses[-1]} at step {number + 1} of epoch {epoch + 1} (its clips are listed in "
                f"{folder / NOT_FINITE}): try a lower optim.lr"
            )
        display.step()
    return losses[-1] / max(1, len(losses) - 1), rate


@torch.no_grad()
def validate(
    network: TemporalNetwork, sequences: Sequence[StepSequence], config: TemporalConfig, device: torch.device
) -> Row:
    """Loss and figures on whole sequences; see `objective.measure`."""
    loss, probabilities, values, truth = 0.0, [], [], []
    for one in sequences:
        batch = collate([one])
        given = batch.to(device)
        outputs, _ = network(given.steps, network.start(1))
        loss += float(total_loss(outputs, given, config.heads))
        told = outputs.get("expression")
        probabilities.append(np.zeros((len(one), 0), np.float32) if told is None else told[0].softmax(-1).cpu().numpy())
        felt = outputs.get("valence_arousal")
        values.append(np.zeros((len(one), 0), np.float32) if felt is None else felt[0].cpu().numpy())
        truth.append(batch)
    return {"loss": loss / len(sequences)} | measure(probabilities, values, truth)


def load_temporal_network(path: Path) -> tuple[TemporalNetwork, TemporalConfig, dict[str, Any]]:
    """The network of a run's checkpoint, in evaluation mode, with its configuration and what its header says.

    Raises:
        ArtifactError: the file is not such a checkpoint, or is damaged.
    """
    tensors, header = load_tensors(path)
    if header.get("kind") != TemporalConfig.KIND:
        raise ArtifactError(f"{path}: holds a {header.get('kind')}, expected a {TemporalConfig.KIND}")
    config, data = parse_temporal(header["training"]["config"], name=str(path)), header["training"]["data"]
    network = create_temporal(config, Inputs(data["features"], InputSpec(**data["spec"])))
    try:
        network.load_state_dict(tensors)
    except RuntimeError as error:
        raise ArtifactError(f"{path}: its weights do not fit its configuration: {error}") from error
    return network.eval(), config, header
