from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest


@pytest.fixture
def serving() -> Iterator[Callable[[dict[str, list[int]]], str]]:
    """A web server on loopback that answers each path with the next of its codes."""
    servers: list[ThreadingHTTPServer] = []

    def start(codes: dict[str, list[int]]) -> str:
        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                code = codes[self.path].pop(0)
                self.send_response(code)
                self.end_headers()
                self.wfile.write(b"a picture" if code == 200 else b"")

            def log_message(self, *_: object) -> None:
                pass

        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        servers.append(server)
        return f"http://127.0.0.1:{server.server_port}"

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()
