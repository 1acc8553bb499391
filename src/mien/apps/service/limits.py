"""How often a client may ask: a token bucket a key, or an address."""

from __future__ import annotations

import math
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

REMEMBERED = 10_000
"""Clients whose buckets are kept; who was not seen for longest is forgotten first."""


@dataclass(frozen=True)
class Verdict:
    """Whether a request may pass.

    Args:
        passes: it may.
        remaining: requests that may follow at once.
        wait_s: whole seconds until one may pass, or until the bucket is full for one that passes.
    """

    passes: bool
    remaining: int
    wait_s: int


class RateLimit:
    """Token buckets by client.

    Args:
        per_minute: tokens that flow into each bucket.
        burst: tokens that it holds.
        clock: seconds, rising.
    """

    def __init__(self, per_minute: float, burst: int, *, clock: Callable[[], float] = time.monotonic) -> None:
        self.per_minute, self.burst = per_minute, burst
        self._clock = clock
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def take(self, client: str) -> Verdict:
        """Take a token of the client's bucket, if there is one."""
        rate_hz = self.per_minute / 60
        now = self._clock()
        tokens, since = self._buckets.pop(client, (float(self.burst), now))
        tokens = min(self.burst, tokens + (now - since) * rate_hz)
        passes = tokens >= 1
        tokens -= passes
        self._buckets[client] = (tokens, now)
        if len(self._buckets) > REMEMBERED:
            self._buckets.popitem(last=False)
        missing = self.burst - tokens if passes else 1 - tokens
        return Verdict(passes, int(tokens), math.ceil(missing / rate_hz))

    def headers(self, verdict: Verdict) -> dict[str, str]:
        """The RateLimit headers of the IETF's draft."""
        window_s = math.ceil(self.burst / (self.per_minute / 60))
        return {
            "RateLimit-Policy": f'"requests";q={self.burst};w={window_s}',
            "RateLimit": f'"requests";r={verdict.remaining};t={verdict.wait_s}',
        }
