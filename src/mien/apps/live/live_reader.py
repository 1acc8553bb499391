"""Reads the frames that a browser sends one by one: what the service and the page have in common behind `/live`."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import Any

from mien.closing import Closing
from mien.errors import SourceError
from mien.images.pictures import UInt8, decode
from mien.reading.pipeline import Pipeline
from mien.reading.results import Result
from mien.reading.streaming import StreamOptions
from mien.sources.stream import StreamInfo
from mien.structures import Frame

NAME = "stream"
PROTOCOL = "mien.v1"
"""The subprotocol that browsers offer."""


class PushedFrames(Closing):
    """A live source of the one frame that was pushed last."""

    # Live, so that the pipeline reads no frame ahead: the next one has not been sent yet.
    info = StreamInfo(NAME, 0, 0, live=True)

    def __init__(self) -> None:
        self._frame: Frame | None = None

    def put(self, frame: Frame) -> None:
        """Make this the next frame."""
        self._frame = frame

    def __iter__(self) -> Iterator[Frame]:
        """Frames until none is left."""
        while self._frame is not None:
            frame, self._frame = self._frame, None
            yield frame

    def close(self) -> None:
        """Drop a waiting frame."""
        self._frame = None


class LiveReader(Closing):
    """Analyzes the frames of one connection; for one thread at a time.

    Args:
        pipeline: finds and classifies faces.
        options: how they are tracked and smoothed.
        decode: bytes of an image file to RGB uint8 (H, W, 3), with the keywords `name` and `max_pixels`.
    """

    def __init__(
        self, pipeline: Pipeline, options: StreamOptions, *, decode: Callable[..., UInt8] = decode
    ) -> None:  # fmt: skip
        self.pipeline = pipeline
        self._decode = decode
        self._frames = PushedFrames()
        self._results = pipeline.stream(self._frames, options)

    def read(self, data: bytes, index: int, time_s: float) -> Result:
        """The faces of the next frame, the bytes of an image file, received at this time.

        Raises:
            SourceError, or what `decode` raises: it is damaged or too large; later frames are unaffected.
        """
        # Decoded here and not in the source: an exception inside the generator would end it for good.
        image = self._decode(data, name=f"frame {index}", max_pixels=self.pipeline.max_pixels)
        self._frames.put(Frame(image, NAME, index, time_s))
        result = next(self._results, None)
        if result is None:
            raise SourceError("the stream was closed")
        return result

    def close(self) -> None:
        """Forget the tracked faces."""
        with contextlib.closing(self._results):  # type: ignore[type-var]
            self._frames.close()


def describe_reader(pipeline: Pipeline) -> dict[str, Any]:
    """The message with which a stream begins: who reads, and the labels in order."""
    return {
        "event": "ready",
        "model": pipeline.model.title,
        "detector": pipeline.detector.name,
        "labels": list(pipeline.labels),
    }


def describe_result(result: Result, index: int) -> dict[str, Any]:
    """The message about one frame."""
    height, width = (0, 0) if result.frame is None else result.frame.image.shape[:2]
    return {
        "event": "result",
        "frame": index,
        "time_s": 0.0 if result.frame is None else round(result.frame.time_s, 4),
        "width": width,
        "height": height,
        "faces": [face.to_dict() for face in result.faces],
        "entered": list(result.entered),
        "left": list(result.left),
        "seconds": round(result.seconds, 4),
    }
