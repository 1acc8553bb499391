from __future__ import annotations

import gc
import re
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from small_clips import captures, held, number_of, picture, write_clip
from small_servers import Live, give_file, give_live, serve

from mien.errors import SourceError
from mien.sources import live as live_module
from mien.sources.container import without_password
from mien.sources.live import LiveSource
from mien.sources.opening import open_source
from mien.sources.stream import LiveOptions
from mien.sources.video import VideoFile

UNEVEN_MS = [0, 10, 50, 90, 200, 1000]
OPTIONS = LiveOptions(open_timeout_s=30, stall_s=1)


@pytest.fixture(autouse=True)
def _no_thread_survives(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(live_module, "FIRST_WAIT_S", 0.05)
    yield
    for thread in captures():
        thread.join(20)
    assert not captures()


@pytest.mark.parametrize("path", ["/clip.mp4", "/clip.mp4?token=1", "/watch?id=7"])
def test_a_file_on_a_server_is_read_like_one(tmp_path: Path, path: str) -> None:
    clip = write_clip(
        tmp_path / "clip.mp4", [picture(number) for number in range(6)], stamps_ms=UNEVEN_MS,
        container_options={"movflags": "+faststart"},
    )  # fmt: skip
    with serve(give_file(clip.read_bytes())) as address, open_source(address + path) as source:
        assert isinstance(source, VideoFile)
        frames = list(source)
    assert [frame.time_s for frame in frames] == pytest.approx([stamp / 1000 for stamp in UNEVEN_MS], abs=1e-3)
    assert [number_of(frame.image) for frame in frames] == list(range(6))
    assert frames[0].source.endswith(path)


def test_a_file_on_a_server_that_breaks_off_gives_its_frames_first(tmp_path: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 255, (40, 48, 64, 3), np.uint8)
    clip = write_clip(tmp_path / "clip.mp4", list(noise), container_options={"movflags": "+faststart"})
    half = clip.read_bytes()[: clip.stat().st_size // 2]
    indices: list[int] = []
    with (
        serve(give_file(half, promised=clip.stat().st_size)) as address,
        open_source(f"{address}/a.mp4") as source,
        pytest.raises(SourceError, match=r"breaks off"),
    ):
        indices.extend(frame.index for frame in source)
    assert 5 < len(indices) < 40


@pytest.mark.parametrize(("trouble", "why"), [("break", "has ended|cannot be read further"), ("stall", "no more data")])
def test_a_live_stream_that_is_lost_comes_back(trouble: str, why: str) -> None:
    live, notices = Live(), list[str]()
    with serve(give_live(live)) as address:
        with open_source(f"{address}/stream", live=OPTIONS, on_notice=notices.append) as source:
            assert isinstance(source, LiveSource)
            assert (source.info.width, source.info.height, source.info.live) == (64, 48, True)
            frames = iter(source)
            before = next(frames)
            live.mode = trouble
            while source.state == "live":
                threading.Event().wait(0.01)
            live.mode = "refuse"
            seen = live.connections
            while live.connections == seen:
                threading.Event().wait(0.01)
            captured = source.captured
            live.mode = "on"
            while source.captured == captured:
                threading.Event().wait(0.01)
            after = next(frames)
            while len(notices) < 2:
                threading.Event().wait(0.01)
        live.over.set()
    assert before.index < after.index
    assert before.time_s < after.time_s
    assert re.search(why, notices[0])
    assert notices[1].endswith("/stream: back again")


@pytest.mark.parametrize("kind", ["file", "file read to its end", "stream"])
def test_what_was_closed_is_freed_without_waiting_for_the_garbage_collector(tmp_path: Path, kind: str) -> None:
    clip, live = write_clip(tmp_path / "clip.mp4", [picture(number) for number in range(6)]), Live()
    with serve(give_live(live)) as address:
        gc.collect()
        before = held()
        gc.disable()
        try:
            with open_source(f"{address}/stream" if kind == "stream" else clip, live=OPTIONS) as source:
                frames = iter(source)
                for _ in range(6 if kind.endswith("end") else 2):
                    next(frames)
            for thread in captures():
                thread.join(20)
            del source, frames
            assert not held(before)
        finally:
            gc.enable()
            live.over.set()


def test_what_does_not_answer_is_told_at_once() -> None:
    with serve(lambda handler: handler.send_error(404)) as address:
        for path in ("/live", "/clip.mp4"):
            with pytest.raises(SourceError, match="404"):
                open_source(address + path)
    with serve(give_file(b"hello, no video" * 100, "text/plain")) as address:
        for path in ("/live", "/clip.mp4"):
            with pytest.raises(SourceError, match="expected a video"):
                open_source(address + path)


def test_a_server_that_says_nothing() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"rtsp://me:secret@127.0.0.1:{silent.getsockname()[1]}/cam"
        with pytest.raises(SourceError, match=r"within 0.5 s") as caught:
            open_source(url, live=LiveOptions(open_timeout_s=0.5))
    assert "secret" not in str(caught.value)


def test_passwords_are_not_shown() -> None:
    assert without_password("rtsp://me:secret@cam:554/a?b=1") == "rtsp://me:***@cam:554/a?b=1"
    assert without_password("rtsp://cam/a") == "rtsp://cam/a"


@pytest.mark.parametrize("address", ["rtsp://me:secret@[::1", "http://me:secret@[half/clip.mp4", "https://]"])
def test_half_an_address_is_told_without_its_password(address: str) -> None:
    with pytest.raises(SourceError, match=r"expected an address, this one is malformed") as caught:
        open_source(address)
    assert "secret" not in str(caught.value)
