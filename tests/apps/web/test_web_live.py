"""`/live` of the page without a browser: who may open its stream, and what it answers."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from typing import Any

import pytest

pytest.importorskip("streamlit", reason='needs pip install "mien[web]"')

from portraits import PORTRAIT
from starlette.applications import Starlette

from mien.apps.web import live_routes
from mien.apps.web.live_routes import create_routes

OWN = {"host": "127.0.0.1:8501", "origin": "http://127.0.0.1:8501"}


def talk(app: Starlette, headers: dict[str, str], frames: Sequence[bytes] = ()) -> list[dict[str, Any]]:
    """What a stream says until it is closed, or the browser leaves after its frames; the code of a close comes last."""

    async def run() -> list[dict[str, Any]]:
        incoming: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        told: list[dict[str, Any]] = []
        waiting = list(frames)
        incoming.put_nowait({"type": "websocket.connect"})

        async def send(message: dict[str, Any]) -> None:
            if message["type"] == "websocket.close":
                told.append({"code": message["code"]})
            elif message["type"] == "websocket.send":
                told.append(json.loads(message["text"]))
                # The next frame goes out when the one before was answered, as from a browser.
                leaving = {"type": "websocket.disconnect", "code": 1000}
                incoming.put_nowait(
                    {"type": "websocket.receive", "bytes": waiting.pop(0)} if waiting else leaving
                )  # fmt: skip

        scope = {
            "type": "websocket", "path": "/v1/stream", "query_string": b"", "subprotocols": ["mien.v1"],
            "headers": [(name.encode(), value.encode()) for name, value in headers.items()],
        }  # fmt: skip
        await asyncio.wait_for(app(scope, incoming.get, send), 60)
        return told

    return asyncio.run(run())


def test_frames_are_read_and_a_bad_one_is_passed_over() -> None:
    portrait = PORTRAIT.read_bytes()
    ready, first, bad, huge, again = talk(
        Starlette(routes=create_routes(("127.0.0.1",))), OWN,
        [portrait, b"nothing", b"\0" * (live_routes.MAX_FRAME_BYTES + 1), portrait],
    )  # fmt: skip
    assert (ready["event"], ready["labels"][0]) == ("ready", "angry")
    assert [face["top"] for face in first["faces"]] == ["happy"]
    assert (bad["event"], bad["frame"]) == ("problem", 1)
    assert "exceeds the limit" in huge["problem"]["detail"]
    assert [face["track_id"] for face in again["faces"]] == [face["track_id"] for face in first["faces"]]


@pytest.mark.parametrize(
    "headers",
    [
        {"host": "127.0.0.1:8501", "origin": "http://elsewhere.example"},
        {"host": "127.0.0.1:8501"},
        {"host": "elsewhere.example:8501", "origin": "http://elsewhere.example:8501"},
    ],
    ids=["another site", "no page", "another name of this computer"],
)
def test_only_its_own_page_opens_a_stream(headers: dict[str, str]) -> None:
    problem, closed = talk(Starlette(routes=create_routes(("127.0.0.1",))), headers, [PORTRAIT.read_bytes()])
    assert problem["problem"]["title"] == "Not this page"
    assert closed == {"code": live_routes.FOREIGN}


def test_no_more_cameras_than_places(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live_routes, "MOST_STREAMS", 0)
    problem, closed = talk(Starlette(routes=create_routes(())), OWN)
    assert problem["problem"]["title"] == "Too many cameras"
    assert closed == {"code": live_routes.BUSY}
