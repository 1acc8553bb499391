"""The service under load: many requests and flat memory, more clients than it serves, SIGTERM in the middle.

    python benchmarks/reliability/under_load.py [steady] [overload] [sigterm] [--requests N] [--ends N]

It starts `mien serve` on a free port of 127.0.0.1 and prints one line of JSON a part. Only ratios mean something on a
machine that does other things as well.
"""

from __future__ import annotations

import argparse
import asyncio
import collections
import json
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from harness import free_port, resident_mb, started

PICTURE = Path(__file__).resolve().parents[2] / "src" / "mien" / "apps" / "web" / "examples" / "astronaut.jpg"
LONGEST_PAUSE_S = 1.0


@contextmanager
def service(**environment: str) -> Iterator[tuple[int, Any]]:
    """`mien serve` that is ready: its port and process."""
    port = free_port()
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "mien", "serve", "--port", str(port)]
        with started(command, Path(folder), MIEN_STATE_DIR=folder, **environment) as process:
            asyncio.run(_until_ready(port))
            yield port, process


async def _until_ready(port: int) -> None:
    end = time.monotonic() + 120
    while time.monotonic() < end:
        try:
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(b"GET /readyz HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n")
            if b" 200 " in (await reader.read(20)):
                return
        except OSError:
            pass
        await asyncio.sleep(0.2)
    raise TimeoutError("the service did not become ready")


class Clients:
    """Ask until `more()` says no; keep what came back and how long it took."""

    def __init__(self, port: int, more: Callable[[], bool], body: bytes | None = None) -> None:
        body = body or PICTURE.read_bytes()
        head = "POST /v1/analyze HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: image/jpeg\r\n"
        head += f"Content-Length: {len(body)}\r\n\r\n"
        self.port, self.more, self.message = port, more, head.encode() + body
        self.outcomes: collections.Counter[str] = collections.Counter()
        self.seconds: dict[str, list[float]] = collections.defaultdict(list)
        self.advice: set[int] = set()

    async def run(self, count: int) -> None:
        await asyncio.gather(*(self._client() for _ in range(count)))

    async def _client(self) -> None:
        streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None
        while self.more():
            begun = time.perf_counter()
            try:
                streams = streams or await asyncio.open_connection("127.0.0.1", self.port)
            except OSError:
                self.outcomes["not connected"] += 1
                return
            reader, writer = streams
            try:
                writer.write(self.message)
                await writer.drain()
                head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").lower()
                fields = dict(line.split(": ", 1) for line in head.split("\r\n")[1:] if ": " in line)
                await reader.readexactly(int(fields["content-length"]))
            except asyncio.IncompleteReadError as error:
                # Closed before a byte came: not accepted. In the middle of an answer: lost.
                self.outcomes["cut off" if error.partial else "closed"] += 1
                streams = None
                continue
            except OSError:
                self.outcomes["closed"] += 1
                streams = None
                continue
            status = head[9:12]
            self.outcomes[status] += 1
            self.seconds[status].append(time.perf_counter() - begun)
            if fields.get("connection") == "close":
                writer.close()
                streams = None
            if status == "503":
                self.advice.add(int(fields["retry-after"]))
                await asyncio.sleep(min(LONGEST_PAUSE_S, int(fields["retry-after"])))
        if streams:
            streams[1].close()


def percentiles(seconds: list[float]) -> dict[str, float]:
    ordered = sorted(seconds)
    places = {"p50_s": 0.5, "p95_s": 0.95, "p99_s": 0.99}
    return (
        {name: round(ordered[int(share * (len(ordered) - 1))], 3) for name, share in places.items()} if ordered else {}
    )


def counter(count: int) -> Callable[[], bool]:
    left = iter(range(count))
    return lambda: next(left, None) is not None


def small_picture() -> bytes:
    """A face of 112 × 112 as JPEG, 4 KB."""
    from mien.images.pictures import encode, read, resize

    return encode(resize(read(PICTURE)[20:276, 96:352], 112, 112), "jpeg")


def run_steady(requests: int, minutes: float) -> dict[str, Any]:
    """32 clients and small pictures: no failure, and memory as after the first 1,000; ends early when time is over."""
    until = time.monotonic() + 60 * minutes
    left = counter(requests)
    # As many seconds as the machine may need: what is refused because others use it says nothing of failures.
    with service(MIEN_SERVICE_QUEUE_S="60", MIEN_SERVICE_REQUEST_TIMEOUT_S="120") as (port, process):
        memory_mb = []
        clients = Clients(port, lambda: time.monotonic() < until and left(), small_picture())

        async def run() -> None:
            async def watch() -> None:
                while True:
                    if clients.outcomes.total() >= 1000:
                        memory_mb.append(resident_mb(process.pid))
                    await asyncio.sleep(1)

            watching = asyncio.create_task(watch())
            await clients.run(32)
            watching.cancel()

        begun = time.monotonic()
        asyncio.run(run())
        seconds = time.monotonic() - begun
    memory_mb = memory_mb or [float("nan")]
    growth_mb = max(memory_mb) - memory_mb[0]
    return {
        "asked": clients.outcomes.total(), "of": requests, "outcomes": dict(clients.outcomes),
        "seconds": round(seconds),
        **percentiles(clients.seconds["200"]), "memory_after_1000_mb": round(memory_mb[0]),
        "most_growth_mb": round(growth_mb, 1), "ok": set(clients.outcomes) == {"200"} and growth_mb <= 20,
    }  # fmt: skip


def run_overload(seconds: float = 60) -> dict[str, Any]:
    """200 clients: those beyond the queue hear 503 and Retry-After at once, the others do not wait for ever."""
    with service() as (port, _):
        until = time.monotonic() + seconds
        clients = Clients(port, lambda: time.monotonic() < until)
        asyncio.run(clients.run(200))
    accepted, refused = percentiles(clients.seconds["200"]), percentiles(clients.seconds["503"])
    ratio = accepted["p99_s"] / accepted["p50_s"]
    return {
        "clients": 200, "outcomes": dict(clients.outcomes), "accepted": accepted, "refused": refused,
        "p99_by_p50": round(ratio, 2), "retry_after_s": sorted(clients.advice),
        "ok": ratio <= 5 and set(clients.outcomes) <= {"200", "503"},
    }  # fmt: skip


def run_sigterm(ends: int) -> dict[str, Any]:
    """SIGTERM while 16 clients ask: every answer that began comes whole, and the process ends by itself."""
    outcomes: collections.Counter[str] = collections.Counter()
    codes: collections.Counter[int] = collections.Counter()
    for number in range(ends):
        with service() as (port, process):

            async def ask(port: int = port, process: Any = process, number: int = number) -> Clients:
                clients = Clients(port, lambda: process.poll() is None)
                asking = asyncio.ensure_future(clients.run(16))
                await asyncio.sleep(1 + number % 5 * 0.4)
                process.send_signal(signal.SIGTERM)
                await asking
                return clients

            outcomes += asyncio.run(ask()).outcomes
            codes[process.wait(60)] += 1
    good = outcomes["cut off"] == 0 and set(codes) <= {0, -signal.SIGTERM}
    return {"ends": ends, "outcomes": dict(outcomes), "exit_codes": dict(codes), "ok": good}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("parts", nargs="*", help="steady, overload, sigterm; all by default")
    parser.add_argument("--requests", type=int, default=100_000)
    parser.add_argument("--minutes", type=float, default=120, help="after which steady ends early")
    parser.add_argument("--ends", type=int, default=20)
    options = parser.parse_args()
    runs = {
        "steady": lambda: run_steady(options.requests, options.minutes), "overload": run_overload,
        "sigterm": lambda: run_sigterm(options.ends),
    }  # fmt: skip
    good = True
    for part in options.parts or runs:
        result = runs[part]()
        good &= result["ok"]
        print(json.dumps({"part": part, **result}), flush=True)
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
