"""Sources that send a clip of faces live and can be cut off: a camera, an RTSP server, FFmpeg over HTTP."""

from __future__ import annotations

import socket
import struct
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

import cv2
import numpy as np
from harness import end, free_port

from mien.images.pictures import read, resize
from mien.structures import UInt8

EXAMPLES = Path(__file__).resolve().parents[2] / "src" / "mien" / "apps" / "web" / "examples"
WIDTH, HEIGHT = 1280, 720
CLIP_S = 20


def iter_frames(rate_hz: int) -> Iterator[UInt8]:
    """Two people who cross a grey room from side to side and leave it, 20 s; RGB uint8 (720, 1280, 3)."""
    people = [resize(read(EXAMPLES / name), 400, 400) for name in ("astronaut.jpg", "grace_hopper.jpg")]
    frames = CLIP_S * rate_hz
    for number in range(frames):
        wide = np.full((HEIGHT, WIDTH + 800, 3), 120, np.uint8)
        at = round(number / frames * (WIDTH + 400))
        wide[40:440, at : at + 400] = people[0]
        wide[310:710, WIDTH + 400 - at : WIDTH + 800 - at] = people[1]
        yield np.ascontiguousarray(wide[:, 400 : 400 + WIDTH])


def write_clip(path: Path, rate_hz: int) -> None:
    """The frames as H.264, a keyframe every second."""
    import av

    with av.open(str(path), "w") as container:
        stream = container.add_stream("h264", rate=rate_hz, options={"preset": "fast", "g": str(rate_hz)})
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        for image in iter_frames(rate_hz):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="rgb24")))
        container.mux(stream.encode(None))


class Sender(Protocol):
    """A source that sends at `address` while it is on."""

    address: str

    def start(self) -> None:
        """Begin to send, or send again."""
        ...

    def stop(self) -> None:
        """Be gone in the middle of a frame."""
        ...


class FfmpegSender:
    """FFmpeg as a web server of one listener: MPEG-TS, in real time, for ever."""

    def __init__(self, folder: Path, rate_hz: int) -> None:
        self._clip = folder / "clip.mp4"
        write_clip(self._clip, rate_hz)
        self.address = f"http://127.0.0.1:{free_port()}/stream"
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Begin to send, or send again."""
        command = ["ffmpeg", "-nostdin", "-loglevel", "quiet", "-re", "-stream_loop", "-1", "-i", str(self._clip)]
        self._process = subprocess.Popen([*command, "-c", "copy", "-f", "mpegts", "-listen", "1", self.address])
        time.sleep(1)

    def stop(self) -> None:
        """Killed."""
        if self._process is not None:
            self._process.kill()
            end(self._process)


class RtspSender:
    """An RTSP server of one listener at a time: MPEG-TS in RTP over the same TCP connection, in real time."""

    def __init__(self, folder: Path, rate_hz: int) -> None:
        clip = folder / "clip.ts"
        write_clip(clip, rate_hz)
        self._data, self._on = clip.read_bytes(), threading.Event()
        self._port = free_port()
        self.address = f"rtsp://127.0.0.1:{self._port}/stream"
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Begin to send, or send again."""
        self._on.set()
        self._thread = threading.Thread(target=self._serve, args=[socket.create_server(("127.0.0.1", self._port))])
        self._thread.start()

    def stop(self) -> None:
        """The connection is closed, and nobody listens any more."""
        self._on.clear()
        if self._thread is not None:
            self._thread.join()

    def _serve(self, server: socket.socket) -> None:
        with server:
            server.settimeout(0.1)
            while self._on.is_set():
                try:
                    connection, _ = server.accept()
                except TimeoutError:
                    continue
                with connection:
                    try:
                        self._answer(connection)
                        self._send(connection)
                    except OSError:
                        continue

    def _answer(self, connection: socket.socket) -> None:
        """The handshake, up to PLAY."""
        sdp = "v=0\r\no=- 0 0 IN IP4 127.0.0.1\r\ns=clip\r\nt=0 0\r\nm=video 0 RTP/AVP 33\r\na=control:video\r\n"
        answers = {
            "OPTIONS": ("Public: OPTIONS, DESCRIBE, SETUP, PLAY, TEARDOWN", ""),
            "DESCRIBE": ("Content-Type: application/sdp", sdp),
            "SETUP": ("Transport: RTP/AVP/TCP;unicast;interleaved=0-1\r\nSession: 1", ""),
            "PLAY": ("Session: 1", ""),
        }
        connection.settimeout(5)
        waiting = b""
        while True:
            while b"\r\n\r\n" not in waiting:
                if not (data := connection.recv(4096)):
                    raise ConnectionError("the listener left")
                waiting += data
            request, _, waiting = waiting.partition(b"\r\n\r\n")
            lines = request.decode().split("\r\n")
            number = next(line for line in lines if line.lower().startswith("cseq"))
            method = lines[0].split()[0]
            head, body = answers[method]
            connection.sendall(
                f"RTSP/1.0 200 OK\r\n{number}\r\n{head}\r\nContent-Length: {len(body)}\r\n\r\n{body}".encode()
            )
            if method == "PLAY":
                return

    def _send(self, connection: socket.socket) -> None:
        """The clip, over and over, at its average rate, as seven packets of MPEG-TS in one of RTP."""
        size, began = 7 * 188, time.monotonic()
        per_round = -(-len(self._data) // size)
        number = 0
        while self._on.wait(0):
            at = number % per_round * size
            part = self._data[at : at + size]
            rtp = struct.pack(">BBHII", 0x80, 33, number & 0xFFFF, int(90_000 * (time.monotonic() - began)), 1) + part
            connection.sendall(struct.pack(">cBH", b"$", 0, len(rtp)) + rtp)
            number += 1
            time.sleep(max(0.0, began + number * CLIP_S / per_round - time.monotonic()))


class FakeCamera:
    """A camera of OpenCV whose plug can be pulled: a file stands for the device, pictures come from memory."""

    def __init__(self, folder: Path, rate_hz: int) -> None:
        self._path = folder / "video7"
        self.address = str(self._path)
        frames = [cv2.cvtColor(image, cv2.COLOR_RGB2BGR) for image in iter_frames(1)]
        path = self._path

        class Capture:
            """Stands for `cv2.VideoCapture`."""

            def __init__(self, device: str, backend: int) -> None:
                self._number = 0

            def isOpened(self) -> bool:  # noqa: N802
                return path.exists()

            def set(self, key: int, value: float) -> None:
                pass

            def get(self, key: int) -> float:
                return rate_hz

            def read(self) -> tuple[bool, Any]:
                time.sleep(1 / rate_hz)
                self._number += 1
                return (True, frames[self._number % len(frames)].copy()) if path.exists() else (False, None)

            def release(self) -> None:
                pass

        cv2.VideoCapture = Capture  # type: ignore[assignment,misc]

    def start(self) -> None:
        """Plugged in."""
        self._path.touch()

    def stop(self) -> None:
        """Unplugged."""
        self._path.unlink(missing_ok=True)


SENDERS: dict[str, Callable[[Path, int], Sender]] = {
    "camera": FakeCamera, "rtsp": RtspSender, "http": FfmpegSender,
}  # fmt: skip


@contextmanager
def sending(name: str, folder: Path, rate_hz: int) -> Iterator[Sender]:
    """A sender that is on; off at the end."""
    sender = SENDERS[name](folder, rate_hz)
    sender.start()
    try:
        yield sender
    finally:
        sender.stop()
