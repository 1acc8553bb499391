from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest
from desk_fakes import FakeSource

from mien.apps.desktop.pacing import Gate, PacedSource


class Taker(threading.Thread):
    """Takes the frames of a source as fast as they come."""

    def __init__(self, source: PacedSource) -> None:
        super().__init__(daemon=True)
        self.source = source
        self.indices: list[int] = []
        self.came = threading.Condition()

    def run(self) -> None:
        for frame in self.source:
            with self.came:
                self.indices.append(frame.index)
                self.came.notify_all()

    def wait(self, count: int) -> None:
        with self.came:
            assert self.came.wait_for(lambda: len(self.indices) >= count, 30)


@pytest.fixture
def gate() -> Iterator[Gate]:
    made = Gate()
    yield made
    made.stop()


def test_a_file_counts_as_live(gate: Gate) -> None:
    source = PacedSource(FakeSource(3), gate)
    assert source.info.live
    assert source.info.duration_s == 0.3


def test_a_live_source_gives_each_frame_as_it_comes(gate: Gate) -> None:
    frames = iter(PacedSource(FakeSource(live=True), gate))
    assert [next(frames).index for _ in range(5)] == [0, 1, 2, 3, 4]


def test_paused_it_gives_one_frame_and_waits(gate: Gate) -> None:
    gate.pause(True)
    taker = Taker(PacedSource(FakeSource(live=True), gate))
    taker.start()
    taker.wait(1)
    taker.join(0.1)
    assert taker.is_alive()
    assert taker.indices == [0]
    gate.pause(False)
    taker.wait(3)


def test_a_seek_ends_it_also_while_paused(gate: Gate) -> None:
    gate.pause(True)
    taker = Taker(PacedSource(FakeSource(live=True), gate))
    taker.start()
    taker.wait(1)
    gate.seek(4.0)
    taker.join(120)
    assert not taker.is_alive()
    assert gate.take_seek() == 4.0
    assert gate.take_seek() is None
    again = iter(PacedSource(FakeSource(), gate))
    assert next(again).index == 0


def test_stopped_it_is_over_at_once(gate: Gate) -> None:
    taker = Taker(PacedSource(FakeSource(1000), gate))
    taker.start()
    taker.wait(1)
    gate.stop()
    taker.join(120)
    assert not taker.is_alive()
    assert gate.wait_for_seek() is None


def test_when_a_frame_came_is_told_once(gate: Gate) -> None:
    source = PacedSource(FakeSource(live=True), gate)
    frames = iter(source)
    first, second = next(frames), next(frames)
    assert source.captured(first.index) <= source.captured(second.index)
    assert source._captured == {}
