"""Requests to the service: tried again when it is busy, its problems raised as exceptions."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from types import ModuleType
from typing import TYPE_CHECKING, Any

from mien.client.problems import ConnectionFailedError, from_document
from mien.closing import Closing
from mien.errors import MissingExtraError

if TYPE_CHECKING:
    import httpx

BUSY = frozenset([429, 503])
FIRST_WAIT_S = 0.5


class Connection(Closing):
    """Connections to one service, kept open between requests.

    Args:
        base_url: such as `https://host/prefix`.
        api_key: sent with each request.
        timeout_s: longest wait for a connection, for writing and for reading a piece.
        retries: how often a request is tried again when the service is busy (429, 503) or, where it changes nothing,
            cannot be reached.
        max_wait_s: longest pause before trying again; a service that asks for more is not asked again.
        transport: httpx's, in place of the network.
        sleep: how to wait.

    Raises:
        MissingExtraError: httpx is not installed.
    """

    def __init__(
        self, base_url: str, api_key: str | None, *, timeout_s: float, retries: int, max_wait_s: float,
        transport: Any = None, sleep: Callable[[float], None] = time.sleep,
    ) -> None:  # fmt: skip
        self._httpx = _load_httpx()
        headers = {"Accept": "application/json", "User-Agent": "mien-client"}
        if api_key:
            headers["Authorization"] = f"Bearer {api_key}"
        self._client = self._httpx.Client(
            base_url=base_url.rstrip("/") + "/", headers=headers, timeout=timeout_s, transport=transport
        )
        self._base_url, self._retries, self._max_wait_s, self._sleep = base_url, retries, max_wait_s, sleep

    def close(self) -> None:
        """Close what is open."""
        self._client.close()

    def request(self, method: str, path: str, *, fresh: Callable[[], dict[str, Any]] = dict) -> httpx.Response:
        """The answer to a request that the service fulfils.

        Args:
            method, path: of the request; the path below the service's address.
            fresh: gives httpx's arguments (`params`, `files`, …) anew for each try.

        Raises:
            ServiceError: of the kind that its problem document says.
            ConnectionFailedError: no answer, or one of something else.
        """
        attempt = 0
        while True:
            answer, failure = self._try(method, path, fresh())
            wait_s = self._wait_s(answer, attempt)
            may_retry = answer.status_code in BUSY if answer is not None else method == "GET"
            if answer is not None and answer.status_code < 400:
                return answer
            if not may_retry or attempt >= self._retries or wait_s > self._max_wait_s:
                if answer is None:
                    raise ConnectionFailedError(f"no answer from {self._base_url}: {failure}") from failure
                raise from_document(self._read_problem(answer))
            attempt += 1
            self._sleep(wait_s)

    def _try(self, method: str, path: str, arguments: dict[str, Any]) -> tuple[httpx.Response | None, Exception | None]:
        try:
            return self._client.request(method, path.lstrip("/"), **arguments), None
        except (self._httpx.TransportError, self._httpx.InvalidURL) as error:
            return None, error

    def _wait_s(self, answer: httpx.Response | None, attempt: int) -> float:
        """What the service asks for, at least a growing pause; by chance, so that clients do not march in step."""
        own_s = min(FIRST_WAIT_S * float(2**attempt) * random.uniform(0.75, 1.25), self._max_wait_s)
        asked = str(answer.headers.get("retry-after", "")) if answer is not None else ""
        return max(float(asked), own_s) if asked.isdecimal() else own_s

    def _read_problem(self, answer: httpx.Response) -> dict[str, Any]:
        kind = answer.headers.get("content-type", "")
        if not kind.startswith("application/problem+json"):
            raise ConnectionFailedError(
                f"{self._base_url} answers {answer.status_code} with {kind or 'no type'}, which is not how Mien's "
                "service answers: is the address right?"
            )
        return dict(answer.json())


def _load_httpx() -> ModuleType:
    try:
        import httpx
    except ImportError as error:
        raise MissingExtraError("httpx", "client") from error
    return httpx
