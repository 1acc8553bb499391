"""A light client that keeps a number of requests on their way: bare asyncio, prepared bytes, its own process.

    python benchmarks/service_load.py PORT FOLDER --clients 32 --requests 2000

Prints one JSON object: what came back, and how long each request took. FOLDER holds the pictures to send.
"""

from __future__ import annotations

import argparse
import asyncio
import collections
import json
import resource
import time
from pathlib import Path

HEADER = (
    b"POST /v1/analyze HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/octet-stream\r\n"
    b"Content-Length: %d\r\n\r\n"
)


class Load:
    """Sends `requests` pictures, in turns, `clients` at a time, each on a connection that is kept."""

    def __init__(self, port: int, pictures: list[bytes], requests: int, stop_on_refusal: bool) -> None:
        self.port, self.left, self.stop_on_refusal = port, requests, stop_on_refusal
        self.messages = [HEADER % len(picture) + picture for picture in pictures]
        self.sent = 0
        self.seconds: list[float] = []
        self.outcomes: collections.Counter[str] = collections.Counter()

    async def run(self, clients: int) -> None:
        await asyncio.gather(*[self._client() for _ in range(clients)])

    async def _client(self) -> None:
        connection: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None
        while self.left > 0:
            self.left -= 1
            message = self.messages[self.sent % len(self.messages)]
            self.sent += 1
            started = time.perf_counter()
            try:
                connection = connection or await asyncio.open_connection("127.0.0.1", self.port)
            except OSError:
                self.outcomes["refused"] += 1
                if self.stop_on_refusal:
                    return
                continue
            outcome, keep = await self._ask(*connection, message)
            self.outcomes[outcome] += 1
            if outcome == "200":
                self.seconds.append(time.perf_counter() - started)
            if not keep:
                connection[1].close()
                connection = None
        if connection:
            connection[1].close()

    async def _ask(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, message: bytes
    ) -> tuple[str, bool]:
        """The answer's status, or why there is none; and whether the connection can be used again."""
        try:
            writer.write(message)
            await writer.drain()
            head = (await reader.readuntil(b"\r\n\r\n")).lower()
            length = int(head.partition(b"content-length: ")[2].split(b"\r\n", 1)[0])
            await reader.readexactly(length)
        except (asyncio.IncompleteReadError, OSError) as error:
            partial = getattr(error, "partial", b"")
            return ("lost half-way" if partial else "lost"), False
        return head[9:12].decode(), b"connection: close" not in head


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("port", type=int)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--clients", type=int, default=32)
    parser.add_argument("--requests", type=int, default=2000)
    parser.add_argument("--stop-on-refusal", action="store_true", help="a client ends when nobody listens any more")
    given = parser.parse_args()
    pictures = [path.read_bytes() for path in sorted(given.folder.iterdir())]
    load = Load(given.port, pictures, given.requests, given.stop_on_refusal)
    started = time.perf_counter()
    asyncio.run(load.run(given.clients))
    usage = resource.getrusage(resource.RUSAGE_SELF)
    print(
        json.dumps(
            {
                "wall_s": time.perf_counter() - started,
                "client_cpu_s": usage.ru_utime + usage.ru_stime,
                "outcomes": dict(load.outcomes),
                "seconds": load.seconds,
            }
        )
    )


if __name__ == "__main__":
    main()
