"""A video's job: asked after, waited for, its result fetched, cancelled."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from mien.client.connection import Connection
from mien.client.problems import JobFailedError, WaitedTooLongError
from mien.client.results import Episode, JobStatus, Row, VideoResult

if TYPE_CHECKING:
    import httpx

POLL_S = (0.2, 0.5, 1.0, 2.0)
"""Pauses between two questions; the last one goes on."""


class Job:
    """A video that the service reads; made by `Client.submit_video` and `Client.job`.

    Args:
        connection: to the service.
        status: how it stands.
    """

    def __init__(self, connection: Connection, status: JobStatus) -> None:
        self._connection = connection
        self.status = status

    @property
    def id(self) -> str:
        """Its number, to find it again by `Client.job`."""
        return self.status.id

    def __repr__(self) -> str:
        return f"Job({self.id!r}, {self.status.state}, {self.status.progress:.0%})"

    def refresh(self) -> JobStatus:
        """Ask how it stands."""
        self.status = JobStatus.from_dict(self._connection.request("GET", self._path).json())
        return self.status

    def wait(
        self,
        progress: Callable[[JobStatus], None] | None = None,
        *,
        timeout_s: float | None = None,
        sleep: Callable[[float], None] = time.sleep,
    ) -> Job:
        """Wait until it is done; this job.

        Args:
            progress: told how it stands each time.
            timeout_s: longest wait; None for as long as it takes.
            sleep: how to wait.

        Raises:
            JobFailedError: it failed, was cancelled, or its result was deleted.
            WaitedTooLongError: it is not done in time.
        """
        deadline_s = None if timeout_s is None else time.monotonic() + timeout_s
        asked = 0
        while not self.refresh().is_over:
            if progress:
                progress(self.status)
            if deadline_s is not None and time.monotonic() >= deadline_s:
                raise WaitedTooLongError(f"job {self.id} is {self.status.state} after {timeout_s:g} s; it goes on")
            sleep(POLL_S[min(asked, len(POLL_S) - 1)])
            asked += 1
        if progress:
            progress(self.status)
        if self.status.state != "done":
            raise self._failure()
        return self

    def result(self) -> VideoResult:
        """All that came of the video.

        Raises:
            JobFailedError, NotFoundError: there is no result, or no more.
            ServiceError: it is not done yet.
        """
        return VideoResult.from_dict(self._fetch("json").json())

    def rows(self) -> list[Row]:
        """One row a frame and face, and one with `success` 0 for a frame without a face; as `result` fails."""
        return self.result().rows

    def episodes(self) -> list[Episode]:
        """The stretches of time in which a face showed one expression; as `result` fails."""
        return VideoResult.from_dict(self._fetch("episodes").json()).episodes

    def csv(self) -> str:
        """The rows as CSV text, a line of names first; as `result` fails."""
        return self._fetch("csv").text

    def cancel(self) -> None:
        """End it and have its files deleted; one that ended is forgotten with its result.

        Raises:
            NotFoundError: there is no such job any more.
        """
        answer = self._connection.request("DELETE", self._path)
        if answer.status_code == 200:
            self.status = JobStatus.from_dict(answer.json())

    @property
    def _path(self) -> str:
        return f"v1/jobs/{self.id}"

    def _fetch(self, form: str) -> httpx.Response:
        return self._connection.request("GET", f"{self._path}/result", fresh=lambda: {"params": {"form": form}})

    def _failure(self) -> JobFailedError:
        error = self.status.error
        if error is not None:
            return JobFailedError(error.kind, error.title, error.detail, status=error.status)
        return JobFailedError("job-failed", "The job ended without a result", f"it is {self.status.state}", status=409)
