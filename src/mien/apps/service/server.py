"""The service on a port: uvicorn with time limits on connections and an orderly end."""

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

from mien.apps.service.app import create_app
from mien.apps.service.logs import start_logs
from mien.apps.service.settings import Settings
from mien.apps.service.state import Service
from mien.errors import ConfigError, MienError

MAX_HEADER_BYTES = 16 * 1024
LAST_HEADER_S = 2.0
"""At the end, how long a connection that is new may still take for its first header."""


def serve(settings: Settings) -> None:
    """Serve until SIGTERM or SIGINT, then finish what was accepted.

    Raises:
        ConfigError: the address is taken, or a setting cannot be used.
        MienError: a model cannot be loaded.
    """
    start_logs(settings.log_level)
    # While it starts, SIGTERM ends it at once; after an orderly end, uvicorn raises the signal again.
    signal.signal(signal.SIGTERM, _leave)
    if settings.worker_threads > 1:
        # A picture a thread: threads within a picture as well cost a tenth more (26.0 against 23.8 ms of CPU).
        cv2.setNumThreads(1)
    app = create_app(settings)
    service: Service = app.state.service
    server = Server(_configure(app, settings), service)
    try:
        server.run()
    except SystemExit as end:
        if end.code and service.failure is None:
            raise ConfigError(f"cannot listen on {settings.host}:{settings.port}: see the log above") from end
        raise
    if service.failure is not None:
        raise service.failure if isinstance(service.failure, MienError) else MienError(str(service.failure))


class Server(uvicorn.Server):
    """Ends in order: not ready any more, then no new connections, then done with those that are there."""

    def __init__(self, config: uvicorn.Config, service: Service) -> None:
        super().__init__(config)
        self._service = service
        service.on_failure = self._give_up

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Take the signal: from now on `/readyz` says 503, and each answer ends its connection."""
        self._service.draining = True
        super().handle_exit(sig, frame)

    async def shutdown(self, sockets: list[Any] | None = None) -> None:
        """Take requests for a little longer, while proxies and clients learn of the end; then close."""
        if self._service.failure is None and not self.force_exit:
            await asyncio.sleep(self._service.settings.drain_s)
        await super().shutdown(sockets)

    def _give_up(self) -> None:
        self._service.draining = True
        self.should_exit = True


def make_protocol(header_timeout_s: float) -> type[H11Protocol]:
    """A protocol that closes connections on which a request's header does not arrive in time."""

    class Protocol(H11Protocol):
        """HTTP/1.1; uvicorn by itself waits for ever for the rest of a header."""

        _deadline: asyncio.TimerHandle | None = None

        def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
            super().connection_made(transport)
            self._watch()

        def data_received(self, data: bytes) -> None:
            super().data_received(data)
            self._watch()

        def shutdown(self) -> None:
            """Close at the service's end; but what a connection just taken is about to ask is waited for."""
            is_new = getattr(self, "cycle", None) is None
            if is_new and not self.transport.is_closing():
                self._unwatch()
                self._deadline = self.loop.call_later(min(header_timeout_s, LAST_HEADER_S), self._close)
            else:
                super().shutdown()

        def connection_lost(self, exc: Exception | None) -> None:
            self._unwatch()
            super().connection_lost(exc)

        def _watch(self) -> None:
            """Count the time while a header is incomplete; more bytes do not start it anew."""
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


def _configure(app: Any, settings: Settings) -> uvicorn.Config:
    return uvicorn.Config(
        app,
        host=settings.host,
        port=settings.port,
        http=make_protocol(settings.header_timeout_s),
        loop="asyncio",
        log_config=None,
        access_log=False,
        server_header=False,
        forwarded_allow_ips=settings.trusted_proxies,
        timeout_keep_alive=settings.keep_alive_s,
        timeout_graceful_shutdown=settings.grace_s,
        h11_max_incomplete_event_size=MAX_HEADER_BYTES,
        ws="websockets-sansio",
        ws_max_size=int(settings.stream_frame_mb * 2**20) + 2**16,
        ws_max_queue=4,
    )


def _leave(sig: int, frame: FrameType | None) -> NoReturn:
    sys.exit(0)
