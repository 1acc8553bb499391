"""The stages of a stream: work done ahead in a thread, with a bounded queue, and the time spent in each."""

from __future__ import annotations

import contextlib
import queue
import threading
import time
from collections.abc import Iterable, Iterator
from typing import Generic, TypeVar

from mien.closing import Closing
from mien.labels import percent

T = TypeVar("T")

POLL_S = 0.1


class Ahead(Closing, Generic[T]):
    """Iterates over something in a thread and keeps up to `size` of its items ready, in order.

    An error of the iterable is raised after the items before it were taken. Close it, or use it in a `with`: the
    thread then ends after the item that it is at.

    Args:
        items: run through in the thread.
        size: items that may wait.
    """

    def __init__(self, items: Iterable[T], *, size: int) -> None:
        self._items = items
        self._ready: queue.Queue[T | _End] = queue.Queue(size)
        self._stopped = threading.Event()
        self._end: _End | None = None
        # A daemon: a decoder that hangs must not keep the program from ending.
        self._thread = threading.Thread(target=self._run, name="mien-ahead", daemon=True)
        self._thread.start()

    def __iter__(self) -> Iterator[T]:
        while items := self.take(1):
            yield from items

    def take(self, limit: int) -> list[T]:
        """The next items: waits for one, takes up to `limit` if they are ready; none at the end.

        Raises:
            BaseException: what the iterable raised.
        """
        taken: list[T] = []
        while self._end is None and len(taken) < limit:
            try:
                item = self._ready.get(block=not taken)
            except queue.Empty:
                break
            if isinstance(item, _End):
                self._end = item
            else:
                taken.append(item)
        if not taken and self._end is not None and self._end.error is not None:
            error, self._end.error = self._end.error, None
            raise error
        return taken

    def close(self) -> None:
        """Stop, and wait for the thread."""
        self._stopped.set()
        self._end = self._end or _End(None)
        while self._thread.is_alive():
            # Makes room for a waiting thread, which then sees at once that it should stop.
            self._drain()
            self._thread.join(POLL_S)

    def _drain(self) -> None:
        while not self._ready.empty():
            self._ready.get_nowait()

    def _run(self) -> None:
        end = _End(None)
        try:
            for item in self._items:
                self._put(item)
                if self._stopped.is_set():
                    return
        # Not lost in this thread: raised where the items are taken.
        except BaseException as error:
            end.error = error
        finally:
            self._put(end)

    def _put(self, item: T | _End) -> None:
        while not self._stopped.is_set():
            try:
                # Without a timeout, a thread whose items are never taken could not be stopped.
                self._ready.put(item, timeout=POLL_S)
            except queue.Full:
                continue
            return


class _End:
    """After the last item; what the iterable raised, if it did."""

    def __init__(self, error: BaseException | None) -> None:
        self.error = error


class Profile:
    """Adds up seconds and calls by stage; stages may run in threads of their own.

    >>> profile = Profile()
    >>> with profile.stage("detect"):
    ...     pass
    >>> profile.calls
    {'detect': 1}
    """

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self.calls: dict[str, int] = {}
        self._lock = threading.Lock()

    @contextlib.contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Count the time of the block for the stage, also when it raises."""
        started = time.perf_counter()
        try:
            yield
        finally:
            self.add(name, time.perf_counter() - started)

    def add(self, name: str, seconds: float) -> None:
        """Count seconds for a stage."""
        with self._lock:
            self.seconds[name] = self.seconds.get(name, 0.0) + seconds
            self.calls[name] = self.calls.get(name, 0) + 1

    def lines(self, seconds: float) -> list[str]:
        """The time by stage as a table; stages run in several threads, so they may add up to more than the total."""
        frames = self.calls.get("write", 0)
        lines = [f"{'stage':<10}{'seconds':>9}{'ms a frame':>12}{'share':>8}"]
        for name, spent in [*self.seconds.items(), ("total", seconds)]:
            share = spent / seconds if seconds else 0.0
            lines.append(f"{name:<10}{spent:>9.2f}{1000 * spent / max(frames, 1):>12.2f}{percent(share):>8}")
        rate_hz = frames / seconds if seconds else 0
        return [*lines, f"{frames} frames, {rate_hz:.1f} frames/s; stages run in parallel"]
