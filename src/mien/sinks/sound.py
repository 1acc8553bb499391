"""The sound of a video file, on its way into an annotated one."""

from __future__ import annotations

import os
from collections.abc import Iterator
from fractions import Fraction
from typing import TYPE_CHECKING, Any

from mien.errors import SourceError
from mien.sources.container import open_file

if TYPE_CHECKING:
    from av.audio.stream import AudioStream
    from av.container import InputContainer, OutputContainer
    from av.packet import Packet

    AudioPacket = Packet[AudioStream]

COPIED = frozenset(["aac", "mp3", "ac3", "eac3", "alac", "opus", "flac"])
"""Codecs that an MP4 holds as they are; others become AAC."""


class Sound:
    """The first audio stream of a file, copied where an MP4 can hold it, else encoded as AAC.

    Sound that cannot be read to its end is left out from there on; `notice` says so.

    Args:
        source: the video file.
        end_s: sound from there on is left out; None for none.
    """

    def __init__(self, source: str | os.PathLike[str], *, end_s: float | None = None) -> None:
        self.name = os.fspath(source)
        self.notice: str | None = None
        self._end_s = end_s
        self._container: InputContainer | None = None
        self._out: OutputContainer | None = None
        self._packets: Iterator[tuple[float, AudioPacket]] = iter(())
        self._next: tuple[float, AudioPacket] | None = None
        self._first_s = 0.0

    def start(self, out: OutputContainer, first_s: float) -> None:
        """Make the stream in the new file; sound before `first_s` of the source is left out."""
        import av

        try:
            self._container = open_file(self.name)
        except SourceError:
            return
        stream = next((entry for entry in self._container.streams.audio if entry.codec_context is not None), None)
        if stream is None:
            return
        self._out, self._first_s = out, first_s
        try:
            if stream.codec_context.name in COPIED:
                self._packets = self._copied(stream, out.add_stream_from_template(stream))
            else:
                self._packets = self._encoded(stream, out.add_stream("aac", rate=stream.codec_context.sample_rate))
        except (av.FFmpegError, ValueError) as error:
            self._give_up(error)

    def copy_until(self, time_s: float) -> None:
        """Write what sounds until `time_s` of the new file."""
        import av

        if self._out is None:
            return
        while True:
            if self._next is None:
                try:
                    self._next = next(self._packets, None)
                except (av.FFmpegError, ValueError) as error:
                    self._give_up(error)
            if self._next is None or self._next[0] > time_s:
                return
            self._out.mux(self._next[1])
            self._next = None

    def finish(self) -> None:
        """Write what is left."""
        self.copy_until(float("inf") if self._end_s is None else self._end_s - self._first_s)

    def close(self) -> None:
        """Let go of the source."""
        if self._container is not None:
            self._container.close()
            self._container = None

    def _give_up(self, error: Exception) -> None:
        self._packets, self._next = iter(()), None
        self.notice = f"{self.name}: its sound cannot be kept: {getattr(error, 'strerror', None) or error}"

    def _origin(self, stream: AudioStream) -> Fraction:
        """What to take from the stream's time stamps, in its own time base."""
        assert self._container is not None
        assert stream.time_base is not None
        return (Fraction(self._container.start_time or 0, 1_000_000) + Fraction(self._first_s)) / stream.time_base

    def _copied(self, stream: AudioStream, target: AudioStream) -> Iterator[tuple[float, AudioPacket]]:
        assert self._container is not None
        assert stream.time_base is not None
        origin = round(self._origin(stream))
        last = -1
        for packet in self._container.demux(stream):
            # Joined recordings jump back in time; an MP4 cannot.
            if packet.pts is None or packet.dts is None or packet.pts < origin or packet.dts - origin <= last:
                continue
            packet.pts, packet.dts = packet.pts - origin, packet.dts - origin
            last = packet.dts
            time_s = float(packet.pts * stream.time_base)
            packet.stream = target
            yield time_s, packet

    def _encoded(self, stream: AudioStream, target: AudioStream) -> Iterator[tuple[float, AudioPacket]]:
        import av

        assert self._container is not None
        context: Any = target.codec_context
        resampler = av.AudioResampler("fltp", stream.codec_context.layout, context.sample_rate)
        origin_s = float(self._origin(stream) * (stream.time_base or 0))
        for frame in self._container.decode(stream):
            if frame.time is None or frame.time < origin_s:
                continue
            for part in resampler.resample(frame):
                part.pts = None
                yield from _timed(target.encode(part))
        yield from _timed(target.encode(None))


def _timed(packets: list[AudioPacket]) -> Iterator[tuple[float, AudioPacket]]:
    for packet in packets:
        yield float((packet.pts or 0) * packet.time_base), packet
