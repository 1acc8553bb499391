"""The clients, one that blocks and one that is awaited, and the video jobs that they start."""

from __future__ import annotations

import os
import time
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from contextlib import closing
from types import ModuleType, TracebackType
from typing import TYPE_CHECKING, Any, Self

from mien.client.images import Image, as_list, iter_batches
from mien.client.protocol import Exchange, Pause, Protocol, Result
from mien.client.results import Episode, ImageResult, JobStatus, ModelInfo, Row, VideoResult
from mien.closing import Closing
from mien.errors import MissingExtraError

if TYPE_CHECKING:
    import httpx

OnProgress = Callable[[JobStatus], object]
Video = str | os.PathLike[str] | bytes


class Client(Closing):
    """Talks to one service; use it in a `with` block. Not for several threads at once.

    Args:
        base_url: the service's address, such as `http://127.0.0.1:8000`.
        api_key: a key, if the service requires one.
        timeout: longest wait for an answer, seconds.
        retries: how often a request is repeated when the service is busy, after the wait that it asks for.
        max_wait: longest of these waits, seconds.
        transport: an httpx transport to use instead of the network; for tests.

    Raises:
        MissingExtraError: httpx is not installed.
    """

    def __init__(
        self, base_url: str = "http://127.0.0.1:8000", api_key: str | None = None, *, timeout: float = 60.0,
        retries: int = 4, max_wait: float = 60.0, transport: Any = None,
    ) -> None:  # fmt: skip
        self._protocol = Protocol(base_url, retries, max_wait)
        self._httpx = _load_httpx()
        self._http = self._httpx.Client(**_settings(base_url, api_key, timeout), transport=transport)
        self._sleep = time.sleep

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def analyze(self, images: Image | Iterable[Image], **options: Any) -> list[ImageResult]:
        """The faces of images, one result per image, in order; unreadable images get an `error`.

        Args:
            images: one or several of: a file's path, a file's bytes, an array (RGB uint8 (H, W, 3) or gray (H, W)).
            options: those of `/v1/analyze`: model, detector, labels, head, min_confidence, min_quality, max_faces,
                boxes_only, geometry.

        Raises:
            SourceError, ConfigError: an image that does not exist, or whose type is not supported.
            ServiceError: the service refuses the request.
            ConnectionFailedError: no service answers.
        """
        return list(self.iter_analyze(images, **options))

    def iter_analyze(self, images: Image | Iterable[Image], **options: Any) -> Iterator[ImageResult]:
        """The same one by one, so that many images need not fit into memory together."""
        for batch in iter_batches(as_list(images)):
            yield from self._run(self._protocol.analyze(batch, options))

    def models(self) -> list[ModelInfo]:
        """The models that the service offers, the default first."""
        return self._run(self._protocol.models())

    def submit_video(self, video: Video, *, name: str | None = None, **options: Any) -> Job:
        """Upload a video, which the service analyzes as a job; see `Job.wait`.

        Args:
            video: a file's path, or a file's bytes.
            name: its name in results; by default the file's name.
            options: those of `/v1/videos`: labels, start_s, end_s, every, rate_hz, track, smooth_s, hold_s,
                min_confidence, min_quality, geometry.

        Raises:
            SourceError: the file cannot be read.
            ServiceError: the service refuses it: not a video, too large, too long, too many jobs queued.
        """
        return Job(self, self._run(self._protocol.submit_video(video, name, options)))

    def job(self, job_id: str) -> Job:
        """A job that was submitted before; NotFoundError if none has this ID, or it belongs to another key."""
        return Job(self, self._run(self._protocol.job(job_id)))

    def _run(self, exchange: Exchange[Result]) -> Result:
        # Closed also when a request is cancelled, so that a video's file does not stay open.
        with closing(exchange):
            answer: Any = None
            while True:
                try:
                    request = exchange.send(answer)
                except StopIteration as end:
                    result: Result = end.value
                    return result
                if isinstance(request, Pause):
                    answer = self._sleep(request.seconds)
                    continue
                try:
                    answer = self._http.request(**request)
                except (self._httpx.TransportError, self._httpx.InvalidURL) as error:
                    # The exchange decides whether to repeat the request.
                    answer = error


class AsyncClient:
    """`Client` with the same arguments and methods, awaited; use it in an `async with`, under asyncio or trio.

    Several tasks may share one. Images are read from disk in a thread. To call an app in this process, pass
    `transport=httpx.ASGITransport(app)`.
    """

    def __init__(
        self, base_url: str = "http://127.0.0.1:8000", api_key: str | None = None, *, timeout: float = 60.0,
        retries: int = 4, max_wait: float = 60.0, transport: Any = None,
    ) -> None:  # fmt: skip
        self._protocol = Protocol(base_url, retries, max_wait)
        self._httpx = _load_httpx()
        # Comes with httpx; unlike asyncio's, its sleep and threads work under trio too.
        import anyio

        self._http = self._httpx.AsyncClient(**_settings(base_url, api_key, timeout), transport=transport)
        self._sleep = anyio.sleep

    async def close(self) -> None:
        """Close the connections."""
        await self._http.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def analyze(self, images: Image | Iterable[Image], **options: Any) -> list[ImageResult]:
        """See `Client.analyze`."""
        return [result async for result in self.iter_analyze(images, **options)]

    async def iter_analyze(self, images: Image | Iterable[Image], **options: Any) -> AsyncIterator[ImageResult]:
        """See `Client.iter_analyze`; for `async for`."""
        from anyio.to_thread import run_sync

        batches = iter_batches(as_list(images))
        # Reading files blocks, so a thread does it while the event loop serves other tasks.
        while batch := await run_sync(next, batches, None):
            for result in await self._run(self._protocol.analyze(batch, options)):
                yield result

    async def models(self) -> list[ModelInfo]:
        """See `Client.models`."""
        return await self._run(self._protocol.models())

    async def submit_video(self, video: Video, *, name: str | None = None, **options: Any) -> AsyncJob:
        """See `Client.submit_video`."""
        return AsyncJob(self, await self._run(self._protocol.submit_video(video, name, options)))

    async def job(self, job_id: str) -> AsyncJob:
        """See `Client.job`."""
        return AsyncJob(self, await self._run(self._protocol.job(job_id)))

    async def _run(self, exchange: Exchange[Result]) -> Result:
        # Closed also when a request is cancelled, so that a video's file does not stay open.
        with closing(exchange):
            answer: Any = None
            while True:
                try:
                    request = exchange.send(answer)
                except StopIteration as end:
                    result: Result = end.value
                    return result
                if isinstance(request, Pause):
                    await self._sleep(request.seconds)
                    answer = None
                    continue
                try:
                    answer = await self._http.request(**request)
                except (self._httpx.TransportError, self._httpx.InvalidURL) as error:
                    answer = error


class _JobState:
    """The last known state of a job, in `status`."""

    status: JobStatus

    @property
    def id(self) -> str:
        """Its ID; `job` of the client finds the job again by it."""
        return self.status.id

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.id!r}, {self.status.state}, {100 * self.status.progress:.0f} %)"

    def _remember(self, on_progress: OnProgress | None) -> OnProgress:
        def report(status: JobStatus) -> None:
            self.status = status
            if on_progress:
                on_progress(status)

        return report


class Job(_JobState):
    """A video that the service analyzes; made by `Client.submit_video` and `Client.job`."""

    def __init__(self, client: Client, status: JobStatus) -> None:
        self._run, self._protocol, self.status = client._run, client._protocol, status

    def refresh(self) -> JobStatus:
        """Ask the service for the state."""
        self.status = self._run(self._protocol.job(self.id))
        return self.status

    def wait(self, on_progress: OnProgress | None = None, *, timeout_s: float | None = None) -> Job:
        """Wait until it is done; returns this job.

        Args:
            on_progress: called with the state after each poll.
            timeout_s: longest wait; None for no limit.

        Raises:
            JobFailedError: it failed, was cancelled, or its result was deleted.
            WaitedTooLongError: it is not done in time.
        """
        self._run(self._protocol.wait(self.id, self._remember(on_progress), timeout_s))
        return self

    def result(self) -> VideoResult:
        """The whole result: rows, episodes and summary.

        Raises:
            JobFailedError, NotFoundError: there is no result, or it was deleted.
            ServiceError: the job is not done yet.
        """
        return VideoResult.from_dict(self._fetch("json").json())

    def rows(self) -> list[Row]:
        """One row per frame and face, and one with `success` 0 for a frame without a face; raises like `result`."""
        return self.result().rows

    def episodes(self) -> list[Episode]:
        """Each face's expression intervals; raises like `result`."""
        return VideoResult.from_dict(self._fetch("episodes").json()).episodes

    def csv(self) -> str:
        """The rows as CSV text with a header line; raises like `result`."""
        return self._fetch("csv").text

    def cancel(self) -> None:
        """Stop it and delete its files; a job that has ended is forgotten with its result.

        Raises:
            NotFoundError: the job no longer exists.
        """
        self.status = self._run(self._protocol.cancel(self.id)) or self.status

    def _fetch(self, form: str) -> httpx.Response:
        return self._run(self._protocol.result(self.id, form))


class AsyncJob(_JobState):
    """`Job` with the same methods, awaited; made by `AsyncClient.submit_video` and `AsyncClient.job`."""

    def __init__(self, client: AsyncClient, status: JobStatus) -> None:
        self._run, self._protocol, self.status = client._run, client._protocol, status

    async def refresh(self) -> JobStatus:
        """See `Job.refresh`."""
        self.status = await self._run(self._protocol.job(self.id))
        return self.status

    async def wait(self, on_progress: OnProgress | None = None, *, timeout_s: float | None = None) -> AsyncJob:
        """See `Job.wait`; `on_progress` is a plain function."""
        await self._run(self._protocol.wait(self.id, self._remember(on_progress), timeout_s))
        return self

    async def result(self) -> VideoResult:
        """See `Job.result`."""
        return VideoResult.from_dict((await self._fetch("json")).json())

    async def rows(self) -> list[Row]:
        """See `Job.rows`."""
        return (await self.result()).rows

    async def episodes(self) -> list[Episode]:
        """See `Job.episodes`."""
        return VideoResult.from_dict((await self._fetch("episodes")).json()).episodes

    async def csv(self) -> str:
        """See `Job.csv`."""
        return (await self._fetch("csv")).text

    async def cancel(self) -> None:
        """See `Job.cancel`."""
        status = await self._run(self._protocol.cancel(self.id))
        self.status = status or self.status

    async def _fetch(self, form: str) -> httpx.Response:
        return await self._run(self._protocol.result(self.id, form))


def _settings(base_url: str, api_key: str | None, timeout_s: float) -> dict[str, Any]:
    """The arguments that both of httpx's clients get."""
    headers = {"Accept": "application/json", "User-Agent": "mien-client"}
    if api_key:
        headers["Authorization"] = f"Bearer {api_key}"
    return {"base_url": base_url.rstrip("/") + "/", "headers": headers, "timeout": timeout_s}


def _load_httpx() -> ModuleType:
    try:
        import httpx
    except ImportError as error:
        raise MissingExtraError("httpx", "client") from error
    return httpx
