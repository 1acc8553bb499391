"""Pages of other sites, and other names that lead here, are refused on every route."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fastapi.routing import APIRoute
from service_runs import InProcess, make_image, running, serving
from starlette.datastructures import Headers
from starlette.routing import Route, WebSocketRoute
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect

from mien.apps.service.app import create_app
from mien.apps.service.middleware import is_known_host, is_known_origin
from mien.apps.service.settings import Settings

EVIL_PAGE = {"Origin": "https://evil.example"}
EVIL_NAME = {"Host": "evil.example", "Origin": "http://evil.example"}
FRIEND = "https://friend.example"


def each_route(routes: Any) -> Iterator[Any]:
    for route in routes:
        inner = getattr(route, "routes", None) or getattr(getattr(route, "original_router", None), "routes", None)
        if isinstance(route, Route | APIRoute | WebSocketRoute) or not inner:
            yield route
        else:
            yield from each_route(inner)


APP = create_app(Settings())
ROUTES = list(each_route(APP.routes))
ASKED = sorted(
    (method, re.sub(r"\{.*?\}", "some", path))
    for path, methods in {
        route.path: route.methods
        for route in ROUTES
        if not isinstance(route, WebSocketRoute) and hasattr(route, "path")
    }.items()
    for method in methods
)
"""A path may have several routes: those of the schema complete the list."""
ASKED = sorted({
    *ASKED,
    *(
        (method.upper(), re.sub(r"\{.*?\}", "some", path))
        for path, methods in APP.openapi()["paths"].items()
        for method in methods
    ),
})  # fmt: skip
SOCKETS = [route.path for route in ROUTES if isinstance(route, WebSocketRoute)]


@pytest.fixture(scope="module")
def service(toy_artifact: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[InProcess]:
    state = tmp_path_factory.mktemp("senders")
    with running(toy_artifact, state_dir=state, allowed_hosts=["mien.example"], cors_origins=[FRIEND]) as service:
        yield service


def test_the_routes_are_all_there() -> None:
    assert {("POST", "/v1/analyze"), ("POST", "/v1/videos"), ("DELETE", "/v1/jobs/some"), ("GET", "/live")} <= set(
        ASKED
    )
    assert SOCKETS == ["/v1/stream"]


@pytest.mark.parametrize(("headers", "kind"), [(EVIL_PAGE, "cross-origin"), (EVIL_NAME, "unknown-host")])
@pytest.mark.parametrize(("method", "path"), ASKED)
def test_others_are_refused(service: InProcess, method: str, path: str, headers: dict[str, str], kind: str) -> None:
    given = {"Content-Type": "image/png"} | headers
    answer = service.request(method, path, content=make_image(), headers=given)
    assert answer.status_code == 403
    if method != "HEAD":
        assert answer.headers["content-type"] == "application/problem+json"
        assert answer.json()["type"] == f"urn:mien:problem:{kind}"
    assert "access-control-allow-origin" not in answer.headers


@pytest.mark.parametrize(
    "headers",
    [
        {}, {"Host": "localhost:8000", "Origin": "http://localhost:8000"}, {"Host": "10.1.2.3:8000"}, {"Host": "[::1]"},
        {"Host": "mien.example", "Origin": "https://mien.example"}, {"Origin": FRIEND},
    ],
)  # fmt: skip
def test_programs_own_pages_and_friends_are_answered(service: InProcess, headers: dict[str, str]) -> None:
    assert service.send(make_image(), headers=headers).status_code == 200
    assert service.get("/readyz", headers=headers).status_code == 200


def test_a_form_of_another_site_becomes_no_job(service: InProcess) -> None:
    files = {"file": ("film.mp4", b"\0" * 2000, "video/mp4")}
    for headers in (EVIL_PAGE, EVIL_NAME, {"Origin": "null"}):
        assert service.request("POST", "/v1/videos", files=files, headers=headers).status_code == 403
    service.run(asyncio.sleep(0))
    assert 'route="/v1/videos"' not in service.get("/metrics").text


@pytest.mark.parametrize(
    ("origin", "host", "known"),
    [
        (None, "mien.example", True),
        ("https://mien.example", "mien.example", True),
        ("https://Mien.example", "mien.EXAMPLE", True),
        ("https://mien.example", "mien.example:443", True),
        ("http://mien.example:80", "mien.example", True),
        ("https://mien.example:8443", "mien.example", False),
        ("https://mien.example.evil", "mien.example", False),
        ("https://[", "mien.example", False),
        ("null", "mien.example", False),
        ("null", "", False),
        ("", "", False),
    ],
)
def test_whose_pages_are_known(origin: str | None, host: str, *, known: bool) -> None:
    headers = {"host": host} | ({} if origin is None else {"origin": origin})
    assert is_known_origin(Headers(headers), Settings()) is known


@pytest.mark.parametrize(
    ("host", "known"),
    [
        ("", True), ("localhost", True), ("LOCALHOST:80", True), ("localhost.", True), ("127.0.0.1", True),
        ("[::1]:8000", True), ("10.244.1.7:8000", True), ("mien.lan:8000", True), ("api.example.org", True),
        ("a.pods.example.org", True), ("pods.example.org", False), ("evil.example", False), ("localhost.evil", False),
        ("127.0.0.1.evil.example", False), ("evil@localhost", False), ("localhost/evil", False), ("[::1", False),
        ("localhost:port", False), (":80", False), ("0x7f000001", False),
    ],
)  # fmt: skip
def test_which_names_are_known(host: str, *, known: bool) -> None:
    settings = Settings(host="mien.lan", allowed_hosts=["API.example.org", "*.pods.example.org"])
    assert is_known_host(host, settings) is known
    assert is_known_host("evil.example", Settings(allowed_hosts=["*"]))


def test_a_process_refuses_before_the_body_and_over_websockets(toy_artifact: Path, tmp_path: Path) -> None:
    with serving(toy_artifact, tmp_path) as service:
        with service.connect() as line:
            line.sendall(
                b"POST /v1/videos HTTP/1.1\r\nHost: evil.example\r\nOrigin: http://evil.example\r\n"
                b"Content-Type: video/mp4\r\nContent-Length: 500000000\r\n\r\n" + b"\0" * 70_000
            )
            head = line.recv(4096)
        assert head.startswith(b"HTTP/1.1 403")
        assert b"connection: close" in head.lower()
        for host, kind in ((f"127.0.0.1:{service.port}", "cross-origin"), ("evil.example", "unknown-host")):
            with pytest.raises(InvalidStatus) as refusal:
                connect(f"ws://{host}/v1/stream", origin="http://evil.example", sock=service.connect())  # type: ignore[arg-type]
            assert refusal.value.response.status_code == 403
            assert json.loads(refusal.value.response.body or b"")["type"] == f"urn:mien:problem:{kind}"
