"""Video files by their presentation timestamps: upright RGB, from any start, every Nth frame or N per second."""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Callable, Generator, Iterator
from fractions import Fraction
from typing import TYPE_CHECKING

from mien.closing import Closing
from mien.errors import SourceError
from mien.images.pictures import MAX_PIXELS
from mien.sources.container import check_size, without_password
from mien.sources.converting import Converter
from mien.sources.decoding import Decoder
from mien.sources.stream import Sampler, Sampling, SizeWatch, StreamInfo
from mien.structures import Frame

if TYPE_CHECKING:
    from av import VideoFrame

DEFAULT_RATE_HZ = 25.0
NEW_BEGINNING_S = 1.0


class Timeline:
    """Seconds from the start of a source for each frame in turn; they never go back.

    A frame without a time stamp comes a step after the one before it. Where the stamps jump back by more than a
    second, as in recordings that were joined, time advances by a step. The step is the last one between two frames.
    """

    def __init__(self, origin_s: Fraction | None, step_s: float) -> None:
        self._origin_s = origin_s
        self._step_s = step_s
        self._shift_s = 0.0
        self._last_s: float | None = None

    def time_of(self, stamp_s: Fraction | None) -> float:
        """The time of the next frame, by its presentation time stamp in seconds."""
        last_s = -self._step_s if self._last_s is None else self._last_s
        time_s = last_s + self._step_s
        if stamp_s is not None:
            if self._origin_s is None:
                self._origin_s = stamp_s
            # Subtracted as fractions: exact, and rounded only once.
            stamped_s = float(stamp_s - self._origin_s) + self._shift_s
            if stamped_s < last_s - NEW_BEGINNING_S:
                self._shift_s += time_s - stamped_s
            else:
                # A small step back is a stamp out of order, not another recording: time stands still.
                time_s = max(stamped_s, last_s, 0.0)
        if self._last_s is not None and time_s > last_s:
            self._step_s = time_s - last_s
        self._last_s = max(time_s, 0.0)
        return self._last_s


class VideoFile(Closing):
    """Frames of a video file or animated GIF, on disk or on a server.

    Args:
        source: path, or an http(s) address of a file.
        sampling: which frames are taken; all, if not given.
        max_pixels: limit on width × height of a frame.
        on_notice: called with a sentence about damaged frames; a warning of the log `mien` if not given.

    Raises:
        SourceError: when there is no such file or no frame in it can be decoded.
    """

    def __init__(
        self,
        source: str | os.PathLike[str],
        sampling: Sampling | None = None,
        *,
        max_pixels: int = MAX_PIXELS,
        on_notice: Callable[[str], None] | None = None,
    ) -> None:
        path = os.fspath(source)
        remote = "://" in path
        self._name = without_password(path) if remote else path
        self._sampling = sampling or Sampling()
        self._max_pixels = max_pixels
        self._on_notice = on_notice or logging.getLogger("mien").warning
        # Re-entrant: `on_notice` is called while a frame is read, and may close the file.
        self._lock = threading.RLock()
        self._closed = self._taken = False
        self._decoder = Decoder(path, remote=remote, max_pixels=max_pixels)
        try:
            self._convert = Converter()
            self._info = self._look()
        except BaseException:
            self._decoder.close()
            raise

    @property
    def info(self) -> StreamInfo:
        """What is known before the first frame."""
        return self._info

    def __iter__(self) -> Iterator[Frame]:
        """The frames that were asked for.

        Raises:
            SourceError: when the file breaks off before its header says, after its last frame; or was read already.
        """
        if self._taken or self._closed:
            raise SourceError(f"{self._name}: was already read or closed; open it again")
        self._taken = True
        return self._iterate()

    def close(self) -> None:
        """Close the file; an iteration in another thread ends with its current frame."""
        # Set before waiting for the lock, so that a running iteration stops after its frame.
        self._closed = True
        with self._lock:
            self._decoder.close()

    def _look(self) -> StreamInfo:
        """Decode the first frame, which alone gives the size as shown."""
        decoder = self._decoder
        first = decoder.peek()
        if first is None:
            raise SourceError(f"{self._name}: expected a video, but none of its frames can be decoded")
        check_size(first.width, first.height, self._name, self._max_pixels)
        # Only a converted frame is upright.
        height, width = self._convert(first).shape[:2]
        self._watch = SizeWatch(self._name, (height, width), self._on_notice)
        aspect = float(decoder.pixel_aspect)
        return StreamInfo(
            self._name, width, height, decoder.rate_hz, decoder.frames, decoder.duration_s,
            pixel_aspect=1 / aspect if self._convert.turn.transpose else aspect,
        )  # fmt: skip

    def _iterate(self) -> Iterator[Frame]:
        frames = self._frames()
        try:
            while True:
                with self._lock:
                    # Under the lock: FFmpeg must not be closed while it decodes.
                    frame = None if self._closed else next(frames, None)
                if frame is None:
                    return
                yield frame
        finally:
            with self._lock:
                frames.close()
            self.close()

    def _frames(self) -> Generator[Frame]:
        sampler, decoder = Sampler(self._sampling), self._decoder
        timeline = Timeline(decoder.origin_s, 1 / (decoder.rate_hz or DEFAULT_RATE_HZ))
        count = 0
        for index, frame in self._decoded():
            time_s = timeline.time_of(decoder.stamp_s(frame))
            count = index + 1
            if sampler.is_over(time_s):
                return
            if sampler.takes(time_s):
                check_size(frame.width, frame.height, self._name, self._max_pixels)
                yield self._watch.see(Frame(self._convert(frame), self._name, index, time_s))
            if self._closed:
                return
        broken_off = decoder.shortfall(count)
        if decoder.damaged:
            self._on_notice(f"{self._name}: {decoder.damaged} damaged pieces were skipped")
        if broken_off is not None:
            raise broken_off

    def _decoded(self) -> Iterator[tuple[int, VideoFrame]]:
        count = 0
        try:
            for index, frame in self._decoder.iter_from(self._sampling.start_s):
                count = index + 1
                yield index, frame
        except SourceError as error:
            raise SourceError(f"{error}; breaks off after {count} frames, which were read") from error
