"""Live network streams (RTSP, RTMP, MJPEG or MPEG-TS over HTTP) by PyAV, with a timeout for every wait."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from mien.errors import SourceError
from mien.images.pictures import MAX_PIXELS
from mien.sources.container import check_size, choose_stream, open_address, reading, without_password
from mien.sources.conversion import Converter
from mien.sources.live import LiveSource
from mien.sources.stream import LiveOptions, Sampling
from mien.structures import UInt8

if TYPE_CHECKING:
    from av import VideoFrame
    from av.container import InputContainer
    from av.video.stream import VideoStream

# Nothing is held back to sort or smooth, and a stream is known by its first second.
LOW_LATENCY = {"fflags": "nobuffer", "flags": "low_delay", "analyzeduration": "1000000"}
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
        SourceError: when nothing answers there, or what comes is no video.
        FiniteStreamError: when it is a file on a web server.
    """
    wanted = options or LiveOptions()
    name = without_password(url)
    return LiveSource(
        name, lambda: StreamGrabber(url, wanted, max_pixels), sampling, options=wanted, on_notice=on_notice
    )


class FiniteStreamError(SourceError):
    """What comes from a web address has a duration: it is a file, to be read like one."""


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
        """The next picture."""
        frame = next(self._frames, None)
        if frame is None:
            raise SourceError(f"{self._name}: the stream has ended")
        check_size(frame.width, frame.height, self._name, self._max_pixels)
        return self._convert(frame)

    def close(self) -> None:
        """Disconnect."""
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
                except av.error.InvalidDataError:
                    continue
