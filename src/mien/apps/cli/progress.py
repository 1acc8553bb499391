"""How far the reading of a video has come: a bar on a terminal, a line now and then elsewhere."""

from __future__ import annotations

import sys
import time
from collections import deque
from pathlib import Path
from typing import Any, Self

from mien.apps.cli.analyze_request import Request
from mien.reading.results import Result
from mien.reading.timeline import clock
from mien.sources.stream import StreamInfo

LINE_EVERY_S = 10.0
WINDOW_S = 3.0


class Pace:
    """Frames a second over the last three seconds."""

    def __init__(self) -> None:
        self._moments: deque[float] = deque()

    def tick(self) -> None:
        """Count a frame."""
        now = time.monotonic()
        self._moments.append(now)
        # A window, because the mean since the start hides that a video has become slow.
        while self._moments[0] < now - WINDOW_S:
            self._moments.popleft()

    @property
    def rate_hz(self) -> float:
        """Frames a second; 0 before the second one."""
        passed = self._moments[-1] - self._moments[0] if self._moments else 0.0
        return (len(self._moments) - 1) / passed if passed > 0 else 0.0


class Progress:
    """Knows where the analysis is, and shows nothing."""

    def __init__(self) -> None:
        self.time_s = 0.0

    def update(self, result: Result) -> None:
        """Keep the time."""
        self.time_s = result.frame.time_s if result.frame else self.time_s

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        pass


class LineProgress(Progress):
    """A line on stderr every ten seconds."""

    def __init__(self, info: StreamInfo, span: tuple[float, float | None]) -> None:
        super().__init__()
        self._name, self._span, self._pace = info.name, span, Pace()
        # Monotonic: the clock may be set meanwhile.
        self._started = self._told = time.monotonic()

    def update(self, result: Result) -> None:
        """Write a line when one is due."""
        super().update(result)
        self._pace.tick()
        now = time.monotonic()
        if now - self._told < LINE_EVERY_S:
            return
        self._told = now
        begin_s, end_s = self._span
        of = left = ""
        if end_s is not None and self.time_s > begin_s:
            of = f" of {clock(end_s)}"
            # By the time that is read, not by frames: their number is not always known.
            left = f", {clock((now - self._started) * (end_s - self.time_s) / (self.time_s - begin_s))} left"
        sys.stderr.write(f"{self._name}: {clock(self.time_s)}{of}, {self._pace.rate_hz:.0f} frames/s{left}\n")


class BarProgress(Progress):
    """A bar on the terminal that goes away at the end; for a live source the time alone."""

    def __init__(self, info: StreamInfo, span: tuple[float, float | None]) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, SpinnerColumn, TextColumn, TimeRemainingColumn
        from rich.progress import Progress as RichProgress

        super().__init__()
        self._begin_s, self._end_s = span
        known = self._end_s is not None
        columns: list[Any] = [TextColumn("{task.description}"), BarColumn() if known else SpinnerColumn()]
        columns += [TextColumn("{task.fields[at]}"), TextColumn("{task.fields[pace]}", style="dim")]
        if known:
            columns += [TimeRemainingColumn(), TextColumn("left", style="dim")]
        self._bar = RichProgress(*columns, console=Console(stderr=True), transient=True)
        total = self._end_s - self._begin_s if self._end_s is not None else None
        self._task = self._bar.add_task(_short(info.name), total=total, at="", pace="")
        self._pace = Pace()

    def update(self, result: Result) -> None:
        """Move the bar."""
        super().update(result)
        self._pace.tick()
        faces = f"{len(result.faces)} face" + ("" if len(result.faces) == 1 else "s")
        of = f" / {clock(self._end_s)}" if self._end_s is not None else ""
        self._bar.update(
            self._task,
            completed=self.time_s - self._begin_s,
            at=f"{clock(self.time_s)}{of}",
            pace=f"{self._pace.rate_hz:.0f} frames/s, {faces}",
        )

    def __enter__(self) -> Self:
        self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.stop()


def _short(name: str, most: int = 24) -> str:
    name = name if "://" in name else Path(name).name
    return name if len(name) <= most else f"…{name[-most + 1 :]}"


def create_progress(info: StreamInfo, request: Request) -> Progress:
    """A bar if stderr is a terminal, else lines; nothing with --quiet."""
    span = _span(info, request)
    if request.quiet:
        return Progress()
    return BarProgress(info, span) if sys.stderr.isatty() else LineProgress(info, span)


def _span(info: StreamInfo, request: Request) -> tuple[float, float | None]:
    """First and last moment that is read, seconds; the last may be unknown."""
    ends = [end for end in (info.duration_s, request.end) if end is not None]
    # A live stream may name a duration, which is not where it ends.
    return request.start, min(ends, default=None) if not info.live or request.end is not None else None
