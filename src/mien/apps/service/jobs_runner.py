"""Runs video jobs in threads: in every process of a shared store, else in one of those that share the state folder."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict
from pathlib import Path

from mien.apps.service.engine import Engine
from mien.apps.service.jobs_files import OUTCOME, ROWS, BucketFiles, StoreLostError
from mien.apps.service.jobs_reading import Progress, StoppedError, VideoLimits, VideoOptions, read_video
from mien.apps.service.jobs_store import Job, JobStore, QueueFullError
from mien.apps.service.metrics import Metrics
from mien.apps.service.problems import Problem
from mien.apps.service.settings import Settings
from mien.artifact.store import home
from mien.closing import Closing
from mien.errors import ConfigError, SourceError
from mien.reading.pipeline import Pipeline

log = logging.getLogger("mien.service")

IDLE_S = 0.5
SWEEP_S = 10.0
BEAT_S = 5.0
LOST_WAIT_S = 5.0
"""Pause after a store could not be reached."""


Work = Callable[[Job, Callable[[], bool]], None]
"""Analyzes the video of a claimed job and ends it in the store; the callable says whether the service is stopping."""


class JobRunner(Closing):
    """Runs jobs from `start` to `close`; a job that is running then is requeued.

    Of several processes with the same state folder one runs jobs: it holds a lock that the system releases when the
    process dies, however it dies. The next holder of the lock resumes the jobs that were running. Where the store is
    shared by machines, all run jobs, and take over those of which nothing was heard for `LOST_S`.

    Args:
        store: the jobs.
        work: what to do with each.
        recover: called before the first job, and again and again where the store is shared.
        workers: jobs run at the same time.
    """

    def __init__(self, store: JobStore, work: Work, *, recover: Callable[[], object], workers: int = 1) -> None:
        self._store, self._work, self._recover, self._workers = store, work, recover, workers
        self._running: dict[str, Job] = {}
        self._stop = threading.Event()
        self._news = threading.Condition()
        self._main = threading.Thread(target=self._run, name="mien-jobs", daemon=True)

    def start(self) -> None:
        """Start in a thread."""
        self._main.start()

    def notify(self) -> None:
        """A job was added."""
        with self._news:
            self._news.notify_all()

    def close(self) -> None:
        """Stop and wait for the threads; running jobs are requeued."""
        self._stop.set()
        self.notify()
        # Joining a thread that was never started would raise.
        if self._main.ident is not None:
            self._main.join()

    def _run(self) -> None:
        with self._lock() as held:
            if not held:
                return
            self._look_after(first=True)
            workers = [
                threading.Thread(target=self._serve, name=f"mien-job-{number}", daemon=True)
                for number in range(self._workers)
            ]
            for worker in workers:
                worker.start()
            while not self._stop.wait(BEAT_S if self._store.shared else SWEEP_S):
                self._look_after()
            for worker in workers:
                # Their jobs are handed back before the lock is released, or the next holder would count a crash.
                worker.join()

    def _look_after(self, *, first: bool = False) -> None:
        """What is due between jobs."""
        try:
            self._store.beat(list(self._running.values()))
            if first or self._store.shared:
                self._recover()
            if first:
                self._store.remove_strays()
            self._store.sweep()
        except StoreLostError as error:
            log.error("jobs: %s", error)

    def _serve(self) -> None:
        while not self._stop.is_set():
            job = self._claim()
            if job is not None:
                self._running[job.id] = job
                try:
                    self._work(job, self._stop.is_set)
                except StoreLostError as error:
                    log.error("job %s: %s", job.id, error)
                    # Begun again once the store is back; where that is the database, by whoever misses this process.
                    with contextlib.suppress(StoreLostError):
                        self._store.hand_back(job)
                    self._stop.wait(LOST_WAIT_S)
                finally:
                    self._running.pop(job.id, None)
                continue
            with self._news:
                # Another process may add a job without notifying this one.
                self._news.wait(IDLE_S)

    def _claim(self) -> Job | None:
        try:
            return self._store.claim()
        except StoreLostError as error:
            log.error("jobs: %s", error)
            self._stop.wait(LOST_WAIT_S)
            return None

    @contextlib.contextmanager
    def _lock(self) -> Iterator[bool]:
        """Wait for the lock of the state folder; False if the runner is closed first."""
        if self._store.shared:
            yield True
            return
        # SQLite's lock works on every system and ends with its process; a file with a process ID would survive a kill.
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


# Each report writes to the database, and clients poll about once a second.
REPORT_S = 0.25

GAVE_UP = Problem(
    "internal-error",
    "the service crashed several times during this video, so it is not retried; convert the video to H.264 in MP4 and "
    "upload that",
)


class VideoWork:
    """Analyzes a job's video.

    Args:
        store: the jobs.
        limits: what a video may cost.
        create_pipeline: creates a pipeline for a job's options.
        observe: called with the final state of a job, and its frames.
    """

    def __init__(
        self, store: JobStore, limits: VideoLimits, create_pipeline: Callable[[VideoOptions], Pipeline],
        observe: Callable[[str, int], None],
    ) -> None:  # fmt: skip
        self._store, self._limits, self._create, self._observe = store, limits, create_pipeline, observe

    def __call__(self, job: Job, stopped: Callable[[], bool]) -> None:
        """Analyze it to the end, or until it is cancelled or the service stops.

        Raises:
            StoreLostError: the job is neither ended nor handed back.
        """
        progress = Progress()
        try:
            self._read(job, stopped, progress)
            state = "done"
        except StoppedError:
            # Changes nothing for a cancelled job, which no longer counts as running.
            self._store.hand_back(job)
            state = "queued" if stopped() else "cancelled"
        except SourceError as error:
            state = self._fail(job, Problem("not-a-video", str(error)))
        except (ConfigError, OSError) as error:
            # Cancelling deletes the folder at once, so writing to it fails.
            if not self._report(job, progress):
                return self._observe("cancelled", progress.frames)
            log.error("job %s: %s", job.id, error)
            state = self._fail(job, Problem("no-room", "the server could not write the result to its disk"))
        except StoreLostError:
            raise
        except Exception:
            # The thread must survive any job; the log has the details.
            log.exception("job %s", job.id)
            state = self._fail(job, Problem("internal-error", "something went wrong; the log has details"))
        self._observe(state, progress.frames)

    def _read(self, job: Job, stopped: Callable[[], bool], progress: Progress) -> None:
        options = VideoOptions(**job.options)
        pipeline = self._create(options)
        reported_s = 0.0

        def on_progress(now: Progress) -> bool:
            nonlocal reported_s
            progress.frames, progress.faces, progress.progress = now.frames, now.faces, now.progress
            if stopped():
                return False
            if time.monotonic() - reported_s < REPORT_S:
                return True
            reported_s = time.monotonic()
            return self._report(job, progress)

        with self._store.files.working(job.id, job.attempts) as work:
            notice = read_video(
                pipeline, work.upload, job.name, options, self._limits, on_progress=on_progress,
                rows=work.results[ROWS], outcome=work.results[OUTCOME],
            )  # fmt: skip
            if not self._report(job, progress):
                # Cancelled during the last frames: it must not count as done.
                raise StoppedError
            self._store.files.keep(job.id, work)
        self._store.finish(job, notice=notice)

    def _report(self, job: Job, progress: Progress) -> bool:
        return self._store.report(
            job, frames=progress.frames, faces=progress.faces, progress=round(progress.progress, 4)
        )

    def _fail(self, job: Job, problem: Problem) -> str:
        self._store.finish(job, error=problem.document().model_dump(exclude_none=True))
        return "failed"


class Jobs:
    """The store and the runner of one service's video jobs.

    Args:
        settings, engine, metrics: those of the service.
    """

    def __init__(self, settings: Settings, engine: Engine, metrics: Metrics) -> None:
        self._settings, self._engine, self._metrics = settings, engine, metrics
        self.limits = VideoLimits(
            max_pixels=settings.max_pixels, max_duration_s=settings.max_video_s, max_frames=settings.max_video_frames
        )
        self.looking = asyncio.Semaphore(max(1, settings.video_workers))
        self._store: JobStore | None = None
        self._runner: JobRunner | None = None

    @property
    def store(self) -> JobStore:
        """The store.

        Raises:
            Problem: the service accepts no videos, or is still starting.
        """
        if not self._settings.video_queue:
            raise Problem("not-found", "this service accepts no videos")
        if self._store is None:
            raise Problem("not-ready", "the service is starting; try again soon", headers={"Retry-After": "1"})
        return self._store

    def start(self) -> None:
        """Open the state folder and start with its queued jobs; the engine must be ready.

        Raises:
            ConfigError: the folder is not writable.
        """
        settings = self._settings
        if not settings.video_queue:
            return
        store = open_store(settings)
        work = VideoWork(store, self.limits, self._create_pipeline, self._observe)
        gave_up = GAVE_UP.document().model_dump(exclude_none=True)
        self._runner = JobRunner(store, work, recover=lambda: store.recover(gave_up), workers=settings.video_workers)
        self._store = store
        self._metrics.watch_jobs(store.count)
        # Without workers of its own a service only accepts: others of the shared store read.
        if settings.video_workers:
            self._runner.start()

    async def close(self) -> None:
        """Stop; running jobs are requeued for the next start."""
        if self._runner is not None:
            await asyncio.to_thread(self._runner.close)
        if self._store is not None:
            self._store.close()

    def add(self, upload: Path, name: str, options: VideoOptions, owner: str | None) -> Job:
        """Create a job for a checked upload; a Problem if the queue is full."""
        try:
            job = self.store.add(upload, owner=owner or "", name=name, options=asdict(options))
        except QueueFullError as error:
            raise full() from error
        if self._runner is not None:
            self._runner.notify()
        return job

    def _create_pipeline(self, options: VideoOptions) -> Pipeline:
        return self._engine.create_pipeline(
            labels=options.labels, min_confidence=options.min_confidence, min_quality=options.min_quality,
            geometry=options.geometry, max_pixels=self._settings.max_pixels,
        )  # fmt: skip

    def _observe(self, state: str, frames: int) -> None:
        self._metrics.jobs.labels(state).inc()
        self._metrics.video_frames.inc(frames)


def open_store(settings: Settings) -> JobStore:
    """The store that the settings name.

    Raises:
        ConfigError: it cannot be opened.
    """
    folder = settings.state_dir or home() / "service"
    if settings.jobs is None:
        return JobStore(folder, keep_s=settings.video_keep_s, max_queued=settings.video_queue)
    # Here, since few services have a database.
    from mien.apps.service.jobs_postgres import PostgresJobs

    url = settings.jobs.get_secret_value()
    files = BucketFiles(settings.files, folder) if settings.files else None
    return PostgresJobs(url, folder, keep_s=settings.video_keep_s, max_queued=settings.video_queue, files=files)


def full() -> Problem:
    """The problem of a full queue."""
    return Problem("too-many-jobs", "the video queue is full; try again in 30 s", headers={"Retry-After": "30"})
