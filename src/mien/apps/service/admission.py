"""Admission: API keys, rate limits, and back-pressure on requests, images and bytes."""

from __future__ import annotations

import contextlib
import hashlib
import hmac
import math
import re
import secrets
import time
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

from starlette.datastructures import Headers

from mien.apps.service.problems import Problem
from mien.errors import ConfigError


class Admission:
    """Counts work in progress and refuses what exceeds the limits at once; for the event loop's thread.

    Args:
        max_requests: most concurrent requests, uploads included.
        max_images: most images waiting or in progress.
        max_bytes: most bytes of request bodies in memory.
        max_wait_s: longest wait, by what the images before it are expected to take, at which an image is accepted.
        workers: images that are decoded and searched at the same time.
    """

    def __init__(
        self, *, max_requests: int, max_images: int, max_bytes: int, max_wait_s: float = math.inf, workers: int = 1
    ) -> None:
        self._limits = {"requests": max_requests, "images": max_images, "bytes": max_bytes}
        self._max_wait_s, self._workers = max_wait_s, workers
        self.held = dict.fromkeys(self._limits, 0)
        # A first guess, until images have been timed: high, or a burst at the start would fill the queue.
        self._image_s = 0.25

    @contextlib.contextmanager
    def places(self, what: Literal["requests", "images"], count: int = 1) -> Iterator[None]:
        """Reserve places for requests or images; a Problem if too many are in progress."""
        self._take(what, count)
        try:
            yield
        finally:
            self._give(what, count)

    @contextlib.contextmanager
    def memory(self) -> Iterator[Memory]:
        """Reserve memory for a body; it grows with `Memory.grow`."""
        memory = Memory(self)
        try:
            yield memory
        finally:
            self._give("bytes", memory.held)

    def note(self, seconds: float) -> None:
        """Record how long an image takes, to estimate `Retry-After`."""
        self._image_s += 0.1 * (seconds - self._image_s)

    def refuse_if_late(self) -> None:
        """A Problem if an image would wait too long, before its body is read."""
        if self.wait_s() > self._max_wait_s:
            raise self._overloaded("images", {"Connection": "close"})

    def wait_s(self) -> float:
        """How long the images in progress are expected to take."""
        return self.held["images"] * self._image_s / self._workers

    def retry_after_s(self) -> int:
        """Whole seconds after which a retry makes sense."""
        return max(1, min(60, math.ceil(self.wait_s())))

    def _take(self, what: str, count: int) -> None:
        # Refused and not queued: what waits holds memory, and its client may give up meanwhile.
        # Counted in seconds as well: how long a queue of so many images lasts depends on the machine and its load.
        too_late = what == "images" and self.wait_s() > self._max_wait_s
        if too_late or self.held[what] + count > self._limits[what]:
            raise self._overloaded(what, {})
        self.held[what] += count

    def _overloaded(self, what: str, headers: dict[str, str]) -> Problem:
        wait_s = self.retry_after_s()
        detail = f"too many {what} in progress; try again in {wait_s} s"
        return Problem("overloaded", detail, headers=headers | {"Retry-After": str(wait_s)})

    def _give(self, what: str, count: int) -> None:
        self.held[what] -= count


class Memory:
    """The memory of one body."""

    def __init__(self, admission: Admission) -> None:
        self._admission = admission
        self.held = 0

    def grow(self, size_bytes: int) -> None:
        """Reserve more bytes; a Problem if the limit is reached."""
        self._admission._take("bytes", size_bytes)
        self.held += size_bytes


REMEMBERED = 10_000
"""Clients whose buckets are kept; the least recently seen is forgotten first."""


@dataclass(frozen=True)
class Verdict:
    """Whether a request is allowed.

    Args:
        passes: whether it is.
        remaining: further requests allowed right now.
        wait_s: whole seconds until the next is allowed, or until the bucket is full again if this one is.
    """

    passes: bool
    remaining: int
    wait_s: int


class RateLimit:
    """A token bucket per client.

    Args:
        per_minute: tokens added to each bucket.
        burst: capacity of a bucket.
        clock: monotonic seconds.
    """

    def __init__(self, per_minute: float, burst: int, *, clock: Callable[[], float] = time.monotonic) -> None:
        self.per_minute, self.burst = per_minute, burst
        self._clock = clock
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def take(self, client: str) -> Verdict:
        """Take a token from the client's bucket, if there is one."""
        rate_hz = self.per_minute / 60
        now = self._clock()
        # Taken out and put back at the end, so that the order of the buckets is that of their last use.
        tokens, since = self._buckets.pop(client, (float(self.burst), now))
        tokens = min(self.burst, tokens + (now - since) * rate_hz)
        passes = tokens >= 1
        tokens -= passes
        self._buckets[client] = (tokens, now)
        if len(self._buckets) > REMEMBERED:
            self._buckets.popitem(last=False)
        missing = self.burst - tokens if passes else 1 - tokens
        # Rounded up: who waits for so long must get in.
        return Verdict(passes, int(tokens), math.ceil(missing / rate_hz))

    def headers(self, verdict: Verdict) -> dict[str, str]:
        """The RateLimit headers of the IETF draft."""
        window_s = math.ceil(self.burst / (self.per_minute / 60))
        return {
            "RateLimit-Policy": f'"requests";q={self.burst};w={window_s}',
            "RateLimit": f'"requests";r={verdict.remaining};t={verdict.wait_s}',
        }


KEY_PREFIX = "mien_"
_HASH = re.compile(r"sha256:[0-9a-f]{64}")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")


def make_key() -> str:
    """A new key of 256 random bits; it is shown once and stored nowhere."""
    return KEY_PREFIX + secrets.token_urlsafe(32)


def hash_key(key: str) -> str:
    """The hash stored in the settings. Plain SHA-256 suffices: nobody can guess 256 random bits."""
    return "sha256:" + hashlib.sha256(key.encode()).hexdigest()


def check_hash(name: str, digest: str) -> None:
    """Raise a ValueError that says how to make a key if its name or hash is invalid."""
    if not _NAME.fullmatch(name):
        raise ValueError(f"the key's name {name!r} may have only letters, digits, dots, dashes and underscores")
    if not _HASH.fullmatch(digest):
        raise ValueError(f"the hash of the key {name!r} is invalid: `mien serve --make-key {name}` prints one")


def describe_key(name: str) -> str:
    """A new key, and its line for the settings file; ConfigError for an invalid name."""
    key = make_key()
    try:
        check_hash(name, hash_key(key))
    except ValueError as error:
        raise ConfigError(str(error)) from error
    return (
        f"The key (shown only once):\n  {key}\n\n"
        f'Line for the settings file:\n  [api_keys]\n  {name} = "{hash_key(key)}"\n'
    )


def find_owner(keys: Mapping[str, str], headers: Headers) -> str | None:
    """The name of the key in `Authorization: Bearer` or `X-API-Key`; None for an unknown one.

    All hashes are compared in any case, so that the time reveals nothing.
    """
    # Hashes have one length, so the comparison cannot reveal that of a key either.
    shown = hash_key(_shown(headers))
    found = [name for name, digest in keys.items() if hmac.compare_digest(digest, shown)]
    return found[0] if found else None


def _shown(headers: Headers) -> str:
    scheme, _, credentials = headers.get("authorization", "").partition(" ")
    return credentials.strip() if scheme.lower() == "bearer" else headers.get("x-api-key", "")
