"""A video's job: asked after, waited for, its result fetched, cancelled."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from mien.client.connection import AsyncConnection, Connection
from mien.client.dialogue import Dialogue
from mien.client.results import Episode, JobStatus, Row, VideoResult

if TYPE_CHECKING:
    import httpx

Progress = Callable[[JobStatus], None]


class _Known:
    """How a job stands, as far as is known here."""

    status: JobStatus

    @property
    def id(self) -> str:
        """Its number, to find it again by `job` of the client."""
        return self.status.id

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.id!r}, {self.status.state}, {self.status.progress:.0%})"

    def _told(self, progress: Progress | None) -> Callable[[JobStatus], None]:
        """Remembers how it stands, and passes it on."""

        def tell(status: JobStatus) -> None:
            self.status = status
            if progress:
                progress(status)

        return tell


class Job(_Known):
    """A video that the service reads; made by `Client.submit_video` and `Client.job`.

    Args:
        connection, dialogue: with the service.
        status: how it stands.
    """

    def __init__(self, connection: Connection, dialogue: Dialogue, status: JobStatus) -> None:
        self._connection, self._dialogue = connection, dialogue
        self.status = status

    def refresh(self) -> JobStatus:
        """Ask how it stands."""
        self.status = self._connection.run(self._dialogue.job(self.id))
        return self.status

    def wait(self, progress: Progress | None = None, *, timeout_s: float | None = None) -> Job:
        """Wait until it is done; this job.

        Args:
            progress: told how it stands each time.
            timeout_s: longest wait; None for as long as it takes.

        Raises:
            JobFailedError: it failed, was cancelled, or its result was deleted.
            WaitedTooLongError: it is not done in time.
        """
        self._connection.run(self._dialogue.wait(self.id, self._told(progress), timeout_s))
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
        status = self._connection.run(self._dialogue.cancel(self.id))
        self.status = status or self.status

    def _fetch(self, form: str) -> httpx.Response:
        return self._connection.run(self._dialogue.result(self.id, form))


class AsyncJob(_Known):
    """The same, awaited; made by `AsyncClient.submit_video` and `AsyncClient.job`."""

    def __init__(self, connection: AsyncConnection, dialogue: Dialogue, status: JobStatus) -> None:
        self._connection, self._dialogue = connection, dialogue
        self.status = status

    async def refresh(self) -> JobStatus:
        """As `Job.refresh`."""
        self.status = await self._connection.run(self._dialogue.job(self.id))
        return self.status

    async def wait(self, progress: Progress | None = None, *, timeout_s: float | None = None) -> AsyncJob:
        """As `Job.wait`; `progress` is a plain function."""
        await self._connection.run(self._dialogue.wait(self.id, self._told(progress), timeout_s))
        return self

    async def result(self) -> VideoResult:
        """As `Job.result`."""
        return VideoResult.from_dict((await self._fetch("json")).json())

    async def rows(self) -> list[Row]:
        """As `Job.rows`."""
        return (await self.result()).rows

    async def episodes(self) -> list[Episode]:
        """As `Job.episodes`."""
        return VideoResult.from_dict((await self._fetch("episodes")).json()).episodes

    async def csv(self) -> str:
        """As `Job.csv`."""
        return (await self._fetch("csv")).text

    async def cancel(self) -> None:
        """As `Job.cancel`."""
        status = await self._connection.run(self._dialogue.cancel(self.id))
        self.status = status or self.status

    async def _fetch(self, form: str) -> httpx.Response:
        return await self._connection.run(self._dialogue.result(self.id, form))
