"""Connections to the service, one that waits and one that is awaited; either runs any exchange of a dialogue."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from contextlib import closing
from types import ModuleType
from typing import TYPE_CHECKING, Any

from mien.client.dialogue import Exchange, Pause, Result, Send
from mien.closing import Closing
from mien.errors import MissingExtraError

if TYPE_CHECKING:
    import httpx


class Connection(Closing):
    """Connections to one service, kept open between requests.

    Args:
        base_url: such as `https://host/prefix`.
        api_key: sent with each request.
        timeout_s: longest wait for a connection, for writing and for reading a piece.
        transport: httpx's, in place of the network.
        sleep: how to wait.

    Raises:
        MissingExtraError: httpx is not installed.
    """

    def __init__(
        self, base_url: str, api_key: str | None, *, timeout_s: float, transport: Any = None,
        sleep: Callable[[float], object] = time.sleep,
    ) -> None:  # fmt: skip
        self._httpx = _load_httpx()
        self._client = self._httpx.Client(**_settings(base_url, api_key, timeout_s), transport=transport)
        self._sleep = sleep

    def close(self) -> None:
        """Close what is open."""
        self._client.close()

    def run(self, exchange: Exchange[Result]) -> Result:
        """What comes of an exchange."""
        with closing(exchange):
            came: Any = None
            while True:
                try:
                    step = exchange.send(came)
                except StopIteration as end:
                    result: Result = end.value
                    return result
                came = self._sleep(step.seconds) if isinstance(step, Pause) else self._send(step)

    def _send(self, step: Send) -> httpx.Response | Exception:
        try:
            answer: httpx.Response = self._client.request(step.method, step.path, **step.arguments)
        except (self._httpx.TransportError, self._httpx.InvalidURL) as error:
            return error  # type: ignore[no-any-return]
        return answer


class AsyncConnection:
    """The same, awaited: under asyncio or trio. `sleep` is awaited too."""

    def __init__(
        self, base_url: str, api_key: str | None, *, timeout_s: float, transport: Any = None,
        sleep: Callable[[float], Awaitable[object]] | None = None,
    ) -> None:  # fmt: skip
        self._httpx = _load_httpx()
        import anyio

        self._client = self._httpx.AsyncClient(**_settings(base_url, api_key, timeout_s), transport=transport)
        self._sleep = sleep or anyio.sleep

    async def close(self) -> None:
        """Close what is open."""
        await self._client.aclose()

    async def run(self, exchange: Exchange[Result]) -> Result:
        """What comes of an exchange."""
        with closing(exchange):
            came: Any = None
            while True:
                try:
                    step = exchange.send(came)
                except StopIteration as end:
                    result: Result = end.value
                    return result
                came = await self._sleep(step.seconds) if isinstance(step, Pause) else await self._send(step)

    async def _send(self, step: Send) -> httpx.Response | Exception:
        try:
            answer: httpx.Response = await self._client.request(step.method, step.path, **step.arguments)
        except (self._httpx.TransportError, self._httpx.InvalidURL) as error:
            return error  # type: ignore[no-any-return]
        return answer


def _settings(base_url: str, api_key: str | None, timeout_s: float) -> dict[str, Any]:
    """What httpx's clients are made with."""
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
