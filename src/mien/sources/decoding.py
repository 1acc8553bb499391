"""The frames of one video stream in order of presentation, with their numbers, from a keyframe if asked."""

from __future__ import annotations

import functools
import itertools
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, NamedTuple, cast

import cv2
import numpy as np
import numpy.typing as npt

from mien.errors import SourceError
from mien.images.pictures import on_white
from mien.sources.container import choose_stream, open_address, open_file, reading, without_password
from mien.structures import UInt8

if TYPE_CHECKING:
    from av import Packet, VideoFrame
    from av.buffer import Buffer


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


class Turn(NamedTuple):
    """What makes a stored frame upright: transposed first, then mirrored."""

    transpose: bool = False
    mirror_x: bool = False
    mirror_y: bool = False


def turn_of(matrix: bytes) -> Turn:
    """The turn that a display matrix asks for, in steps of 90°.

    Args:
        matrix: nine int32 in this machine's byte order; a point (x, y) is shown at (a·x + c·y, b·x + d·y).

    >>> turn_of(np.array([0, 65536, 0, -65536, 0, 0, 0, 0, 1 << 30], np.int32).tobytes())
    Turn(transpose=True, mirror_x=True, mirror_y=False)
    """
    if len(matrix) < 36:
        return Turn()
    a, b, _, c, d = (int(value) for value in np.frombuffer(matrix, np.int32, 5))
    if abs(a) + abs(d) >= abs(b) + abs(c):
        return Turn(False, a < 0, d < 0)
    return Turn(True, c < 0, b < 0)


def turned(image: UInt8, turn: Turn) -> UInt8:
    """An image (H, W, 3) made upright, (W, H, 3) when it is transposed."""
    out = cv2.transpose(image) if turn.transpose else image
    if turn.mirror_x or turn.mirror_y:
        out = cv2.flip(out, -1 if turn.mirror_x and turn.mirror_y else int(turn.mirror_x))
    return np.asarray(out, np.uint8)


def _display_matrix(frame: VideoFrame) -> bytes:
    try:
        data = frame.side_data.get("DISPLAYMATRIX")
    except ValueError:
        # PyAV has no name for some kinds of side data, such as EXIF in Motion-JPEG, and then finds none at all.
        return b""
    return b"" if data is None else bytes(cast("Buffer", data))


PQ, HLG = 16, 18
"""FFmpeg's numbers of the two transfer functions of HDR video (SMPTE ST 2084, ARIB STD-B67)."""
WHITE_NITS = 203.0
"""Luminance of a white sheet in HDR video (ITU-R BT.2408): what is brighter is highlights."""
KNEE = 0.8
FROM_BT2020 = np.array([[1.6605, -0.5876, -0.0728], [-0.1246, 1.1329, -0.0083], [-0.0182, -0.1006, 1.1187]], np.float32)


def to_sdr(image: UInt8, transfer: int) -> UInt8:
    """An HDR frame (H, W, 3), BT.2020, as sRGB: diffuse white stays white, highlights are compressed.

    Shown as it is, such a frame is pale and dark, unlike the photos that detectors and models know.
    """
    # A table, because 8 bits have only 256 values.
    linear = cv2.transform(_linear_light(transfer)[image], FROM_BT2020)
    over = np.maximum(linear - KNEE, 0)
    # Straight up to the knee, then bending towards 1.
    toned = np.clip(np.minimum(linear, KNEE) + (1 - KNEE) * (1 - np.exp(-over / (1 - KNEE))), 0, 1)
    return np.asarray(_SRGB[(toned * (len(_SRGB) - 1)).astype(np.uint16)], np.uint8)


@functools.cache
def _linear_light(transfer: int) -> npt.NDArray[np.float32]:
    """Light of each 8-bit code value, 1 for diffuse white."""
    code = np.arange(256) / 255
    if transfer == PQ:
        power = code ** (32 / 2523)
        nits = 10000 * (np.maximum(power - 0.8359375, 0) / (18.8515625 - 18.6875 * power)) ** (16384 / 2610)
    else:
        scene = np.where(code <= 0.5, code**2 / 3, (np.exp((code - 0.55991073) / 0.17883277) + 0.28466892) / 12)
        nits = 1000 * scene**1.2
    return (nits / WHITE_NITS).astype(np.float32)


_LIGHT = np.linspace(0, 1, 4096)
_SRGB = np.rint(
    255 * np.where(_LIGHT <= 0.0031308, 12.92 * _LIGHT, 1.055 * _LIGHT ** (1 / 2.4) - 0.055)
).astype(np.uint8)  # fmt: skip
"""sRGB of 4,096 steps of light."""


class Converter:
    """Turns PyAV's frames into upright RGB uint8 (H, W, 3), each of its own size."""

    def __init__(self) -> None:
        from av.video.reformatter import VideoReformatter

        self._reformatter = VideoReformatter()
        self._rotation: int | None = None
        self.turn = Turn()

    def __call__(self, frame: VideoFrame) -> UInt8:
        """Convert one frame."""
        clear = frame.format.has_palette or any(part.is_alpha for part in frame.format.components)
        # One thread: 0.4 ms for 1280×720, and as fast as two; the rest is decoding.
        converted = self._reformatter.reformat(frame, format="rgba" if clear else "rgb24", threads=1)
        pixels = np.asarray(converted.to_ndarray(), np.uint8)
        image = on_white(pixels) if clear else pixels
        if frame.color_trc in (PQ, HLG):
            image = to_sdr(image, int(frame.color_trc))
        return turned(image, self._turn_of(frame))

    def _turn_of(self, frame: VideoFrame) -> Turn:
        # PyAV's side data and its frame hold each other until the garbage is collected, hundreds of frames later.
        if frame.rotation != self._rotation:
            self._rotation, self.turn = frame.rotation, turn_of(_display_matrix(frame))
        return self.turn
