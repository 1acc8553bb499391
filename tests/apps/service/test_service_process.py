"""`mien serve` as a process on 127.0.0.1: slow and greedy clients, an orderly end, bad settings."""

from __future__ import annotations

import json
import re
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from commands import invoke
from service_runs import Process, make_image, serving

from mien.errors import ConfigError


@pytest.fixture(scope="module")
def service(toy_artifact: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Process]:
    limits: dict[str, Any] = {
        "header_timeout_s": 0.5,
        "receive_timeout_s": 0.5,
        "keep_alive_s": 1,
        "max_body_mb": 1,
        "send_timeout_s": 0.5,
    }
    with serving(toy_artifact, tmp_path_factory.mktemp("service"), **limits) as process:
        yield process


@pytest.fixture(autouse=True)
def _works_afterwards(request: pytest.FixtureRequest) -> Iterator[None]:
    yield
    if "service" in request.fixturenames:
        with request.getfixturevalue("service").client() as client:
            assert client.post("/v1/analyze", **image()).status_code == 200


def image() -> dict[str, Any]:
    return {"content": make_image(), "headers": {"Content-Type": "image/png"}}


def head(length: int) -> bytes:
    line = "POST /v1/analyze HTTP/1.1\r\nHost: localhost\r\nContent-Type: image/png\r\n"
    return f"{line}Content-Length: {length}\r\n\r\n".encode()


def receive_all(connection: socket.socket) -> bytes:
    parts = []
    while part := connection.recv(2**16):
        parts.append(part)
    return b"".join(parts)


@pytest.mark.parametrize("sent", [b"", b"POST /v1/analyze HTTP/1.1\r\nHost: localhost\r\n"])
def test_a_header_that_does_not_come_ends_the_connection(service: Process, sent: bytes) -> None:
    with service.connect() as connection:
        connection.sendall(sent)
        assert receive_all(connection) == b""


def test_neither_does_one_that_drips(service: Process) -> None:
    """Every byte is in time; the whole is not. Another connection works meanwhile."""
    ended = threading.Event()
    with service.connect() as connection, service.client() as client:
        connection.sendall(b"GET /healthz HTTP/1.1\r\n")

        def drip() -> None:
            while not ended.wait(0.05):
                try:
                    connection.sendall(b"a")
                except OSError:
                    return

        thread = threading.Thread(target=drip)
        thread.start()
        assert client.post("/v1/analyze", **image()).status_code == 200
        try:
            assert receive_all(connection) == b""
        except ConnectionResetError:
            pass
        finally:
            ended.set()
            thread.join()


def test_a_second_header_on_the_same_connection_is_timed_too(service: Process) -> None:
    with service.connect() as connection:
        connection.sendall(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\nGET /health")
        answer = receive_all(connection)
        assert answer.count(b"HTTP/1.1") == 1
        assert answer.startswith(b"HTTP/1.1 200")


def test_a_body_that_does_not_come_is_answered(service: Process) -> None:
    with service.connect() as connection:
        connection.sendall(head(1000) + b"\x89PNG")
        answer = receive_all(connection)
    assert answer.startswith(b"HTTP/1.1 408")
    assert b"urn:mien:problem:receive-timeout" in answer
    assert b"connection: close" in answer.lower()


def test_a_large_body_is_answered_though_the_client_only_sends(service: Process) -> None:
    """The refusal comes at once, and what is still sent does not wipe it out."""
    with service.connect() as connection:
        connection.sendall(head(200 * 2**20))
        sent = 0
        try:
            while sent < 8 * 2**20:
                sent += connection.send(bytes(2**16))
        except OSError:
            pytest.fail(f"the connection was reset after {sent} bytes")
        connection.shutdown(socket.SHUT_WR)
        answer = receive_all(connection)
    assert answer.startswith(b"HTTP/1.1 413")
    assert b"urn:mien:problem:body-too-large" in answer


def test_a_client_that_hangs_up_half_way_leaves_nothing(service: Process) -> None:
    for _ in range(5):
        with service.connect() as connection:
            connection.sendall(head(1000) + b"half")
    with service.client() as client:
        text = client.get("/metrics").text
        while 'status="499"' not in text:
            text = client.get("/metrics").text
        assert "mien_queue_images 0.0" in text


def test_answers_that_nobody_takes_end_the_connection(service: Process) -> None:
    with service.connect() as connection:
        with pytest.raises(ConnectionError):  # noqa: PT012
            while True:
                connection.sendall(b"GET /openapi.json HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert "ASGI" not in service.log.read_text()


def test_requests_sent_together_are_answered_in_turn(service: Process) -> None:
    with service.connect() as connection:
        paths = ["healthz", "readyz", "nowhere"] * 5
        connection.sendall(b"".join(f"GET /{path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode() for path in paths))
        answers = receive_all(connection)
    assert re.findall(rb"HTTP/1.1 (\d+)", answers) == [b"200", b"200", b"404"] * 5


def test_a_client_that_ends_its_side_is_taken_as_gone(service: Process) -> None:
    with service.connect() as connection:
        connection.sendall(head(1000) + b"half")
        connection.shutdown(socket.SHUT_WR)
        assert receive_all(connection) == b""


def test_what_is_no_http_is_refused(service: Process) -> None:
    with service.connect() as connection:
        connection.sendall(b"\x16\x03\x01 this is TLS\r\n\r\n")
        assert receive_all(connection).startswith(b"HTTP/1.1 400")
    with service.connect() as connection:
        connection.sendall(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nX: " + b"x" * 20_000)
        assert receive_all(connection).startswith(b"HTTP/1.1 400")


def test_it_waits_for_the_continuation(service: Process) -> None:
    """`Expect: 100-continue` saves a client from sending what is refused."""
    with service.connect() as connection:
        connection.sendall(head(200 * 2**20).replace(b"\r\n\r\n", b"\r\nExpect: 100-continue\r\n\r\n"))
        assert connection.recv(2**16).startswith(b"HTTP/1.1 413")


def test_nothing_accepted_is_lost_at_the_end(toy_artifact: Path, tmp_path: Path) -> None:
    clients = 6
    outcomes: list[str] = []
    asked_to_end = threading.Event()
    some_done = threading.Event()
    with serving(toy_artifact, tmp_path, drain_s=0.3) as service:

        def ask() -> None:
            with service.client() as client:
                while True:
                    try:
                        response = client.post("/v1/analyze", **image())
                    except httpx.ConnectError:
                        assert asked_to_end.is_set()
                        return
                    except httpx.TransportError as error:
                        outcomes.append(repr(error))
                        return
                    outcomes.append(str(response.status_code))
                    if len(outcomes) > 3 * clients:
                        some_done.set()

        threads = [threading.Thread(target=ask) for _ in range(clients)]
        for thread in threads:
            thread.start()
        some_done.wait(180)
        asked_to_end.set()
        code = service.stop()
        for thread in threads:
            thread.join()
        assert code == 0, service.log.read_text()
        lines = [json.loads(line) for line in service.log.read_text().splitlines()]
        accepted = [line for line in lines if line.get("route") == "/v1/analyze"]
        assert len(accepted) == outcomes.count("200") > 3 * clients
        # What the kernel had queued when the port closed was never accepted; a client meets that once at most.
        assert len(outcomes) - len(accepted) <= clients


def test_a_connection_taken_just_before_the_end_is_answered(toy_artifact: Path, tmp_path: Path) -> None:
    """Its request is still on the way when the port closes."""
    with serving(toy_artifact, tmp_path, drain_s=0) as service, service.connect() as connection:
        with service.client() as client:
            assert client.get("/healthz").status_code == 200
        service.process.terminate()
        service.wait_for_log("Shutting down")
        connection.sendall(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n")
        answer = receive_all(connection)
        assert answer.startswith(b"HTTP/1.1 200")
        assert b"connection: close" in answer.lower()


def test_readiness_ends_first(toy_artifact: Path, tmp_path: Path) -> None:
    with serving(toy_artifact, tmp_path, drain_s=30) as service, service.client() as client:
        service.process.terminate()
        while (response := client.get("/readyz")).status_code == 200:
            pass
        assert response.status_code == 503
        assert response.headers["connection"] == "close"
        assert client.post("/v1/analyze", **image()).status_code == 200


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-m", "mien", "serve", *arguments], capture_output=True, text=True)


def test_what_cannot_be_served_is_said() -> None:
    result = run("--model", "other", "--port", "0")
    assert result.returncode == 2
    assert "error: unknown model 'other'" in result.stderr
    with socket.create_server(("127.0.0.1", 0)) as taken:
        result = run("--port", str(taken.getsockname()[1]))
    assert result.returncode == 2
    assert "error: cannot listen on 127.0.0.1" in result.stderr


def test_a_setting_that_is_none_is_said(tmp_path: Path) -> None:
    (tmp_path / "a.toml").write_text("prot = 1\n")
    with pytest.raises(ConfigError, match="unknown service setting 'prot'"):
        raise invoke("serve", "--config", tmp_path / "a.toml").exception  # type: ignore[misc]


def test_the_command_makes_keys_and_shows_settings() -> None:
    assert re.search(r'\n  lab = "sha256:[0-9a-f]{64}"\n', invoke("serve", "--make-key", "lab").stdout)
    assert json.loads(invoke("serve", "--show-settings", "--port", "81").stdout)["port"] == 81
