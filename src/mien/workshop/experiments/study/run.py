"""Runs a study: every entry with every seed, trained once, taken up where it stopped, measured when it is done."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from mien.errors import ArtifactError, ConfigError, DownloadError, MienError
from mien.workshop.data.base import SPLITS, FaceDataset
from mien.workshop.evaluation.scores import Evaluation, SetScores
from mien.workshop.experiments.study.measure import find_measured, main_set, measure
from mien.workshop.experiments.study.plan import Study, differences, seed_folders
from mien.workshop.experiments.study.records import (
    FAILURE,
    is_finished,
    keep_reason,
    keep_record,
    load_history,
    saved_config,
)
from mien.workshop.experiments.study.runs import Options, Run, plan
from mien.workshop.training.config import TrainingConfig
from mien.workshop.training.fit import iter_epochs
from mien.workshop.training.folder import BEST, LAST, hold
from mien.workshop.training.loaders import fingerprint
from mien.workshop.training.start import list_digests
from mien.workshop.training.state import check_identity

if TYPE_CHECKING:
    from rich.console import Console

__all__ = ["Options", "Outcome", "Run", "limited", "measure_missing", "plan", "run_study"]


@dataclass(frozen=True)
class Outcome:
    """What became of a run: `trained`, `measured` (was trained before), `there` (nothing to do), or `failed`."""

    run: Run
    state: str
    reason: str = ""
    evaluation: Evaluation | None = None

    @property
    def main(self) -> SetScores | None:
        """The scores that stand for the run; see `main_set`."""
        return None if self.evaluation is None else main_set(self.evaluation)


def run_study(study: Study, dataset: FaceDataset, runs: Path, options: Options, *, console: Console) -> list[Outcome]:
    """Train and measure what is not there yet; a run that fails leaves its reason, and the others go on.

    Args:
        study: what to train.
        dataset: with rows in train and validation.
        runs: the folder of all runs; see `run_folder`.
        options: which of it, and how.
        console: where the progress goes.

    Raises:
        ConfigError: before anything is trained, when an entry is unknown or a folder holds another run.
    """
    planned = plan(study, runs, options)
    data = fingerprint(dataset)
    chosen = [_settled(run, data) for run in planned]
    outcomes = []
    for number, (run, config) in enumerate(zip(planned, chosen, strict=True), 1):
        console.print(f"[bold]{number}/{len(planned)}  {run.entry.name}, seed {run.seed}[/bold]", highlight=False)
        outcome = _attempt(run, config, dataset, options, console)
        console.print(_said(outcome), highlight=False, markup=False, soft_wrap=True)
        outcomes.append(outcome)
    return outcomes


def measure_missing(study: Study, dataset: FaceDataset, runs: Path, *, console: Console) -> None:
    """Score the finished runs of a study that are not measured yet, or were on other weights.

    Raises:
        ConfigError: a run was trained on other data.
    """
    data = fingerprint(dataset)
    for entry in study.entries:
        for folder in seed_folders(runs, study, entry).values():
            saved = load_history(folder)
            if saved is None or not is_finished(saved[1], saved_config(folder, saved[0])):
                continue
            if saved[0].get("data") != data:
                raise ConfigError(f"{folder} was trained on other data than {dataset.name}: give that")
            if not (folder / BEST).is_file():
                console.print(f"{entry.name}, {folder.name}: its weights are not here, so it is not measured")
            elif find_measured(folder, dataset) is None:
                console.print(f"measuring {entry.name}, {folder.name}", highlight=False)
                measure(folder, dataset)


def limited(dataset: FaceDataset, rows: int) -> FaceDataset:
    """At most so many rows of train and a quarter as many of each other split, drawn with seed 0."""
    random = np.random.default_rng(0)
    kept = []
    for part, split in enumerate(SPLITS):
        there = np.flatnonzero(dataset.split == part)
        count = rows if split == "train" else max(1, rows // 4)
        kept.append(random.permutation(there)[:count])
    chosen = np.sort(np.concatenate(kept))
    return replace(dataset[chosen], name=f"{len(chosen):,} rows of {dataset.name}")


def _settled(run: Run, data: str) -> TrainingConfig | None:
    """The configuration that the folder's training has, of those it may have; None if it holds no training yet.

    Raises:
        ConfigError: it has another one, other data or other lists; or a list is not there.
    """
    lists = list_digests(run.config.data.lists)
    saved = load_history(run.folder)
    if saved is None:
        return None
    identity = saved[0]
    found = saved_config(run.folder, identity)
    wanted = [run.config] if run.scratch is None else [run.config, run.scratch]
    found = found.model_copy(update={"name": run.config.name})
    if found not in wanted:
        lines = "; ".join(differences(found, run.config)[:4])
        raise ConfigError(f"{run.folder} holds another run ({lines}): give another --out, or remove that folder")
    if identity.get("data") != data:
        raise ConfigError(f"{run.folder} was trained on other data: give that data, or another --out")
    check_identity(run.folder, {"lists": identity.get("lists", {})}, {"lists": lists})
    return found


def _attempt(
    run: Run, config: TrainingConfig | None, dataset: FaceDataset, options: Options, console: Console
) -> Outcome:
    try:
        with hold(run.folder):
            pass
    except ConfigError as error:
        # Another process trains there: what becomes of the run is its to write.
        return Outcome(run, "failed", str(error))
    try:
        return _train_and_measure(run, config, dataset, options, console)
    except (MienError, RuntimeError, MemoryError) as error:
        # RuntimeError is what torch raises for whatever does not fit, a network's shapes or the memory.
        return Outcome(run, "failed", keep_reason(run.folder, error))


def _train_and_measure(
    run: Run, config: TrainingConfig | None, dataset: FaceDataset, options: Options, console: Console
) -> Outcome:
    saved = load_history(run.folder)
    state = "measured"
    if config is None or saved is None or not is_finished(saved[1], config):
        _train(run, config, dataset, options, console)
        state = "trained"
    (run.folder / FAILURE).unlink(missing_ok=True)
    kept = find_measured(run.folder, dataset)
    if kept is not None:
        return Outcome(run, "there", evaluation=kept)
    console.print("measuring the best epoch", highlight=False)
    return Outcome(run, state, evaluation=measure(run.folder, dataset, device=options.device))


def _train(run: Run, config: TrainingConfig | None, dataset: FaceDataset, options: Options, console: Console) -> None:
    """Train to the end; from random weights where the pretrained ones cannot be had and the entry allows it."""
    if config is not None:
        _fit(run, config, dataset, options, console)
        return
    try:
        _fit(run, run.config, dataset, options, console, "asked for" if run.config == run.scratch else "")
    except (ConfigError, DownloadError, ArtifactError) as error:
        if run.scratch in (None, run.config) or (run.folder / LAST).exists():
            raise
        console.print(f"{error}\nfrom random weights instead", highlight=False, markup=False, soft_wrap=True)
        assert run.scratch is not None
        _fit(run, run.scratch, dataset, options, console, str(error))


def _fit(
    run: Run, config: TrainingConfig, dataset: FaceDataset, options: Options, console: Console, scratch: str = ""
) -> None:
    """Train to the end, and note at the first epoch on what machine this session of it runs."""
    noted = False
    for _ in iter_epochs(config, dataset, run.folder, device=options.device, console=console):
        if not noted:
            keep_record(run.folder, options.device, dataset, scratch)
            noted = True


def _said(outcome: Outcome) -> str:
    scores = outcome.main
    if scores is None:
        return f"failed: {outcome.reason}"
    before = "was done already: " if outcome.state == "there" else ""
    return f"{before}{100 * scores.accuracy:.2f} % on {scores.faces.title}, {scores.rows:,} rows"
