"""Video files by their presentation timestamps: rotation applied, RGB, from any start, every n-th or n a second."""

from __future__ import annotations

import os
from collections.abc import Iterator
from types import TracebackType
from typing import Self

import numpy as np

from mien.images import MAX_PIXELS
from mien.inference.sources.stream import Sampler, Sampling, StreamInfo
from mien.structures import Frame


class VideoFile:
    """Frames of a video file."""

    def __init__(
        self, source: str | os.PathLike[str], sampling: Sampling | None = None, *, max_pixels: int = MAX_PIXELS
    ) -> None:
        import av

        self._name = os.fspath(source)
        self._sampling = sampling or Sampling()
        self._container = av.open(self._name)
        stream = self._container.streams.video[0]
        rate = stream.average_rate
        self._info = StreamInfo(
            self._name, stream.width, stream.height, float(rate) if rate else None, stream.frames or None
        )

    @property
    def info(self) -> StreamInfo:
        """What is known beforehand."""
        return self._info

    def __iter__(self) -> Iterator[Frame]:
        sampler = Sampler(self._sampling)
        for index, frame in enumerate(self._container.decode(video=0)):
            time_s = float(frame.time)
            if sampler.is_over(time_s):
                break
            if sampler.takes(time_s):
                yield Frame(np.asarray(frame.to_ndarray(format="rgb24"), np.uint8), self._name, index, time_s)

    def close(self) -> None:
        """Let go of the file."""
        self._container.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
