"""A source of frames over time: video file, camera, network stream, or image sequence."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from types import TracebackType
from typing import Protocol, Self

from mien.errors import ConfigError
from mien.structures import Frame


@dataclass(frozen=True)
class StreamInfo:
    """What is known of a source before its first frame.

    Args:
        name: as the user named it.
        width, height: pixels of a frame as shown, after rotation.
        rate_hz: frames per second on average; None where unknown.
        frames: their number according to the container; None if unknown.
        duration_s: seconds; None where unknown.
        live: frames arrive in real time, and one that is not taken is lost.
        pixel_aspect: display width of a pixel over its height, after rotation.
    """

    name: str
    width: int
    height: int
    rate_hz: float | None = None
    frames: int | None = None
    duration_s: float | None = None
    live: bool = False
    pixel_aspect: float = 1.0


@dataclass(frozen=True)
class Sampling:
    """Which frames of a source are taken; a frame keeps the index and time that it has in the whole source.

    Args:
        start_s: earlier frames are skipped, seconds.
        end_s: frames from then on are skipped; None for the end.
        every: every Nth frame, counted from the first that is taken.
        rate_hz: at most this many frames per second; None for all.
    """

    start_s: float = 0.0
    end_s: float | None = None
    every: int = 1
    rate_hz: float | None = None

    def __post_init__(self) -> None:
        if self.start_s < 0 or (self.end_s is not None and self.end_s <= self.start_s):
            raise ConfigError(f"expected 0 ≤ start < end in seconds, not start {self.start_s} and end {self.end_s}")
        if self.every < 1:
            raise ConfigError(f"every is a number of frames from 1, not {self.every}")
        if self.rate_hz is not None and not self.rate_hz > 0:
            raise ConfigError(f"expected a rate above 0 frames per second, not {self.rate_hz}")


@dataclass(frozen=True)
class LiveOptions:
    """How a camera or network stream is opened and kept.

    Args:
        width, height, rate_hz: requested from the camera, which chooses the nearest it has; None for its default.
        open_timeout_s: how long opening may take, seconds.
        stall_s: seconds without a frame after which the source is reopened.
        give_up_s: seconds without a frame after which the stream ends with an error; None for never.
    """

    width: int | None = None
    height: int | None = None
    rate_hz: float | None = None
    open_timeout_s: float = 10.0
    stall_s: float = 5.0
    give_up_s: float | None = None

    def __post_init__(self) -> None:
        for name in ("width", "height", "rate_hz", "open_timeout_s", "stall_s", "give_up_s"):
            value = getattr(self, name)
            if value is not None and not value > 0:
                raise ConfigError(f"{name} of a camera or stream is above 0, not {value}")


class FrameSource(Protocol):
    """Frames in order of presentation. Iterate it once, in a `with` block or closing it afterwards."""

    @property
    def info(self) -> StreamInfo:
        """What is known before the first frame."""
        ...

    def __iter__(self) -> Iterator[Frame]:
        """The frames that were asked for.

        Raises:
            SourceError: the source breaks off; the frames before that were given.
        """
        ...

    def close(self) -> None:
        """Close the file or camera; safe to call from another thread, and twice."""
        ...

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...


class SizeWatch:
    """Notices once that a source changes the size of its frames.

    Args:
        name: of the source.
        size: height and width of its first frame.
        on_notice: hears of it.
    """

    def __init__(self, name: str, size: tuple[int, int], on_notice: Callable[[str], None]) -> None:
        self._name, self._size, self._notify = name, size, on_notice
        self._noticed = False

    def see(self, frame: Frame) -> Frame:
        """The same frame."""
        height, width = frame.image.shape[:2]
        if not self._noticed and (height, width) != self._size:
            self._noticed = True
            self._notify(
                f"{self._name}: frames change from {self._size[1]} × {self._size[0]} to {width} × {height} pixels at "
                f"{frame.time_s:.2f} s; each is analyzed at its own size"
            )
        return frame


class Sampler:
    """Decides for each frame in turn whether it is taken."""

    def __init__(self, sampling: Sampling) -> None:
        self._sampling = sampling
        self._count = 0
        self._next_s = sampling.start_s

    def takes(self, time_s: float) -> bool:
        """Whether the frame at this time is one of those asked for; call it once for every frame."""
        sampling = self._sampling
        if time_s < sampling.start_s or self.is_over(time_s):
            return False
        self._count += 1
        if (self._count - 1) % sampling.every:
            return False
        if sampling.rate_hz is None:
            return True
        # Time stamps are rounded: a frame may seem to come just before it is due.
        if time_s + 1e-6 < self._next_s:
            return False
        step_s = 1 / sampling.rate_hz
        # Counted from the plan rather than from this frame, so that the rate holds on average.
        self._next_s = max(self._next_s + step_s, time_s + step_s / 2)
        return True

    def is_over(self, time_s: float) -> bool:
        """Whether this time and all later ones are beyond the end."""
        return self._sampling.end_s is not None and time_s >= self._sampling.end_s
