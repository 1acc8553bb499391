"""Web servers on this machine: one gives a file, one a live stream that can stall and break off."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from small_clips import picture

from mien.images.pictures import encode


class Live:
    """What a camera on the network does next: "on", "stall", "break" or "refuse"."""

    def __init__(self) -> None:
        self.mode = "on"
        self.over = threading.Event()
        self.connections = 0


@contextmanager
def serve(answer: Any) -> Iterator[str]:
    """A server whose GET is answered by `answer(handler)`; gives its address."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            answer(self)

        def log_message(self, format: str, *args: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def give_file(data: bytes, kind: str = "video/mp4", *, promised: int | None = None) -> Any:
    """Answers with a file, and may promise more bytes than it gives."""

    def answer(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(200)
        handler.send_header("Content-Type", kind)
        handler.send_header("Content-Length", str(promised or len(data)))
        handler.end_headers()
        try:
            handler.wfile.write(data)
        except OSError:
            return

    return answer


def give_live(live: Live) -> Any:
    """Answers with pictures 0, 1, 2 … as JPEGs, as network cameras do, until the mode says otherwise."""

    def answer(handler: BaseHTTPRequestHandler) -> None:
        live.connections += 1
        if live.mode == "refuse":
            handler.send_error(503)
            return
        handler.send_response(200)
        handler.send_header("Content-Type", "multipart/x-mixed-replace; boundary=frame")
        handler.end_headers()
        number = 0
        try:
            while live.mode != "break" and not live.over.wait(0.02):
                if live.mode == "on":
                    jpeg = encode(picture(number % 20), "jpeg")
                    head = f"--frame\r\nContent-Type: image/jpeg\r\nContent-Length: {len(jpeg)}\r\n\r\n"
                    handler.wfile.write(head.encode() + jpeg + b"\r\n")
                    handler.wfile.flush()
                    number += 1
        except OSError:
            return

    return answer
