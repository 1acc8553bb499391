"""What the video jobs of one service share: the store, and the runner that reads them."""

from __future__ import annotations

import asyncio
from dataclasses import asdict
from pathlib import Path

from mien.apps.service.engine import Engine
from mien.apps.service.jobs_reading import VideoLimits, VideoOptions
from mien.apps.service.jobs_runner import JobRunner
from mien.apps.service.jobs_store import Job, JobStore, QueueFullError
from mien.apps.service.jobs_work import GAVE_UP, VideoWork
from mien.apps.service.metrics import Metrics
from mien.apps.service.problems import Problem
from mien.apps.service.settings import Settings
from mien.artifact.store import home
from mien.reading.pipeline import Pipeline


class Jobs:
    """Store and runner of one service's video jobs.

    Args:
        settings, engine, metrics: of the service.
    """

    def __init__(self, settings: Settings, engine: Engine, metrics: Metrics) -> None:
        self._settings, self._engine, self._metrics = settings, engine, metrics
        self.limits = VideoLimits(
            max_pixels=settings.max_pixels, max_duration_s=settings.max_video_s, max_frames=settings.max_video_frames
        )
        self.looking = asyncio.Semaphore(settings.video_workers)
        self._store: JobStore | None = None
        self._runner: JobRunner | None = None

    @property
    def store(self) -> JobStore:
        """The jobs.

        Raises:
            Problem: the service takes no videos, or is only starting.
        """
        if not self._settings.video_queue:
            raise Problem("not-found", "this service takes no videos")
        if self._store is None:
            raise Problem("not-ready", "the service is starting, try again soon", headers={"Retry-After": "1"})
        return self._store

    def start(self) -> None:
        """Open the state folder and begin with what waits there; the engine must be ready.

        Raises:
            ConfigError: the folder cannot be written.
        """
        settings = self._settings
        if not settings.video_queue:
            return
        folder = settings.state_dir or home() / "service"
        store = JobStore(folder, keep_s=settings.video_keep_s, max_queued=settings.video_queue)
        work = VideoWork(store, self.limits, self._create_pipeline, self._observe)
        gave_up = GAVE_UP.document().model_dump(exclude_none=True)
        self._runner = JobRunner(store, work, recover=lambda: store.recover(gave_up), workers=settings.video_workers)
        self._store = store
        self._metrics.watch_jobs(store.count)
        self._runner.start()

    async def close(self) -> None:
        """Stop; the running job waits for the next start."""
        if self._runner is not None:
            await asyncio.to_thread(self._runner.close)

    def add(self, upload: Path, name: str, options: VideoOptions, owner: str | None) -> Job:
        """A job for an upload that was looked at.

        Raises:
            Problem: too many wait.
        """
        try:
            job = self.store.add(upload, owner=owner or "", name=name, options=asdict(options))
        except QueueFullError as error:
            raise full() from error
        if self._runner is not None:
            self._runner.notify()
        return job

    def _create_pipeline(self, options: VideoOptions) -> Pipeline:
        return Pipeline(
            self._engine.choose_model(None), detector=self._settings.detector, labels=options.labels,
            min_confidence=options.min_confidence, max_pixels=self._settings.max_pixels,
        )  # fmt: skip

    def _observe(self, state: str, frames: int, seconds: float) -> None:
        self._metrics.jobs.labels(state).inc()
        self._metrics.video_frames.inc(frames)


def full() -> Problem:
    """The problem that a full queue is."""
    return Problem("too-many-jobs", "as many videos wait as may, try again in 30 s", headers={"Retry-After": "30"})
