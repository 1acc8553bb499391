"""Bad input: each gets a problem document, and the next request works."""

from __future__ import annotations

import struct
import zlib
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import cv2
import httpx
import numpy as np
import pytest
from service_runs import InProcess, make_image, running

from mien.images.pictures import encode

BOUNDARY = "cut-here"
FORM = {"Content-Type": f"multipart/form-data; boundary={BOUNDARY}"}


@pytest.fixture(scope="module")
def service(toy_artifact: Path) -> Iterator[InProcess]:
    with running(toy_artifact, max_body_mb=1, max_images=4, max_pixels=1_000_000) as service:
        yield service


@pytest.fixture(autouse=True)
def _works_afterwards(service: InProcess) -> Iterator[None]:
    yield
    assert service.send(make_image()).status_code == 200
    assert service.service.admission.held == {"requests": 0, "images": 0, "bytes": 0}


def assert_problem(response: httpx.Response, status: int, kind: str) -> dict[str, Any]:
    document: dict[str, Any] = response.json()
    assert (response.status_code, document["type"]) == (status, f"urn:mien:problem:{kind}"), document
    assert response.headers["content-type"] == "application/problem+json"
    assert document["status"] == status
    assert document["instance"] == f"urn:mien:request:{response.headers['x-request-id']}"
    assert document["title"]
    assert document["detail"]
    return document


def make_part(data: bytes, name: str = "files", filename: str = "a.png") -> bytes:
    head = f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="{name}"; filename="{filename}"\r\n\r\n'
    return head.encode() + data + b"\r\n"


END = f"--{BOUNDARY}--\r\n".encode()


def make_png_bomb(side: int = 30_000) -> bytes:
    """A few bytes that announce a huge image."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        body = kind + data
        return struct.pack(">I", len(data)) + body + struct.pack(">I", zlib.crc32(body))

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0))
    rows = chunk(b"IDAT", zlib.compress(bytes(100_000)))
    return b"\x89PNG\r\n\x1a\n" + header + rows + chunk(b"IEND", b"")


def make_tiff_bomb(side: int = 16_000) -> bytes:
    """A small image in one huge tile."""
    tags = [
        (256, 64),
        (257, 64),
        (258, 8),
        (259, 1),
        (262, 1),
        (277, 1),
        (322, side),
        (323, side),
        (324, 200),
        (325, 64),
    ]
    entries = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in tags)
    return b"II*\0" + struct.pack("<IH", 8, len(tags)) + entries + bytes(100)


@pytest.mark.parametrize(
    ("data", "status", "kind"),
    [
        (b"hello, I am text", 422, "not-an-image"),
        (b"\x00", 422, "not-an-image"),
        (make_image()[:300], 422, "damaged-image"),
        (make_image(image_format="jpeg")[:900], 422, "damaged-image"),
        (b"\xff\xd8\xff", 422, "damaged-image"),
        (b"GIF89a", 422, "damaged-image"),
        (make_png_bomb(), 413, "image-too-large"),
        (make_tiff_bomb(), 413, "image-too-large"),
        (b"", 400, "no-image"),
        (bytes(2**20 + 1), 413, "body-too-large"),
    ],
)
def test_bodies(service: InProcess, data: bytes, status: int, kind: str) -> None:
    assert_problem(service.send(data), status, kind)


def make_progressive(scans: int, *, before: bytes = b"", between: bytes = b"") -> bytes:
    """A progressive JPEG whose last scan stands there `scans` times."""
    done, buffer = cv2.imencode(".jpg", np.zeros((64, 64, 3), np.uint8), [cv2.IMWRITE_JPEG_PROGRESSIVE, 1])
    assert done
    data = buffer.tobytes()
    last = data.rfind(b"\xff\xda")
    return data[:2] + before + data[2:last] + (between + data[last:-2]) * scans + data[-2:]


def make_comment(text: bytes) -> bytes:
    return b"\xff\xfe" + struct.pack(">H", len(text) + 2) + text


@pytest.mark.parametrize("trick", [b"", make_comment(b"\xff\xd9"), make_comment(b"\xff\xda" * 3)])
def test_a_jpeg_of_very_many_scans(service: InProcess, trick: bytes) -> None:
    assert service.send(make_progressive(1, before=trick, between=trick)).status_code == 200
    many = make_comment(b"\xff\xda" * 1000)
    assert service.send(make_progressive(1, before=many) + b"\xff\xda" * 1000).status_code == 200
    assert_problem(service.send(make_progressive(500, before=trick, between=trick)), 422, "damaged-image")


def test_a_body_that_grows_too_large_is_refused_while_it_comes(service: InProcess) -> None:
    sent = 0

    async def stream() -> AsyncIterator[bytes]:
        nonlocal sent
        for _ in range(200):
            sent += 2**16
            yield bytes(2**16)

    response = service.request(
        "POST", "/v1/analyze", content=stream(), headers={"Content-Type": "application/octet-stream"}
    )
    assert_problem(response, 413, "body-too-large")
    assert response.headers["connection"] == "close"


def test_an_announced_size_is_refused_before_a_byte_is_read(service: InProcess) -> None:
    async def stream() -> AsyncIterator[bytes]:
        raise AssertionError("the body was read")
        yield b""

    headers = {"Content-Type": "application/octet-stream", "Content-Length": str(200 * 2**20)}

    async def ask() -> dict[str, Any]:
        """By hand: the client itself would send the body."""
        sent: list[Any] = []

        async def receive() -> Any:
            return {"type": "http.disconnect"} if sent else await stream().__anext__()

        async def send(message: Any) -> None:
            sent.append(message)

        scope = {
            "type": "http", "method": "POST", "path": "/v1/analyze", "query_string": b"", "root_path": "",
            "headers": [(name.lower().encode(), value.encode()) for name, value in headers.items()],
            "http_version": "1.1", "scheme": "http", "client": ("127.0.0.1", 1), "server": ("127.0.0.1", 2),
        }  # fmt: skip
        await service.app(scope, receive, send)
        return dict(sent[0])

    assert service.run(ask())["status"] == 413


@pytest.mark.parametrize("content_type", ["text/plain", "application/json", "", "application/x-www-form-urlencoded"])
def test_content_types(service: InProcess, content_type: str) -> None:
    response = service.request("POST", "/v1/analyze", content=make_image(), headers={"Content-Type": content_type})
    assert_problem(response, 415, "unsupported-media-type")


@pytest.mark.parametrize(
    ("form", "status", "kind"),
    [
        (END, 400, "no-image"),
        (b"", 400, "malformed-request"),
        (b"no form at all", 400, "malformed-request"),
        (make_part(make_image()), 400, "malformed-request"),
        (make_part(b"") + END, 400, "no-image"),
        (make_part(make_image(), name="image") + END, 400, "malformed-request"),
        (make_part(make_image()) * 5 + END, 413, "too-many-images"),
        (make_part(make_image(), filename="a" * 5000) + END, 400, "malformed-request"),
        (b"--" + BOUNDARY.encode() + b"\r\n" + b"A: b\r\n" * 20 + b"\r\n\r\n" + END, 400, "malformed-request"),
        (make_part(b"text") + make_part(b"more") + END, 422, "not-an-image"),
    ],
)
def test_forms(service: InProcess, form: bytes, status: int, kind: str) -> None:
    assert_problem(service.request("POST", "/v1/analyze", content=form, headers=FORM), status, kind)


@pytest.mark.parametrize("boundary", ["", "; boundary=", f"; boundary={'a' * 500}", "; boundary=ä"])
def test_boundaries(service: InProcess, boundary: str) -> None:
    headers = {"Content-Type": f"multipart/form-data{boundary}".encode()}
    response = service.request("POST", "/v1/analyze", content=make_part(make_image()) + END, headers=headers)
    assert_problem(response, 400, "malformed-request")


@pytest.mark.parametrize(
    ("query", "kind"),
    [
        ("model=other", "unknown-model"),
        ("labels=nine", "invalid-request"),
        ("min_confidence=2", "invalid-request"),
        ("min_confidence=nan", "invalid-request"),
        ("max_faces=0", "invalid-request"),
        ("detector=other", "invalid-request"),
        ("detector=yunet", "invalid-request"),
        ("head=other", "invalid-request"),
        ("typo=1", "invalid-request"),
    ],
)
def test_parameters(service: InProcess, query: str, kind: str) -> None:
    document = assert_problem(service.send(make_image(), f"?{query}"), 422, kind)
    assert query.split("=")[0].split("_")[0] in document["detail"]
    assert "/" not in document["detail"]


def test_paths_and_methods(service: InProcess) -> None:
    assert_problem(service.get("/v1/nothing/../../etc/passwd"), 404, "not-found")
    response = service.request("PUT", "/v1/analyze")
    assert_problem(response, 405, "method-not-allowed")
    assert response.headers["allow"] == "POST"
    assert service.request("HEAD", "/v1/analyze").status_code == 405
    assert service.request("OPTIONS", "/v1/analyze").status_code == 405
    head = service.request("HEAD", "/healthz")
    assert (head.status_code, head.content) == (200, b"")


def test_of_an_animation_the_first_frame_is_read(service: InProcess) -> None:
    frames = [np.full((20, 30, 3), value, np.uint8) for value in (0, 255)]
    animation = cv2.Animation()
    animation.frames, animation.durations = frames, [100, 100]
    done, buffer = cv2.imencodeanimation(".gif", animation)
    assert done
    answer = service.send(buffer.tobytes()).json()
    first = service.send(encode(frames[0])).json()
    assert answer["images"][0]["faces"] == first["images"][0]["faces"]


def test_a_failure_tells_nothing_of_the_inside(service: InProcess, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*given: Any) -> None:
        raise RuntimeError("a secret of the inside")

    monkeypatch.setattr(service.service.engine, "_look", fail)
    response = service.send(make_image())
    assert_problem(response, 500, "internal-error")
    assert "secret" not in response.text
    monkeypatch.undo()


def test_a_compressed_body_is_refused(service: InProcess) -> None:
    answer = service.send(make_image(), headers={"Content-Encoding": "gzip", "Content-Type": "image/png"})
    document = assert_problem(answer, 415, "unsupported-media-type")
    assert "gzip" in document["detail"]
    assert answer.headers["accept-encoding"] == "identity"


def test_an_option_in_the_form_is_refused_with_a_hint(service: InProcess) -> None:
    option = f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="labels"\r\n\r\neight\r\n'.encode()
    answer = service.send(make_part(make_image()) + option + END, headers=FORM)
    assert "?labels=" in assert_problem(answer, 400, "malformed-request")["detail"]


def test_a_part_may_be_named_file_or_files(service: InProcess) -> None:
    body = make_part(make_image(), name="file") + make_part(make_image(), name="files") + END
    assert len(service.send(body, headers=FORM).json()["images"]) == 2


def test_allow_lists_the_methods_of_all_routes_of_a_path(service: InProcess) -> None:
    answer = service.request("PUT", f"/v1/jobs/{'0' * 32}")
    assert_problem(answer, 405, "method-not-allowed")
    assert answer.headers["allow"] == "DELETE, GET"
