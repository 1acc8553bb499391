"""Runs a study: every entry with every seed, trained once, resumed where it stopped, measured when it is done."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from mien.errors import ArtifactError, ConfigError, DownloadError, MienError
from mien.workshop.data.base import SPLITS, FaceDataset
from mien.workshop.data.factory import with_validation
from mien.workshop.evaluation.scores import Evaluation, SetScores
from mien.workshop.experiments.study_plan import (
    Run,
    Study,
    StudyOptions,
    differences,
    load_study,
    plan_runs,
    seed_folders,
)
from mien.workshop.experiments.study_records import (
    FAILURE,
    find_measured,
    is_finished,
    keep_reason,
    keep_record,
    main_set,
    measure,
    saved_config,
)
from mien.workshop.progress import OnNote, no_note
from mien.workshop.training.config import TrainingConfig
from mien.workshop.training.display import CreateDisplay, create_silent
from mien.workshop.training.fit import iter_epochs
from mien.workshop.training.objective import fingerprint
from mien.workshop.training.run_folder import BEST, LAST, hold, load_history
from mien.workshop.training.state import check_identity, list_digests


@dataclass(frozen=True)
class Outcome:
    """What became of a run: `trained`, `measured` (was trained before), `there` (nothing to do), or `failed`."""

    run: Run
    state: str
    reason: str = ""
    evaluation: Evaluation | None = None

    @property
    def main(self) -> SetScores | None:
        """The main scores of the run; see `main_set`."""
        return None if self.evaluation is None else main_set(self.evaluation)


@dataclass(frozen=True)
class _Reporting:
    """Where a run trains, and who hears of it."""

    device: str
    on_note: OnNote
    create_display: CreateDisplay


def train_study(
    study: Study | Path | str,
    data: FaceDataset | Path | str,
    runs: Path | str,
    options: StudyOptions = StudyOptions(),
    *,
    limit: int | None = None,
    on_note: OnNote = no_note,
    create_display: CreateDisplay = create_silent,
) -> list[Outcome]:
    """Train and measure every entry of a study with every seed; finished runs are kept, stopped ones are resumed.

    Args:
        study: a TOML file with [[entries]], or a loaded one.
        data: what `load_dataset` reads; without a validation split a tenth of the training rows is held out.
        runs: the folder of all runs.
        options: which of the study, and how.
        limit: so many training rows, and a quarter as many of each other split.
        on_note: hears which run begins, and what became of it.
        create_display: shows a training.

    Raises:
        ConfigError: before anything is trained, if an entry is unknown or a folder holds another run.
        DataError: the data is not what it should be.
    """
    loaded, folder = study if isinstance(study, Study) else load_study(Path(study)), Path(runs)
    # What is wrong with the study is reported before the data is read.
    plan_runs(loaded, folder, options)
    dataset = with_validation(data, seed=loaded.seeds[0])
    if limit is not None:
        dataset = limited(dataset, limit)
    return run_study(loaded, dataset, folder, options, on_note=on_note, create_display=create_display)


def run_study(
    study: Study,
    dataset: FaceDataset,
    runs: Path,
    options: StudyOptions = StudyOptions(),
    *,
    on_note: OnNote = no_note,
    create_display: CreateDisplay = create_silent,
) -> list[Outcome]:
    """`train_study` on faces that are loaded: a run that fails leaves its reason, and the others continue."""
    planned = plan_runs(study, runs, options)
    data = fingerprint(dataset)
    # All of them first: a folder that holds another run is reported before anything is trained.
    chosen = [_settled(run, data) for run in planned]
    outcomes = []
    for number, (run, config) in enumerate(zip(planned, chosen, strict=True), 1):
        on_note(f"{number}/{len(planned)}  {run.entry.name}, seed {run.seed}")
        outcome = _attempt(run, config, dataset, _Reporting(options.device, on_note, create_display))
        on_note(_said(outcome))
        outcomes.append(outcome)
    return outcomes


def measure_missing(study: Study, dataset: FaceDataset, runs: Path, *, on_note: OnNote = no_note) -> None:
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
                on_note(f"{entry.name}, {folder.name}: its weights are not here, so it is not measured")
            elif find_measured(folder, dataset) is None:
                on_note(f"measuring {entry.name}, {folder.name}")
                measure(folder, dataset)


def limited(dataset: FaceDataset, rows: int) -> FaceDataset:
    """At most so many rows of train and a quarter as many of each other split, drawn with seed 0."""
    random = np.random.default_rng(0)
    kept = []
    for part, split in enumerate(SPLITS):
        there = np.flatnonzero(dataset.split == part)
        count = rows if split == "train" else max(1, rows // 4)
        # At random, because data sets may be sorted by class.
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
    # A name decides nothing: an entry may be renamed.
    found = found.model_copy(update={"name": run.config.name})
    if found not in wanted:
        lines = "; ".join(differences(found, run.config)[:4])
        raise ConfigError(f"{run.folder} holds another run ({lines}): give another --out, or remove that folder")
    if identity.get("data") != data:
        raise ConfigError(f"{run.folder} was trained on other data: give that data, or another --out")
    check_identity(run.folder, {"lists": identity.get("lists", {})}, {"lists": lists})
    return found


def _attempt(run: Run, config: TrainingConfig | None, dataset: FaceDataset, reporting: _Reporting) -> Outcome:
    try:
        with hold(run.folder):
            pass
    except ConfigError as error:
        # Another process trains there: what becomes of the run is its to write.
        return Outcome(run, "failed", str(error))
    try:
        return _train_and_measure(run, config, dataset, reporting)
    except (MienError, RuntimeError, MemoryError) as error:
        # RuntimeError is what torch raises for whatever does not fit, a network's shapes or the memory.
        return Outcome(run, "failed", keep_reason(run.folder, error))


def _train_and_measure(run: Run, config: TrainingConfig | None, dataset: FaceDataset, reporting: _Reporting) -> Outcome:
    saved = load_history(run.folder)
    state = "measured"
    if config is None or saved is None or not is_finished(saved[1], config):
        _train(run, config, dataset, reporting)
        state = "trained"
    # Trained after all: an earlier reason no longer holds.
    (run.folder / FAILURE).unlink(missing_ok=True)
    kept = find_measured(run.folder, dataset)
    if kept is not None:
        return Outcome(run, "there", evaluation=kept)
    reporting.on_note("measuring the best epoch")
    return Outcome(run, state, evaluation=measure(run.folder, dataset, device=reporting.device))


def _train(run: Run, config: TrainingConfig | None, dataset: FaceDataset, reporting: _Reporting) -> None:
    """Train to the end; from random weights where the pretrained ones cannot be had and the entry allows it."""
    if config is not None:
        _fit(run, config, dataset, reporting)
        return
    try:
        _fit(run, run.config, dataset, reporting, "asked for" if run.config == run.scratch else "")
    except (ConfigError, DownloadError, ArtifactError) as error:
        # With a checkpoint there, the weights were had: this is another failure.
        if run.scratch in (None, run.config) or (run.folder / LAST).exists():
            raise
        reporting.on_note(f"{error}\nfrom random weights instead")
        assert run.scratch is not None
        _fit(run, run.scratch, dataset, reporting, str(error))


def _fit(run: Run, config: TrainingConfig, dataset: FaceDataset, reporting: _Reporting, scratch: str = "") -> None:
    """Train to the end, and note at the first epoch on what machine this session of it runs."""
    noted = False
    with reporting.create_display(config.name) as display:
        for _ in iter_epochs(config, dataset, run.folder, device=reporting.device, display=display):
            # Not before: a session without an epoch has trained nothing.
            if not noted:
                keep_record(run.folder, reporting.device, dataset, scratch)
                noted = True


def _said(outcome: Outcome) -> str:
    scores = outcome.main
    if scores is None:
        return f"failed: {outcome.reason}"
    before = "was done already: " if outcome.state == "there" else ""
    return f"{before}{100 * scores.accuracy:.2f} % on {scores.faces.title}, {scores.rows:,} rows"
