"""The workers of a search: each takes a trial, trains it epoch by epoch, and stops it where there is no hope."""

from __future__ import annotations

import contextlib
import json
import logging
import multiprocessing
import os
import signal
import socket
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import optuna
import sqlalchemy
import torch
from optuna.trial import FrozenTrial, Trial, TrialState
from rich.console import Console

from mien.datasets.base import FaceDataset
from mien.datasets.factory import load_dataset
from mien.datasets.splits import HELD_OUT, hold_out
from mien.errors import ConfigError, MienError, TrainingError
from mien.training.fit import BEST, HISTORY, LAST, iter_epochs
from mien.training.loaders import fingerprint
from mien.training.search.plan import Search, draw_rows, first_choice, largest_batch
from mien.training.search.storage import (
    claim,
    counted,
    open_storage,
    origin,
    parse_url,
    release_dead,
    shown,
    take_up_again,
)
from mien.training.state import check_identity

IDENTITY = "search.json"
ALL_FAIL = 5
"""A search whose first so many trials all fail is stopped."""


@dataclass(frozen=True)
class Job:
    """One `mien tune`: what to search on which data, where, and how many trials the study shall have in the end."""

    search: Search
    data: Path
    out: Path
    storage: str
    trials: int
    device: str = "auto"
    any_size: bool = False


class _TrialFailedError(Exception):
    """A trial has a result: that these settings cannot be trained."""


class _TakenOverError(Exception):
    """Others took this worker for dead and go on with its trial."""


def run_search(job: Job, *, workers: int = 1, console: Console | None = None) -> optuna.Study:
    """Run trials until the study has as many as asked for, its other workers' included; a stopped search goes on.

    Raises:
        ConfigError: the storage cannot be used, or holds another search or other data; the folder as well.
        DataError: a split is empty.
        TrainingError: every trial fails, or all workers died.
    """
    console = console or Console(quiet=True)
    dataset = load_rows(job)
    study = _prepare(job, dataset)
    _greet(job, study, dataset, workers, console)
    if workers == 1:
        _Worker(job, dataset, console).run()
    else:
        del dataset
        _run_processes(job, workers, console)
    return study


def load_rows(job: Job) -> FaceDataset:
    """The rows that the trials see: the subset and the validation rows, never a test row."""
    dataset = load_dataset(job.data, check_counts=not job.any_size)
    if not len(dataset.part("validation")):
        dataset = hold_out(dataset, HELD_OUT, seed=job.search.search.seed)
    return draw_rows(dataset, job.search.search.subset, job.search.search.seed)


def open_study(search: Search, storage: str) -> optuna.Study:
    """The study as it stands.

    Raises:
        ConfigError: there is none of this name.
    """
    url = parse_url(storage)
    if url.get_backend_name() == "sqlite" and not Path(url.database or "").is_file():
        raise ConfigError(f"there is no search yet at {url.database}")
    opened = open_storage(url, heartbeat_s=search.search.heartbeat_seconds)
    try:
        return optuna.load_study(study_name=search.name, storage=opened)
    except KeyError as error:
        raise ConfigError(f"the storage holds no search {search.name!r}") from error


def trial_folder(out: Path, trial: FrozenTrial) -> Path:
    """Where a trial is trained; one that was taken up again goes on in the place of its origin."""
    return out / "trials" / f"{origin(trial):03d}"


def _prepare(job: Job, dataset: FaceDataset) -> optuna.Study:
    """Make or find the study, and see that study, folder, file and data belong together."""
    part = dataset.part("train")
    if largest_batch(job.search) > len(part):
        raise ConfigError(
            f"fit.batch_size may become {largest_batch(job.search)}, above the {len(part)} training rows of a trial: "
            "lower it or raise search.subset"
        )
    try:
        job.out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigError(f"cannot make the search's folder {job.out}: {error.strerror or error}") from error
    identity = job.search.identity(fingerprint(dataset))
    own = job.out / IDENTITY
    if own.exists():
        check_identity(job.out, json.loads(own.read_text(encoding="utf-8")), identity)
    study = _create_study(job, identity)
    study.set_user_attr(
        "rows", {"data": dataset.name, "train": len(part), "validation": len(dataset.part("validation"))}
    )
    partial = own.with_suffix(".part")
    partial.write_text(json.dumps(identity, indent=1), encoding="utf-8")
    partial.replace(own)
    return study


def _create_study(job: Job, identity: dict[str, Any]) -> optuna.Study:
    url = parse_url(job.storage)
    storage = open_storage(url, heartbeat_s=job.search.search.heartbeat_seconds)
    with claim(url), _quiet():
        study = optuna.create_study(
            study_name=job.search.name, storage=storage, direction="maximize", load_if_exists=True
        )
        found = study.user_attrs.get("identity")
        if found is not None:
            check_identity(Path(f"the study {job.search.name}"), found, identity)
        elif (job.out / "trials").exists() and any((job.out / "trials").iterdir()):
            raise ConfigError(f"{job.out} holds trials that the storage knows nothing of: give another --out")
        else:
            study.set_user_attr("identity", identity)
    return study


def _run_processes(job: Job, workers: int, console: Console) -> None:
    context = multiprocessing.get_context("spawn")
    processes = [
        context.Process(target=_work, args=(job, number, workers, console.width), name=f"worker {number}")
        for number in range(1, workers + 1)
    ]

    def terminate(*_: Any) -> None:
        for process in processes:
            process.terminate()

    for process in processes:
        process.start()
    before = signal.signal(signal.SIGTERM, terminate)
    try:
        for process in processes:
            process.join()
    except KeyboardInterrupt:
        for process in processes:
            process.join()
        raise
    finally:
        signal.signal(signal.SIGTERM, before)
    dead = [process for process in processes if process.exitcode]
    for process in dead:
        console.print(f"{process.name} {_how_it_ended(process.exitcode or 0)}")
    if len(dead) == workers:
        raise TrainingError("all workers stopped; the same command goes on with the search")


def _how_it_ended(code: int) -> str:
    return f"was killed by signal {-code} ({signal.strsignal(-code)})" if code < 0 else f"ended with code {code}"


def _work(job: Job, number: int, workers: int, width: int) -> None:
    """A worker in a process of its own."""
    if "OMP_NUM_THREADS" not in os.environ:
        torch.set_num_threads(max(1, (os.cpu_count() or 1) // workers))
    console = Console(width=width)
    try:
        _Worker(job, load_rows(job), console, name=f"worker {number}  ").run()
    except MienError as error:
        console.print(f"worker {number} stops: {error}", highlight=False, markup=False, soft_wrap=True)
        raise SystemExit(error.exit_code) from error
    except KeyboardInterrupt:
        raise SystemExit(130) from None


class _Worker:
    """Takes one trial after another until the study has enough."""

    def __init__(self, job: Job, dataset: FaceDataset, console: Console, *, name: str = "") -> None:
        self.job = job
        self.dataset = dataset
        self.console = console
        self.name = name
        self.url = parse_url(job.storage)
        self.storage = open_storage(self.url, heartbeat_s=job.search.search.heartbeat_seconds)
        self.held = contextlib.ExitStack()
        self.taken: list[int] = []

    def run(self) -> None:
        """Work until nothing is left to do, for this worker or any other."""
        try:
            with _quiet(), _stopped_by_sigterm():
                while self._step():
                    pass
        except (optuna.exceptions.StorageInternalError, sqlalchemy.exc.SQLAlchemyError) as error:
            raise TrainingError(
                f"the storage {shown(self.url)} was lost: {error.__cause__ or error}; the same command goes on later"
            ) from error

    def _step(self) -> bool:
        """Run a trial, or rest while others run theirs; False when all is done."""
        with self.held:
            self.held.enter_context(claim(self.url))
            study = self._load()
            release_dead(study)
            state = self._what_next(study)
            if state == "train":
                self._train_one(study)
        if state == "wait":
            # Another worker may yet die, and its trial would have to be taken up.
            self._rest()
        return state != "done"

    def _load(self) -> optuna.Study:
        # The random state follows from the trial's number, so that a search that was stopped goes on as if it was not.
        number = len(self.storage.get_all_trials(self.storage.get_study_id_from_name(self.job.search.name)))
        return optuna.load_study(
            study_name=self.job.search.name,
            storage=self.storage,
            sampler=create_sampler(self.job.search, number),
            pruner=create_pruner(self.job.search),
        )

    def _what_next(self, study: optuna.Study) -> str:
        trials = counted(study)
        states = [trial.state for trial in trials]
        failed = [trial for trial in trials if trial.state == TrialState.FAIL]
        if len(failed) >= ALL_FAIL and len(failed) == len(trials) - states.count(TrialState.RUNNING):
            raise TrainingError(
                f"the first {len(failed)} trials all failed, the last with: {failed[-1].user_attrs.get('error')}"
            )
        if TrialState.WAITING in states or len(trials) < self.job.trials:
            return "train"
        return "wait" if TrialState.RUNNING in states else "done"

    def _rest(self) -> None:
        time.sleep(min(5.0, self.job.search.search.heartbeat_seconds))
        _stop_if_orphaned()

    def _train_one(self, study: optuna.Study) -> None:
        self.taken.clear()
        try:
            study.optimize(self._objective, n_trials=1, catch=(_TrialFailedError,))
        except (_TakenOverError, ValueError, optuna.exceptions.UpdateFinishedTrialError):
            # Optuna refuses the result of a trial that was taken for dead; whoever took it up will bring it.
            if not self.taken or not _is_taken_over(study, self.taken[0]):
                raise
        except BaseException:
            for number in self.taken:
                take_up_again(study, number)
            raise
        for number in self.taken:
            self._after(study, study.get_trials(deepcopy=False)[number])

    def _objective(self, trial: Trial) -> float:
        self.taken.append(trial.number)
        for key, bounds in self.job.search.bounds.items():
            bounds.suggest(trial, key)
        self.storage.record_heartbeat(trial._trial_id)
        trial.set_user_attr("worker", f"{socket.gethostname()}:{os.getpid()}")
        self.held.close()
        try:
            return self._train(trial)
        except (TrainingError, ConfigError, MemoryError) as error:
            raise _failed(trial, str(error) or type(error).__name__) from error
        except RuntimeError as error:
            # PyTorch has no class of its own for a CPU whose memory is too small, nor for shapes that do not fit.
            raise _failed(trial, " ".join(str(error).split())[:300]) from error

    def _train(self, trial: Trial) -> float:
        stored = trial.study.get_trials(deepcopy=False)[trial.number]
        config = self.job.search.config(trial.params, origin(stored))
        folder = trial_folder(self.job.out, stored)
        known = _report(trial, folder, 0)
        for _ in iter_epochs(config, self.dataset, folder, device=self.job.device):
            known = _report(trial, folder, known)
            _stop_if_orphaned()
            if _is_taken_over(trial.study, trial.number):
                raise _TakenOverError
            if known < config.fit.epochs and trial.should_prune():
                raise optuna.TrialPruned
        return max(row["score"] for row in _rows(folder))

    def _after(self, study: optuna.Study, trial: FrozenTrial) -> None:
        if not trial.state.is_finished():
            return
        with claim(self.url):
            sweep(study, self.job.out, self.job.search.search.keep)
        done = sum(found.state.is_finished() for found in counted(study))
        self.console.print(
            self.name + describe(trial, done, self.job.trials), highlight=False, markup=False, soft_wrap=True
        )


def create_sampler(search: Search, number: int) -> optuna.samplers.BaseSampler:
    """The sampler of a study's trial of this number."""
    seed = (search.search.seed * 1_000_003 + number) % 2**32
    if search.search.sampler == "random":
        return optuna.samplers.RandomSampler(seed=seed)
    return optuna.samplers.TPESampler(seed=seed, n_startup_trials=search.search.startup, constant_liar=True)


def create_pruner(search: Search) -> optuna.pruners.BasePruner:
    """The pruner; a trial is looked at after each epoch but those of its warm-up."""
    budget = search.search
    if budget.pruner == "none":
        return optuna.pruners.NopPruner()
    if budget.pruner == "median":
        return optuna.pruners.MedianPruner(n_startup_trials=budget.startup, n_warmup_steps=budget.warmup_epochs + 1)
    longest = search.bounds.get("fit.epochs")
    ends = [int(value) for value in longest.samples.values()] if longest else []
    most = max(ends) if ends else search.config(first_choice(search)).fit.epochs
    return optuna.pruners.HyperbandPruner(min_resource=budget.warmup_epochs + 1, max_resource=most)


def sweep(study: optuna.Study, out: Path, keep: int) -> None:
    """Remove the checkpoints of finished trials but for the best ones; each history stays. Needs the claim."""
    trials = counted(study)
    best = [trial_folder(out, trial) for trial in ranked(trials)[:keep]]
    for trial in trials:
        folder = trial_folder(out, trial)
        if trial.state.is_finished() and folder not in best:
            for name in (LAST, BEST):
                (folder / name).unlink(missing_ok=True)


def ranked(trials: list[FrozenTrial]) -> list[FrozenTrial]:
    """The trials that ran to their end, the best first."""
    complete = [trial for trial in trials if trial.state == TrialState.COMPLETE]
    return sorted(complete, key=lambda trial: (-(trial.value or 0.0), trial.number))


def describe(trial: FrozenTrial, done: int, total: int) -> str:
    """One line about a finished trial."""
    settings = "  ".join(
        f"{key.rsplit('.', 1)[-1]} {value:.3g}" if isinstance(value, float) else f"{key.rsplit('.', 1)[-1]} {value}"
        for key, value in trial.params.items()
    )
    epochs = len(trial.intermediate_values)
    seconds = trial.duration.total_seconds() if trial.duration else 0.0
    outcome = {
        TrialState.COMPLETE: f"score {100 * (trial.value or 0):.2f} %",
        TrialState.PRUNED: f"stopped after {epochs} epochs at {100 * (trial.value or 0):.2f} %",
    }.get(trial.state, f"failed: {trial.user_attrs.get('error', 'its worker died')}")
    return f"{done}/{total}  trial {origin(trial):03d}  {outcome}  {seconds:.0f} s  {settings}"


def _report(trial: Trial, folder: Path, known: int) -> int:
    """Tell the study the epochs that it has not heard of; how many it knows now."""
    rows = _rows(folder)
    for row in rows[known:]:
        trial.report(row["score"], int(row["epoch"]) + 1)
    if rows:
        best = max(rows, key=lambda row: row["score"])
        trial.set_user_attr("best epoch", int(best["epoch"]) + 1)
        trial.set_user_attr("training seconds", round(sum(row["seconds"] for row in rows), 1))
    return len(rows)


def _rows(folder: Path) -> list[dict[str, float]]:
    try:
        rows: list[dict[str, float]] = json.loads((folder / HISTORY).read_text(encoding="utf-8"))["history"]
    except (OSError, ValueError, KeyError):
        return []
    return rows


def _failed(trial: Trial, reason: str) -> _TrialFailedError:
    trial.set_user_attr("error", reason)
    return _TrialFailedError(reason)


def _is_taken_over(study: optuna.Study, number: int) -> bool:
    return study.get_trials(deepcopy=False)[number].state.is_finished()


def _stop_if_orphaned() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None and not parent.is_alive():
        raise KeyboardInterrupt


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Optuna's and Fabric's own lines are not for our users: each trial has one of ours."""
    fabric = logging.getLogger("lightning_fabric")
    before = optuna.logging.get_verbosity(), fabric.level
    optuna.logging.set_verbosity(optuna.logging.CRITICAL)
    fabric.setLevel(logging.WARNING)
    try:
        yield
    finally:
        optuna.logging.set_verbosity(before[0])
        fabric.setLevel(before[1])


@contextlib.contextmanager
def _stopped_by_sigterm() -> Iterator[None]:
    """A polite kill is an interrupt: the trial is handed on at once, not when its silence is noticed."""

    def stop(*_: Any) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _greet(job: Job, study: optuna.Study, dataset: FaceDataset, workers: int, console: Console) -> None:
    done = sum(trial.state.is_finished() for trial in counted(study))
    rows = f"{len(dataset.part('train')):,} training and {len(dataset.part('validation')):,} validation rows"
    goes_on = f", {done} of them done" if done else ""
    crew = f"{workers} workers" if workers > 1 else "one worker"
    console.print(f"{job.search.name}: {job.trials} trials{goes_on}, {crew}, {rows}", highlight=False, soft_wrap=True)
