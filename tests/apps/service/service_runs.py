"""The service in the test's own process, and as a process on a port of 127.0.0.1."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Coroutine, Iterator
from pathlib import Path
from typing import Any, TypeVar

import httpx
import numpy as np
from fastapi import FastAPI

from mien.apps.service.app import create_app
from mien.apps.service.settings import Settings
from mien.apps.service.state import Service
from mien.images.pictures import encode

Answer = TypeVar("Answer")
PATIENCE_S = 180.0


def make_image(seed: int = 0, *, height: int = 60, width: int = 80, image_format: str = "png") -> bytes:
    """An image file without any face in it; with the detector `none` it is one."""
    pixels = np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)
    return encode(pixels, image_format)


class InProcess:
    """Sends requests to an app without a socket; its event loop runs during the calls only."""

    def __init__(self, app: FastAPI) -> None:
        self.app = app
        self.service: Service = app.state.service
        self._loop = asyncio.new_event_loop()
        self._life = app.router.lifespan_context(app)
        transport = httpx.ASGITransport(app, raise_app_exceptions=False)
        self.client = httpx.AsyncClient(transport=transport, base_url="http://localhost")

    def run(self, work: Coroutine[Any, Any, Answer]) -> Answer:
        """What comes of it."""
        return self._loop.run_until_complete(asyncio.wait_for(work, PATIENCE_S))

    def start(self) -> None:
        self.run(self._start())

    async def _start(self) -> None:
        await self._life.__aenter__()
        while not self.service.engine.ready and self.service.failure is None:
            await asyncio.sleep(0.005)

    def close(self) -> None:
        self.run(self.client.aclose())
        self.run(self._life.__aexit__(None, None, None))
        self._loop.run_until_complete(self._loop.shutdown_asyncgens())
        self._loop.close()

    def request(self, method: str, path: str, **given: Any) -> httpx.Response:
        return self.run(self.client.request(method, path, **given))

    def get(self, path: str, **given: Any) -> httpx.Response:
        return self.request("GET", path, **given)

    def send(self, image: bytes, query: str = "", **given: Any) -> httpx.Response:
        """One image as the body."""
        headers = {"Content-Type": "application/octet-stream"} | given.pop("headers", {})
        return self.request("POST", f"/v1/analyze{query}", content=image, headers=headers, **given)

    def upload(self, images: list[bytes], query: str = "", names: list[str] | None = None) -> httpx.Response:
        """Images as a form."""
        names = names or [f"{index}.png" for index in range(len(images))]
        files = [("files", (name, data, "image/png")) for name, data in zip(names, images, strict=True)]
        return self.request("POST", f"/v1/analyze{query}", files=files)


@contextlib.contextmanager
def running(artifact: Path, **settings: Any) -> Iterator[InProcess]:
    """A ready service with that model; images are faces unless a detector is given."""
    given = {"models": [str(artifact)], "detector": "none", "workers": 2, "batch_wait_ms": 1.0} | settings
    service = InProcess(create_app(Settings(**given)))
    service.start()
    try:
        yield service
    finally:
        service.close()


class Process:
    """`mien serve` on a free port."""

    def __init__(self, artifact: Path, folder: Path, **settings: Any) -> None:
        given = {"models": [str(artifact)], "detector": "none", "workers": 2, "port": 0} | settings
        names = {f"MIEN_SERVICE_{name.upper()}": value for name, value in given.items()}
        variables = {name: value if isinstance(value, str) else json.dumps(value) for name, value in names.items()}
        self.log = folder / "log.jsonl"
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "mien", "serve"], stderr=log, env=os.environ | variables
            )
        try:
            self.port = self._wait_port()
        except BaseException:
            self.kill()
            raise

    def _wait_port(self) -> int:
        return int(self._wait(lambda: re.search(r"running on http://127.0.0.1:(\d+)", self.log.read_text()))[1])

    def _wait(self, look: Any) -> Any:
        end = time.monotonic() + PATIENCE_S
        while not (found := look()):
            assert self.process.poll() is None, self.log.read_text()
            assert time.monotonic() < end, self.log.read_text()
            time.sleep(0.02)
        return found

    def wait_ready(self) -> None:
        with self.client() as client:
            self._wait(lambda: client.get("/readyz").status_code == 200)

    def wait_for_log(self, message: str) -> None:
        self._wait(lambda: message in self.log.read_text())

    def client(self) -> httpx.Client:
        return httpx.Client(base_url=f"http://127.0.0.1:{self.port}", timeout=PATIENCE_S)

    def connect(self) -> socket.socket:
        return socket.create_connection(("127.0.0.1", self.port), timeout=PATIENCE_S)

    def stop(self) -> int:
        """Ask it to end, and give its exit code."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(PATIENCE_S)

    def kill(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()


@contextlib.contextmanager
def serving(artifact: Path, folder: Path, **settings: Any) -> Iterator[Process]:
    """A ready service in a process of its own."""
    process = Process(artifact, folder, **settings)
    try:
        process.wait_ready()
        yield process
    finally:
        # A process that is killed cannot tell `make coverage` what it reached.
        if "COVERAGE_PROCESS_CONFIG" in os.environ and process.process.poll() is None:
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.stop()
        process.kill()
