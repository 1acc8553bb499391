from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from small_clips import captures, number_of, picture

from mien.errors import SourceError
from mien.sources import live
from mien.sources.camera import create_synthetic
from mien.sources.live import LiveSource
from mien.sources.stream import LiveOptions, Sampling
from mien.structures import UInt8

QUICK = LiveOptions(open_timeout_s=20, stall_s=0.2)


class Camera:
    """A camera whose pictures, stalls and breaks a test hands out one by one."""

    def __init__(self) -> None:
        self.script: list[Any] = []
        self.released = threading.Event()
        self.opened = self.closed = 0

    def gives(self, *what: Any) -> Camera:
        """Pictures; SourceErrors, raised once; "stall", for no picture; "hang", for a call that does not return."""
        self.script.extend(what)
        return self

    def connect(self) -> Connection:
        return Connection(self)


class Connection:
    def __init__(self, camera: Camera) -> None:
        self._camera = camera

    def open(self) -> float | None:
        self._camera.opened += 1
        script = self._camera.script
        if script and isinstance(script[0], str) and script[0] == "refuse":
            script.pop(0)
            raise SourceError("fake: refused")
        return 30.0

    def read(self) -> UInt8 | None:
        camera = self._camera
        step = camera.script.pop(0) if camera.script else "stall"
        if isinstance(step, BaseException):
            raise step
        if isinstance(step, str):
            if step == "hang":
                camera.released.wait(20)
            threading.Event().wait(0.01)
            return None
        return step

    def close(self) -> None:
        self._camera.closed += 1


@pytest.fixture(autouse=True)
def _no_thread_survives(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(live, "FIRST_WAIT_S", 0.01)
    yield
    for thread in captures():
        thread.join(60)
    assert not captures()


def open_live(camera: Camera, notices: list[str] | None = None, **options: Any) -> LiveSource:
    told = notices if notices is not None else []
    return LiveSource("fake", camera.connect, options=LiveOptions(**{"open_timeout_s": 20, "stall_s": 0.2, **options}),
                      on_notice=told.append)  # fmt: skip


def until(condition: Any) -> None:
    for _ in range(2000):
        if condition():
            return
        threading.Event().wait(0.01)
    raise AssertionError("waited in vain")


def test_the_newest_picture_wins_and_dropped_ones_count() -> None:
    camera = Camera().gives(picture(0))
    with open_live(camera) as source:
        frames = iter(source)
        first = next(frames)
        camera.gives(*[picture(number) for number in range(1, 8)])
        until(lambda: source.captured == 8)
        second = next(frames)
        camera.gives(picture(9))
        third = next(frames)
    assert (first.index, first.time_s, number_of(first.image)) == (0, 0.0, 0)
    assert (second.index, number_of(second.image)) == (7, 7)
    assert (third.index, number_of(third.image)) == (8, 9)
    assert 0 < second.time_s < third.time_s
    assert source.age_s(third) > 0


def test_numbers_and_times_begin_with_the_iteration() -> None:
    camera = Camera().gives(*[picture(number) for number in range(5)])
    with open_live(camera) as source:
        until(lambda: source.captured == 5)
        frame = next(iter(source))
    assert (frame.index, frame.time_s, number_of(frame.image)) == (0, 0.0, 4)


def test_what_is_known_beforehand() -> None:
    with open_live(Camera().gives(picture(0, 32, 48))) as source:
        info = source.info
        assert source.state == "live"
    assert (info.name, info.width, info.height, info.rate_hz, info.live, info.frames) == (
        "fake", 48, 32, 30.0, True, None,
    )  # fmt: skip
    assert source.state == "closed"


@pytest.mark.parametrize(
    ("trouble", "stall_s", "why"),
    [
        ([SourceError("fake: unplugged")], 30, "unplugged"),
        ([SourceError("fake: unplugged"), "refuse", "refuse"], 30, "unplugged"),
        ([], 0.2, "no frame for 0.2 s"),
    ],
)
def test_a_lost_source_comes_back_and_says_so(trouble: list[Any], stall_s: float, why: str) -> None:
    camera, notices = Camera().gives(picture(1)), list[str]()
    with open_live(camera, notices, stall_s=stall_s) as source:
        frames = iter(source)
        assert number_of(next(frames).image) == 1
        camera.gives(*trouble)
        until(lambda: source.state == "lost")
        camera.gives(picture(2, 24, 32))
        back = next(frames)
        until(lambda: len(notices) >= 2)
    assert (back.index, number_of(back.image), back.image.shape) == (1, 2, (24, 32, 3))
    assert notices[:2] == [f"fake: lost ({why}); retrying until it is back", "fake: back again"]
    until(lambda: camera.opened == camera.closed)


def test_a_call_that_hangs_is_left_alone_and_the_source_opened_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live, "MARGIN_S", 0.0)
    camera, notices = Camera().gives(picture(1), "hang"), list[str]()
    with open_live(camera, notices) as source:
        frames = iter(source)
        next(frames)
        camera.gives(picture(2))
        assert number_of(next(frames).image) == 2
    assert notices[0] == "fake: lost (no answer for 0.2 s); retrying until it is back"
    assert captures()
    camera.released.set()
    until(lambda: camera.opened == camera.closed)


def test_the_notice_is_a_warning_of_the_log(caplog: pytest.LogCaptureFixture) -> None:
    camera = Camera().gives(picture(1), SourceError("fake: unplugged"), picture(2))
    with LiveSource("fake", camera.connect, options=QUICK) as source:
        until(lambda: source.captured == 2)
    assert next(record.message.partition(";")[0] for record in caplog.records if record.name == "mien") == (
        "fake: lost (unplugged)"
    )


def test_it_gives_up_when_it_is_told_to() -> None:
    camera = Camera().gives(picture(1), SourceError("fake: unplugged"), *["refuse"] * 1000)
    with (
        open_live(camera, give_up_s=0.3) as source,
        pytest.raises(SourceError, match=r"no frame for 0.3 s, giving up"),
    ):
        list(source)


def test_a_source_that_is_not_there() -> None:
    camera = Camera().gives("refuse")
    with pytest.raises(SourceError, match="refused"):
        open_live(camera)
    until(lambda: camera.closed == 1)


@pytest.mark.parametrize("trouble", ["stall", "hang"])
def test_opening_ends_in_time(trouble: str) -> None:
    camera = Camera().gives(trouble)
    with pytest.raises(SourceError, match=r"no frame within 0.1 s"):
        open_live(camera, open_timeout_s=0.1, stall_s=30)
    camera.released.set()


def test_closing_from_another_thread_ends_the_iteration() -> None:
    camera = Camera().gives(picture(1))
    source = open_live(camera, stall_s=30)
    seen: list[int] = []
    reader = threading.Thread(target=lambda: seen.extend(frame.index for frame in source))
    reader.start()
    until(lambda: len(seen) or source._shot is None)
    source.close()
    source.close()
    reader.join(60)
    assert not reader.is_alive()
    assert seen == [0]


def test_other_errors_reach_the_reader() -> None:
    camera = Camera().gives(picture(1))
    with open_live(camera) as source:
        frames = iter(source)
        next(frames)
        camera.gives(ZeroDivisionError())
        with pytest.raises(ZeroDivisionError):
            next(frames)


def test_sampling_by_time() -> None:
    with create_synthetic([picture(1)], 200, Sampling(start_s=0.05, end_s=0.2)) as source:
        times = [frame.time_s for frame in source]
    assert times
    assert min(times) >= 0.05
    assert max(times) < 0.2
    assert np.all(np.diff(times) > 0)
