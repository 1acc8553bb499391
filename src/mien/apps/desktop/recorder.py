"""Records what is shown: an annotated video and a table, written in a thread of their own."""

from __future__ import annotations

import contextlib
import queue
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime
from pathlib import Path

from mien.apps.desktop.marks import judge
from mien.errors import ConfigError, MienError
from mien.sinks.base import Sink
from mien.structures import Result

WAITING = 16
"""Frames that may wait for the encoder; what comes on top is left out, and counted."""
POLL_S = 0.05

CreateSinks = Callable[[Path, tuple[str, ...]], Sequence[Sink]]


def free_name(folder: Path, endings: Sequence[str], now: datetime | None = None) -> Path:
    """A path in the folder, without ending, under which none of the endings is there yet.

    Raises:
        ConfigError: the folder cannot be made.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigError(f"cannot make the folder {folder}: {error.strerror or error}") from error
    stem = f"mien-{now or datetime.now():%Y%m%d-%H%M%S}"
    path, number = folder / stem, 1
    while any(path.with_name(path.name + ending).exists() for ending in endings):
        number += 1
        path = folder / f"{stem}-{number}"
    return path


class Recorder(threading.Thread):
    """Takes results and writes them until it is stopped.

    Args:
        path: where to write, without ending.
        sinks: what to write with.
        on_ended: called in the recorder's thread when the files are complete, or could not be; see `error`.
    """

    def __init__(self, path: Path, sinks: Sequence[Sink], on_ended: Callable[[Recorder], None]) -> None:
        super().__init__(name="mien-recorder", daemon=True)
        self.path = path
        self.frames = 0
        self.dropped = 0
        self.threshold = 0.0
        self.error: str | None = None
        self._sinks = sinks
        self._on_ended = on_ended
        self._queue: queue.Queue[Result] = queue.Queue(WAITING)
        self._over = threading.Event()
        self._started_s = time.monotonic()

    @property
    def elapsed_s(self) -> float:
        """Seconds since it began."""
        return time.monotonic() - self._started_s

    def put(self, result: Result) -> None:
        """Take a result; never waits."""
        if self._over.is_set():
            return
        try:
            self._queue.put_nowait(result)
        except queue.Full:
            self.dropped += 1

    def stop(self) -> None:
        """Take no more; what waits is still written."""
        self._over.set()

    def run(self) -> None:
        """What the thread does."""
        try:
            with contextlib.ExitStack() as stack:
                for sink in self._sinks:
                    stack.enter_context(sink)
                self._write_all()
        except (MienError, OSError) as error:
            self.error = str(error)
        finally:
            self._over.set()
            self._on_ended(self)

    def _write_all(self) -> None:
        while True:
            try:
                result = self._queue.get(timeout=POLL_S)
            except queue.Empty:
                if self._over.is_set():
                    return
                continue
            judged = replace(result, faces=judge(result.faces, self.threshold))
            for sink in self._sinks:
                sink.write(judged)
            self.frames += 1
