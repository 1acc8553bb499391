"""What the service writes to its log: a line for people in a terminal, JSON for programs; and a disk that is full."""

from __future__ import annotations

import errno
import io
import json
import logging
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("fastapi", reason='needs pip install "mien[service]"')

from service_runs import running

from mien.apps.service import uploads
from mien.apps.service.metrics import LOGGER, start_logs

NAMES = (LOGGER, "uvicorn", "uvicorn.access", "uvicorn.error", "python_multipart")


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture(autouse=True)
def _logs_stay_as_they_were() -> Iterator[None]:
    loggers = [logging.getLogger(name) for name in NAMES]
    kept = [(log, log.handlers, log.propagate, log.level, log.filters[:]) for log in loggers]
    yield
    for log, handlers, propagate, level, filters in kept:
        log.handlers, log.propagate, log.filters = handlers, propagate, filters
        log.setLevel(level)


def logged(monkeypatch: pytest.MonkeyPatch, stream: io.StringIO, level: str = "info") -> str:
    monkeypatch.setattr(sys, "stderr", stream)
    start_logs(level)
    log = logging.getLogger(LOGGER)
    log.info("request", extra={"fields": {"route": "/v1/analyze", "status": 200}})
    log.debug("not asked for")
    try:
        raise ValueError("no model")
    except ValueError:
        log.exception("failed")
    logging.getLogger("uvicorn.error").info('("203.0.113.7", 5) - "WebSocket /v1/stream?key=secret" [accepted]')
    logging.getLogger("uvicorn.access").info("203.0.113.7 - GET /v1/analyze")
    return stream.getvalue()


def test_people_get_a_line_with_the_time(monkeypatch: pytest.MonkeyPatch) -> None:
    first, second, *trace = logged(monkeypatch, Terminal()).splitlines()
    assert first[2] == first[5] == ":"
    assert first[9:] == "request route=/v1/analyze status=200"
    assert second[9:] == "error: failed"
    assert trace[-1] == "ValueError: no model"


def test_programs_get_json_and_nobody_an_address(monkeypatch: pytest.MonkeyPatch) -> None:
    text = logged(monkeypatch, io.StringIO())
    first, second = map(json.loads, text.splitlines())
    assert (first["level"], first["message"], first["route"], first["status"]) == (
        "info",
        "request",
        "/v1/analyze",
        200,
    )
    assert second["exception"].endswith("ValueError: no model")
    assert "203.0.113.7" not in text
    assert "secret" not in text


def test_the_level_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    assert "request" not in logged(monkeypatch, io.StringIO(), "error")


@pytest.mark.parametrize(("number", "status"), [(errno.ENOSPC, 507), (errno.EDQUOT, 507)])
def test_a_video_for_which_the_disk_has_no_room_is_refused(
    toy_artifact: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int, status: int
) -> None:
    async def full(*_: Any) -> None:
        raise OSError(number, "full")

    monkeypatch.setattr(uploads, "_write_video", full)
    with running(toy_artifact, state_dir=tmp_path / "state") as service:
        answer = service.request("POST", "/v1/videos", content=b"clip", headers={"Content-Type": "video/mp4"})
        assert answer.status_code == status, answer.text
        assert answer.json()["type"] == "urn:mien:problem:no-room"
        assert not list((tmp_path / "state").rglob("*.part"))
