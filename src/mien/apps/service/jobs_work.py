"""What the runner does with a claimed job, and how each end is told."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable

from mien.apps.service.jobs_reading import Progress, StoppedError, VideoLimits, VideoOptions, read_video
from mien.apps.service.jobs_store import OUTCOME, ROWS, UPLOAD, Job, JobStore
from mien.apps.service.problems import Problem
from mien.errors import ConfigError, SourceError
from mien.reading.pipeline import Pipeline

log = logging.getLogger("mien.service")

REPORT_S = 0.25

GAVE_UP = Problem(
    "internal-error",
    "the service ended several times while it read this video, so it is not tried again; convert the video to H.264 "
    "in MP4 and send that",
)


class VideoWork:
    """Reads a job's video.

    Args:
        store: of the jobs.
        limits: what a video may cost.
        create_pipeline: a pipeline for a job's options; raises while the model is not there.
        observe: told the state in which a job ended, its frames and its seconds.
    """

    def __init__(
        self, store: JobStore, limits: VideoLimits, create_pipeline: Callable[[VideoOptions], Pipeline],
        observe: Callable[[str, int, float], None],
    ) -> None:  # fmt: skip
        self._store, self._limits, self._create, self._observe = store, limits, create_pipeline, observe

    def __call__(self, job: Job, stopped: Callable[[], bool]) -> None:
        """Read it to its end, or until it is cancelled or the service is being stopped."""
        started = time.monotonic()
        progress = Progress()
        try:
            self._read(job, stopped, progress)
            state = "done"
        except StoppedError:
            self._store.hand_back(job.id)
            state = "queued" if stopped() else "cancelled"
        except SourceError as error:
            state = self._fail(job, Problem("not-a-video", str(error)))
        except (ConfigError, OSError) as error:
            # A job that is cancelled loses its folder at once, so writing to it fails.
            if not self._report(job, progress):
                return self._observe("cancelled", progress.frames, time.monotonic() - started)
            log.error("job %s: %s", job.id, error)
            state = self._fail(job, Problem("no-room", "the result could not be written on this server's disk"))
        except Exception:
            # The thread goes on with the next job whatever this one brought up; the log has all of it.
            log.exception("job %s", job.id)
            state = self._fail(job, Problem("internal-error", "something went wrong here, and it is in the log"))
        self._observe(state, progress.frames, time.monotonic() - started)

    def _read(self, job: Job, stopped: Callable[[], bool], progress: Progress) -> None:
        options = VideoOptions(**job.options)
        pipeline = self._create(options)
        reported_s = 0.0

        def go_on(now: Progress) -> bool:
            nonlocal reported_s
            progress.frames, progress.faces, progress.progress = now.frames, now.faces, now.progress
            if stopped():
                return False
            if time.monotonic() - reported_s < REPORT_S:
                return True
            reported_s = time.monotonic()
            return self._report(job, progress)

        files = {"rows": self._store.path(job.id, ROWS), "outcome": self._store.path(job.id, OUTCOME)}
        upload = self._store.path(job.id, UPLOAD)
        notice = read_video(pipeline, upload, job.name, options, self._limits, go_on=go_on, **files)
        if not self._report(job, progress):
            raise StoppedError
        self._store.finish(job.id, notice=notice)

    def _report(self, job: Job, progress: Progress) -> bool:
        return self._store.report(
            job.id, frames=progress.frames, faces=progress.faces, progress=round(progress.progress, 4)
        )

    def _fail(self, job: Job, problem: Problem) -> str:
        self._store.finish(job.id, error=problem.document().model_dump(exclude_none=True))
        return "failed"
