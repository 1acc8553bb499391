"""`/v1/stream`: results to frames, frames that are dropped, refusals, clients that leave."""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from service_runs import PATIENCE_S, Process, make_image, serving
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import ClientConnection, connect

from mien.apps.live.live_reader import LiveReader
from mien.apps.service.admission import hash_key
from mien.apps.service.problems import Problem
from mien.errors import SourceError
from mien.reading.pipeline import Pipeline
from mien.reading.streaming import StreamOptions


@pytest.fixture(scope="module")
def service(toy_artifact: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Process]:
    folder = tmp_path_factory.mktemp("streams")
    limits: dict[str, Any] = {
        "state_dir": str(folder / "state"), "streams": 2, "stream_idle_s": 1.5, "stream_frame_mb": 0.4,
        "stream_pixels": 100_000, "send_timeout_s": 0.5, "api_keys": {"ann": hash_key("key-of-ann")}, "cors_origins": ["https://friend.example"],
    }  # fmt: skip
    with serving(toy_artifact, folder, **limits) as process:
        yield process


KEY = {"X-API-Key": "key-of-ann"}


def dial(service: Process, query: str = "", **given: Any) -> ClientConnection:
    given = {"additional_headers": KEY} | given
    return connect(f"ws://127.0.0.1:{service.port}/v1/stream{query}", open_timeout=PATIENCE_S, proxy=None, **given)


def hear(stream: ClientConnection) -> dict[str, Any]:
    return dict(json.loads(stream.recv(timeout=PATIENCE_S)))


def open_streams(service: Process) -> float:
    with service.client() as client:
        text = client.get("/metrics", headers=KEY).text
    return float(next(line.split()[1] for line in text.splitlines() if line.startswith("mien_streams_open ")))


@pytest.fixture(autouse=True)
def _works_afterwards(request: pytest.FixtureRequest) -> Iterator[None]:
    """Whatever a client did, the next one is served and all places are free."""
    yield
    if "service" in request.fixturenames:
        process = request.getfixturevalue("service")
        end = time.monotonic() + PATIENCE_S
        while open_streams(process) > 0:
            assert time.monotonic() < end
            time.sleep(0.02)
        with dial(process) as stream:
            assert hear(stream)["event"] == "ready"


def ended_by(stream: ClientConnection) -> tuple[str, int]:
    """The problem that the server tells, and the code that it closes with."""
    message = hear(stream)
    while message["event"] != "problem" or "frame" in message:
        message = hear(stream)
    with pytest.raises(ConnectionClosed):
        stream.recv(timeout=PATIENCE_S)
    assert stream.close_code is not None
    return message["problem"]["type"].removeprefix("urn:mien:problem:"), stream.close_code


def test_each_frame_gets_its_faces(service: Process) -> None:
    with dial(service, "?labels=eight&min_confidence=0.99") as stream:
        ready = hear(stream)
        assert ready["event"] == "ready"
        assert len(ready["labels"]) == 8
        times_s = []
        for index in range(3):
            stream.send(make_image(index))
            result = hear(stream)
            assert (result["event"], result["frame"], result["dropped"]) == ("result", index, 0)
            (face,) = result["faces"]
            assert face["track_id"] == 1
            assert face["abstained"]
            assert sum(face["probabilities"].values()) == pytest.approx(1, abs=0.01)
            assert set(face["raw"]) == set(ready["labels"])
            assert (result["width"], result["height"]) == (80, 60)
            times_s.append(result["time_s"])
        assert times_s == sorted(times_s)


@pytest.mark.parametrize("image_format", ["jpeg", "png", "webp"])
def test_formats(service: Process, image_format: str) -> None:
    with dial(service) as stream:
        hear(stream)
        stream.send(make_image(image_format=image_format))
        assert hear(stream)["event"] == "result"


def test_the_newest_frame_wins(service: Process) -> None:
    count = 60
    image = make_image(height=250, width=390, image_format="jpeg")
    with dial(service) as stream:
        hear(stream)
        for _ in range(count):
            stream.send(image)
        result = hear(stream)
        answers = 1
        while result["frame"] < count - 1:
            result = hear(stream)
            answers += 1
    assert result["frame"] == count - 1
    assert result["dropped"] == count - answers


def test_text_is_refused(service: Process) -> None:
    with dial(service) as stream:
        hear(stream)
        stream.send('{"smooth_s": 0}')
        assert ended_by(stream) == ("unsupported-media-type", 1003)


def test_a_bad_frame_is_told_and_the_next_one_read(service: Process) -> None:
    with dial(service) as stream:
        hear(stream)
        for bad in (b"", b"garbage", make_image()[:-30], make_image(height=400, width=400, image_format="jpeg")):
            stream.send(bad)
            told = hear(stream)
            assert told["event"] == "problem"
            assert told["problem"]["status"] in (413, 422)
        stream.send(make_image())
        assert hear(stream)["frame"] == 4


def test_nothing_but_bad_frames_ends_it(service: Process) -> None:
    with dial(service) as stream:
        hear(stream)
        for _ in range(9):
            stream.send(b"garbage")
            assert hear(stream)["problem"]["status"] == 422
        stream.send(b"garbage")
        assert ended_by(stream) == ("not-an-image", 1007)


def test_a_huge_frame_ends_it(service: Process) -> None:
    with dial(service) as stream:
        hear(stream)
        stream.send(bytes(430_000))
        assert ended_by(stream) == ("body-too-large", 1009)
    with dial(service) as stream:
        hear(stream)
        stream.send(bytes(2_000_000))
        with pytest.raises(ConnectionClosed):
            stream.recv(timeout=PATIENCE_S)
        assert stream.close_code == 1009


def test_silence_ends_it(service: Process) -> None:
    with dial(service) as stream:
        hear(stream)
        assert ended_by(stream) == ("receive-timeout", 1000)


def test_no_more_streams_than_may(service: Process) -> None:
    with dial(service) as first, dial(service) as second:
        assert [hear(first)["event"], hear(second)["event"]] == ["ready", "ready"]
        with dial(service) as third:
            assert ended_by(third) == ("too-many-streams", 1013)


def test_a_client_that_leaves_without_a_word(service: Process) -> None:
    with dial(service) as client:
        hear(client)
        client.send(make_image())
        client.socket.shutdown(socket.SHUT_RDWR)
    end = time.monotonic() + PATIENCE_S
    while open_streams(service) > 0:
        assert time.monotonic() < end, "its place is still taken"
        time.sleep(0.02)


def shake(service: Process, query: str = "") -> socket.socket:
    """A connection that has asked for a stream, to break the protocol on."""
    connection = service.connect()
    lines = [
        f"GET /v1/stream{query} HTTP/1.1", "Host: localhost", "Upgrade: websocket", "Connection: Upgrade",
        "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==", "Sec-WebSocket-Version: 13",
        *(f"{name}: {value}" for name, value in KEY.items()),
    ]  # fmt: skip
    connection.sendall("\r\n".join([*lines, "", ""]).encode())
    return connection


def receive_all(connection: socket.socket) -> bytes:
    parts = []
    while part := connection.recv(2**16):
        parts.append(part)
    return b"".join(parts)


def test_a_request_that_the_library_refuses_is_answered_and_ended(service: Process) -> None:
    with shake(service, "?" + "a" * 9000) as connection:
        assert receive_all(connection).startswith(b"HTTP/1.1 414")


@pytest.mark.parametrize("sent", [b"\x82\x01a", b"\x80\x80\0\0\0\0", b"\xf2\x80\0\0\0\0", b"\x82\xff\x40" + bytes(7)])
def test_what_breaks_the_protocol_ends_it_and_is_no_fault(service: Process, sent: bytes) -> None:
    with shake(service) as connection:
        while b"ready" not in connection.recv(2**16):
            pass
        image = make_image()
        # A frame that is answered when the connection has ended.
        connection.sendall(b"\x82\xfe" + len(image).to_bytes(2, "big") + bytes(4) + image + sent)
        answer = receive_all(connection)
    assert b"\x88" in answer
    log = service.log.read_text()
    assert "Traceback" not in log, log[-2000:]


def test_messages_that_nobody_takes_end_it(service: Process) -> None:
    pings = 1000 * (b"\x89\xfd" + bytes(4 + 125))
    with shake(service) as connection, pytest.raises(ConnectionError):  # noqa: PT012
        while True:
            connection.sendall(pings)


def test_options_that_cannot_be_used(service: Process) -> None:
    for query in ("?labels=nine", "?smooth_s=-1", "?min_confidence=nan", "?no=1"):
        with dial(service, query) as stream:
            assert ended_by(stream) == ("invalid-request", 1008)


def test_keys_come_by_header_or_subprotocol(service: Process) -> None:
    for given in ({"additional_headers": {}}, {"additional_headers": {"X-API-Key": "another"}}):
        with dial(service, **given) as stream:
            assert ended_by(stream) == ("unauthorized", 1008)
    wrong: Any = ["mien.v1", "mien.key.another"]
    with dial(service, additional_headers={}, subprotocols=wrong) as stream:
        assert ended_by(stream) == ("unauthorized", 1008)
    right: Any = ["mien.v1", "mien.key.key-of-ann"]
    with dial(service, additional_headers={}, subprotocols=right) as stream:
        assert hear(stream)["event"] == "ready"
        assert stream.subprotocol == "mien.v1"


def test_pages_of_other_sites_are_refused(service: Process) -> None:
    with pytest.raises(InvalidStatus) as refusal:
        dial(service, origin="https://evil.example")
    answer = refusal.value.response
    assert answer.status_code == 403
    assert json.loads(answer.body or b"")["type"] == "urn:mien:problem:cross-origin"
    for origin in (f"http://127.0.0.1:{service.port}", "https://friend.example"):
        with dial(service, origin=origin) as stream:
            assert hear(stream)["event"] == "ready"


def test_the_log_names_no_client(service: Process) -> None:
    with dial(service, "?smooth_s=0.2468135") as stream:
        hear(stream)
    service._wait(lambda: '"message": "stream"' in service.log.read_text())
    lines = service.log.read_text().splitlines()
    # No time of day has so many digits in a row.
    told = ("2468135", "smooth_s")
    assert not [line for line in lines if any(word in line for word in told)]
    assert not [line for line in lines if "127.0.0.1:" in line and "running on" not in line]


def test_a_reader_goes_on_after_a_bad_frame(toy_artifact: Path) -> None:
    pipeline = Pipeline(toy_artifact, detector="none", max_pixels=10_000)
    with LiveReader(pipeline, StreamOptions(smooth_s=0.0, hold_s=0.0)) as reader:
        first = reader.read(make_image(1), 0, 0.0)
        for bad in (b"garbage", make_image()[:50], make_image(height=200, width=200)):
            with pytest.raises((Problem, SourceError)):
                reader.read(bad, 1, 0.1)
        again = reader.read(make_image(1), 2, 0.2)
    assert [face.track_id for face in again.faces] == [face.track_id for face in first.faces]
    assert again.faces[0].probabilities == pytest.approx(pipeline.analyze(make_image(1))[0].probabilities, abs=1e-3)
