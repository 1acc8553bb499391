"""Runs jobs one after another in threads, in one process of all that share the state folder, until it is closed."""

from __future__ import annotations

import contextlib
import logging
import sqlite3
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Protocol

from mien.apps.service.jobs_store import Job, JobStore
from mien.closing import Closing

log = logging.getLogger("mien.service")

IDLE_S = 0.5
SWEEP_S = 10.0


class Work(Protocol):
    """Reads the video of a claimed job and ends it in the store; `stopped` says that the service is being closed."""

    def __call__(self, job: Job, stopped: Callable[[], bool]) -> None:
        """Read it."""
        ...


class JobRunner(Closing):
    """Begun by `start`, ended by `close`; a job that runs then waits for the next start.

    Of several processes with the same state folder one runs jobs: it holds a lock that the system takes back when
    the process dies, however it dies. Jobs that were running then are taken up again by whoever gets the lock next.

    Args:
        store: of the jobs.
        work: what is done with each.
        recover: called once the lock is held, before the first job.
        workers: jobs that run at the same time.
    """

    def __init__(self, store: JobStore, work: Work, *, recover: Callable[[], object], workers: int = 1) -> None:
        self._store, self._work, self._recover, self._workers = store, work, recover, workers
        self._stop = threading.Event()
        self._news = threading.Condition()
        self._main = threading.Thread(target=self._run, name="mien-jobs", daemon=True)

    def start(self) -> None:
        """Begin in a thread."""
        self._main.start()

    def notify(self) -> None:
        """A job was added."""
        with self._news:
            self._news.notify_all()

    def close(self) -> None:
        """Stop, and wait for the threads; running jobs are handed back."""
        self._stop.set()
        self.notify()
        if self._main.ident is not None:
            self._main.join()

    def _run(self) -> None:
        with self._lock() as held:
            if not held:
                return
            self._recover()
            workers = [
                threading.Thread(target=self._serve, name=f"mien-job-{number}", daemon=True)
                for number in range(self._workers)
            ]
            for worker in workers:
                worker.start()
            while not self._stop.wait(SWEEP_S):
                self._store.sweep()
            for worker in workers:
                worker.join()

    def _serve(self) -> None:
        while not self._stop.is_set():
            job = self._store.claim()
            if job is not None:
                self._work(job, self._stop.is_set)
                continue
            with self._news:
                # Another process may have added one, so nobody waits for news alone.
                self._news.wait(IDLE_S)

    @contextlib.contextmanager
    def _lock(self) -> Iterator[bool]:
        """Wait for the lock of the state folder; False when the runner was closed before."""
        path = Path(self._store.folder) / "runner.lock"
        with contextlib.closing(sqlite3.connect(path, timeout=0, isolation_level=None)) as database:
            while not self._stop.is_set():
                try:
                    database.execute("BEGIN EXCLUSIVE")
                except sqlite3.OperationalError:
                    self._stop.wait(IDLE_S)
                    continue
                yield True
                return
            yield False
