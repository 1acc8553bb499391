"""How fast and how fresh the picture is."""

from __future__ import annotations

import time
from collections import deque

WINDOW_S = 2.0
KEPT = 1000


class Meter:
    """Counts paints.

    Args:
        latency_ms: of the last thousand frames, from the capture of a frame to the end of the paint that shows it.
    """

    def __init__(self) -> None:
        self.latency_ms: deque[float] = deque(maxlen=KEPT)
        self._painted: deque[float] = deque(maxlen=KEPT)
        self._captured = 0.0

    def arrived(self, captured: float) -> None:
        """A frame that was captured then, by `time.perf_counter`, is about to be painted."""
        self._captured = captured

    def painted(self, at: float) -> None:
        """It is on the screen."""
        self._painted.append(at)
        self.latency_ms.append(1000 * (at - self._captured))

    def clear(self) -> None:
        """Another source."""
        self._painted.clear()
        self.latency_ms.clear()

    def told(self) -> str:
        """Frames a second and median latency of the last two seconds; empty without."""
        now = time.perf_counter()
        recent = [at for at in self._painted if at > now - WINDOW_S]
        if len(recent) < 2:
            return ""
        latency = sorted(list(self.latency_ms)[-len(recent) :])[len(recent) // 2]
        rate_hz = (len(recent) - 1) / max(recent[-1] - recent[0], 1e-6)
        return f"{rate_hz:.0f} frames/s · {latency:.0f} ms"
