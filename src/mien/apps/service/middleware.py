"""What every HTTP request goes through: a number, a line in the log, figures, and an answer whatever happens."""

from __future__ import annotations

import asyncio
import logging
import re
import time
import uuid
from collections.abc import MutableMapping
from typing import Any

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from starlette.websockets import WebSocket

from mien.apps.service.logs import LOGGER
from mien.apps.service.problems import Problem, problem_of
from mien.apps.service.senders import check_sender
from mien.apps.service.state import Service

REQUEST_ID = "x-request-id"
METHODS = frozenset(["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"])
CLIENT_GONE = 499
LINGER_S = 1.0
"""How long what a refused client still sends is read and dropped, so that it gets to read why."""

_GIVEN_ID = re.compile(r"[A-Za-z0-9_-]{8,64}")
_log = logging.getLogger(LOGGER)


class RequestMiddleware:
    """The outermost layer of the app."""

    def __init__(self, app: ASGIApp, service: Service) -> None:
        self._app, self._service = app, service

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] == "websocket":
            await self._connect(scope, receive, send)
            return
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request = _Request(scope, receive, send, self._service)
        metrics = self._service.metrics
        metrics.in_progress.inc()
        try:
            await self._serve(request)
        finally:
            metrics.in_progress.dec()
            route = _route(request.scope)
            metrics.requests.labels(route, request.method, str(request.status)).inc()
            metrics.seconds.labels(route).observe(time.perf_counter() - request.started)
            request.log(route)

    async def _connect(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one WebSocket."""
        try:
            check_sender(Headers(scope=scope), self._service.settings)
        except Problem as problem:
            await WebSocket(scope, receive, send).send_denial_response(problem.response())
            return
        await self._app(scope, receive, send)

    async def _serve(self, request: _Request) -> None:
        try:
            check_sender(Headers(scope=request.scope), self._service.settings)
            with self._service.admission.request():
                await self._app(request.scope, request.receive, request.send)
        except ClientDisconnect:
            request.status = CLIENT_GONE
        except Exception as error:
            # The last place where an error can become an answer.
            problem = problem_of(error)
            if problem.status >= 500 and not isinstance(error, Problem):
                _log.error("the service failed", exc_info=error, extra={"fields": {"request": request.number}})
            if request.answering:
                raise
            await problem.response(request.number)(request.scope, request.receive, request.send)


class _Request:
    """One request on its way, as the layers below see it."""

    def __init__(self, scope: Scope, receive: Receive, send: Send, service: Service) -> None:
        self._receive, self._send, self._service = receive, send, service
        self.started = time.perf_counter()
        # A client may make up methods, each of which would be a figure of its own.
        self.method: str = scope["method"] if scope["method"] in METHODS else "OTHER"
        given = Headers(scope=scope).get(REQUEST_ID, "")
        self.number = given if _GIVEN_ID.fullmatch(given) else uuid.uuid4().hex
        self.state: MutableMapping[str, Any] = {**scope.get("state", {}), "request_id": self.number}
        # HEAD is GET without the body.
        method = "GET" if self.method == "HEAD" else scope["method"]
        self.scope = {**scope, "method": method, "state": self.state}
        self.status = CLIENT_GONE
        self.answering = False
        self._unread = True
        self._closing = False

    async def receive(self) -> Message:
        message = await self._receive()
        if message["type"] != "http.request" or not message.get("more_body", False):
            self._unread = False
        return message

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.answering, self.status = True, message["status"]
            headers = MutableHeaders(scope=message)
            headers["X-Request-Id"] = self.number
            headers.setdefault("Cache-Control", "no-store")
            headers["X-Content-Type-Options"] = "nosniff"
            for name, value in self.state.get("rate_headers", {}).items():
                headers[name] = value
            if self._service.draining:
                headers["Connection"] = "close"
            self._closing = headers.get("connection") == "close"
        elif message["type"] == "http.response.body":
            if self.method == "HEAD":
                message = {**message, "body": b""}
            if self._closing and self._unread and not message.get("more_body", False) and self.status >= 400:
                await self._send({**message, "more_body": True})
                await self._linger()
                message = {"type": "http.response.body", "body": b""}
        await self._send(message)

    async def _linger(self) -> None:
        """Read on for a while: a connection that is closed on unread bytes is reset, and the answer lost."""
        try:
            async with asyncio.timeout(LINGER_S):
                while self._unread:
                    await self.receive()
        except TimeoutError:
            return

    def log(self, route: str) -> None:
        fields: dict[str, object] = {
            "request": self.number, "method": self.method, "route": route, "status": self.status,
            "ms": round(1000 * (time.perf_counter() - self.started), 1),
        }  # fmt: skip
        fields |= {name: self.state[name] for name in ("faces", "received") if name in self.state}
        if self._service.settings.log_clients and (client := self.scope.get("client")):
            fields["client"] = client[0]
        quiet = route in ("/healthz", "/readyz", "/metrics") and self.status < 400
        _log.log(logging.DEBUG if quiet else logging.INFO, "request", extra={"fields": fields})


def _route(scope: Scope) -> str:
    """The route's template: what was asked for may hold names."""
    route = scope.get("route")
    return str(getattr(route, "path", "")) or "none"
