"""`/v1/stream`: camera frames in over a WebSocket, faces with expressions out; the newest frame wins."""

from __future__ import annotations

import asyncio
import json
import logging
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Literal

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from starlette.datastructures import Headers
from starlette.websockets import WebSocket, WebSocketDisconnect, WebSocketState

from mien.apps.live.live_reader import PROTOCOL, LiveReader, describe_reader, describe_result
from mien.apps.service.admission import find_owner
from mien.apps.service.engine import Engine
from mien.apps.service.metrics import LOGGER
from mien.apps.service.problems import Problem, invalid_request, problem_of
from mien.apps.service.settings import Settings
from mien.apps.service.uploads import decode_image
from mien.errors import SourceError
from mien.reading.pipeline import Pipeline
from mien.reading.results import Result
from mien.reading.smoothing import HOLD_S, SMOOTH_S
from mien.reading.streaming import StreamOptions

_log = logging.getLogger(LOGGER)
router = APIRouter()

KEY_PROTOCOL = "mien.key."
MAX_BAD_FRAMES = 10
SEND_TIMEOUT_S = 10.0
NORMAL, UNSUPPORTED, INVALID, POLICY, TOO_BIG, TRY_LATER = 1000, 1003, 1007, 1008, 1009, 1013
_CLOSE_CODES = {
    "body-too-large": TOO_BIG, "unsupported-media-type": UNSUPPORTED, "too-many-streams": TRY_LATER,
    "not-ready": TRY_LATER, "receive-timeout": NORMAL, "not-an-image": INVALID, "damaged-image": INVALID,
}  # fmt: skip


class StreamQuery(BaseModel):
    """The options of a stream, from the query string."""

    model_config = ConfigDict(extra="forbid")

    labels: Literal["seven", "eight"] = Field("seven", description="`eight` adds contempt.")
    smooth_s: float = Field(SMOOTH_S, ge=0, le=60, description="Time constant of the smoothing, seconds; 0 for none.")
    hold_s: float = Field(HOLD_S, ge=0, le=60, description="Seconds that another label must lead before it is shown.")
    min_confidence: float = Field(0.0, ge=0, le=1, description='Answer "not sure" if the confidence is below this.')
    min_quality: float = Field(0.0, ge=0, le=1, description='Answer "not sure" if `quality_score` is below this.')
    geometry: bool = Field(False, description="Add landmarks, head pose and blendshapes.")


class Streams:
    """The open streams of one service.

    Args:
        settings, engine: those of the service.
    """

    def __init__(self, settings: Settings, engine: Engine) -> None:
        self.settings, self._engine = settings, engine
        self.open = self.frames = self.dropped = 0
        self._threads = ThreadPoolExecutor(settings.worker_threads, thread_name_prefix="mien-stream")

    def figures(self) -> tuple[int, int, int]:
        """Open streams; frames analyzed and frames dropped for newer ones, of all streams so far."""
        return self.open, self.frames, self.dropped

    def _create(self, query: StreamQuery) -> Pipeline:
        return self._engine.create_pipeline(
            labels=query.labels, min_confidence=query.min_confidence, min_quality=query.min_quality,
            geometry=query.geometry, max_pixels=self.settings.stream_pixels,
        )  # fmt: skip

    async def serve(self, websocket: WebSocket, query: StreamQuery) -> None:
        """Serve a stream until its client disconnects; a Problem says why the service ends it."""
        if self.open >= self.settings.streams:
            raise Problem("too-many-streams", f"all {self.open} streams are in use; try again later")
        self.open += 1
        try:
            pipeline = await asyncio.get_running_loop().run_in_executor(self._threads, self._create, query)
            options = StreamOptions(smooth_s=query.smooth_s, hold_s=query.hold_s)
            # One for each stream: it remembers the faces of the frames before.
            with LiveReader(pipeline, options, decode=decode_image) as reader:
                await _Connection(websocket, reader, self).run()
        finally:
            self.open -= 1

    async def read(self, reader: LiveReader, data: bytes, index: int, time_s: float) -> Result:
        """The result of a frame, analyzed on a thread; even a cancelled call waits for that thread."""
        work = asyncio.get_running_loop().run_in_executor(self._threads, reader.read, data, index, time_s)
        try:
            # A thread cannot be cancelled, and the reader, which it still uses, is closed next.
            return await asyncio.shield(work)
        except asyncio.CancelledError:
            await asyncio.wait([work])
            raise

    def close(self) -> None:
        """Stop the threads."""
        self._threads.shutdown(wait=False, cancel_futures=True)


class _Connection:
    """One stream: one task receives frames and keeps the newest, another analyzes it and answers."""

    def __init__(self, websocket: WebSocket, reader: LiveReader, streams: Streams) -> None:
        self._websocket, self._reader, self._streams = websocket, reader, streams
        self._newest: tuple[int, float, bytes] | None = None
        self._came = asyncio.Event()
        self._count = self._dropped = 0
        self._started = time.monotonic()

    async def run(self) -> None:
        """Serve until one of the two tasks ends, always by an exception."""
        await self._send(describe_reader(self._reader.pipeline) | {"limits": self._limits()})
        tasks = [asyncio.create_task(self._take()), asyncio.create_task(self._answer())]
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            # Its result raises what ended it.
            for task in done:
                task.result()
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    def _limits(self) -> dict[str, Any]:
        settings = self._streams.settings
        return {
            "frame_bytes": settings.stream_frame_bytes,
            "pixels": settings.stream_pixels,
            "idle_s": settings.stream_idle_s,
        }

    async def _take(self) -> None:
        while True:
            data = await self._receive()
            if self._newest is not None:
                self._dropped += 1
                self._streams.dropped += 1
            # Stamped on arrival: tracking and smoothing go by when frames came, not by when their turn comes.
            self._newest = (self._count, time.monotonic() - self._started, data)
            self._count += 1
            self._came.set()

    async def _receive(self) -> bytes:
        idle_s, most_bytes = self._streams.settings.stream_idle_s, self._streams.settings.stream_frame_bytes
        try:
            async with asyncio.timeout(idle_s):
                message = await self._websocket.receive()
        except TimeoutError as error:
            raise Problem("receive-timeout", f"no frame for {idle_s:g} s; reconnect to continue") from error
        if message["type"] == "websocket.disconnect":
            raise WebSocketDisconnect(message.get("code", NORMAL))
        data = message.get("bytes")
        if data is None:
            raise Problem(
                "unsupported-media-type",
                "expected frames as binary messages, each a JPEG, PNG or WebP; options belong in the address",
            )
        if len(data) > most_bytes:
            raise Problem("body-too-large", f"a frame of {len(data):,} bytes exceeds the limit of {most_bytes:,}")
        return bytes(data)

    async def _answer(self) -> None:
        bad = 0
        while True:
            await self._came.wait()
            self._came.clear()
            assert self._newest is not None
            (index, time_s, data), self._newest = self._newest, None
            try:
                result = await self._streams.read(self._reader, data, index, time_s)
            except (Problem, SourceError) as error:
                bad += 1
                # One bad frame is an accident, ten in a row are a client that will never send a good one.
                if bad >= MAX_BAD_FRAMES:
                    raise problem_of(error) from error
                await self._send({"event": "problem", "frame": index, "problem": _document(problem_of(error))})
                continue
            bad = 0
            self._streams.frames += 1
            await self._send(describe_result(result, index) | {"dropped": self._dropped})

    async def _send(self, message: dict[str, Any]) -> None:
        try:
            async with asyncio.timeout(SEND_TIMEOUT_S):
                # A client that accepts nothing for so long must not hold its place among the streams.
                await self._websocket.send_text(json.dumps(message, ensure_ascii=False))
        # The server has ended the connection, for a client that broke the protocol.
        except RuntimeError as error:
            raise WebSocketDisconnect from error


@router.websocket("/v1/stream")
async def stream(websocket: WebSocket) -> None:
    """Frames in, one binary message each (JPEG, PNG, WebP); JSON text messages out."""
    service = websocket.app.state.service
    offered = websocket.scope.get("subprotocols", [])
    # Accepted before any check: a script in a browser learns nothing of a refused handshake, but reads a problem.
    # A browser that offers subprotocols hangs up if none is selected; the one with the key is not repeated.
    await websocket.accept(subprotocol=PROTOCOL if PROTOCOL in offered else None)
    started, ended = time.monotonic(), "left"
    try:
        _let_in(websocket, offered)
        await service.streams.serve(websocket, _parse(websocket))
    except (WebSocketDisconnect, TimeoutError):
        # The client disconnected, or no longer accepts answers.
        await _close(websocket, NORMAL)
    except Problem as problem:
        ended = problem.kind
        await _end(websocket, problem)
    fields = {"route": "/v1/stream", "ended": ended, "seconds": round(time.monotonic() - started, 1)}
    _log.info("stream", extra={"fields": fields})


def _let_in(websocket: WebSocket, offered: list[str]) -> None:
    """Check the key, from a header or, since browsers cannot set those, from a subprotocol; count against the rate.

    Raises:
        Problem: no valid key, or too many connections.
    """
    service = websocket.app.state.service
    keys = service.settings.api_keys
    shown = next((name.removeprefix(KEY_PROTOCOL) for name in offered if name.startswith(KEY_PROTOCOL)), "")
    owner = find_owner(keys, Headers({"x-api-key": shown}) if shown else websocket.headers)
    if keys and owner is None:
        raise Problem(
            "unauthorized",
            f"expected a valid key in X-API-Key or as the subprotocol {KEY_PROTOCOL}KEY after {PROTOCOL}",
        )
    if service.rate is not None:
        address = websocket.client.host if websocket.client else ""
        verdict = service.rate.take(f"key {owner}" if owner else f"address {address}")
        if not verdict.passes:
            raise Problem("rate-limited", f"too many connections; try again in {verdict.wait_s} s")


def _parse(websocket: WebSocket) -> StreamQuery:
    try:
        return StreamQuery.model_validate(dict(websocket.query_params))
    except ValidationError as error:
        raise invalid_request(error.errors()) from error


def _document(problem: Problem) -> dict[str, Any]:
    return problem.document().model_dump(exclude_none=True)


async def _end(websocket: WebSocket, problem: Problem) -> None:
    """Send the problem, then close with the matching code."""
    try:
        async with asyncio.timeout(SEND_TIMEOUT_S):
            await websocket.send_text(json.dumps({"event": "problem", "problem": _document(problem)}))
    except (WebSocketDisconnect, RuntimeError, TimeoutError):
        return
    await _close(websocket, _CLOSE_CODES.get(problem.kind, POLICY), problem.kind)


async def _close(websocket: WebSocket, code: int, reason: str = "") -> None:
    # Starlette raises if a connection is closed twice.
    if websocket.client_state is WebSocketState.DISCONNECTED:
        return
    try:
        await websocket.close(code, reason)
    except (WebSocketDisconnect, RuntimeError):
        return
