"""Pictures that are pushed in one by one, read as the frames of one live source: faces followed, labels smoothed."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from mien.apps.service.pictures import decode_picture
from mien.closing import Closing
from mien.errors import SourceError
from mien.reading.pipeline import Pipeline
from mien.reading.results import Result
from mien.reading.streaming import StreamOptions
from mien.sources.stream import StreamInfo
from mien.structures import Frame

NAME = "stream"


class PushedFrames(Closing):
    """A live source that gives the one frame that was put in last."""

    info = StreamInfo(NAME, 0, 0, live=True)

    def __init__(self) -> None:
        self._frame: Frame | None = None

    def put(self, frame: Frame) -> None:
        """Have this frame next."""
        self._frame = frame

    def __iter__(self) -> Iterator[Frame]:
        """Frames until there is none."""
        while self._frame is not None:
            frame, self._frame = self._frame, None
            yield frame

    def close(self) -> None:
        """Let go of a frame that waits."""
        self._frame = None


class LiveReader(Closing):
    """Reads the frames of one connection; for one thread at a time.

    Args:
        pipeline: what finds and reads faces.
        options: how they are followed and smoothed.
    """

    def __init__(self, pipeline: Pipeline, options: StreamOptions) -> None:
        self.pipeline = pipeline
        self._frames = PushedFrames()
        self._results = pipeline.stream(self._frames, options)

    def read(self, data: bytes, index: int, time_s: float) -> Result:
        """The faces of the next frame, a picture file's bytes, that came at this time.

        Raises:
            Problem, SourceError: it is no whole picture, or too large; the frames after it can be read all the same.
        """
        image = decode_picture(data, name=f"frame {index}", max_pixels=self.pipeline.max_pixels)
        self._frames.put(Frame(image, NAME, index, time_s))
        result = next(self._results, None)
        if result is None:
            raise SourceError("the stream was closed")
        return result

    def close(self) -> None:
        """Let go of what was remembered of the faces."""
        with contextlib.closing(self._results):  # type: ignore[type-var]
            self._frames.close()
