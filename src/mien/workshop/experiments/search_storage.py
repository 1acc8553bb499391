"""Where a search keeps its trials: Optuna's tables in SQLite or PostgreSQL, shared by all of its workers."""

from __future__ import annotations

import contextlib
import copy
import os
import sqlite3
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import optuna
import sqlalchemy
from optuna.storages import RDBStorage, RetryHeartbeatStaleTrialCallback
from optuna.trial import FrozenTrial, Trial, TrialState
from sqlalchemy.engine import URL
from sqlalchemy.pool import NullPool

from mien.errors import ArtifactError, ConfigError, MissingExtraError
from mien.workshop.training.run_folder import BEST, LAST, load_history

SQLITE_WAIT_S = 120
CONNECT_S = 10
RETRIES = 5
"""How often a trial is resumed whose worker died."""

DATABASE = "search.db"
_LOCK_KEY = 0x6D69656E
"""`mien`, the number of the advisory lock in PostgreSQL."""


def parse_url(text: str) -> URL:
    """The storage that a URL names.

    Raises:
        ConfigError: no URL, or of another database than SQLite and PostgreSQL. The message has no password.
    """
    forms = "expected sqlite:///file.db or postgresql+psycopg://user:password@host/database"
    try:
        url = sqlalchemy.make_url(text)
    except (sqlalchemy.exc.ArgumentError, ValueError) as error:
        raise ConfigError(f"--storage is no URL: {forms}") from error
    if url.get_backend_name() not in ("sqlite", "postgresql"):
        raise ConfigError(f"--storage is of {url.get_backend_name()}: {forms}")
    if url.get_backend_name() == "sqlite" and not url.database:
        raise ConfigError(f"--storage names no file, and one in memory cannot be shared: {forms}")
    # An @ in the password moves a part of it into the host, which messages show.
    if "@" in (url.host or ""):
        raise ConfigError("--storage has several @: write one in a password as %40")
    # SQLAlchemy's default would be psycopg2, which the extra does not bring.
    if url.drivername == "postgresql":
        url = url.set(drivername="postgresql+psycopg")
    return url


def sqlite_url(folder: Path) -> str:
    """The storage of a search that has none by URL."""
    return f"sqlite:///{(folder / DATABASE).resolve()}"


def shown(url: URL) -> str:
    """The URL for people: no password."""
    return url.render_as_string(hide_password=True)


def open_storage(url: URL, *, heartbeat_s: int) -> RDBStorage:
    """Open the database, and make its tables where they are missing.

    Raises:
        ConfigError: it cannot be reached, refuses, or was written by another version of Optuna.
        MissingExtraError: the driver is not installed.
    """
    with claim(url), warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        try:
            return RDBStorage(
                url.render_as_string(hide_password=False),
                {"connect_args": _connect_args(url), "poolclass": NullPool},
                heartbeat_interval=heartbeat_s,
                grace_period=3 * heartbeat_s,
                heartbeat_stale_trial_callback=RetryHeartbeatStaleTrialCallback(max_retry=RETRIES),
            )
        except (sqlalchemy.exc.SQLAlchemyError, optuna.exceptions.StorageInternalError, RuntimeError) as error:
            raise _unusable(url, error) from error


@contextlib.contextmanager
def usable(url: URL) -> Iterator[None]:
    """Say of a database that cannot be written which one it is, as a ConfigError."""
    try:
        yield
    except (sqlalchemy.exc.SQLAlchemyError, optuna.exceptions.StorageInternalError) as error:
        raise _unusable(url, error) from error


@contextlib.contextmanager
def claim(url: URL) -> Iterator[None]:
    """Let one worker at a time decide which trial comes next: a lock that a dying process gives back.

    In PostgreSQL it is an advisory lock of a transaction; beside a SQLite file it is another one, locked by SQLite.
    """
    with contextlib.ExitStack() as stack:
        try:
            if url.get_backend_name() == "sqlite":
                # Not the database itself: Optuna writes to it while the claim is held.
                beside = Path(url.database or "").with_suffix(".lock")
                lock = stack.enter_context(contextlib.closing(sqlite3.connect(beside, timeout=SQLITE_WAIT_S)))
                lock.execute("BEGIN EXCLUSIVE")
            else:
                engine = sqlalchemy.create_engine(url, poolclass=NullPool, connect_args=_connect_args(url))
                session = stack.enter_context(engine.begin())
                session.execute(sqlalchemy.text("SELECT pg_advisory_xact_lock(:key)"), {"key": _LOCK_KEY})
        except (sqlalchemy.exc.SQLAlchemyError, sqlite3.Error) as error:
            raise _unusable(url, error) from error
        # The engine imports the driver, so a missing one shows here first.
        except ImportError as error:
            raise MissingExtraError(url.get_driver_name(), "search") from error
        yield


def retried(trials: list[FrozenTrial]) -> set[int]:
    """Numbers of the trials that were replaced by another one that continues their work."""
    return {number for trial in trials for number in trial.system_attrs.get("retry_history", ())}


def counted(study: optuna.Study) -> list[FrozenTrial]:
    """The trials that count towards those asked for: each once, however often it was resumed."""
    trials = study.get_trials(deepcopy=False)
    given_up = retried(trials)
    return [trial for trial in trials if trial.number not in given_up]


def origin(trial: FrozenTrial) -> int:
    """The number of the trial whose work this one continues, or its own."""
    history = trial.system_attrs.get("retry_history") or [trial.number]
    return int(history[0])


def take_up_again(study: optuna.Study, number: int) -> None:
    """Have a trial resumed that was stopped through no fault of its own."""
    trial = study.get_trials(deepcopy=False)[number]
    # Ended first: the callback queues a copy of it, and the two must not both run.
    if trial.state == TrialState.RUNNING:
        trial = study.tell(number, state=TrialState.FAIL)
    trial = copy.copy(trial)
    if "worker" not in trial.user_attrs:
        # It was stopped while its settings were drawn: drawn all anew, they are those of an unbroken search.
        trial.params, trial.distributions = {}, {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        RetryHeartbeatStaleTrialCallback()(study, trial)


def release_dead(study: optuna.Study) -> None:
    """Resume the trials whose workers are silent, died on this machine, or before they said a word. Needs the claim."""
    # At once, where it can be known: a search that was killed then goes on with the trial that it was at.
    for trial in study.get_trials(deepcopy=False, states=(TrialState.RUNNING,)):
        if has_ended(trial.user_attrs.get("process", "")):
            take_up_again(study, trial.number)
    # Ended, but not for its settings, which would have left an error: the disk was full before it was queued again.
    for trial in counted(study):
        unlucky = trial.state == TrialState.FAIL and "error" not in trial.user_attrs
        if unlucky and len(trial.system_attrs.get("retry_history", ())) < RETRIES:
            take_up_again(study, trial.number)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        optuna.storages.fail_stale_trials(study)
    for trial in study.get_trials(deepcopy=False, states=(TrialState.RUNNING,)):
        # Optuna passes over trials without a heartbeat: their worker died between taking and marking them.
        if "worker" not in trial.user_attrs:
            take_up_again(study, trial.number)


def this_process() -> str:
    """What tells this process from any other, of any machine, container and time; empty where the system does not."""
    return _process(os.getpid())


def has_ended(process: str) -> bool:
    """Whether a process of `this_process` is known to be no more; False for those of elsewhere."""
    own = this_process()
    machine, _, rest = process.rpartition("/")
    if not own or not machine or machine != own.rpartition("/")[0]:
        return False
    return _process(int(rest.partition("@")[0])) != process


def _process(number: int) -> str:
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        # The name of a program may hold spaces and brackets; the time of its start is the 20th field behind it.
        start = Path(f"/proc/{number}/stat").read_text().rpartition(")")[2].split()[19]
        return f"{boot}/{Path('/proc/self/ns/pid').readlink()}/{number}@{start}"
    except (OSError, IndexError):
        return ""


def _connect_args(url: URL) -> dict[str, Any]:
    if url.get_backend_name() == "sqlite":
        return {"timeout": SQLITE_WAIT_S}
    return {} if "connect_timeout" in url.query else {"connect_timeout": CONNECT_S}


def _unusable(url: URL, error: Exception) -> ConfigError:
    # Optuna says only that a commit failed; what it was raised from says why.
    cause = error.__cause__ or error
    reason = " ".join(str(getattr(cause, "orig", None) or cause).split())
    if url.password:
        reason = reason.replace(str(url.password), "***")
    return ConfigError(f"the storage {shown(url)} cannot be used: {reason}; is the server running, the name right?")


def trial_folder(out: Path, trial: FrozenTrial) -> Path:
    """Where a trial is trained; one that was resumed continues in the folder of its origin."""
    return out / "trials" / f"{origin(trial):03d}"


def sweep(study: optuna.Study, out: Path, keep: int) -> None:
    """Remove the checkpoints of finished trials but for the best ones; each history stays. Needs the claim."""
    trials = counted(study)
    best = [trial_folder(out, trial) for trial in ranked(trials)[:keep]]
    for trial in trials:
        folder = trial_folder(out, trial)
        if trial.state.is_finished() and folder not in best:
            for name in (LAST, BEST):
                (folder / name).unlink(missing_ok=True)


def ranked(trials: Sequence[FrozenTrial]) -> list[FrozenTrial]:
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


def report(trial: Trial, folder: Path, known: int) -> int:
    """Report new epochs to the study; how many it has now."""
    rows = rows_of(folder)
    for row in rows[known:]:
        trial.report(row["score"], int(row["epoch"]) + 1)
    if rows:
        # Kept in the study, because the folder may be on another machine when the report is written.
        best = max(rows, key=lambda row: row["score"])
        trial.set_user_attr("best epoch", int(best["epoch"]) + 1)
        trial.set_user_attr("training seconds", round(sum(row["seconds"] for row in rows), 1))
    return len(rows)


def rows_of(folder: Path) -> list[dict[str, float]]:
    """The epochs of a trial so far, none where its history is missing or damaged."""
    try:
        saved = load_history(folder)
    except ArtifactError:
        return []
    return saved[1] if saved else []
