"""The threads behind the window: one plays a source and keeps the newest result ready, nothing ever queues up."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from PySide6.QtCore import QObject, Qt, Signal

from mien.apps.desktop.pacing import Gate, PacedSource
from mien.errors import MienError
from mien.images.pictures import read
from mien.reading.pipeline import Pipeline
from mien.reading.results import Result
from mien.reading.session import ReadingSession, SessionOptions
from mien.reading.streaming import StreamOptions
from mien.sources.container import kind_of
from mien.sources.opening import open_source
from mien.sources.stream import FrameSource, Sampling, StreamInfo
from mien.structures import Frame

HANDOVER_S = 2.0
"""How long a new source waits for the last one to close: it may be the same camera."""
CLOSING_S = 0.5


@dataclass(frozen=True)
class Reading:
    """How faces are analyzed; a change restarts the reading at the same time.

    Args:
        model: a bundled name or the folder of an artifact; None for the default.
        detector: `auto`, `mien`, `yunet` or `haar`.
        labels: `seven`, or `eight` with contempt.
        smooth: average over time, and keep a label until there is lasting evidence for another.
        balance: as `Pipeline` takes it, 0–1; None for the model's own rule.
        draw: what is drawn of each face's geometry, of `mien.reading.shape_drawing.DRAWINGS`; it is estimated then.
        temporal: folder of a temporal model, as `Pipeline` takes it.
    """

    model: str | None = None
    detector: str = "auto"
    labels: str = "seven"
    smooth: bool = True
    balance: float | None = None
    draw: tuple[str, ...] = ()
    temporal: str | None = None

    def options(self) -> StreamOptions:
        """The options of the stream."""
        return StreamOptions() if self.smooth else StreamOptions(smooth_s=0, hold_s=0)


@dataclass(frozen=True)
class Opened:
    """What is known once a source plays."""

    info: StreamInfo
    model: str
    detector: str
    labels: tuple[str, ...]
    draw: tuple[str, ...] = ()


@dataclass(frozen=True)
class Shown:
    """A result, and when its frame was captured by `time.perf_counter`."""

    result: Result
    captured: float


Opener = Callable[[str, float, Callable[[str], None]], FrameSource]
"""Opens a source by its name, at a time in seconds; the callable hears notices."""
CreatePipeline = Callable[[Reading], Pipeline]
Tap = Callable[[Result], None]


def open_at(source: str, start_s: float, on_notice: Callable[[str], None]) -> FrameSource:
    """The default opener; a photo is a source of one frame."""
    if Path(source).is_file() and kind_of(source) == "image":
        return open_source([Frame(read(source, on_notice=on_notice), source)])
    return open_source(source, Sampling(start_s=start_s), on_notice=on_notice)


def create_pipeline(reading: Reading) -> Pipeline:
    """The default pipeline; the window applies its own threshold."""
    return Pipeline(
        reading.model, detector=reading.detector, labels=reading.labels, balance=reading.balance,
        geometry=bool(reading.draw), temporal=reading.temporal,
    )  # fmt: skip


class Playback(threading.Thread):
    """Plays one source until it is stopped.

    Args:
        source: any name that `open_source` accepts.
        reading: how faces are analyzed; may be changed, and applies from the next seek on.
        gate: pauses, seeks and stops it.
        start_s: where to start, in seconds.
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
        """The thread's work."""
        try:
            if self._previous is not None:
                self._previous.join(HANDOVER_S)
                # Let go of, or each thread would keep all earlier ones alive.
                self._previous = None
            self._play()
        except MienError as error:
            self._report("failed", str(error))
        except Exception as error:
            # A thread has no caller that could catch this: the window shows it and stays open.
            self._report("failed", f"unexpected {type(error).__name__}: {error}")
        finally:
            # Whoever still holds this thread keeps no decoder and no model alive with it.
            self._opened = self._made = None

    def stop(self) -> None:
        """Stop soon; a live source may be waiting for a frame, so it is closed from outside."""
        self.gate.stop()
        opened = self._opened
        if opened is not None and self.is_live:
            # In a thread of its own: closing a camera may take long, and the window must not wait.
            threading.Thread(target=opened.close, name="mien-close", daemon=True).start()

    def take(self) -> Shown | None:
        """The newest result, once."""
        with self._lock:
            newest, self._newest = self._newest, None
            return newest

    def _play(self) -> None:
        start_s: float | None = self._start_s
        while start_s is not None and not self.gate.stopped:
            pipeline = self._pipeline()
            source = PacedSource(self._open(start_s), self.gate)
            # The window keeps the last minute itself; the history of a camera would grow without end.
            options = SessionOptions(self.reading.options(), history=False)
            with ReadingSession(pipeline, source, options) as session:
                self._report("opened", self._describe(pipeline))
                for result in session:
                    if self.gate.interrupted:
                        break
                    self._publish(result, source)
            if session.error is not None:
                raise session.error
            start_s = self.gate.take_seek()
            if start_s is None and not self.gate.stopped:
                self._report("ended")
                # The thread stays, so that a seek back needs no new model.
                start_s = self.gate.wait_for_seek()

    def _pipeline(self) -> Pipeline:
        reading = self.reading
        # A seek needs no new model.
        if self._made is None or self._made[0] != reading:
            self._made = (reading, self._owner.create_pipeline(reading))
        return self._made[1]

    def _open(self, start_s: float) -> FrameSource:
        opened = self._owner.open_source(self.source, start_s, lambda text: self._report("noticed", text))
        # Before it can be seen from `stop`, which closes what is live.
        self.is_live = opened.info.live
        self._opened = opened
        return opened

    def _describe(self, pipeline: Pipeline) -> Opened:
        assert self._opened is not None
        title, detector = pipeline.moving_title, pipeline.detector.name
        return Opened(self._opened.info, title, detector, pipeline.labels, self.reading.draw)

    def _publish(self, result: Result, source: PacedSource) -> None:
        index = 0 if result.frame is None else result.frame.index
        shown = Shown(result, source.captured(index))
        # Before frames are dropped: a recording has all, also those that the window is too slow to show.
        if self._owner.tap is not None:
            self._owner.tap(result)
        with self._lock:
            waiting, self._newest = self._newest is not None, shown
        # One signal for all results that wait: a queue of signals would show old frames to a busy window.
        if not waiting:
            self._report("arrived")

    def _report(self, kind: str, what: object = None) -> None:
        if not self.gate.stopped:
            # The window may just have been destroyed.
            with contextlib.suppress(RuntimeError):
                self._owner.reported.emit(self, kind, what)


class Player(QObject):
    """Plays one source at a time; the window learns about it from signals.

    Args:
        open_source: opens a source by name.
        create_pipeline: creates the pipeline for a reading.
    """

    reported = Signal(object, str, object)
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
        # Queued: reports come from the playback's thread, widgets belong to the window's.
        self.reported.connect(self._forward, Qt.ConnectionType.QueuedConnection)

    def open(self, source: str, reading: Reading, *, start_s: float = 0.0) -> None:
        """Play a source instead of the current one."""
        self.stop()
        self.paused = False
        playback = Playback(self, source, reading, Gate(), start_s)
        self.current = playback
        # Earlier ones may still be closing; the window waits for them too when it closes.
        self._threads = [thread for thread in self._threads if thread.is_alive()] + [playback]
        playback.start()

    def stop(self) -> None:
        """Stop the current source without waiting for it."""
        if self.current is not None:
            self.current.stop()

    def pause(self, paused: bool) -> None:
        """Pause or resume."""
        self.paused = paused
        if self.current is not None:
            self.current.gate.pause(paused)

    def seek(self, time_s: float) -> None:
        """Continue at another time of a file."""
        if self.current is not None:
            self.current.gate.seek(time_s)

    def change_reading(self, reading: Reading, at_s: float) -> None:
        """Analyze differently from here on."""
        if self.current is not None:
            self.current.reading = reading
            # The seek makes it start again, with a new pipeline.
            self.current.gate.seek(0.0 if self.current.is_live else at_s)

    @property
    def is_alive(self) -> bool:
        """Whether the current source plays, or could continue after a seek."""
        return self.current is not None and self.current.is_alive()

    def close(self) -> None:
        """Stop all threads, within a second."""
        self.stop()
        until = time.monotonic() + CLOSING_S
        for thread in self._threads:
            thread.join(max(0.0, until - time.monotonic()))

    def _forward(self, playback: Playback, kind: str, what: object) -> None:
        """Pass on reports of the current playback, none of an earlier one."""
        # A queued report may arrive after the next source has been opened.
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
