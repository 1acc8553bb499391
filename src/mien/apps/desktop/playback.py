"""The threads behind the window: one plays a source and keeps the newest result ready, nothing ever queues up."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from PySide6.QtCore import QObject, Qt, Signal

from mien.apps.desktop.pacing import Gate, PacedSource
from mien.errors import MienError
from mien.images.pictures import SUFFIXES, read
from mien.reading.pipeline import Pipeline
from mien.reading.streaming import StreamOptions
from mien.sources.factory import is_moving, open_source
from mien.sources.stream import FrameSource, Sampling, StreamInfo
from mien.structures import Frame, Result

HANDOVER_S = 2.0
"""So long a new source waits for the last one to let go: it may be the same camera."""
CLOSING_S = 0.5


@dataclass(frozen=True)
class Reading:
    """How faces are read; a change of it begins a new reading at the same place.

    Args:
        model: a bundled name or the folder of an artifact; None for the default.
        detector: `auto`, `mien`, `yunet` or `haar`.
        labels: `seven`, or `eight` with contempt.
        smooth: average over time, and hold a label until the evidence for another one does.
        balance: as `Pipeline` takes it, 0–1.
    """

    model: str | None = None
    detector: str = "auto"
    labels: str = "seven"
    smooth: bool = True
    balance: float = 0.0

    def options(self) -> StreamOptions:
        """What the stream is told."""
        return StreamOptions() if self.smooth else StreamOptions(smooth_s=0, hold_s=0)


@dataclass(frozen=True)
class Opened:
    """What is known when a source begins to play."""

    info: StreamInfo
    model: str
    detector: str
    labels: tuple[str, ...]


@dataclass(frozen=True)
class Shown:
    """A result, and when its frame was captured by `time.perf_counter`."""

    result: Result
    captured: float


class Opener(Protocol):
    """Opens a source at a time in seconds; notices go to the function."""

    def __call__(self, source: str, start_s: float, on_notice: Callable[[str], None]) -> FrameSource:
        """The source, open."""
        ...


CreatePipeline = Callable[[Reading], Pipeline]
Tap = Callable[[Result], None]


def open_at(source: str, start_s: float, on_notice: Callable[[str], None]) -> FrameSource:
    """The real opener; a picture is a source of one frame."""
    if Path(source).suffix.lower() in SUFFIXES and Path(source).is_file() and not is_moving(source):
        return open_source([Frame(read(source), source)])
    return open_source(source, Sampling(start_s=start_s), on_notice=on_notice)


def create_pipeline(reading: Reading) -> Pipeline:
    """The real pipeline; the window judges by its own threshold."""
    return Pipeline(reading.model, detector=reading.detector, labels=reading.labels, balance=reading.balance)


class Playback(threading.Thread):
    """Plays one source until it is stopped.

    Args:
        source: as `open_source` takes it.
        reading: how faces are read; may be changed, and holds from the next seek on.
        gate: pauses, moves and stops it.
        start_s: where to begin.
    """

    def __init__(self, owner: Player, source: str, reading: Reading, gate: Gate, start_s: float) -> None:
        super().__init__(name="mien-playback", daemon=True)
        self.source = source
        self.reading = reading
        self.gate = gate
        self.is_live = False
        self._owner = owner
        self._previous = owner.current
        self._start_s = start_s
        self._made: tuple[Reading, Pipeline] | None = None
        self._opened: FrameSource | None = None
        self._lock = threading.Lock()
        self._newest: Shown | None = None

    def run(self) -> None:
        """What the thread does."""
        try:
            if self._previous is not None:
                self._previous.join(HANDOVER_S)
                self._previous = None
            self._play()
        except MienError as error:
            self._tell("failed", str(error))
        except Exception as error:
            # A thread has no caller that could catch it: the window shows it, and lives on.
            self._tell("failed", f"unexpected {type(error).__name__}: {error}")

    def stop(self) -> None:
        """End soon; a live source that waits for a frame is closed under its hands."""
        self.gate.stop()
        if self._opened is not None and self.is_live:
            threading.Thread(target=self._opened.close, name="mien-close", daemon=True).start()

    def take(self) -> Shown | None:
        """The newest result, once."""
        with self._lock:
            newest, self._newest = self._newest, None
            return newest

    def _play(self) -> None:
        start_s: float | None = self._start_s
        while start_s is not None and not self.gate.stopped:
            pipeline = self._pipeline()
            with PacedSource(self._open(start_s), self.gate) as source:
                self._tell("opened", self._describe(pipeline))
                for result in pipeline.stream(source, self.reading.options()):
                    if self.gate.interrupted:
                        break
                    self._publish(result, source)
            start_s = self.gate.take_seek()
            if start_s is None and not self.gate.stopped:
                self._tell("ended")
                start_s = self.gate.wait_for_seek()

    def _pipeline(self) -> Pipeline:
        reading = self.reading
        if self._made is None or self._made[0] != reading:
            self._made = (reading, self._owner.create_pipeline(reading))
        return self._made[1]

    def _open(self, start_s: float) -> FrameSource:
        self._opened = self._owner.open_source(self.source, start_s, lambda text: self._tell("noticed", text))
        self.is_live = self._opened.info.live
        return self._opened

    def _describe(self, pipeline: Pipeline) -> Opened:
        assert self._opened is not None
        return Opened(self._opened.info, pipeline.model.title, pipeline.detector.name, pipeline.labels)

    def _publish(self, result: Result, source: PacedSource) -> None:
        index = 0 if result.frame is None else result.frame.index
        shown = Shown(result, source.captured(index))
        if self._owner.tap is not None:
            self._owner.tap(result)
        with self._lock:
            waiting, self._newest = self._newest is not None, shown
        if not waiting:
            self._tell("arrived")

    def _tell(self, kind: str, what: object = None) -> None:
        if not self.gate.stopped:
            # The window may have gone in this very moment.
            with contextlib.suppress(RuntimeError):
                self._owner.told.emit(self, kind, what)


class Player(QObject):
    """Plays one source at a time, and tells the window by signals.

    Args:
        open_source: opens a source by its name.
        create_pipeline: makes what reads the faces.
    """

    told = Signal(object, str, object)
    opened = Signal(object)
    arrived = Signal(object)
    ended = Signal()
    failed = Signal(str)
    noticed = Signal(str)

    def __init__(self, *, open_source: Opener = open_at, create_pipeline: CreatePipeline = create_pipeline) -> None:
        super().__init__()
        self.open_source = open_source
        self.create_pipeline = create_pipeline
        self.current: Playback | None = None
        self.tap: Tap | None = None
        self.paused = False
        self._threads: list[Playback] = []
        self.told.connect(self._forward, Qt.ConnectionType.QueuedConnection)

    def open(self, source: str, reading: Reading, *, start_s: float = 0.0) -> None:
        """Play a source instead of the present one."""
        self.stop()
        self.paused = False
        playback = Playback(self, source, reading, Gate(), start_s)
        self.current = playback
        self._threads = [thread for thread in self._threads if thread.is_alive()] + [playback]
        playback.start()

    def stop(self) -> None:
        """End the present source without waiting for it."""
        if self.current is not None:
            self.current.stop()

    def pause(self, paused: bool) -> None:
        """Hold the picture, or go on."""
        self.paused = paused
        if self.current is not None:
            self.current.gate.pause(paused)

    def seek(self, time_s: float) -> None:
        """Go on from another place of a file."""
        if self.current is not None:
            self.current.gate.seek(time_s)

    def read_anew(self, reading: Reading, at_s: float) -> None:
        """Read the faces in another way from here on."""
        if self.current is not None:
            self.current.reading = reading
            self.current.gate.seek(0.0 if self.current.is_live else at_s)

    @property
    def is_alive(self) -> bool:
        """Whether the present source still plays, or could go on from another place."""
        return self.current is not None and self.current.is_alive()

    def close(self) -> None:
        """End all threads, within a second."""
        self.stop()
        until = time.monotonic() + CLOSING_S
        for thread in self._threads:
            thread.join(max(0.0, until - time.monotonic()))

    def _forward(self, playback: Playback, kind: str, what: object) -> None:
        """Pass on what the present playback told, nothing of an earlier one."""
        if playback is not self.current or playback.gate.stopped:
            return
        if kind == "arrived":
            shown = playback.take()
            if shown is not None:
                self.arrived.emit(shown)
        elif kind == "ended":
            self.ended.emit()
        else:
            {"opened": self.opened, "failed": self.failed, "noticed": self.noticed}[kind].emit(what)
