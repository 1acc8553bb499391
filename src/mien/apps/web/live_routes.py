"""`/live` beside the Streamlit pages: the page for cameras as the service has it, its files, and its stream."""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from urllib.parse import urlsplit

from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import BaseRoute, Route, WebSocketRoute
from starlette.websockets import WebSocket, WebSocketDisconnect

from mien.apps.live.live_reader import PROTOCOL, LiveReader, describe_reader, describe_result
from mien.apps.live.parts import find_part, page_headers
from mien.errors import MienError, SourceError
from mien.reading.pipeline import Pipeline
from mien.reading.streaming import StreamOptions

MOST_STREAMS = 4
MAX_FRAME_BYTES, MAX_PIXELS, IDLE_S = 2 * 2**20, 4_000_000, 60.0
BUSY, TROUBLE, FOREIGN = 1013, 1011, 1008
"""Codes with which a stream is closed."""

HEADERS = page_headers("'self'")


def create_routes(hosts: tuple[str, ...]) -> list[BaseRoute]:
    """The routes of the live page.

    Args:
        hosts: names under which the page may be asked for; empty for any.
    """
    streams = _Streams(hosts)
    return [
        Route("/live", show_live_page),
        Route("/live/{name}", show_live_part),
        WebSocketRoute("/v1/stream", streams.serve),
    ]


async def show_live_page(request: Request) -> Response:
    """The page."""
    return _file("index.html")


async def show_live_part(request: Request) -> Response:
    """A script, style sheet or icon of the page."""
    return _file(request.path_params["name"])


def _file(name: str) -> Response:
    found = find_part(name)
    if found is None:
        return PlainTextResponse("no such file; the live page is at /live\n", 404)
    return Response(found[0], headers=HEADERS, media_type=found[1])


class _Streams:
    """Frames in, one at a time; what their faces show out, in the messages of the service."""

    def __init__(self, hosts: tuple[str, ...]) -> None:
        self._hosts = hosts
        self._open = 0
        # One frame at a time: it leaves a core to the other pages.
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="mien-live")

    async def serve(self, websocket: WebSocket) -> None:
        """Serve a stream until its browser leaves."""
        await websocket.accept(subprotocol=PROTOCOL if PROTOCOL in websocket.scope.get("subprotocols", []) else None)
        with contextlib.suppress(WebSocketDisconnect, TimeoutError, RuntimeError):
            if not self._is_own_page(websocket):
                return await _end(websocket, FOREIGN, "Not this page", "Open the live page of this computer itself.")
            if self._open >= MOST_STREAMS:
                return await _end(
                    websocket, BUSY, "Too many cameras", f"All {self._open} places are in use; try later."
                )
            self._open += 1
            try:
                await self._read(websocket)
            except MienError as error:
                await _end(websocket, TROUBLE, "Cannot analyze", str(error))
            finally:
                self._open -= 1

    def _is_own_page(self, websocket: WebSocket) -> bool:
        """Whether the stream was opened by a page of this server, under one of its names."""
        host, origin = websocket.headers.get("host", ""), websocket.headers.get("origin", "")
        name = urlsplit(f"//{host}").hostname or ""
        return urlsplit(origin).netloc == host and (
            not self._hosts or name in {name.strip("[]") for name in self._hosts}
        )

    async def _read(self, websocket: WebSocket) -> None:
        loop = asyncio.get_running_loop()
        geometry = websocket.query_params.get("geometry") == "true"
        pipeline = await loop.run_in_executor(self._thread, _create, geometry)
        started = time.monotonic()
        await _send(websocket, describe_reader(pipeline))
        with LiveReader(pipeline, StreamOptions()) as reader:
            index = 0
            while True:
                async with asyncio.timeout(IDLE_S):
                    data = await websocket.receive_bytes()
                # Shielded: a thread cannot be cancelled, and the reader that it uses is closed next.
                work = loop.run_in_executor(self._thread, _analyze, reader, data, index, time.monotonic() - started)
                try:
                    await _send(websocket, await asyncio.shield(work))
                finally:
                    await asyncio.wait([work])
                index += 1


def _create(geometry: bool) -> Pipeline:
    # A pipeline of its own, as it remembers nothing of the settings of the other pages; the model is small.
    return Pipeline(geometry=geometry, max_pixels=MAX_PIXELS)


def _analyze(reader: LiveReader, data: bytes, index: int, time_s: float) -> dict[str, Any]:
    try:
        if len(data) > MAX_FRAME_BYTES:
            raise SourceError(f"a frame of {len(data):,} bytes exceeds the limit of {MAX_FRAME_BYTES:,}")
        return describe_result(reader.read(data, index, time_s), index)
    except SourceError as error:
        return {"event": "problem", "frame": index, "problem": {"title": "Not a picture", "detail": str(error)}}


async def _send(websocket: WebSocket, message: dict[str, Any]) -> None:
    await websocket.send_text(json.dumps(message, ensure_ascii=False))


async def _end(websocket: WebSocket, code: int, title: str, detail: str) -> None:
    await _send(websocket, {"event": "problem", "problem": {"title": title, "detail": detail}})
    await websocket.close(code)
