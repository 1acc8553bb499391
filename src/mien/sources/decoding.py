"""The frames of one video stream in order of presentation, with their numbers, from a keyframe if asked."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, cast

from mien.errors import SourceError
from mien.sources.container import choose_stream, open_address, open_file, reading, without_password

if TYPE_CHECKING:
    from av import Packet, VideoFrame


# Containers whose header states a duration; in others FFmpeg guesses it from the size.
PROMISING = frozenset(["mov", "mp4", "matroska", "webm", "flv", "asf"])

# Where a packet is a frame, so that counting packets counts frames. Not VP8, which has frames that are not shown.
COUNTABLE_FORMATS = frozenset(["mov", "mp4", "matroska", "webm"])
COUNTABLE_CODECS = frozenset(["h264", "hevc", "vp9", "av1", "libdav1d", "mjpeg", "mpeg4", "prores"])

SHORTFALL_S = 0.5


class Decoder:
    """One pass over a local or remote video file.

    Raises:
        SourceError: when there is no video that can be decoded.
    """

    def __init__(self, source: str, *, remote: bool, max_pixels: int) -> None:
        self._source, self._remote, self._max_pixels = source, remote, max_pixels
        self._name = without_password(source) if remote else source
        self._open()

    def _open(self) -> None:
        self._container = open_address(self._source) if self._remote else open_file(self._source)
        try:
            self.stream = choose_stream(self._container, self._name, self._max_pixels)
        except SourceError:
            self._container.close()
            raise
        # PyAV's default is threads by slice, and many videos have one slice a frame.
        self.stream.thread_type = "AUTO"
        self.damaged = 0
        self._reached: float | None = None
        self._frames = self._decode()

    def peek(self) -> VideoFrame | None:
        """The first frame, which stays the first to come; None if there is none."""
        first = next(self._frames, None)
        if first is not None:
            self._frames = itertools.chain([first], self._frames)
        return first

    @property
    def origin_s(self) -> Fraction | None:
        """Start of the container's time, seconds; None if it has none."""
        # PyAV's types know not that a container may have no time.
        start, own = cast(int | None, self._container.start_time), self.stream.start_time
        if start is None:
            return None
        seconds, base = Fraction(start, 1_000_000), self.stream.time_base
        # The container rounds to microseconds; the stream does not.
        if own is not None and base is not None and abs(own * base - seconds) < Fraction(2, 1_000_000):
            return own * base
        return seconds

    def stamp_s(self, frame: VideoFrame) -> Fraction | None:
        """The presentation time stamp of a frame, seconds by the container's time; None if it has none."""
        # AVI knows no presentation time: FFmpeg guesses it from the order of decoding, wrongly with B-frames.
        by_decoding = self._container.format.name == "avi" or frame.pts is None
        stamp = frame.dts if by_decoding else frame.pts
        return None if stamp is None or frame.time_base is None else stamp * frame.time_base

    @property
    def duration_s(self) -> float | None:
        """Duration of the stream according to the container."""
        if self.stream.duration is not None and self.stream.time_base is not None:
            return float(self.stream.duration * self.stream.time_base)
        return self._container.duration / 1e6 if self._container.duration is not None else None

    @property
    def rate_hz(self) -> float | None:
        """Frames per second on average."""
        rate = self.stream.average_rate or self.stream.guessed_rate
        return float(rate) if rate else None

    @property
    def pixel_aspect(self) -> Fraction:
        """Display width of a stored pixel over its height; 1 if the file does not say."""
        return self.stream.sample_aspect_ratio or self.stream.codec_context.sample_aspect_ratio or Fraction(1)

    @property
    def frames(self) -> int | None:
        """Number of frames according to the container; None if missing, or inconsistent with its duration."""
        count, duration_s, rate_hz = self.stream.frames, self.duration_s, self.rate_hz
        if not count or (duration_s and rate_hz and not 0.8 < count / (duration_s * rate_hz) < 1.25):
            return None
        return count

    def _decode(self) -> Iterator[VideoFrame]:
        """All frames from the current position; damaged pieces are skipped and counted."""
        import av

        with reading(self._name):
            # Packets of all streams: where this one has no duration, the others tell how far the file went.
            for packet in self._container.demux():
                self._note(packet)
                if packet.stream.index != self.stream.index:
                    continue
                try:
                    yield from self.stream.decode(packet)
                except av.error.EOFError:
                    return
                except (av.error.InvalidDataError, av.error.PatchWelcomeError, av.error.UnknownError):
                    self.damaged += 1

    def iter_from(self, time_s: float) -> Iterator[tuple[int, VideoFrame]]:
        """Numbered frames from the last keyframe before a time, seconds from the start, or from the first one.

        A frame has the number that it has in the whole file: the frames before the keyframe are counted without
        decoding where the container allows it, else all are decoded.
        """
        found = self._keyframe_before(time_s) if time_s > 1 else None
        if found is not None:
            pts, count = found
            with reading(self._name):
                self._container.seek(pts, stream=self.stream)
            # Frames shown before a keyframe may follow it in the file; what they refer to was skipped.
            frames = (frame for frame in self._decode() if frame.pts is None or frame.pts >= pts)
            first = next(frames, None)
            if first is not None and first.pts == pts:
                yield count, first
                yield from enumerate(frames, count + 1)
                return
            # Not the keyframe that was counted: a number that may be wrong is worse than decoding everything.
            self._container.close()
            self._open()
        yield from enumerate(self._frames)

    def shortfall(self, count: int) -> SourceError | None:
        """After the last of so many frames: the error when the file ends clearly before its own header says."""
        if self._container.format.name == "gif" and not self._remote and breaks_off(self._source):
            return SourceError(f"{self._name}: breaks off: {count} frames read, the end of the GIF is missing")
        promised, read_s = self.duration_s, self._reached
        if promised is None or read_s is None or not PROMISING & set(self._container.format.name.split(",")):
            return None
        # Matroska counts its duration from zero, MP4 from its first frame: a late start is taken for neither.
        step_s = 1 / self.rate_hz if self.rate_hz else 0.0
        if read_s >= promised - max(SHORTFALL_S, 2 * step_s):
            return None
        of = f" of {self.frames}" if self.frames else ""
        return SourceError(
            f"{self._name}: breaks off: {count}{of} frames read, {read_s:.1f} of {promised:.1f} seconds; "
            "the frames before that were read; copy the file again for the rest"
        )

    def close(self) -> None:
        """Close the file."""
        # The generator holds this object: together they would keep the codec's memory until garbage is collected.
        self._frames = iter(())
        self._container.close()

    def _note(self, packet: Packet[Any]) -> None:
        """Keep how far the file went: by this stream where it has a duration of its own, else by any."""
        if packet.pts is None or packet.time_base is None:
            return
        if self.stream.duration is None or packet.stream.index == self.stream.index:
            end_s = float((packet.pts + (packet.duration or 0)) * packet.time_base)
            self._reached = end_s if self._reached is None else max(self._reached, end_s)

    def _keyframe_before(self, time_s: float) -> tuple[int, int] | None:
        """The time stamp of the last keyframe before a time, and the number of frames before it."""
        countable = COUNTABLE_FORMATS & set(self._container.format.name.split(","))
        base, origin_s = self.stream.time_base, self.origin_s
        if self._remote or not countable or base is None or origin_s is None:
            return None
        if self.stream.codec_context.name not in COUNTABLE_CODECS:
            return None
        # A second reader, so that this one still gives its first frame if no keyframe is found.
        counter = Decoder(self._source, remote=False, max_pixels=self._max_pixels)
        try:
            with reading(self._name):
                return _last_keyframe(counter._container.demux(counter.stream), (Fraction(time_s) + origin_s) / base)
        finally:
            counter.close()


def _last_keyframe(packets: Iterator[Packet[Any]], until: Fraction) -> tuple[int, int] | None:
    """Time stamp of the last keyframe up to a time stamp, and how many frames are shown before it."""
    stamps: list[int] = []
    key: int | None = None
    for packet in packets:
        # Empty packets end a stream; those to discard are cut away by an edit list.
        if not packet.size or packet.is_discard:
            continue
        if packet.pts is None:
            return None
        if packet.is_keyframe and packet.pts > until:
            break
        if packet.is_keyframe:
            key = packet.pts
        stamps.append(packet.pts)
    # By time stamp: the order in the file is that of decoding.
    return None if key is None else (key, sum(stamp < key for stamp in stamps))


IMAGE, EXTENSION = b"\x2c", b"\x21"


def breaks_off(path: str | Path) -> bool:
    """Whether a GIF file ends before its trailer; what is no block of a GIF counts as its end."""
    with Path(path).open("rb") as file:
        screen = file.read(13)
        if len(screen) < 13:
            return True
        file.seek(_table_bytes(screen[10]), 1)
        while kind := file.read(1):
            if kind == EXTENSION:
                file.seek(1, 1)
            elif kind == IMAGE:
                descriptor = file.read(9)
                if len(descriptor) < 9:
                    return True
                file.seek(_table_bytes(descriptor[8]) + 1, 1)
            else:
                return False
            if not _skip_blocks(file):
                return True
    return True


def _table_bytes(flags: int) -> int:
    return 3 << (flags & 7) + 1 if flags & 0x80 else 0


def _skip_blocks(file: BinaryIO) -> bool:
    """Go past the data of a block; False where the file ends in it."""
    while length := file.read(1):
        if length == b"\x00":
            return True
        file.seek(length[0], 1)
    return False
