"""Where the time of a stream goes, by stage."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Iterator


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
