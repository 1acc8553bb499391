"""Clients of `mien serve` that break the rules, over HTTP and over the live stream's WebSocket.

    python benchmarks/reliability/hostile.py [http] [stream] [--cases 300] [--seed 1]

Each offence has an answer or an end in time; afterwards the service serves as before, holds no place, no connection and
no memory more, and its log has no fault. Random conversations depend on seed and number alone. Traffic goes to
127.0.0.1. Prints one line of JSON a part.
"""

from __future__ import annotations

import argparse
import base64
import collections
import json
import os
import random
import re
import socket
import struct
import sys
import tempfile
import time
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from harness import free_port, resident_mb, started
from under_load import PICTURE

SETTINGS = {
    "MIEN_SERVICE_HEADER_TIMEOUT_S": "2", "MIEN_SERVICE_RECEIVE_TIMEOUT_S": "2", "MIEN_SERVICE_MAX_BODY_MB": "1",
    "MIEN_SERVICE_SEND_TIMEOUT_S": "2", "MIEN_SERVICE_STREAM_IDLE_S": "2", "MIEN_SERVICE_STREAMS": "4",
    "MIEN_SERVICE_STREAM_FRAME_MB": "0.5", "MIEN_SERVICE_CONNECTIONS": "64",
}  # fmt: skip
PATIENCE_S = 60
DEAF_S = 15
MOST_GROWTH_MB = 20

HEAD = b"POST /v1/analyze HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: image/jpeg\r\n"
HEALTH = b"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"


class Service:
    """`mien serve` with narrow limits: its port, its process and its log."""

    def __init__(self, port: int, pid: int, log: Path) -> None:
        self.port, self.pid, self.log = port, pid, log

    def connect(self) -> socket.socket:
        """A new connection."""
        return socket.create_connection(("127.0.0.1", self.port), timeout=PATIENCE_S)

    def ask(self, message: bytes) -> bytes:
        """The whole answer to a message, after which nothing more is said."""
        with self.connect() as connection:
            connection.sendall(message)
            return receive_all(connection)

    def figure(self, name: str) -> float:
        """One of /metrics."""
        text = self.ask(b"GET /metrics HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n").decode()
        return next(float(line.split()[1]) for line in text.splitlines() if line.startswith(f"{name} "))

    def analyze(self) -> bytes:
        """The answer to a good request."""
        body = PICTURE.read_bytes()
        return self.ask(HEAD + b"Connection: close\r\nContent-Length: %d\r\n\r\n" % len(body) + body)

    def open_files(self) -> int:
        """Files and connections that it holds."""
        return len(os.listdir(f"/proc/{self.pid}/fd"))  # noqa: PTH208

    def faults(self) -> list[str]:
        """Lines of its log that tell of a fault."""
        lines = self.log.read_text(errors="replace").splitlines()
        # A text that is no UTF-8 is logged by uvicorn with its traceback, and refused.
        said = [line for line in lines if "Invalid UTF-8" not in line]
        at = [number for number, line in enumerate(said) if "Traceback" in line or '"level": "error"' in line]
        return ["\n".join(said[number : number + 30])[:2500] for number in at]


@contextmanager
def service() -> Iterator[Service]:
    """Ready and warm."""
    port = free_port()
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "mien", "serve", "--port", str(port)]
        with started(command, Path(folder), MIEN_STATE_DIR=folder, **SETTINGS) as process:
            one = Service(port, process.pid, Path(folder) / "log.txt")
            wait_until(lambda: b" 200 " in one.ask(HEALTH.replace(b"/healthz", b"/readyz"))[:20])
            for _ in range(20):
                one.analyze()
            yield one


def wait_until(is_so: Callable[[], bool]) -> None:
    """Within the patience, or TimeoutError."""
    until = time.monotonic() + PATIENCE_S
    while True:
        try:
            if is_so():
                return
        except OSError:
            pass
        if time.monotonic() > until:
            raise TimeoutError("it did not come to that")
        time.sleep(0.1)


def receive_all(connection: socket.socket) -> bytes:
    """All that comes until the other side ends; what came before a reset counts."""
    parts = []
    try:
        while part := connection.recv(2**16):
            parts.append(part)
    except ConnectionError:
        pass
    return b"".join(parts)


def drip(service: Service, message: bytes, pause_s: float = 0.2) -> bytes:
    """Byte for byte, so that the whole is never there in time."""
    with service.connect() as connection:
        connection.settimeout(pause_s)
        parts = []
        for byte in message:
            try:
                connection.sendall(bytes([byte]))
                if not (part := connection.recv(2**16)):
                    break
                parts.append(part)
            except TimeoutError:
                continue
            except OSError:
                break
        return b"".join(parts)


def half_closed(service: Service, message: bytes) -> bytes:
    """Sent, and the sending side closed at once."""
    with service.connect() as connection:
        connection.sendall(message)
        connection.shutdown(socket.SHUT_WR)
        return receive_all(connection)


def endless(service: Service, head: bytes, piece: bytes) -> bytes:
    """Pieces of a body for as long as they are taken, 64 MB at most."""
    with service.connect() as connection:
        try:
            connection.sendall(head)
            for _ in range(2**26 // len(piece)):
                connection.sendall(piece)
        except OSError:
            pass
        return receive_all(connection)


def pipelined(service: Service, count: int) -> bytes:
    """So many requests before the first answer is read; the answer if each has one."""
    answer = service.ask((count - 1) * HEALTH + HEALTH[:-2] + b"Connection: close\r\n\r\n")
    return answer if answer.count(b"HTTP/1.1 200") == count else b"%d answers" % answer.count(b"HTTP/1.1 ")


def deaf(service: Service) -> bytes:
    """Requests whose answers are never read, until the service ends the connection."""
    with service.connect() as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        until = time.monotonic() + DEAF_S
        try:
            while (left_s := until - time.monotonic()) > 0:
                connection.settimeout(left_s)
                connection.sendall(100 * b"GET /openapi.json HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
        except ConnectionError:
            return b""
        except TimeoutError:
            pass
        return b"still open after %d s" % DEAF_S


def crowd(service: Service, count: int = 600) -> bytes:
    """Connections that say nothing; others are served meanwhile, and they end in time."""
    connections = [service.connect() for _ in range(count)]
    try:
        answer = service.analyze()
        ended = sum(not receive_all(connection) for connection in connections)
        return answer if ended == count else b"only %d ended" % ended
    finally:
        for connection in connections:
            connection.close()


def offences() -> dict[str, tuple[Callable[[Service], bytes], str]]:
    """What is done, and what the answer has to match; an empty answer is an ended connection."""
    body = PICTURE.read_bytes()
    whole = HEAD + b"Content-Length: %d\r\n\r\n" % len(body) + body
    chunk = b"10000\r\n" + bytes(2**16) + b"\r\n"
    field = b"--x\r\nContent-Disposition: form-data; name=a\r\n\r\n1\r\n"
    fields = b"10000\r\n" + (field * 1500)[: 2**16] + b"\r\n"
    in_pieces, ending = b"Transfer-Encoding: chunked\r\n", b"Connection: close\r\n\r\n"
    form = HEAD.replace(b"image/jpeg", b"multipart/form-data; boundary=x") + in_pieces + b"\r\n"
    many = HEALTH[:-2] + b"".join(b"X%d: 1\r\n" % number for number in range(1000)) + ending

    def say(message: bytes) -> Callable[[Service], bytes]:
        return lambda service: service.ask(message)

    return {
        "header that drips": (lambda service: drip(service, HEALTH), "^$"),
        "body that drips": (lambda service: drip(service, HEAD + b"Content-Length: 90\r\n\r\n" + bytes(90)), "408|^$"),
        "body that stops": (say(HEAD + b"Content-Length: 90\r\n\r\n" + bytes(9)), "408.*receive-timeout"),
        "half-closed after the request": (lambda service: half_closed(service, whole), "^HTTP/1.1 200|^$"),
        "half-closed in the header": (lambda service: half_closed(service, HEAD), "^$|400"),
        "half-closed in the body": (lambda service: half_closed(service, whole[:-100]), "^$|400"),
        "fifty at once on one connection": (lambda service: pipelined(service, 50), "^HTTP/1.1 200"),
        "header of 20 KB": (say(HEALTH[:-2] + b"X: " + 20_000 * b"x"), "400"),
        "a thousand headers": (say(many), "200|400"),
        "path of 15 KB": (say(HEALTH[:-2].replace(b"/healthz", b"/" + 15_000 * b"x") + ending), "404|400"),
        "body announced too large": (say(HEAD + b"Content-Length: 99999999999\r\n\r\n"), "413.*body-too-large"),
        "body without end in pieces": (
            lambda service: endless(service, HEAD + in_pieces + b"\r\n", chunk),
            "413.*body-too-large",
        ),
        "length below zero": (say(HEAD + b"Content-Length: -5\r\n\r\n"), "400"),
        "two lengths": (say(HEAD + b"Content-Length: 5\r\nContent-Length: 6\r\n\r\nabcdef"), "400"),
        "length and pieces": (say(HEAD + b"Content-Length: 5\r\n" + in_pieces + ending + b"0\r\n\r\n"), "4\\d\\d"),
        "piece of no size": (say(HEAD + in_pieces + b"\r\nxyz\r\n"), "^$|400"),
        "no HTTP": (say(b"\x16\x03\x01\x00\xa5\x01 TLS\r\n\r\n"), "400"),
        "zero bytes": (say(bytes(1000) + b"\r\n\r\n"), "400"),
        "two hosts": (say(HEALTH[:-2] + b"Host: other\r\n\r\n"), "400"),
        "no host": (say(b"GET /healthz HTTP/1.1\r\n" + ending), "400"),
        "form without end": (lambda service: endless(service, form, fields), "4\\d\\d"),
        "answers that nobody reads": (deaf, "^$"),
        "600 silent connections": (crowd, "^HTTP/1.1 200"),
    }  # fmt: skip


def run_http(cases: int, seed: int) -> dict[str, Any]:
    """Each offence, then random bytes."""
    answers: dict[str, str] = {}
    wrong, slowest_s = [], 0.0
    with service() as one:
        before_mb, before_files = resident_mb(one.pid), one.open_files()
        for name, (commit, expected) in offences().items():
            begun = time.monotonic()
            answer = commit(one)
            slowest_s = max(slowest_s, time.monotonic() - begun)
            print(name, round(time.monotonic() - begun, 1), answer[:60], file=sys.stderr, flush=True)
            answers[name] = answer[:12].decode("latin-1").removeprefix("HTTP/1.1").strip() or "ended"
            if not re.search(expected, answer.decode("latin-1"), re.DOTALL):
                wrong.append(f"{name}: {answer[:200]!r}")
        for number in range(cases):
            draw = random.Random(f"{seed} {number}")
            message = bytearray(HEAD + b"Content-Length: 2000\r\n\r\n" + PICTURE.read_bytes()[:2000])
            for _ in range(draw.randrange(1, 20)):
                message[draw.randrange(160 if draw.random() < 0.8 else len(message))] = draw.randrange(256)
            half_closed(one, bytes(message[: draw.randrange(1, len(message))]))
        return conclude(one, "http", before_mb, before_files) | {
            "seed": seed, "random": cases, "answers": answers, "slowest_s": round(slowest_s, 1), "wrong": wrong,
        }  # fmt: skip


def conclude(one: Service, part: str, before_mb: float, before_files: int) -> dict[str, Any]:
    """How the service is afterwards."""
    wait_until(lambda: one.figure("mien_streams_open") == 0 and one.figure("mien_queue_images") == 0)
    wait_until(lambda: one.open_files() <= before_files + 2)
    serves = one.analyze().startswith(b"HTTP/1.1 200")
    return {
        "part": part, "serves": serves, "growth_mb": round(resident_mb(one.pid) - before_mb, 1),
        "files_more": one.open_files() - before_files, "faults": one.faults()[:5],
    }  # fmt: skip


BINARY, TEXT, MORE, CLOSE, PING, PONG = 2, 1, 0, 8, 9, 10


def frame(kind: int, data: bytes, *, last: bool = True, masked: bool = True, flags: int = 0) -> bytes:
    """A frame of a client (RFC 6455)."""
    size = len(data)
    length = (
        bytes([size])
        if size < 126
        else struct.pack(">BH", 126, size)
        if size < 2**16
        else struct.pack(">BQ", 127, size)
    )
    head = bytes([(0x80 if last else 0) | flags | kind, length[0] | (0x80 if masked else 0)]) + length[1:]
    # The mask may be zero: what counts is that there is one.
    return head + (bytes(4) if masked else b"") + data


def bomb() -> bytes:
    """200 MB of zeros as a compressed message of 200 KB."""
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    packed = b"".join(packer.compress(bytes(2**20)) for _ in range(200)) + packer.flush(zlib.Z_SYNC_FLUSH)
    return frame(BINARY, packed[:-4], flags=0x40)


class Stream:
    """A live stream by hand: bytes out; events and the reason of the end in."""

    def __init__(self, one: Service, query: str = "", extensions: str = "") -> None:
        self.connection = one.connect()
        key = base64.b64encode(bytes(16)).decode()
        more = f"Sec-WebSocket-Extensions: {extensions}\r\n" if extensions else ""
        self.connection.sendall(
            f"GET /v1/stream{query} HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            f"Sec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\n{more}\r\n".encode()
        )
        self.problem, self.code = "", ""
        self._unread = b""
        while b"\r\n\r\n" not in self._unread and (part := self._receive()):
            self._unread += part
        head, _, self._unread = self._unread.partition(b"\r\n\r\n")
        if b" 101 " not in head[:20]:
            self.code = head[9:12].decode() or "no answer"

    def send(self, data: bytes) -> None:
        """As it is; whether it is still wanted or not."""
        try:
            self.connection.sendall(data)
        except OSError:
            return

    def end(self) -> str:
        """How the service ends it: the code of its close frame, the status of a refusal, or neither."""
        while not self.code:
            self._look()
            if not self.code and not (part := self._receive()):
                self.code = "no close frame"
            elif not self.code:
                self._unread += part
        self.connection.close()
        return self.code

    def _receive(self) -> bytes:
        try:
            return self.connection.recv(2**16)
        except ConnectionError:
            return b""

    def _look(self) -> None:
        """Take the whole frames of what has come."""
        while len(self._unread) >= 2:
            kind, size, at = self._unread[0] & 15, self._unread[1] & 127, 2
            if size > 125:
                at = 4 if size == 126 else 10
                size = int.from_bytes(self._unread[2:at], "big")
            if len(self._unread) < at + size:
                return
            data, self._unread = self._unread[at : at + size], self._unread[at + size :]
            if kind == CLOSE:
                self.code = str(int.from_bytes(data[:2], "big")) if len(data) > 1 else "1005"
            if kind == TEXT and b'"problem"' in data and b'"frame"' not in data:
                self.problem = json.loads(data)["problem"]["type"].removeprefix("urn:mien:problem:")


def tricks(jpeg: bytes) -> dict[str, tuple[list[bytes], str]]:
    """What is sent after the handshake, and the code that has to come."""
    large = bytes(2**20)
    return {
        "text": ([frame(TEXT, b'{"smooth_s": 1}')], "1003"),
        "text that is no UTF-8": ([frame(TEXT, b"\xff\xfe")], "1007|1003"),
        "frame over the limit": ([frame(BINARY, large)], "1009"),
        "frame that promises 2**62 bytes": ([b"\x82\xff" + struct.pack(">Q", 2**62) + bytes(4)], "1009"),
        "message without end in pieces": (
            [frame(BINARY, large[:9000], last=False)] + 200 * [frame(MORE, large[:9000], last=False)],
            "1009",
        ),
        "continuation of nothing": ([frame(MORE, b"abc")], "1002"),
        "message within a message": ([frame(BINARY, b"abc", last=False), frame(BINARY, b"abc")], "1002"),
        "no mask": ([frame(BINARY, jpeg, masked=False)], "1002"),
        "unknown kind": ([frame(11, b"")], "1002"),
        "reserved bits": ([frame(BINARY, b"abc", flags=0x70)], "1002"),
        "ping of 200 bytes": ([frame(PING, bytes(200))], "1002"),
        "ping in pieces": ([frame(PING, b"a", last=False)], "1002"),
        "end with a code that is none": ([frame(CLOSE, struct.pack(">H", 7))], "1002"),
        "end with half a code": ([frame(CLOSE, b"\x03")], "1002"),
        "flood of pings": ([frame(PING, b"abc")] * 20_000 + [frame(CLOSE, struct.pack(">H", 1000))], "1000"),
        "flood of frames": ([frame(BINARY, jpeg)] * 300 + [frame(CLOSE, struct.pack(">H", 1000))], "1000"),
        "ten bad frames": ([frame(BINARY, b"garbage")] * 400, "1007|1000"),
        "bomb": ([bomb()], "1009|1002"),
        "silence": ([], "1000"),
        "half a frame, then silence": ([frame(BINARY, jpeg)[:1000]], "1000"),
    }  # fmt: skip


def run_stream(cases: int, seed: int) -> dict[str, Any]:
    """Each trick, too many at once, then random conversations."""
    jpeg = PICTURE.read_bytes()
    ends: dict[str, str] = {}
    wrong: list[str] = []
    random_ends: collections.Counter[str] = collections.Counter()
    with service() as one:

        def free() -> bool:
            return one.figure("mien_streams_open") == 0

        # Each thread loads its own, and a first stream costs memory that stays.
        for _ in range(12):
            stream = Stream(one)
            stream.send(20 * frame(BINARY, jpeg) + frame(CLOSE, struct.pack(">H", 1000)))
            stream.end()
            wait_until(free)
        before_mb, before_files = resident_mb(one.pid), one.open_files()
        for name, (sent, expected) in tricks(jpeg).items():
            wait_until(free)
            stream = Stream(one, extensions="permessage-deflate" if name == "bomb" else "")
            stream.send(b"".join(sent))
            ends[name] = stream.end()
            if not re.fullmatch(expected, ends[name]):
                wrong.append(f"{name}: {ends[name]} {stream.problem}, expected {expected}")
        for query in ("?smooth_s=-1", "?nonsense=1", "?" + "a=1&" * 3000):
            stream = Stream(one, query)
            ends[query[:12]] = f"{stream.end()} {stream.problem}"
        ends["answers that nobody reads"] = deaf_stream(one, jpeg)
        if ends["answers that nobody reads"]:
            wrong.append(ends["answers that nobody reads"])
        crowd = [Stream(one) for _ in range(8)]
        ends["eight where four are served"] = " ".join(sorted(stream.end() for stream in crowd))
        wait_until(free)
        # The tricks cost memory once, such as that of four streams at a time; what comes now must not add to it.
        after_tricks_mb = resident_mb(one.pid)
        for number in range(cases):
            draw = random.Random(f"{seed} {number}")
            wait_until(free)
            stream = Stream(one)
            stream.send(conversation(draw, jpeg))
            random_ends[stream.end()] += 1
        result = conclude(one, "stream", after_tricks_mb, before_files)
    # Whoever breaks the protocol's own framing may be left without a close frame, never without an end.
    return result | {
        "seed": seed, "random": dict(random_ends), "growth_by_tricks_mb": round(after_tricks_mb - before_mb, 1),
        "ends": ends, "wrong": wrong,
    }  # fmt: skip


def deaf_stream(one: Service, jpeg: bytes) -> str:
    """Pings and frames whose answers are never read, until the service ends the connection."""
    stream = Stream(one)
    stream.connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    until = time.monotonic() + DEAF_S
    try:
        while (left_s := until - time.monotonic()) > 0:
            stream.connection.settimeout(left_s)
            stream.connection.sendall(1000 * frame(PING, bytes(125)) + frame(BINARY, jpeg))
    except ConnectionError:
        return ""
    except TimeoutError:
        pass
    finally:
        stream.connection.close()
    return f"answers that nobody reads: still open after {DEAF_S} s"


def conversation(draw: random.Random, jpeg: bytes) -> bytes:
    """Frames of all kinds in any order, some cut or with bytes changed, and mostly an end."""
    parts = []
    for _ in range(draw.randrange(1, 12)):
        kind = draw.choice([BINARY, BINARY, BINARY, TEXT, MORE, PING, PONG, CLOSE, 3, 12])
        data = draw.choice([jpeg, jpeg[: draw.randrange(len(jpeg))], draw.randbytes(draw.randrange(200)), b""])
        part = bytearray(frame(kind, data, last=draw.random() < 0.8, masked=draw.random() < 0.9))
        if draw.random() < 0.3:
            part[draw.randrange(min(14, len(part)))] = draw.randrange(256)
        parts.append(bytes(part[: draw.randrange(1, len(part) + 1)] if draw.random() < 0.1 else part))
    if draw.random() < 0.8:
        parts.append(frame(CLOSE, struct.pack(">H", 1000)))
    return b"".join(parts)


def main() -> int:
    parts: dict[str, Callable[[int, int], dict[str, Any]]] = {"http": run_http, "stream": run_stream}
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("parts", nargs="*", help="http, stream; both by default")
    parser.add_argument("--cases", type=int, default=300, help="random ones of each part")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    good = True
    for name in options.parts or parts:
        result = parts[name](options.cases, options.seed)
        result["ok"] = (
            not result["wrong"] and not result["faults"] and result["serves"]
            and result["growth_mb"] <= MOST_GROWTH_MB and "no answer" not in str(result["random"])
        )  # fmt: skip
        good &= result["ok"]
        print(json.dumps(result, ensure_ascii=False), flush=True)
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
