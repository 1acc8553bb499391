"""The annotated video: H.264 in MP4 with the source's own timestamps and sound."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import numpy.typing as npt

from mien.errors import ConfigError, SourceError
from mien.images.pictures import resize
from mien.reading.drawing import draw_faces
from mien.reading.results import Result
from mien.sinks.base import cannot_write, part_of, refuse_existing
from mien.sources.container import open_file

if TYPE_CHECKING:
    from av.audio.stream import AudioStream
    from av.container import InputContainer, OutputContainer
    from av.packet import Packet
    from av.video.stream import VideoStream

    AudioPacket = Packet[AudioStream]


UInt8 = npt.NDArray[np.uint8]

CLOCK_HZ = 90_000
"""Time stamps count in parts of a second that hold 24, 25, 30, 50 and 60 Hz exactly."""
ENCODER = {"preset": "veryfast", "crf": "20", "bf": "0", "g": "60"}
"""Without B-frames the first frame is at 0 in every player, also in a part."""
MUXER = {
    "movflags": "+hybrid_fragmented+delay_moov", "frag_duration": "1000000", "use_editlist": "1", "flush_packets": "1",
}  # fmt: skip
"""Fragments of a second while it is written, an ordinary MP4 when it is closed.

Sound that starts late needs an edit list. Its header waits for the first sound, or a part would begin only there; and
without flushing, the system gets two megabytes at a time.
"""
BT709 = 1
ENDINGS = (".mp4", ".m4v", ".mov")


class VideoSink:
    """Writes each frame with its faces marked to `<name>.part` and renames it when closed.

    Frames keep their time, counted from the first one. A part that a kill leaves can be played.

    Args:
        path: an .mp4 file.
        sound: where the sound comes from, None for a silent video.
        draw: marks a result's faces on its frame, RGB uint8 (H, W, 3) of a size that stays; `draw_faces` by default.
        overwrite: the file may be replaced.
        pixel_aspect: width of a pixel over its height as it is to be shown.

    Raises:
        ConfigError: another ending, the file is there already or cannot be written.
    """

    def __init__(
        self,
        path: str | Path,
        *,
        sound: Sound | None = None,
        draw: Callable[[Result], UInt8] | None = None,
        overwrite: bool = False,
        pixel_aspect: float = 1.0,
    ) -> None:
        self.path = Path(path)
        self._pixel_aspect = pixel_aspect
        check_video_path(self.path, overwrite=overwrite)
        self.part = part_of(self.path)
        self._sound = sound
        self._draw = draw or _draw
        self._container: OutputContainer | None = None
        self._stream: VideoStream | None = None
        self._first_s = 0.0
        self._last_pts = -1
        try:
            # An unwritable folder is found before any frame is analyzed.
            self.part.open("wb").close()
        except OSError as error:
            raise cannot_write(self.path, error) from error

    def write(self, result: Result) -> None:
        """Add a frame; a result without one is passed over.

        Raises:
            ConfigError: it cannot be written.
        """
        if result.frame is None:
            return
        image = even(self._draw(result))
        try:
            stream = self._stream or self._start(image, result.frame.time_s)
            time_s = result.frame.time_s - self._first_s
            self._encode(stream, image, time_s)
            if self._sound is not None:
                # In step with the frames, because a player reads both from about the same place in the file.
                self._sound.copy_until(time_s)
        except OSError as error:
            raise cannot_write(self.path, error, f"; what was written so far is in {self.part}") from error

    def _start(self, image: UInt8, first_s: float) -> VideoStream:
        import av

        container = av.open(self.part, "w", format="mp4", options=MUXER)
        self._container = container
        # The rate is only a hint for the encoder: each frame has its own time stamp.
        stream = container.add_stream("libx264", rate=30, options=ENCODER)
        stream.height, stream.width = image.shape[:2]
        stream.pix_fmt = "yuv420p"
        context = stream.codec_context
        context.time_base = stream.time_base = Fraction(1, CLOCK_HZ)
        # Stated in the file, because players otherwise guess the colour space from the frame size.
        context.colorspace = context.color_primaries = context.color_trc = BT709
        context.color_range = 1
        context.sample_aspect_ratio = Fraction(self._pixel_aspect).limit_denominator(1000)
        self._first_s, self._stream = first_s, stream
        if self._sound is not None:
            self._sound.start(container, first_s)
        return stream

    def _encode(self, stream: VideoStream, image: UInt8, time_s: float) -> None:
        import av

        frame = av.VideoFrame.from_ndarray(fit(image, stream.height, stream.width), format="rgb24")
        # By default FFmpeg converts from RGB by BT.601.
        frame = frame.reformat(format="yuv420p", dst_colorspace="ITU709")
        # Two frames may share a time, but time stamps in an MP4 have to rise.
        frame.pts = self._last_pts = max(round(time_s * CLOCK_HZ), self._last_pts + 1)
        frame.time_base = Fraction(1, CLOCK_HZ)
        self._mux(stream.encode(frame))

    def _mux(self, packets: Any) -> None:
        assert self._container is not None
        self._container.mux(packets)

    def close(self) -> None:
        """Finish the video and give it its name; without a single frame there is none."""
        if self._stream is None:
            self.part.unlink(missing_ok=True)
            return
        try:
            self._mux(self._stream.encode(None))
            if self._sound is not None:
                self._sound.finish()
            self._release()
            self.part.replace(self.path)
        except OSError as error:
            raise cannot_write(self.path, error, f"; what was written so far is in {self.part}") from error

    def _release(self) -> None:
        if self._sound is not None:
            self._sound.close()
        if self._container is not None:
            self._container.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None:
            self.close()
            return
        try:
            self._release()
        # The error that ended the block is the one to raise.
        except OSError:
            return
        if self._stream is None:
            self.part.unlink(missing_ok=True)


def check_video_path(path: Path, *, overwrite: bool) -> None:
    """Raise ConfigError when a video cannot or may not be written there."""
    if path.suffix.lower() not in ENDINGS:
        raise ConfigError(f"{path}: an annotated video is an MP4: expected a name ending in {', '.join(ENDINGS)}")
    refuse_existing(path, overwrite=overwrite)


def even(image: UInt8) -> UInt8:
    """The picture with even sides, as H.264 needs them: an odd one repeats its last line."""
    height, width = image.shape[:2]
    if height % 2 == 0 and width % 2 == 0:
        return image
    return np.pad(image, ((0, height % 2), (0, width % 2), (0, 0)), mode="edge")


def fit(image: UInt8, height: int, width: int) -> UInt8:
    """The picture whole and in its own shape within that size, black beside it."""
    if image.shape[:2] == (height, width):
        return image
    ratio = min(height / image.shape[0], width / image.shape[1])
    inner = resize(image, max(1, round(image.shape[0] * ratio)), max(1, round(image.shape[1] * ratio)))
    top, left = (height - inner.shape[0]) // 2, (width - inner.shape[1]) // 2
    out = np.zeros((height, width, 3), np.uint8)
    out[top : top + inner.shape[0], left : left + inner.shape[1]] = inner
    return out


def _draw(result: Result) -> UInt8:
    assert result.frame is not None
    return draw_faces(result.frame.image, result.faces)


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
        """Close the source."""
        if self._container is not None:
            self._container.close()
            self._container = None

    def _give_up(self, error: Exception) -> None:
        self._packets, self._next = iter(()), None
        self.notice = f"{self.name}: its sound cannot be copied: {getattr(error, 'strerror', None) or error}"

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
        # FFmpeg's AAC encoder takes planar floats only.
        resampler = av.AudioResampler("fltp", stream.codec_context.layout, context.sample_rate)
        origin_s = float(self._origin(stream) * (stream.time_base or 0))
        position: int | None = None
        for frame in self._container.decode(stream):
            if frame.time is None or frame.time < origin_s:
                continue
            if position is None:
                position = round((frame.time - origin_s) * context.sample_rate)
            for part in resampler.resample(frame):
                # Counted on from the first sample: the encoder takes no gaps.
                part.pts, part.time_base = position, Fraction(1, context.sample_rate)
                position += part.samples
                yield from _timed(target.encode(part))
        yield from _timed(target.encode(None))


def _timed(packets: list[AudioPacket]) -> Iterator[tuple[float, AudioPacket]]:
    for packet in packets:
        yield float((packet.pts or 0) * packet.time_base), packet
