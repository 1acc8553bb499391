"""A worker of a search: takes a trial, trains it epoch by epoch, and stops it where there is no hope."""

from __future__ import annotations

import contextlib
import logging
import multiprocessing
import os
import signal
import socket
import time
from collections.abc import Iterator
from typing import Any

import optuna
import sqlalchemy
from optuna.trial import FrozenTrial, Trial, TrialState

from mien.errors import ConfigError, TrainingError
from mien.workshop.data.base import FaceDataset
from mien.workshop.experiments.search_plan import Job, Search, first_choice
from mien.workshop.experiments.search_storage import (
    claim,
    counted,
    describe,
    open_storage,
    origin,
    parse_url,
    release_dead,
    report,
    rows_of,
    shown,
    sweep,
    take_up_again,
    this_process,
    trial_folder,
)
from mien.workshop.progress import OnNote, no_note
from mien.workshop.training.fit import iter_epochs

ALL_FAIL = 5
"""A search whose first so many trials all fail is stopped."""


class _TrialFailedError(Exception):
    """A trial has a result: that these settings cannot be trained."""


class _TakenOverError(Exception):
    """Another worker considered this one dead and continues its trial."""


class Worker:
    """Takes one trial after another until the study has enough."""

    def __init__(self, job: Job, dataset: FaceDataset, *, name: str = "", on_note: OnNote = no_note) -> None:
        self.job = job
        self.dataset = dataset
        self.on_note = on_note
        self.name = name
        self.url = parse_url(job.storage)
        self.storage = open_storage(self.url, heartbeat_s=job.search.search.heartbeat_seconds)
        self.held = contextlib.ExitStack()
        self.taken: list[int] = []

    def run(self) -> None:
        """Work until nothing is left to do, for this worker or any other."""
        try:
            with quiet(), _stopped_by_sigterm():
                while self._step():
                    pass
        except (optuna.exceptions.StorageInternalError, sqlalchemy.exc.SQLAlchemyError) as error:
            raise TrainingError(
                f"the storage {shown(self.url)} was lost: {error.__cause__ or error}; the same command resumes later"
            ) from error

    def _step(self) -> bool:
        """Run a trial, or rest while others run theirs; False when all is done."""
        with self.held:
            self.held.enter_context(claim(self.url))
            study = self._load()
            release_dead(study)
            # The random state follows from how many trials were chosen before, so that a stopped search resumes as if
            # it had not been: one that was taken up again is chosen once, one that waits is not chosen yet.
            chosen = [trial for trial in counted(study) if trial.state != TrialState.WAITING]
            study.sampler = create_sampler(self.job.search, len(chosen))
            state = self._what_next(study)
            if state == "train":
                self._train_one(study)
        if state == "wait":
            # Another worker may yet die, and its trial would have to be resumed.
            self._rest()
        return state != "done"

    def _load(self) -> optuna.Study:
        return optuna.load_study(
            study_name=self.job.search.name, storage=self.storage, pruner=create_pruner(self.job.search)
        )

    def _what_next(self, study: optuna.Study) -> str:
        trials = counted(study)
        states = [trial.state for trial in trials]
        failed = [trial for trial in trials if trial.state == TrialState.FAIL]
        # Of those that have ended, not of all: other workers' trials may still run.
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
            # One trial: the claim must be taken for each, and sampler and pruner made for its number.
            study.optimize(self._objective, n_trials=1, catch=(_TrialFailedError,))
        except (_TakenOverError, ValueError, optuna.exceptions.UpdateFinishedTrialError):
            # Optuna refuses the result of a trial that was taken for dead; whoever took it up will bring it.
            if not self.taken or not _is_taken_over(study, self.taken[0]):
                raise
        # Interrupts as well: the trial is handed on at once, before its silence is noticed.
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
        # Heartbeat and name before the claim ends: a running trial without them counts as dead.
        self.storage.record_heartbeat(trial._trial_id)
        trial.set_user_attr("process", this_process())
        trial.set_user_attr("worker", f"{socket.gethostname()}:{os.getpid()}")
        # The settings are stored: the next worker may choose.
        self.held.close()
        try:
            return self._train(trial)
        except (TrainingError, ConfigError, MemoryError) as error:
            # A disk that is full says nothing of the settings: the search stops, and later takes the trial up again.
            if isinstance(error.__cause__, OSError):
                raise
            raise _failed(trial, str(error) or type(error).__name__) from error
        except RuntimeError as error:
            # PyTorch has no class of its own for a CPU whose memory is too small, nor for shapes that do not fit.
            raise _failed(trial, " ".join(str(error).split())[:300]) from error

    def _train(self, trial: Trial) -> float:
        stored = trial.study.get_trials(deepcopy=False)[trial.number]
        config = self.job.search.config(trial.params, origin(stored))
        folder = trial_folder(self.job.out, stored)
        known = report(trial, folder, 0)
        for _ in iter_epochs(config, self.dataset, folder, device=self.job.device):
            known = report(trial, folder, known)
            _stop_if_orphaned()
            if _is_taken_over(trial.study, trial.number):
                raise _TakenOverError
            # After the last epoch nothing is saved by stopping.
            if known < config.fit.epochs and trial.should_prune():
                raise optuna.TrialPruned
        return max(row["score"] for row in rows_of(folder))

    def _after(self, study: optuna.Study, trial: FrozenTrial) -> None:
        if not trial.state.is_finished():
            return
        with claim(self.url):
            sweep(study, self.job.out, self.job.search.search.keep)
        done = sum(found.state.is_finished() for found in counted(study))
        self.on_note(self.name + describe(trial, done, self.job.trials))


def _failed(trial: Trial, reason: str) -> _TrialFailedError:
    trial.set_user_attr("error", reason)
    return _TrialFailedError(reason)


def _is_taken_over(study: optuna.Study, number: int) -> bool:
    return study.get_trials(deepcopy=False)[number].state.is_finished()


def _stop_if_orphaned() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None and not parent.is_alive():
        # As an interrupt, which hands the trial on: a killed parent sends its workers no signal.
        raise KeyboardInterrupt


@contextlib.contextmanager
def quiet() -> Iterator[None]:
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


def create_sampler(search: Search, number: int) -> optuna.samplers.BaseSampler:
    """The sampler that chooses a study's trial after so many others."""
    # Times a prime, so that searches with neighbouring seeds share no trial's seed; NumPy takes 32 bits.
    seed = (search.search.seed * 1_000_003 + number) % 2**32
    if search.search.sampler == "random":
        return optuna.samplers.RandomSampler(seed=seed)
    # constant_liar: running trials count as bad ones, or parallel workers would choose the same settings.
    return optuna.samplers.TPESampler(seed=seed, n_startup_trials=search.search.startup, constant_liar=True)


def create_pruner(search: Search) -> optuna.pruners.BasePruner:
    """The pruner; a trial is looked at after each epoch but those of its warm-up."""
    budget = search.search
    if budget.pruner == "none":
        return optuna.pruners.NopPruner()
    if budget.pruner == "median":
        # Plus 1, because epochs are reported from 1 on, and Optuna counts steps from 0.
        return optuna.pruners.MedianPruner(n_startup_trials=budget.startup, n_warmup_steps=budget.warmup_epochs + 1)
    longest = search.bounds.get("fit.epochs")
    ends = [int(value) for value in longest.samples.values()] if longest else []
    most = max(ends) if ends else search.config(first_choice(search)).fit.epochs
    return optuna.pruners.HyperbandPruner(min_resource=budget.warmup_epochs + 1, max_resource=most)
