"""Back-pressure: how many requests, pictures and bytes are in hand; what is over the limit is refused at once."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterator

from mien.apps.service.problems import Problem


class Admission:
    """Counts what is in hand; for the event loop's thread.

    Args:
        max_requests: most requests at once, uploads included.
        max_pictures: most pictures that are waiting or being read.
        max_bytes: most bytes of request bodies in memory.
    """

    def __init__(self, *, max_requests: int, max_pictures: int, max_bytes: int) -> None:
        self._limits = {"requests": max_requests, "pictures": max_pictures, "bytes": max_bytes}
        self.held = dict.fromkeys(self._limits, 0)
        self._picture_s = 0.05

    @contextlib.contextmanager
    def request(self) -> Iterator[None]:
        """Hold a place for a request.

        Raises:
            Problem: there are too many.
        """
        self._take("requests", 1)
        try:
            yield
        finally:
            self._give("requests", 1)

    @contextlib.contextmanager
    def pictures(self, count: int) -> Iterator[None]:
        """Hold places in the queue.

        Raises:
            Problem: it is full.
        """
        self._take("pictures", count)
        try:
            yield
        finally:
            self._give("pictures", count)

    @contextlib.contextmanager
    def memory(self) -> Iterator[Memory]:
        """Hold memory for a body, which grows by `Memory.grow`."""
        memory = Memory(self)
        try:
            yield memory
        finally:
            self._give("bytes", memory.held)

    def note(self, seconds: float) -> None:
        """Learn how long a picture takes, for telling others when to come again."""
        self._picture_s += 0.1 * (seconds - self._picture_s)

    def retry_after_s(self) -> int:
        """Whole seconds after which it is worth trying again."""
        return max(1, min(60, math.ceil(self.held["pictures"] * self._picture_s)))

    def _take(self, what: str, count: int) -> None:
        if self.held[what] + count > self._limits[what]:
            wait_s = self.retry_after_s()
            raise Problem(
                "overloaded",
                f"there are too many {what} in hand, try again in {wait_s} s",
                headers={"Retry-After": str(wait_s)},
            )
        self.held[what] += count

    def _give(self, what: str, count: int) -> None:
        self.held[what] -= count


class Memory:
    """The bytes that one body takes."""

    def __init__(self, admission: Admission) -> None:
        self._admission = admission
        self.held = 0

    def grow(self, size_bytes: int) -> None:
        """Hold more.

        Raises:
            Problem: there is no room.
        """
        self._admission._take("bytes", size_bytes)
        self.held += size_bytes
