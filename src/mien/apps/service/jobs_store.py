"""Video jobs: a table of states, and a folder per job for its upload and result (`jobs_files`).

`JobStore` keeps the table in SQLite beside the folders, for one machine; `jobs_postgres` in PostgreSQL, for many.
"""

from __future__ import annotations

import contextlib
import json
import secrets
import sqlite3
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar, Protocol

from mien.apps.service.jobs_files import STALE_UPLOAD_S, FilesLostError, FolderFiles, JobFiles
from mien.errors import ConfigError

ACTIVE = ("queued", "running")
ENDED = ("done", "failed", "cancelled")
STATES = (*ACTIVE, *ENDED, "expired")

MAX_ATTEMPTS = 3
"""A job is given up if the service dies this often during it: its video may be the cause."""

LOST_S = 30.0
"""A running job of which nothing was heard for so long is taken from its process, where several machines read."""

SCHEMA = """
CREATE TABLE IF NOT EXISTS jobs (
    id TEXT PRIMARY KEY, owner TEXT NOT NULL, state TEXT NOT NULL, name TEXT NOT NULL, options TEXT NOT NULL,
    created_s DOUBLE PRECISION NOT NULL, started_s DOUBLE PRECISION, ended_s DOUBLE PRECISION,
    expires_s DOUBLE PRECISION, frames INTEGER NOT NULL DEFAULT 0, progress DOUBLE PRECISION NOT NULL DEFAULT 0,
    faces INTEGER NOT NULL DEFAULT 0, attempts INTEGER NOT NULL DEFAULT 0, notice TEXT, error TEXT
)
"""
_FIELDS = (
    "id, owner, state, name, options, created_s, started_s, ended_s, expires_s, frames, progress, faces, attempts, "
    "notice, error"
)


class Database(Protocol):
    """What the statements below need of a connection: `?` stands for a value."""

    def execute(self, query: str, values: tuple[Any, ...] = (), /) -> Any:
        """A cursor."""
        ...


class QueueFullError(Exception):
    """The queue is full."""


@dataclass(frozen=True)
class Job:
    """One video, from its upload to its result.

    Args:
        id: unguessable, 32 hex digits.
        owner: the key's name; empty if the service requires no key.
        state: one of `STATES`.
        name: the client's file name; shown, never used as a path.
        options: the options of the analysis, as JSON values.
        created_s, started_s, ended_s, expires_s: seconds since 1970.
        frames, faces: analyzed so far.
        progress: 0–1.
        attempts: how often it was started.
        notice: a remark on the result, such as that the video is truncated.
        error: a problem document, if it failed.
    """

    id: str
    owner: str
    state: str
    name: str
    options: dict[str, Any]
    created_s: float
    started_s: float | None = None
    ended_s: float | None = None
    expires_s: float | None = None
    frames: int = 0
    progress: float = 0.0
    faces: int = 0
    attempts: int = 0
    notice: str | None = None
    error: dict[str, Any] | None = None

    def eta_s(self, now_s: float) -> float | None:
        """Estimated seconds until it is done; None if unknown."""
        # In the first percent the estimate would jump about.
        if self.state != "running" or self.started_s is None or self.progress < 0.01:
            return None
        return max(0.0, (now_s - self.started_s) * (1 - self.progress) / self.progress)


class JobStore:
    """The jobs of one state folder; several processes of one machine may share it.

    Args:
        folder: created if missing.
        files: where uploads and results are; in the folder if not given.
        keep_s: how long a result is kept after its job ended; the job itself is kept as long again.
        max_queued: most queued jobs, without running ones.
        clock: seconds since 1970.

    Raises:
        ConfigError: the folder is not writable.
    """

    shared: ClassVar[bool] = False
    """Whether every process may run jobs, rather than one of those that share the folder."""

    def __init__(
        self, folder: Path, *, keep_s: float, max_queued: int, clock: Callable[[], float] = time.time,
        files: JobFiles | None = None,
    ) -> None:  # fmt: skip
        self.folder, self.keep_s, self.max_queued, self._clock = folder, keep_s, max_queued, clock
        try:
            self.incoming.mkdir(parents=True, exist_ok=True, mode=0o700)
            self.files: JobFiles = files or FolderFiles(folder)
            self._prepare()
        except (OSError, sqlite3.Error) as error:
            raise ConfigError(f"cannot store jobs in {folder}: {error}; choose a writable folder") from error

    def _prepare(self) -> None:
        """Make the table if there is none."""
        with self._connect() as database:
            # Requests that read do not wait for reports of progress, nor these for them.
            database.execute("PRAGMA journal_mode = WAL")
            database.execute(SCHEMA)

    @property
    def incoming(self) -> Path:
        """The folder of incomplete uploads."""
        return self.folder / "incoming"

    def is_full(self) -> bool:
        """Whether the queue is full."""
        return self.count()["queued"] >= self.max_queued

    def count(self) -> dict[str, int]:
        """Jobs by state."""
        with self._connect() as database:
            found = dict(database.execute("SELECT state, count(*) FROM jobs GROUP BY state").fetchall())
        return {state: int(found.get(state, 0)) for state in STATES}

    def add(self, upload: Path, *, owner: str, name: str, options: dict[str, Any]) -> Job:
        """Create a job and move its upload to its files; QueueFullError, without moving, if the queue is full."""
        # Without keys the ID is all that protects a result.
        job = Job(secrets.token_hex(16), owner, "queued", name, options, self._clock())
        self.files.send(job.id, upload)
        try:
            self._add(job, upload)
        except BaseException:
            self._clear(job.id)
            raise
        return job

    def _add(self, job: Job, upload: Path) -> None:
        # The lock before the count, so that two uploads cannot both take the last place.
        with self._locked() as database:
            waiting = database.execute("SELECT count(*) FROM jobs WHERE state = 'queued'").fetchone()[0]
            if waiting >= self.max_queued:
                raise QueueFullError
            # The file first: a job that is claimed must have its video. A crash in between leaves a stray folder.
            self.files.take(job.id, upload)
            database.execute(
                "INSERT INTO jobs (id, owner, state, name, options, created_s) VALUES (?, ?, 'queued', ?, ?, ?)",
                (job.id, job.owner, job.name, json.dumps(job.options), job.created_s),
            )

    def get(self, job_id: str, owner: str) -> Job | None:
        """A job of this owner; None if it does not exist or belongs to another."""
        # A result is gone when its time is over, also where no runner sweeps.
        self.sweep()
        found = self._select("id = ? AND owner = ?", (job_id, owner))
        return found[0] if found else None

    def position(self, job: Job) -> int:
        """The number of jobs queued before it."""
        # The order of `claim`: the ID decides between jobs of the same moment.
        query = "SELECT count(*) FROM jobs WHERE state = 'queued' AND (created_s, id) < (?, ?)"
        with self._connect() as database:
            return int(database.execute(query, (job.created_s, job.id)).fetchone()[0])

    def claim(self) -> Job | None:
        """Start the oldest queued job; None if there is none."""
        query = (
            # One statement, so that two workers cannot claim the same job.
            "UPDATE jobs SET state = 'running', started_s = ?, frames = 0, faces = 0, progress = 0, "
            f"attempts = attempts + 1{self._claimed} WHERE id = (SELECT id FROM jobs WHERE state = 'queued' "
            f"ORDER BY created_s, id LIMIT 1{self._skipping}) RETURNING {_FIELDS}"
        )
        with self._connect() as database:
            # Read to the end: only then has SQLite finished the statement.
            rows = database.execute(query, (self._clock(),)).fetchall()
        return _job(rows[0]) if rows else None

    _claimed = _skipping = ""
    """What else a claim sets, and how it passes over jobs that another process is about to claim."""

    def close(self) -> None:
        """Let go of what is open."""

    def beat(self, jobs: Sequence[Job]) -> None:
        """Tell that this process is still running these jobs; only where several machines read."""

    def report(self, job: Job, *, frames: int, faces: int, progress: float) -> bool:
        """Record the progress of a running job; False if it was cancelled, or is another process's by now."""
        query = (
            "UPDATE jobs SET frames = ?, faces = ?, progress = ? WHERE id = ? AND attempts = ? AND state = 'running'"
        )
        with self._connect() as database:
            updated = database.execute(query, (frames, faces, progress, job.id, job.attempts)).rowcount
        return bool(updated == 1)

    def finish(self, job: Job, *, notice: str | None = None, error: dict[str, Any] | None = None) -> None:
        """End a running job, done or failed with a problem, and delete its upload."""
        now_s = self._clock()
        state = "done" if error is None else "failed"
        query = (
            "UPDATE jobs SET state = ?, ended_s = ?, expires_s = ?, notice = ?, error = ?, "
            "progress = CASE ? WHEN 'done' THEN 1 ELSE progress END WHERE id = ? AND attempts = ? AND state = 'running'"
        )
        problem = None if error is None else json.dumps(error)
        values = (state, now_s, now_s + self.keep_s, notice, problem, state, job.id, job.attempts)
        with self._connect() as database:
            ended = database.execute(query, values).rowcount
            found = database.execute("SELECT state FROM jobs WHERE id = ?", (job.id,)).fetchone()
        if ended and state == "done":
            self.files.drop_upload(job.id)
        elif found is None or found[0] not in ACTIVE:
            # Failed, or cancelled meanwhile: what has been written since goes too. A job that is another process's
            # by now keeps its video.
            self._clear(job.id)

    def hand_back(self, job: Job) -> None:
        """Requeue a running job because the service is stopping; this attempt does not count."""
        query = (
            "UPDATE jobs SET state = 'queued', attempts = attempts - 1 WHERE id = ? AND attempts = ? "
            "AND state = 'running'"
        )
        with self._connect() as database:
            database.execute(query, (job.id, job.attempts))

    def recover(self, error: dict[str, Any]) -> int:
        """Requeue the jobs of a process that died, or fail those that it died of repeatedly; the number requeued."""
        waiting = 0
        for job in self._deserted():
            if job.attempts >= MAX_ATTEMPTS:
                self.finish(job, error=error)
                continue
            query = "UPDATE jobs SET state = 'queued' WHERE id = ? AND attempts = ? AND state = 'running'"
            with self._connect() as database:
                waiting += database.execute(query, (job.id, job.attempts)).rowcount
        return waiting

    def _deserted(self) -> list[Job]:
        """The running jobs that no process runs: all, as only one process runs jobs here and asks before its first."""
        return self._select("state = 'running'")

    def _select(self, condition: str, values: tuple[Any, ...] = ()) -> list[Job]:
        with self._connect() as database:
            rows = database.execute(f"SELECT {_FIELDS} FROM jobs WHERE {condition}", values).fetchall()
        return [_job(row) for row in rows]

    def cancel(self, job: Job) -> bool:
        """Cancel a queued or running job and delete its files; False if it has already ended."""
        now_s = self._clock()
        query = (
            "UPDATE jobs SET state = 'cancelled', ended_s = ?, expires_s = ? "
            "WHERE id = ? AND state IN ('queued', 'running')"
        )
        with self._connect() as database:
            cancelled = bool(database.execute(query, (now_s, now_s + self.keep_s, job.id)).rowcount)
        if cancelled:
            self._clear(job.id)
        return cancelled

    def delete(self, job: Job) -> None:
        """Forget a job that has ended, with its result."""
        with self._connect() as database:
            database.execute("DELETE FROM jobs WHERE id = ?", (job.id,))
        self._clear(job.id)

    def sweep(self) -> None:
        """Delete expired results; forget old jobs."""
        now_s = self._clock()
        ended = "state IN ('done', 'failed', 'cancelled')"
        with self._connect() as database:
            due = database.execute(f"SELECT id FROM jobs WHERE {ended} AND expires_s <= ?", (now_s,)).fetchall()
            for (job_id,) in due:
                # Marked before its files go, and only if it was not deleted or changed since.
                database.execute(f"UPDATE jobs SET state = 'expired' WHERE id = ? AND {ended}", (job_id,))
            database.execute("DELETE FROM jobs WHERE state = 'expired' AND expires_s + ? <= ?", (self.keep_s, now_s))
        for (job_id,) in due:
            self._clear(job_id)

    def remove_strays(self) -> None:
        """Delete what a killed process left: partial uploads, folders without a job, uploads of ended jobs."""
        # Younger ones may still be arriving in another process.
        for path in self.incoming.iterdir():
            # Another process may have moved or deleted it since.
            with contextlib.suppress(OSError):
                if path.stat().st_mtime < self._clock() - STALE_UPLOAD_S:
                    path.unlink()
        # Under the lock: a job added between these two looks would seem a stray.
        with self._locked() as database:
            known = {row[0] for row in database.execute("SELECT id FROM jobs WHERE state != 'expired'").fetchall()}
            strays = self.files.strays(known)
            done = [row[0] for row in database.execute("SELECT id FROM jobs WHERE state = 'done'").fetchall()]
            fruitless = "SELECT id FROM jobs WHERE state IN ('failed', 'cancelled')"
            strays += [row[0] for row in database.execute(fruitless).fetchall()]
        for job_id in strays:
            self._clear(job_id)
        for job_id in done:
            self.files.drop_upload(job_id)

    def _clear(self, job_id: str) -> None:
        # What cannot be deleted now is a stray later.
        with contextlib.suppress(FilesLostError):
            self.files.clear(job_id)

    @contextlib.contextmanager
    def _connect(self) -> Iterator[Database]:
        """A connection for this call; each statement is a transaction of its own."""
        # Opened for each call: a connection must not be shared by threads. Without an isolation level, Python opens no
        # transactions of its own.
        with contextlib.closing(
            sqlite3.connect(self.folder / "jobs.sqlite", timeout=10.0, isolation_level=None)
        ) as database:
            yield database

    @contextlib.contextmanager
    def _locked(self) -> Iterator[Database]:
        """A connection whose statements are one transaction, during which nobody else writes."""
        with self._connect() as database:
            database.execute("BEGIN IMMEDIATE")
            try:
                yield database
            except BaseException:
                database.execute("ROLLBACK")
                raise
            database.execute("COMMIT")


def _job(row: tuple[Any, ...]) -> Job:
    # Queries name the columns in the order of the fields.
    job = Job(*row)
    return replace(job, options=json.loads(row[4]), error=None if row[-1] is None else json.loads(row[-1]))
