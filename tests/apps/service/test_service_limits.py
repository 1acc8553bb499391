"""Keys, rates, queues, readiness, logs and metrics."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import re
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from service_runs import InProcess, make_image, running

from mien.apps.service import server, stream, uploads
from mien.apps.service.admission import REMEMBERED, Admission, RateLimit, describe_key, hash_key, make_key
from mien.apps.service.app import create_app
from mien.apps.service.metrics import JsonFormatter, PlainFormatter
from mien.apps.service.problems import KINDS, Problem
from mien.apps.service.server import describe_addresses
from mien.apps.service.settings import Settings, load_settings
from mien.errors import ConfigError


@pytest.fixture(scope="module")
def service(toy_artifact: Path) -> Iterator[InProcess]:
    with running(toy_artifact) as service:
        yield service


class Gate:
    """Holds up the workers of a service."""

    def __init__(self, service: InProcess, monkeypatch: pytest.MonkeyPatch) -> None:
        self.open = threading.Event()
        self.looked = 0
        look = service.service.engine._look

        def wait(*given: Any) -> Any:
            self.looked += 1
            assert self.open.wait(180)
            return look(*given)

        monkeypatch.setattr(service.service.engine, "_look", wait)


def kind_of(response: Any) -> str:
    return str(response.json()["type"]).removeprefix("urn:mien:problem:")


def test_a_key_is_asked_for(toy_artifact: Path) -> None:
    key, other = make_key(), make_key()
    with running(toy_artifact, api_keys={"me": hash_key(key), "you": hash_key(other)}) as service:
        for headers in ({}, {"X-API-Key": "mien_wrong"}, {"Authorization": f"Basic {key}"}, {"X-API-Key": ""}):
            response = service.send(b"not even read", headers=headers)
            assert (response.status_code, kind_of(response)) == (401, "unauthorized")
            assert response.headers["www-authenticate"].startswith("Bearer")
        for headers in ({"X-API-Key": key}, {"Authorization": f"Bearer {other}"}, {"Authorization": f"bearer {key}"}):
            assert service.send(make_image(), headers=headers).status_code == 200
        assert service.get("/v1/models").status_code == service.get("/metrics").status_code == 401
        for path in ("/healthz", "/readyz", "/docs", "/openapi.json"):
            assert service.get(path).status_code == 200


def test_keys_are_kept_as_hashes_only(tmp_path: Path) -> None:
    text = describe_key("lab.1")
    key = next(word for word in text.split() if word.startswith("mien_"))
    assert len(key) > 45
    line = next(line for line in text.splitlines() if "sha256:" in line)
    assert key not in line
    (tmp_path / "service.toml").write_text(f"[api_keys]\n{line}\n".replace("lab.1", '"lab.1"'))
    assert load_settings(tmp_path / "service.toml").api_keys == {"lab.1": hash_key(key)}
    with pytest.raises(ConfigError, match="letters"):
        describe_key("a b")
    (tmp_path / "service.toml").write_text(f'[api_keys]\nme = "{key}"\n')
    with pytest.raises(ConfigError, match="--make-key me") as caught:
        load_settings(tmp_path / "service.toml")
    assert key not in str(caught.value)


def test_a_bucket_fills_with_time() -> None:
    now = [0.0]
    rate = RateLimit(60, 2, clock=lambda: now[0])
    assert [rate.take("a").passes for _ in range(3)] == [True, True, False]
    assert rate.take("b").passes
    assert rate.take("a").wait_s == 1
    now[0] = 1.0
    verdict = rate.take("a")
    assert (verdict.passes, verdict.remaining) == (True, 0)
    assert rate.headers(verdict) == {"RateLimit-Policy": '"requests";q=2;w=2', "RateLimit": '"requests";r=0;t=2'}
    for number in range(REMEMBERED + 10):
        rate.take(str(number))
    assert len(rate._buckets) == REMEMBERED


def test_too_many_requests(toy_artifact: Path) -> None:
    with running(toy_artifact, rate_per_minute=1, rate_burst=2) as service:
        first, second, third = (service.send(make_image()) for _ in range(3))
        assert (first.status_code, second.status_code, third.status_code) == (200, 200, 429)
        assert first.headers["ratelimit"].startswith('"requests";r=1')
        assert kind_of(third) == "rate-limited"
        assert 0 < int(third.headers["retry-after"]) <= 60
        assert third.headers["ratelimit-policy"] == '"requests";q=2;w=120'
        assert service.get("/healthz").status_code == 200


def test_a_queue_that_would_last_too_long_refuses() -> None:
    admission = Admission(max_requests=99, max_images=99, max_bytes=99, max_wait_s=2.0, workers=2)
    with contextlib.ExitStack() as stack:
        for _ in range(200):
            admission.note(1.0)
        for _ in range(5):
            stack.enter_context(admission.places("images"))
        with pytest.raises(Problem, match="try again in 3 s"):
            stack.enter_context(admission.places("images"))
        # Uploads go on: only images wait for images.
        stack.enter_context(admission.places("requests"))
    with admission.places("images", 16):
        assert admission.held["images"] == 16


def test_a_full_queue_refuses(toy_artifact: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with running(toy_artifact, queue_images=3, max_images=2) as service:
        gate = Gate(service, monkeypatch)

        async def ask() -> list[Any]:
            headers = {"Content-Type": "image/png"}
            posts = [
                asyncio.ensure_future(service.client.post("/v1/analyze", content=make_image(), headers=headers))
                for _ in range(8)
            ]
            done, _ = await asyncio.wait(posts, return_when=asyncio.FIRST_COMPLETED)
            while len(done) < 5:
                done, _ = await asyncio.wait(posts, timeout=0.05)
            gate.open.set()
            return await asyncio.gather(*posts)

        responses = service.run(ask())
        assert sorted(response.status_code for response in responses) == [200] * 3 + [503] * 5
        refused = next(response for response in responses if response.status_code == 503)
        assert kind_of(refused) == "overloaded"
        assert int(refused.headers["retry-after"]) >= 1
        assert service.service.admission.held == {"requests": 0, "images": 0, "bytes": 0}


def test_memory_for_bodies_is_limited(toy_artifact: Path) -> None:
    with running(toy_artifact, buffer_mb=1, max_body_mb=1) as service:
        held = service.service.admission.memory()
        held.__enter__().grow(2**19)
        response = service.send(bytes(2**20))
        held.__exit__(None, None, None)
        assert (response.status_code, kind_of(response)) == (503, "overloaded")
        assert service.service.admission.held["bytes"] == 0


def test_an_answer_that_takes_too_long(toy_artifact: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with running(toy_artifact, request_timeout_s=0.05) as service:
        gate = Gate(service, monkeypatch)
        response = service.send(make_image())
        assert (response.status_code, kind_of(response)) == (504, "timeout")
        gate.open.set()


def test_a_client_that_leaves_gives_up_its_place(toy_artifact: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with running(toy_artifact, workers=1) as service:
        gate = Gate(service, monkeypatch)

        async def leave() -> None:
            messages = [{"type": "http.request", "body": make_image(), "more_body": False}]
            left = asyncio.Event()

            async def receive() -> Any:
                if messages:
                    return messages.pop()
                await left.wait()
                return {"type": "http.disconnect"}

            async def send(message: Any) -> None:
                raise AssertionError(f"an answer to nobody: {message}")

            scope = {
                "type": "http", "method": "POST", "path": "/v1/analyze", "query_string": b"", "root_path": "",
                "headers": [(b"content-type", b"image/png")], "http_version": "1.1", "scheme": "http",
                "client": ("127.0.0.1", 1), "server": ("127.0.0.1", 2),
            }  # fmt: skip
            requests = [asyncio.ensure_future(service.app(dict(scope), receive, send))]
            while not gate.looked:
                await asyncio.sleep(0.005)
            left.set()
            await asyncio.gather(*requests)

        service.run(leave())
        gate.open.set()
        assert service.service.admission.held == {"requests": 0, "images": 0, "bytes": 0}
        assert 'mien_requests_total{method="POST",route="/v1/analyze",status="499"} 1.0' in service.get("/metrics").text


def test_readiness(toy_artifact: Path) -> None:
    service = InProcess(create_app(Settings(models=[str(toy_artifact)])))
    assert (service.get("/readyz").status_code, service.get("/healthz").status_code) == (503, 200)
    response = service.send(make_image())
    assert (response.status_code, kind_of(response)) == (503, "not-ready")
    service.start()
    assert service.get("/readyz").json()["status"] == "ready"
    service.service.draining = True
    response = service.get("/readyz")
    assert (response.status_code, response.headers["connection"]) == (503, "close")
    assert service.send(make_image(), "?detector=none").status_code == 200
    service.close()


def test_request_numbers(service: InProcess) -> None:
    assert service.get("/healthz", headers={"X-Request-Id": "trace-0123"}).headers["x-request-id"] == "trace-0123"
    for bad in ("short", "new\tline-and-more", "x" * 100):
        assert service.get("/healthz", headers={"X-Request-Id": bad}).headers["x-request-id"] != bad


def test_logs_name_the_route_and_nothing_private(
    service: InProcess, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(logging.getLogger("mien.service"), "propagate", True)
    with caplog.at_level(logging.INFO, "mien.service"):
        service.upload([make_image()], names=["my-secret-name.png"])
        service.get("/secret-path", headers={"X-API-Key": "my-secret-key"})
    lines = [JsonFormatter().format(record) for record in caplog.records if record.name == "mien.service"]
    first, second = (json.loads(line) for line in lines)
    assert (first["route"], first["status"], first["faces"]) == ("/v1/analyze", 200, 1)
    assert {"time", "level", "request", "ms", "received"} <= set(first)
    assert (second["route"], second["status"]) == ("none", 404)
    assert not any("secret" in line or "127.0.0.1" in line for line in lines)


def test_metrics(service: InProcess) -> None:
    service.send(make_image())
    service.send(b"no image")
    assert service.request("MADEUP", "/healthz").status_code == 405
    text = service.get("/metrics").text
    assert "MADEUP" not in text
    assert 'mien_requests_total{method="POST",route="/v1/analyze",status="200"}' in text
    assert 'mien_images_total{outcome="not-an-image"}' in text
    for name in ("mien_faces_total", "mien_queue_images 0.0", "mien_batch_faces_bucket", "process_resident_memory"):
        assert name in text
    for stage in ("queue", "decode", "detect", "classify"):
        assert f'mien_stage_seconds_count{{stage="{stage}"}}' in text


def test_other_origins_are_let_in_only_by_name(service: InProcess, toy_artifact: Path) -> None:
    origin = {"Origin": "https://example.org"}
    assert "access-control-allow-origin" not in service.get("/healthz", headers=origin).headers
    with running(toy_artifact, cors_origins=["https://example.org"]) as other:
        assert other.get("/healthz", headers=origin).headers["access-control-allow-origin"] == "https://example.org"
        asked = origin | {"Access-Control-Request-Method": "POST"}
        assert other.request("OPTIONS", "/v1/analyze", headers=asked).status_code == 200
        assert "access-control-allow-origin" not in other.get("/healthz", headers={"Origin": "https://a.b"}).headers


def test_settings_come_from_file_environment_and_arguments(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "service.toml"
    file.write_text('port = 1\nworkers = 1\nmodels = ["a"]\nmax_body_mb = 2.5\n')
    monkeypatch.setenv("MIEN_SERVICE_PORT", "2")
    monkeypatch.setenv("MIEN_SERVICE_WORKERS", "2")
    settings = load_settings(file, port=3, host=None)
    assert (settings.port, settings.workers, settings.models) == (3, 2, ["a"])
    assert (settings.host, settings.max_body_bytes) == ("127.0.0.1", 2.5 * 2**20)
    monkeypatch.setenv("MIEN_SERVICE_CONFIG", str(file))
    assert load_settings().models == ["a"]
    file.write_text("prot = 1")
    with pytest.raises(ConfigError, match="unknown service setting 'prot'"):
        load_settings(file)
    file.write_text("buffer_mb = 1\n")
    with pytest.raises(ConfigError, match="buffer_mb = 1 leaves no room"):
        load_settings(file)
    file.write_text("workers = [")
    with pytest.raises(ConfigError, match="TOML"):
        load_settings(file)
    with pytest.raises(ConfigError, match="no such file"):
        load_settings(tmp_path / "none.toml")
    monkeypatch.delenv("MIEN_SERVICE_CONFIG")
    monkeypatch.setenv("MIEN_SERVICE_PORT", "many")
    with pytest.raises(ConfigError, match="'port'"):
        load_settings()


@pytest.mark.parametrize(
    ("host", "shown"), [("127.0.0.1", "http://127.0.0.1:8600/live"), ("0.0.0.0", "http://127.0.0.1:8600/live"),
                        ("::1", "http://[::1]:8600/live")],
)  # fmt: skip
def test_the_banner_of_a_terminal_has_addresses_to_open(host: str, shown: str) -> None:
    banner = describe_addresses(Settings(host=host), 8600)
    assert shown in banner
    assert "No API key is required" in banner


def test_a_log_line_for_people_is_no_json() -> None:
    record = logging.LogRecord("mien.service", logging.WARNING, "", 0, "request", None, None)
    record.fields = {"route": "/v1/analyze", "status": 200}
    assert PlainFormatter().format(record).endswith(" warning: request route=/v1/analyze status=200")


def test_the_guide_names_every_limit() -> None:
    guide = (Path(__file__).parents[3] / "docs" / "guide" / "service.md").read_text("utf-8")
    table = guide.partition("## Limits")[2].partition("## Settings")[0]
    named = set(re.findall(r"`([a-z_]+|[a-z-]+)`", table))
    settings = {name for name in named if name in Settings.model_fields}
    # What is left is a problem's name, and nothing that once was one.
    assert named - settings <= KINDS.keys()
    limits = {"max_", "stream", "buffer", "queue", "connections", "rate_", "video_queue", "video_receive"}
    wanted = {name for name in Settings.model_fields if name.startswith(tuple(limits)) or name.endswith("timeout_s")}
    assert wanted <= settings
    fixed = (
        f"{uploads.MAX_FIELDS} fields of {uploads.MAX_FIELD_BYTES // 1024} KB",
        f"{uploads.MAX_PART_HEADERS} headers, {uploads.MAX_PART_HEADER_BYTES // 1024} KB",
        f"{uploads.MAX_SCANS} scans, {uploads.MAX_MARKERS:,} segments", f"{server.MAX_HEADER_BYTES // 1024} KB",
        f"| {stream.MAX_BAD_FRAMES} |", f"{stream.SEND_TIMEOUT_S:g} s",
    )  # fmt: skip
    assert [text for text in fixed if text not in table] == []
