"""What every HTTP request passes: origin and host checks, request ID, log line, metrics, and an answer in any case."""

from __future__ import annotations

import asyncio
import ipaddress
import logging
import re
import time
import uuid
from collections.abc import MutableMapping, Sequence
from typing import Any
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from starlette.websockets import WebSocket

from mien.apps.service.metrics import LOGGER
from mien.apps.service.problems import Problem, problem_of
from mien.apps.service.settings import Settings
from mien.apps.service.state import Service

REQUEST_ID = "x-request-id"
METHODS = frozenset(["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"])
# nginx's status for a client that has closed the connection; HTTP has none.
CLIENT_GONE = 499
LINGER_S = 1.0
"""How long the rest of a refused body is read and dropped, so that the client receives the answer."""

# It is repeated in a header and in the log, so nothing that could break a line of either.
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
            # Before the handshake, so that a foreign page gets no connection at all.
            await WebSocket(scope, receive, send).send_denial_response(problem.response())
            return
        await self._app(scope, receive, send)

    async def _serve(self, request: _Request) -> None:
        try:
            check_sender(Headers(scope=request.scope), self._service.settings)
            with self._service.admission.places("requests"):
                await self._app(request.scope, request.receive, request.send)
        # Nobody is left to answer.
        except ClientDisconnect:
            request.status = CLIENT_GONE
        except Exception as error:
            # The last chance to turn an error into an answer.
            problem = problem_of(error)
            if problem.status >= 500 and not isinstance(error, Problem):
                _log.error("the service failed", exc_info=error, extra={"fields": {"request": request.number}})
            # The status has been sent; all that is left is to break off the connection.
            if request.answering:
                raise
            await problem.response(request.number)(request.scope, request.receive, request.send)


class _Request:
    """One request as the inner layers see it."""

    def __init__(self, scope: Scope, receive: Receive, send: Send, service: Service) -> None:
        self._receive, self._send, self._service = receive, send, service
        self.started = time.perf_counter()
        # Clients can invent methods; each would become a metric of its own.
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
            # Answers describe faces: no proxy or browser should keep them.
            headers.setdefault("Cache-Control", "no-store")
            headers["X-Content-Type-Options"] = "nosniff"
            for name, value in self.state.get("rate_headers", {}).items():
                headers[name] = value
            if self._service.draining:
                # Or clients would go on with connections that the shutdown waits for.
                headers["Connection"] = "close"
            self._closing = headers.get("connection") == "close"
        elif message["type"] == "http.response.body":
            if self.method == "HEAD":
                message = {**message, "body": b""}
            if self._closing and self._unread and not message.get("more_body", False) and self.status >= 400:
                # The whole answer leaves now; only its end waits until the client has finished sending.
                await self._send({**message, "more_body": True})
                await self._linger()
                message = {"type": "http.response.body", "body": b""}
        await self._send(message)

    async def _linger(self) -> None:
        """Read on for a while: closing a connection with unread bytes resets it, and the answer is lost."""
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
        # Probes and scrapes come every few seconds.
        quiet = route in ("/healthz", "/readyz", "/metrics") and self.status < 400
        _log.log(logging.DEBUG if quiet else logging.INFO, "request", extra={"fields": fields})


def _route(scope: Scope) -> str:
    """The route's template; the actual path may contain names."""
    route = scope.get("route")
    return str(getattr(route, "path", "")) or "none"


def check_sender(headers: Headers, settings: Settings) -> None:
    """Accept programs and the service's own pages; refuse pages of other sites.

    Browsers send a page's POSTs, forms and WebSockets to any server; only `Origin` shows whose page it is. A site that
    points its own name at this address (DNS rebinding) has a matching `Origin`; only `Host` reveals it.

    Raises:
        Problem: `unknown-host` or `cross-origin`.
    """
    # Close the connection: a refused body may be large and is not read.
    ending = {"Connection": "close"}
    if not is_known_host(headers.get("host", ""), settings):
        raise Problem(
            "unknown-host", "the service does not accept this host name; add it to allowed_hosts", headers=ending
        )
    if not is_known_origin(headers, settings):
        raise Problem("cross-origin", "other sites may not call this service; see cors_origins", headers=ending)


def is_known_host(host: str, settings: Settings) -> bool:
    """Whether `Host` is an IP address, localhost, the name of `host`, or an allowed name.

    DNS rebinding needs a name, so an address is always safe; and no browser omits `Host`.
    """
    if not host:
        return True
    try:
        parts = urlsplit(f"//{host}")
        # A fully qualified name may end with a dot.
        name = (parts.hostname or "").removesuffix(".")
        # Reading the port validates it.
        _ = parts.port
    except ValueError:
        return False
    if not name or parts.path or parts.query or parts.fragment or parts.username is not None:
        return False
    return name in ("localhost", settings.host.lower()) or _is_address(name) or _is_listed(name, settings.allowed_hosts)


def is_known_origin(headers: Headers, settings: Settings) -> bool:
    """Whether a request comes from no page, from the service's own, or from an allowed site."""
    origin = headers.get("origin")
    if origin is None or origin in settings.cors_origins or "*" in settings.cors_origins:
        return True
    try:
        parts = urlsplit(origin)
    except ValueError:
        return False
    # Browsers leave the scheme's default port out of `Origin`, and clients may name it in `Host`.
    default = {"http": ":80", "https": ":443"}.get(parts.scheme, "")
    host = headers.get("host", "").lower()
    # Sandboxed frames and local files send `null`, which has no host.
    return bool(parts.netloc) and parts.netloc.lower().removesuffix(default) == host.removesuffix(default)


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


def _is_listed(name: str, patterns: Sequence[str]) -> bool:
    """Whether a name matches a pattern: `example.org`, `*.example.org` (its subdomains) or `*` (any)."""
    known = [pattern.lower().removesuffix(".") for pattern in patterns]
    return any(
        pattern == "*" or name == pattern or (pattern.startswith("*.") and name.endswith(pattern[1:]))
        for pattern in known
    )
