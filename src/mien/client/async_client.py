"""The client to be awaited, for programs that do several things at once."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Iterable
from types import TracebackType
from typing import Any, Self

from mien.client.connection import AsyncConnection
from mien.client.dialogue import Dialogue
from mien.client.jobs import AsyncJob
from mien.client.pictures import Picture, Upload, as_list, is_full, open_picture
from mien.client.results import ModelInfo, PictureResult


class AsyncClient:
    """`Client` with the same methods, awaited; use it in an `async with`, under asyncio or trio.

    Several tasks may share one. Pictures are read from disk in a thread of their own.

    Args:
        base_url: the service's address, such as `http://127.0.0.1:8000`.
        api_key: a key, where the service asks for one.
        timeout: longest wait for an answer, seconds.
        retries: how often a request is tried again when the service is busy, after the wait that it asks for.
        max_wait: longest of these waits, seconds.
        transport: httpx's, in place of the network: `httpx.ASGITransport(app)` asks an app in this process.

    Raises:
        MissingExtraError: httpx is not installed.
    """

    def __init__(
        self, base_url: str = "http://127.0.0.1:8000", api_key: str | None = None, *, timeout: float = 60.0,
        retries: int = 4, max_wait: float = 60.0, transport: Any = None,
    ) -> None:  # fmt: skip
        self._dialogue = Dialogue(base_url, retries, max_wait)
        self._connection = AsyncConnection(base_url, api_key, timeout_s=timeout, transport=transport)

    async def close(self) -> None:
        """Close the connections."""
        await self._connection.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def analyze(self, pictures: Picture | Iterable[Picture], **options: Any) -> list[PictureResult]:
        """As `Client.analyze`."""
        return [result async for result in self.iter_analyze(pictures, **options)]

    async def iter_analyze(self, pictures: Picture | Iterable[Picture], **options: Any) -> AsyncIterator[PictureResult]:
        """As `Client.iter_analyze`, for `async for`."""
        from anyio.to_thread import run_sync

        waiting: list[Upload] = []
        for number, picture in enumerate(as_list(pictures)):
            upload = await run_sync(open_picture, picture, number)
            if is_full(waiting, upload):
                for result in await self._connection.run(self._dialogue.analyze(waiting, options)):
                    yield result
                waiting = []
            waiting.append(upload)
        if waiting:
            for result in await self._connection.run(self._dialogue.analyze(waiting, options)):
                yield result

    async def models(self) -> list[ModelInfo]:
        """As `Client.models`."""
        return await self._connection.run(self._dialogue.models())

    async def submit_video(
        self, video: str | os.PathLike[str] | bytes, *, name: str | None = None, **options: Any
    ) -> AsyncJob:
        """As `Client.submit_video`."""
        status = await self._connection.run(self._dialogue.submit_video(video, name, options))
        return AsyncJob(self._connection, self._dialogue, status)

    async def job(self, job_id: str) -> AsyncJob:
        """As `Client.job`."""
        return AsyncJob(self._connection, self._dialogue, await self._connection.run(self._dialogue.job(job_id)))
