"""The annotated video: H.264 in MP4 with the source's own timestamps and sound."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import numpy.typing as npt

from mien.errors import ConfigError
from mien.images.pictures import resize
from mien.reading.drawing import draw_faces
from mien.sinks.base import cannot_write, part_of, refuse_existing
from mien.structures import Result

if TYPE_CHECKING:
    from av.container import OutputContainer
    from av.video.stream import VideoStream

    from mien.sinks.sound import Sound

UInt8 = npt.NDArray[np.uint8]

CLOCK_HZ = 90_000
"""Time stamps count in parts of a second that hold 24, 25, 30, 50 and 60 Hz exactly."""
ENCODER = {"preset": "veryfast", "crf": "20", "bf": "0", "g": "60"}
"""Without B-frames the first frame is at 0 in every player, also in a part."""
MUXER = {"movflags": "+hybrid_fragmented", "frag_duration": "1000000"}
"""Fragments of a second while it is written, an ordinary MP4 when it is closed."""
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
    ) -> None:
        self.path = Path(path)
        check_video_path(self.path, overwrite=overwrite)
        self.part = part_of(self.path)
        self._sound = sound
        self._draw = draw or _draw
        self._container: OutputContainer | None = None
        self._stream: VideoStream | None = None
        self._first_s = 0.0
        self._last_pts = -1
        try:
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
                self._sound.copy_until(time_s)
        except OSError as error:
            raise cannot_write(self.path, error, f"; what was written so far is in {self.part}") from error

    def _start(self, image: UInt8, first_s: float) -> VideoStream:
        import av

        container = av.open(self.part, "w", format="mp4", options=MUXER)
        self._container = container
        stream = container.add_stream("libx264", rate=30, options=ENCODER)
        stream.height, stream.width = image.shape[:2]
        stream.pix_fmt = "yuv420p"
        context = stream.codec_context
        context.time_base = stream.time_base = Fraction(1, CLOCK_HZ)
        context.colorspace = context.color_primaries = context.color_trc = BT709
        context.color_range = 1
        self._first_s, self._stream = first_s, stream
        if self._sound is not None:
            self._sound.start(container, first_s)
        return stream

    def _encode(self, stream: VideoStream, image: UInt8, time_s: float) -> None:
        import av

        frame = av.VideoFrame.from_ndarray(resize(image, stream.height, stream.width), format="rgb24")
        frame = frame.reformat(format="yuv420p", dst_colorspace="ITU709")
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


def _draw(result: Result) -> UInt8:
    assert result.frame is not None
    return draw_faces(result.frame.image, result.faces)
