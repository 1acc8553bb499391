"""What the routes of one service share: its parts, and the checks before each request."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Annotated, Any, TypeVar

from fastapi import Depends, Request
from fastapi.requests import HTTPConnection
from fastapi.security import APIKeyHeader, HTTPBearer
from starlette.requests import ClientDisconnect
from starlette.responses import Response

from mien.apps.service.admission import Admission, RateLimit, find_owner
from mien.apps.service.engine import Engine
from mien.apps.service.jobs_runner import Jobs
from mien.apps.service.metrics import Metrics
from mien.apps.service.problems import Problem
from mien.apps.service.settings import Settings
from mien.apps.service.stream import Streams

Answer = TypeVar("Answer")


class Service:
    """Settings, engine and counters of one service; `app.state.service`."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.admission = Admission(
            max_requests=settings.connections, max_images=settings.queue_images,
            max_bytes=settings.buffer_mb * 2**20, max_wait_s=settings.queue_s, workers=settings.worker_threads,
        )  # fmt: skip
        self.metrics = Metrics(lambda: self.admission.held["images"])
        self.engine = Engine(settings, self.metrics, self.admission)
        self.jobs = Jobs(settings, self.engine, self.metrics)
        self.streams = Streams(settings, self.engine)
        self.metrics.watch_streams(self.streams.figures)
        self.rate = RateLimit(settings.rate_per_minute, settings.rate_burst) if settings.rate_per_minute else None
        self.draining = False
        self.failure: Exception | None = None
        self.on_failure: Callable[[], None] | None = None

    def fail(self, error: Exception) -> None:
        """Record why the service cannot become ready, and notify the server."""
        self.failure = error
        if self.on_failure:
            self.on_failure()


def get_service(connection: HTTPConnection) -> Service:
    """The service that a request or WebSocket belongs to."""
    service: Service = connection.app.state.service
    return service


def authorize(connection: HTTPConnection) -> str | None:
    """The name of the key in a request; None if the service requires none, a Problem for a missing or unknown one."""
    keys = get_service(connection).settings.api_keys
    if not keys:
        return None
    owner = find_owner(keys, connection.headers)
    if owner is None:
        raise Problem(
            "unauthorized",
            "expected a valid key in the header `Authorization: Bearer …` or `X-API-Key`",
            headers={"WWW-Authenticate": 'Bearer realm="mien"'},
        )
    return owner


def limit_rate(request: Request, response: Response, owner: Annotated[str | None, Depends(authorize)]) -> None:
    """Count one request against the rate of the key or, without keys, of the client's address.

    Raises:
        Problem: the rate is exceeded.
    """
    rate = get_service(request).rate
    if rate is None:
        return
    # Behind a trusted proxy uvicorn has put in the visitor's address.
    client = f"key {owner}" if owner else f"address {request.client.host if request.client else ''}"
    verdict = rate.take(client)
    headers = rate.headers(verdict)
    # The middleware adds them to whatever answer follows, errors included.
    request.state.rate_headers = headers
    if not verdict.passes:
        raise Problem(
            "rate-limited",
            f"more than {rate.per_minute:g} requests per minute; try again in {verdict.wait_s} s",
            headers=headers | {"Retry-After": str(verdict.wait_s)},
        )


ServiceOf = Annotated[Service, Depends(get_service)]
KEYS = [
    Depends(HTTPBearer(auto_error=False, scheme_name="bearer", description="An API key, if the service requires one.")),
    Depends(APIKeyHeader(name="X-API-Key", auto_error=False, scheme_name="header", description="The same key.")),
]
"""For OpenAPI alone; `authorize` checks the key."""
GUARDS = [*KEYS, Depends(authorize), Depends(limit_rate)]
"""The dependencies of every router under /v1."""


async def unless_gone(request: Request, work: Coroutine[Any, Any, Answer]) -> Answer:
    """Do the work, or cancel it if the client disconnects first. The request's body must have been read.

    Raises:
        ClientDisconnect: the client is gone.
    """
    # Starlette does not end a route when its client disconnects; its place in the queue would stay taken.
    task = asyncio.ensure_future(work)
    gone = asyncio.ensure_future(_wait_gone(request))
    try:
        await asyncio.wait({task, gone}, return_when=asyncio.FIRST_COMPLETED)
        if not task.done():
            raise ClientDisconnect
        return task.result()
    finally:
        gone.cancel()
        task.cancel()
        await asyncio.gather(task, gone, return_exceptions=True)


async def _wait_gone(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass
