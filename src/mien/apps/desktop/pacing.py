"""Plays a source at its own pace; another thread can pause, seek and stop it."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from dataclasses import replace

from mien.closing import Closing
from mien.sources.live import LiveSource
from mien.sources.stream import FrameSource, StreamInfo
from mien.structures import Frame

LATE_S = 0.1
"""Frames of a file that are later than this are skipped, so that playback keeps up with the clock."""
LAGGING_S = 0.5
"""The longest time without a frame; a source that cannot keep up plays slowly."""


class Gate:
    """Pause, seek and stop requests to a playback; thread-safe."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._paused = False
        self._stopped = False
        self._seek_s: float | None = None
        # One frame passes even if playback is paused at once: there must be something to see.
        self._owed = True

    @property
    def stopped(self) -> bool:
        """Whether playback was stopped."""
        return self._stopped

    @property
    def interrupted(self) -> bool:
        """Whether the frames of the present position are no longer wanted."""
        return self._stopped or self._seek_s is not None

    def stop(self) -> None:
        """Stop playback."""
        with self._changed:
            self._stopped = True
            self._changed.notify_all()

    def pause(self, paused: bool) -> None:
        """Pause or resume."""
        with self._changed:
            self._paused = paused
            self._changed.notify_all()

    def seek(self, time_s: float) -> None:
        """Continue at another time; while paused, show one frame there."""
        with self._changed:
            self._seek_s, self._owed = time_s, True
            self._changed.notify_all()

    def owe(self) -> None:
        """Let one frame through, also while paused."""
        with self._changed:
            self._owed = True
            self._changed.notify_all()

    def take_seek(self) -> float | None:
        """The requested time, once; None without a request."""
        with self._changed:
            seek_s, self._seek_s = self._seek_s, None
            return seek_s

    def wait_for_seek(self) -> float | None:
        """At the end of the file: wait for a seek; None when stopped."""
        with self._changed:
            self._changed.wait_for(lambda: self.interrupted)
        return None if self._stopped else self.take_seek()

    def admit(self) -> float | None:
        """Wait while paused.

        Returns:
            the seconds waited; None when the frame is no longer wanted.
        """
        started = time.perf_counter()
        with self._changed:
            self._changed.wait_for(lambda: self.interrupted or self._owed or not self._paused)
            if self.interrupted:
                return None
            self._owed = False
            return time.perf_counter() - started

    def sleep(self, seconds: float) -> None:
        """Wait, at most as long as the frame is wanted."""
        if seconds > 0:
            with self._changed:
                self._changed.wait_for(lambda: self.interrupted or self._paused, timeout=seconds)


class PacedSource(Closing):
    """The frames of another source when they are due. It counts as live: late frames are dropped.

    Args:
        source: a file is played by its timestamps, a live source as frames arrive.
        gate: pauses, seeks and stops it.
    """

    def __init__(self, source: FrameSource, gate: Gate) -> None:
        self._source = source
        self._gate = gate
        self._captured: dict[int, float] = {}
        self.info: StreamInfo = replace(source.info, live=True)

    def captured(self, index: int) -> float:
        """When this frame was captured, by `time.perf_counter`; call it once per frame."""
        came = self._captured.pop(index, None)
        # The pipeline has dropped the earlier ones; nobody will ask for them.
        self._captured = {other: at for other, at in self._captured.items() if other > index}
        return time.perf_counter() if came is None else came

    def __iter__(self) -> Iterator[Frame]:
        live = self._source.info.live
        clock = _Clock()
        for frame in self._source:
            if not live:
                self._gate.sleep(clock.ahead_s(frame.time_s))
            waited_s = self._gate.admit()
            if waited_s is None:
                return
            if live and waited_s > LATE_S:
                # It was held back by a pause; a newer frame exists by now.
                self._gate.owe()
                continue
            clock.shift(waited_s)
            if not live and clock.skips(frame.time_s):
                continue
            # A live source may have held the frame for a while; latency counts from its capture.
            age_s = self._source.age_s(frame) if isinstance(self._source, LiveSource) else 0.0
            self._captured[frame.index] = time.perf_counter() - age_s
            yield frame

    def close(self) -> None:
        """Close the source."""
        self._source.close()


class _Clock:
    """When the frames of a file are due, relative to the first."""

    def __init__(self) -> None:
        self._zero: float | None = None
        self._shown = 0.0

    def ahead_s(self, time_s: float) -> float:
        """Seconds until a frame is due; negative when it is late."""
        now = time.perf_counter()
        if self._zero is None:
            # From the first frame that arrives, so that opening and loading count as no delay.
            self._zero = now - time_s
        return self._zero + time_s - now

    def shift(self, seconds: float) -> None:
        """Move the schedule by a pause."""
        # Less is the time of the call, not a pause.
        if self._zero is not None and seconds > 1e-3:
            self._zero += seconds

    def skips(self, time_s: float) -> bool:
        """Whether to skip a frame because it is late."""
        late_s, now = -self.ahead_s(time_s), time.perf_counter()
        # Late frames are skipped only as long as one was shown a moment ago, or a slow computer would show none.
        if late_s > LATE_S and now - self._shown < LAGGING_S:
            return True
        if late_s > LAGGING_S and self._zero is not None:
            # Too slow to keep up: count from here, or every further frame would be late as well.
            self._zero += late_s
        self._shown = now
        return False
