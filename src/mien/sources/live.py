"""Cameras and streams: a thread keeps the newest frame, and reopens the source when it is lost."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, Protocol

from mien.closing import Closing
from mien.errors import SourceError
from mien.images.pictures import MAX_PIXELS
from mien.sources.container import check_size, choose_stream, open_address, reading, without_password
from mien.sources.converting import Converter
from mien.sources.stream import LiveOptions, Sampler, Sampling, SizeWatch, StreamInfo
from mien.structures import Frame, UInt8

if TYPE_CHECKING:
    from av import VideoFrame
    from av.container import InputContainer
    from av.video.stream import VideoStream


FIRST_WAIT_S, LONGEST_WAIT_S = 0.5, 10.0
JOIN_S = 1.0
# A grabber with a timeout of its own is not taken for one that hangs.
MARGIN_S = 0.5

State = Literal["opening", "live", "lost", "closed"]


class Grabber(Protocol):
    """One connection to a camera or stream. All three are called in the same thread."""

    def open(self) -> float | None:
        """Connect; returns the frames per second if known.

        Raises:
            SourceError: when it is not there.
        """
        ...

    def read(self) -> UInt8 | None:
        """The next frame, RGB uint8 (H, W, 3), when it arrives; None if none arrived for a while.

        Raises:
            SourceError: when the connection is lost.
        """
        ...

    def close(self) -> None:
        """Disconnect."""
        ...


@dataclass(frozen=True)
class _Shot:
    number: int
    at_s: float
    image: UInt8


class LiveSource(Closing):
    """The newest frame of a camera or stream whenever one is asked for.

    A frame's index counts all frames since the iteration began, including dropped ones; its time is that of its arrival
    by a monotonic clock, from the first frame.

    Args:
        name: as the user named it.
        connect: makes a fresh, unopened connection.
        sampling: which frames are taken; all, if not given.
        options: how it is opened and kept.
        on_notice: called in the capture thread when the source is lost and when it is back; a warning of the log
            `mien` if not given.

    Raises:
        SourceError: it sends no frame within `options.open_timeout_s`.
    """

    def __init__(
        self,
        name: str,
        connect: Callable[[], Grabber],
        sampling: Sampling | None = None,
        *,
        options: LiveOptions | None = None,
        on_notice: Callable[[str], None] | None = None,
    ) -> None:
        self.name, self.options = name, options or LiveOptions()
        self._connect = connect
        self._sampling = sampling or Sampling()
        self._notify = on_notice or logging.getLogger("mien").warning
        self._news = threading.Condition()
        self._shot: _Shot | None = None
        self._count = 0
        self._began_s: float | None = None
        self._last_s = time.monotonic()
        self._state: State = "opening"
        self._failure: BaseException | None = None
        self._rate_hz: float | None = None
        self._capture = _Capture(self, connect, wait_s=FIRST_WAIT_S)
        self._hung: list[_Capture] = []
        self._capture.start()
        try:
            first = self._wait_for_first()
        # Also on Ctrl-C: nobody else can close a source that was never returned.
        except BaseException:
            self.close()
            raise
        self._size = (first.image.shape[0], first.image.shape[1])

    @property
    def info(self) -> StreamInfo:
        """What is known before the first frame."""
        return StreamInfo(self.name, self._size[1], self._size[0], self._rate_hz, live=True)

    @property
    def state(self) -> State:
        """State of the source: opening, live, lost (and being reopened), closed."""
        return self._state

    @property
    def captured(self) -> int:
        """How many frames arrived, including dropped ones."""
        return self._count

    def age_s(self, frame: Frame) -> float:
        """How long ago a frame of this source arrived, seconds."""
        return time.monotonic() - (self._began_s or 0.0) - frame.time_s

    def __iter__(self) -> Iterator[Frame]:
        """Frames until the source is closed.

        Raises:
            SourceError: when it is lost for longer than `options.give_up_s`.
        """
        sampler = Sampler(self._sampling)
        watch = SizeWatch(self.name, self._size, self._notify)
        first: _Shot | None = None
        try:
            while (shot := self._take()) is not None:
                if first is None:
                    first, self._began_s = shot, shot.at_s
                time_s = shot.at_s - first.at_s
                if sampler.is_over(time_s):
                    return
                if sampler.takes(time_s):
                    yield watch.see(Frame(shot.image, self.name, shot.number - first.number, time_s))
        finally:
            self.close()

    def close(self) -> None:
        """Close the source; an iteration in another thread ends at once."""
        with self._news:
            self._state = "closed"
            self._news.notify_all()
        # `on_notice`, called in the capture thread, may close the source; that thread cannot wait for itself.
        if threading.current_thread() is not self._capture:
            self._capture.join(JOIN_S)

    def _wait_for_first(self) -> _Shot:
        timeout_s = self.options.open_timeout_s
        with self._news:
            self._news.wait_for(lambda: self._shot is not None or self._failure is not None, timeout_s)
            if self._failure is not None:
                raise self._failure
            if self._shot is None:
                raise SourceError(
                    f"{self.name}: sent no frame within {timeout_s:g} s; is it on, and not used by another program?"
                )
            return self._shot

    def _take(self) -> _Shot | None:
        """The newest frame not taken yet, waited for; None once the source is closed."""
        while True:
            with self._news:
                # Wake up now and then: a capture that hangs sends no news.
                self._news.wait_for(self._has_news, 0.25)
                if self._state == "closed":
                    return None
                if self._failure is not None:
                    raise self._failure
                if self._shot is not None:
                    shot, self._shot = self._shot, None
                    return shot
            # Without the lock: it calls the user's `on_notice`.
            self._look_after()

    def _has_news(self) -> bool:
        return self._shot is not None or self._failure is not None or self._state == "closed"

    def _look_after(self) -> None:
        """Give up when it is time to, and abandon a capture that hangs in a call."""
        now, options = time.monotonic(), self.options
        if options.give_up_s is not None and now - self._last_s > options.give_up_s:
            raise SourceError(f"{self.name}: no frame for {options.give_up_s:g} s, giving up")
        if not self._capture.hangs(now):
            return
        self._hung = [capture for capture in self._hung if capture.is_alive()]
        # Each one holds a thread and a driver call: leave no more than two behind.
        if len(self._hung) < 2:
            self._hung.append(self._capture)
            # `started`: the source has worked, so a first failure is no reason to give up.
            self._capture = _Capture(self, self._connect, wait_s=self._capture.wait_s, started=True)
            self._report_lost(f"no answer for {options.stall_s:g} s")
            self._capture.start()

    def _is_current(self, capture: _Capture) -> bool:
        return self._state != "closed" and capture is self._capture

    def _deliver(self, image: UInt8, rate_hz: float | None) -> None:
        with self._news:
            if self._state == "closed":
                return
            back, self._state = self._state == "lost", "live"
            self._last_s = time.monotonic()
            self._shot = _Shot(self._count, self._last_s, image)
            self._count += 1
            self._rate_hz = rate_hz
            self._news.notify_all()
        if back:
            self._notify(f"{self.name}: back again")

    def _fail(self, error: BaseException) -> None:
        with self._news:
            self._failure = error
            self._news.notify_all()

    def _report_lost(self, why: str) -> None:
        with self._news:
            if self._state in ("lost", "closed"):
                return
            self._state = "lost"
        self._notify(f"{self.name}: lost ({why}); retrying until it is back")

    def _pause(self, capture: _Capture, seconds: float) -> None:
        """Wait, but no longer than the capture is needed."""
        with self._news:
            self._news.wait_for(lambda: not self._is_current(capture), seconds)


class _Capture(threading.Thread):
    """Opens, reads, and reopens, until the source is closed or uses another capture."""

    def __init__(
        self, source: LiveSource, connect: Callable[[], Grabber], *, wait_s: float, started: bool = False
    ) -> None:
        # A call into a driver may never come back; it must not keep the program from ending.
        super().__init__(name=f"capture {source.name}", daemon=True)
        self.wait_s = wait_s
        self._source, self._reconnect, self._delivered = source, connect, started
        self._deadline_s: float | None = None

    def hangs(self, now_s: float) -> bool:
        """Whether a call takes longer than it may."""
        deadline_s = self._deadline_s
        return deadline_s is not None and now_s > deadline_s

    def run(self) -> None:
        source = self._source
        try:
            while source._is_current(self):
                try:
                    self._capture()
                except SourceError as error:
                    # Before the first frame an error is the answer: a wrong name must not be retried forever.
                    if not self._delivered:
                        raise
                    if source._is_current(self):
                        source._report_lost(str(error).removeprefix(f"{source.name}: "))
                source._pause(self, self.wait_s)
                self.wait_s = min(2 * self.wait_s, LONGEST_WAIT_S)
        except BaseException as error:
            # Raised where the frames are taken, not lost in this thread.
            if source._is_current(self):
                source._fail(error)

    def _capture(self) -> None:
        """One connection from opening until it breaks."""
        source, options = self._source, self._source.options
        grabber = self._reconnect()
        try:
            self._deadline_s = time.monotonic() + options.open_timeout_s + MARGIN_S
            rate_hz = grabber.open()
            last_s = time.monotonic()
            while source._is_current(self):
                self._deadline_s = time.monotonic() + options.stall_s + MARGIN_S
                image = grabber.read()
                now_s = time.monotonic()
                # An abandoned capture may return late, with an outdated frame.
                if image is not None and source._is_current(self):
                    source._deliver(image, rate_hz)
                    self._delivered, self.wait_s, last_s = True, FIRST_WAIT_S, now_s
                elif now_s - last_s > options.stall_s:
                    raise SourceError(f"{source.name}: no frame for {options.stall_s:g} s")
        finally:
            self._deadline_s = None
            grabber.close()


# Nothing is held back to sort or smooth, and a stream is known by its first second.
LOW_LATENCY = {"fflags": "nobuffer", "flags": "low_delay", "analyzeduration": "1000000"}
# FFmpeg begins RTSP with UDP, where lost packets tear the image.
BY_TCP = {"rtsp_transport": "tcp"}


def open_stream(
    url: str,
    sampling: Sampling | None = None,
    *,
    options: LiveOptions | None = None,
    max_pixels: int = MAX_PIXELS,
    on_notice: Callable[[str], None] | None = None,
) -> LiveSource:
    """The live stream at an address.

    Raises:
        SourceError: nothing answers, or what arrives is not a video.
        FiniteStreamError: when it is a file on a web server.
    """
    wanted = options or LiveOptions()
    name = without_password(url)
    return LiveSource(
        name, lambda: StreamGrabber(url, wanted, max_pixels), sampling, options=wanted, on_notice=on_notice
    )


class FiniteStreamError(SourceError):
    """A web address sends something with a duration: a file, to be read as one."""


class StreamGrabber:
    """A network stream by PyAV."""

    def __init__(self, url: str, options: LiveOptions, max_pixels: int) -> None:
        self._url, self._options, self._max_pixels = url, options, max_pixels
        self._name = without_password(url)
        self._container: InputContainer | None = None
        self._frames: Iterator[VideoFrame] = iter(())

    def open(self) -> float | None:
        """Connect."""
        options = LOW_LATENCY | (BY_TCP if self._url.lower().startswith("rtsp") else {})
        timeouts = {"open_timeout_s": self._options.open_timeout_s, "read_timeout_s": self._options.stall_s}
        self._container = open_address(self._url, **timeouts, options=options)
        if self._container.duration and self._url.lower().startswith("http"):
            raise FiniteStreamError(f"{self._name}: expected a live stream, this is a file")
        stream = choose_stream(self._container, self._name, self._max_pixels)
        # Threads by frame would hold back as many frames.
        stream.thread_type = "SLICE"
        self._convert = Converter()
        self._frames = self._decode(self._container, stream)
        return float(stream.average_rate) if stream.average_rate else None

    def read(self) -> UInt8 | None:
        """The next frame."""
        frame = next(self._frames, None)
        if frame is None:
            raise SourceError(f"{self._name}: the stream has ended")
        # A stream may change its size at any time.
        check_size(frame.width, frame.height, self._name, self._max_pixels)
        return self._convert(frame)

    def close(self) -> None:
        """Disconnect."""
        # The generator holds this object: together they would keep 10 MB of decoder until garbage is collected.
        self._frames = iter(())
        if self._container is not None:
            self._container.close()

    def _decode(self, container: InputContainer, stream: VideoStream) -> Iterator[VideoFrame]:
        import av

        with reading(self._name):
            for packet in container.demux(stream):
                try:
                    yield from stream.decode(packet)
                except av.error.EOFError:
                    return
                # A damaged packet costs its frame, not the connection.
                except av.error.InvalidDataError:
                    continue
