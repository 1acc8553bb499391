"""The service on a port: uvicorn with time limits on connections and a graceful shutdown."""

from __future__ import annotations

import asyncio
import signal
import sys
from types import FrameType
from typing import Any, NoReturn

import cv2
import h11
import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol

from mien.apps.service.app import create_app
from mien.apps.service.metrics import start_logs
from mien.apps.service.settings import Settings
from mien.apps.service.state import Service
from mien.errors import ConfigError, MienError

MAX_HEADER_BYTES = 16 * 1024
LAST_HEADER_S = 2.0
"""At shutdown, how long a new connection may still take for its first header."""


def serve(settings: Settings) -> None:
    """Serve until SIGTERM or SIGINT, then finish accepted requests.

    Raises:
        ConfigError: the address is in use, or a setting is invalid.
        MienError: a model cannot be loaded.
    """
    start_logs(settings.log_level)
    # During the start SIGTERM exits at once; after a graceful shutdown uvicorn raises the signal again.
    signal.signal(signal.SIGTERM, _leave)
    if settings.worker_threads > 1:
        # One image per thread: threads within an image as well cost a tenth more CPU (26.0 against 23.8 ms).
        cv2.setNumThreads(1)
    app = create_app(settings)
    service: Service = app.state.service
    server = Server(_configure(app, settings), service)
    try:
        server.run()
    # uvicorn logs why it cannot listen, and exits.
    except SystemExit as end:
        if end.code and service.failure is None:
            raise ConfigError(f"cannot listen on {settings.host}:{settings.port}: see the log above") from end
        raise
    if service.failure is not None:
        raise service.failure if isinstance(service.failure, MienError) else MienError(str(service.failure))


class Server(uvicorn.Server):
    """Shuts down gracefully: first not ready, then no new connections, then finish the open ones."""

    def __init__(self, config: uvicorn.Config, service: Service) -> None:
        super().__init__(config)
        self._service = service
        service.on_failure = self._give_up

    async def startup(self, sockets: list[Any] | None = None) -> None:
        """Listen, then show people the addresses; programs read the log."""
        await super().startup(sockets)
        if self.started and sys.stderr.isatty():
            # The settings may say 0, for any free port.
            port = self.servers[0].sockets[0].getsockname()[1]
            sys.stderr.write(describe_addresses(self._service.settings, port))

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Handle the signal: from now on `/readyz` answers 503, and each response closes its connection."""
        self._service.draining = True
        super().handle_exit(sig, frame)

    async def shutdown(self, sockets: list[Any] | None = None) -> None:
        """Accept requests a little longer, until proxies and clients notice; then close."""
        if self._service.failure is None and not self.force_exit:
            await asyncio.sleep(self._service.settings.drain_s)
        await super().shutdown(sockets)

    def _give_up(self) -> None:
        self._service.draining = True
        self.should_exit = True


def describe_addresses(settings: Settings, port: int) -> str:
    """The banner of a terminal."""
    # Addresses to listen on, not to open in a browser.
    shown = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(settings.host, settings.host)
    base = f"http://{f'[{shown}]' if ':' in shown and '[' not in shown else shown}:{port}{settings.root_path}"
    lines = {"Home": "/", "Live camera": "/live", "API reference": "/docs", "API": "/v1/analyze"}
    table = "".join(f"  {name:14} {base}{path}\n" for name, path in lines.items())
    keys = "" if settings.api_keys else "  No API key is required.\n"
    return f"\nMien is running (press Ctrl-C to stop)\n{table}{keys}\n"


def make_protocol(header_timeout_s: float, send_timeout_s: float) -> type[H11Protocol]:
    """A protocol class that ends connections whose header does not arrive, or whose answers are not taken, in time."""

    class Protocol(H11Protocol):
        """HTTP/1.1; uvicorn itself waits forever for the rest of a header, and for answers to be taken."""

        _deadline: asyncio.TimerHandle | None = None

        def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
            super().connection_made(transport)
            self._patience = Patience(self.loop, send_timeout_s)
            self._watch()

        def data_received(self, data: bytes) -> None:
            super().data_received(data)
            self._watch()

        def shutdown(self) -> None:
            """Close at shutdown, but give a new connection time for its first request."""
            # uvicorn would close it without an answer: it takes a connection without a request for an idle one.
            is_new = getattr(self, "cycle", None) is None
            if is_new and not self.transport.is_closing():
                self._unwatch()
                self._deadline = self.loop.call_later(min(header_timeout_s, LAST_HEADER_S), self._close)
            else:
                super().shutdown()

        def pause_writing(self) -> None:
            """The client takes less than is sent."""
            super().pause_writing()
            self._patience.begin(self.transport)

        def resume_writing(self) -> None:
            """The client has taken enough."""
            super().resume_writing()
            self._patience.end()

        def connection_lost(self, exc: Exception | None) -> None:
            self._unwatch()
            self._patience.end()
            super().connection_lost(exc)

        def _watch(self) -> None:
            """Time an incomplete header; further bytes do not restart the timer."""
            # After an upgrade the connection belongs to the protocol of WebSockets.
            replaced = self.transport.get_protocol() not in (self, None)
            if self.conn.their_state is not h11.IDLE or self.transport.is_closing() or replaced:
                self._unwatch()
            elif self._deadline is None:
                self._deadline = self.loop.call_later(header_timeout_s, self._close)

        def _unwatch(self) -> None:
            if self._deadline is not None:
                self._deadline.cancel()
                self._deadline = None

        def _close(self) -> None:
            self._deadline = None
            if self.conn.their_state is h11.IDLE and not self.transport.is_closing():
                self.transport.close()

    return Protocol


def make_stream_protocol(send_timeout_s: float) -> type[WebSocketsSansIOProtocol]:
    """A protocol class that ends WebSockets whose handshake fails, or whose messages are not taken in time."""

    class StreamProtocol(WebSocketsSansIOProtocol):
        """WebSocket; uvicorn itself waits forever for messages to be taken, and queues answers to pings meanwhile."""

        def connection_made(self, transport: asyncio.BaseTransport) -> None:
            super().connection_made(transport)
            self._patience = Patience(self.loop, send_timeout_s)

        def data_received(self, data: bytes) -> None:
            super().data_received(data)
            # A request that the library refuses by itself is no event, and uvicorn would neither answer nor close.
            if not self.handshake_initiated and not self.transport.is_closing():
                self.transport.write(b"".join(self.conn.data_to_send()))
                self.transport.close()

        def pause_writing(self) -> None:
            """The client takes less than is sent: nothing more is read from it, and so answered, meanwhile."""
            super().pause_writing()
            self.transport.pause_reading()
            self._patience.begin(self.transport)

        def resume_writing(self) -> None:
            """The client has taken enough."""
            super().resume_writing()
            self._patience.end()
            if not self.read_paused:
                self.transport.resume_reading()

        def connection_lost(self, exc: Exception | None) -> None:
            self._patience.end()
            super().connection_lost(exc)

    return StreamProtocol


class Patience:
    """Cuts off a client that takes nothing of what waits for it for so many seconds; a slow one may stay."""

    def __init__(self, loop: asyncio.AbstractEventLoop, seconds: float) -> None:
        self._loop, self._seconds = loop, seconds
        self._timer: asyncio.TimerHandle | None = None

    def begin(self, transport: asyncio.Transport) -> None:
        """Something waits."""
        self.end()
        self._timer = self._loop.call_later(self._seconds, self._look, transport, transport.get_write_buffer_size())

    def end(self) -> None:
        """Enough was taken."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _look(self, transport: asyncio.Transport, waited: int) -> None:
        if transport.get_write_buffer_size() < waited:
            self.begin(transport)
        else:
            # Not closed, which would wait for the client to take what is left.
            transport.abort()


def _configure(app: Any, settings: Settings) -> uvicorn.Config:
    return uvicorn.Config(
        app,
        host=settings.host,
        port=settings.port,
        http=make_protocol(settings.header_timeout_s, settings.send_timeout_s),
        loop="asyncio",
        # `start_logs` has set up the loggers, and the middleware writes the line of each request.
        log_config=None,
        access_log=False,
        server_header=False,
        forwarded_allow_ips=settings.trusted_proxies,
        timeout_keep_alive=settings.keep_alive_s,
        timeout_graceful_shutdown=settings.grace_s,
        h11_max_incomplete_event_size=MAX_HEADER_BYTES,
        ws=make_stream_protocol(settings.send_timeout_s),
        # A little above the limit: so much gets a problem document, only what is larger is cut off by the library.
        ws_max_size=settings.stream_frame_bytes + 2**16,
    )


def _leave(sig: int, frame: FrameType | None) -> NoReturn:
    sys.exit(0)
