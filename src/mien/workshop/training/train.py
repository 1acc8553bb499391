"""One training from start to end: data and configuration in, checkpoint, history, curves and journal out."""

from __future__ import annotations

import math
import time
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path

from mien.errors import DataError
from mien.labels import AFFECT_HEADS
from mien.workshop.data.base import TRAIN, FaceDataset
from mien.workshop.data.factory import as_dataset, with_validation
from mien.workshop.experiments.board import Board
from mien.workshop.experiments.journal import Facts, Journal, wanted
from mien.workshop.experiments.study_records import is_finished
from mien.workshop.progress import OnNote, no_note
from mien.workshop.training.config import TrainingConfig, load_config, parse_config
from mien.workshop.training.display import SILENT, Display, draw_curves
from mien.workshop.training.fit import HISTORY, FitOptions, FitResult, iter_epochs, load_result, require_alone
from mien.workshop.training.run_folder import CURVES
from mien.workshop.training.state import History, best_epoch
from mien.workshop.training.value_heads import value_targets


@dataclass(frozen=True)
class TrainOptions:
    """How a training runs; none of it decides the result but `epochs` and `seed`.

    Args:
        device: auto, cpu, cuda or mps.
        devices: GPUs, or processes of a CPU, that share each batch.
        epochs, seed: instead of the configuration's.
        compiled: let torch compile the network: a minute at the start, faster afterwards.
        stop_after: stop after so many more epochs; the same call resumes.
        time_limit_s: begin no epoch that would probably end later, loading the data included; the same call resumes.
        tensorboard: write the curves for TensorBoard, into `tensorboard` in the run's folder.
        journal: record the run in MLflow; None for where MLFLOW_TRACKING_URI is set, or the run was recorded before.
    """

    device: str = "auto"
    devices: int = 1
    epochs: int | None = None
    seed: int | None = None
    compiled: bool = False
    stop_after: int | None = None
    time_limit_s: float | None = None
    journal: bool | None = None
    tensorboard: bool = False


@dataclass(frozen=True)
class Trained:
    """What a run has measured, and whether it has reached its end or waits to be resumed."""

    result: FitResult
    finished: bool


def train(
    config: TrainingConfig | Path | str | None,
    data: FaceDataset | Path | str,
    out: Path | str,
    options: TrainOptions = TrainOptions(),
    *,
    on_note: OnNote = no_note,
    display: Display = SILENT,
) -> Trained:
    """Train a network, or resume the training that `out` holds.

    Args:
        config: a configuration, its TOML file, or None for the defaults with the heads that the data has answers for.
        data: what `load_dataset` reads; without a validation split a tenth of the training rows is held out.
        out: folder of the run.
        options: see there.
        on_note: hears in a sentence what a person should know.
        display: shows steps and epochs.

    Raises:
        ConfigError: the configuration is wrong, the folder holds another run, the device is not there, or another
            launcher (torchrun) started this process as one of several.
        DataError: a split is empty, or there are no labels.
        ArtifactError: the folder's state is damaged.
        TrainingError: the loss is no longer a number, the memory is too small, or the disk is full.
        MissingExtraError: a journal is asked for without MLflow, or TensorBoard's curves without tensorboard.
    """
    started, folder = time.time(), Path(out)
    require_alone()
    given = {key: value for key, value in (("epochs", options.epochs), ("seed", options.seed)) if value is not None}
    # A wrong file is reported before the data is read.
    settled = load_config(Path(config), **given) if isinstance(config, Path | str) else config
    dataset = as_dataset(data)
    for line in dataset.origin.lines if dataset.origin else ():
        on_note(line)
    if settled is None:
        settled = default_config(dataset, **given)
        on_note(f"no configuration given: {settled.model.arch}, heads {', '.join(settled.heads.weights)}")
    if not len(dataset.part("validation")):
        # By the run's own seed: the same rows are held out when it resumes.
        held_out = with_validation(dataset, seed=settled.fit.seed)
        by_person = dataset.persons is not None and dataset.persons[dataset.split == TRAIN].all()
        on_note(f"no validation split: a tenth of the training {'persons' if by_person else 'rows'} is held out")
        dataset = held_out
    facts = Facts(
        settled.name, settled.model_dump(mode="json"), dataset.name, dataset.sha256, len(dataset.part("train"))
    )
    book = Journal(folder, facts, on_note=on_note) if wanted(folder, options.journal) else None
    deadline = math.inf if options.time_limit_s is None else started + options.time_limit_s
    epochs = iter_epochs(
        settled, dataset, folder, device=options.device, devices=options.devices, display=display,
        stop_after=options.stop_after, options=FitOptions(compiled=options.compiled, deadline=deadline),
    )  # fmt: skip
    earlier = load_result(folder).history if (folder / HISTORY).is_file() else []
    board = Board(folder, earlier) if options.tensorboard else None
    with book or nullcontext(), board or nullcontext():
        drawn_s, cost_s, seen = -math.inf, 0.0, list(earlier)
        for row in epochs:
            seen.append(row)
            if book:
                book.send()
            if board:
                board.send(row)
            # Drawn anew as it goes, but never for more than a hundredth of the time.
            if time.monotonic() - drawn_s > 100 * cost_s:
                drawn_s = time.monotonic()
                _draw(seen, folder, settled.name)
                cost_s = time.monotonic() - drawn_s
        result = load_result(folder)
        finished = is_finished(result.history, settled)
        if book:
            book.status = "FINISHED" if finished else "KILLED"
        _draw(result.history, folder, settled.name)
    return Trained(result, finished)


def _draw(history: History, folder: Path, title: str) -> None:
    draw_curves(history, folder / CURVES, title=title, best_epoch=best_epoch(history))


def default_config(dataset: FaceDataset, **fit: int) -> TrainingConfig:
    """The defaults, with the heads that the training rows have answers for and a batch that fits their number.

    Raises:
        DataError: no row of train has an answer to any head.
    """
    rows = dataset.part("train")
    answers = {"fer2013": bool((rows.labels >= 0).any()), "crowd": rows.votes is not None and bool(rows.votes.any())}
    answers |= {head: rows.affect is not None and bool(value_targets(rows, head).any()) for head in AFFECT_HEADS}
    if not any(answers.values()):
        raise DataError(
            f"{dataset.name}: no row of train has a label, votes, valence, arousal or intensity: there is nothing to "
            "learn from"
        )
    # Ten batches an epoch at least; the default batch has 128 rows.
    sizes = {} if len(rows) >= 1280 else {"batch_size": max(2, len(rows) // 10)}
    heads = {head: float(there) for head, there in answers.items()}
    return parse_config({"heads": heads, "fit": sizes | fit})
