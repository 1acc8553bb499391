"""A source and a pipeline that show what they are told."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import replace
from types import SimpleNamespace

import numpy as np

from mien.labels import SEVEN
from mien.reading.results import Result
from mien.sources.stream import StreamInfo
from mien.structures import Face, Frame

BOX = (40.0, 30.0, 100.0, 110.0)
BACK = (30, 60, 90)


def face(top: str = "happy", share: float = 0.7, *, track: int | None = 1, box: tuple[float, ...] = BOX) -> Face:
    rest = (1 - share) / (len(SEVEN) - 1)
    probabilities = {label: share if label == top else rest for label in SEVEN}
    return Face(box, 0.9, probabilities, model="fake 1", detector="fake", track_id=track, raw=probabilities)


class FakeSource:
    """Frames of 160×120 pixels, ten a second by their time stamps; a live one goes on until it is closed."""

    def __init__(self, frames: int = 20, *, live: bool = False, breaks_with: Exception | None = None) -> None:
        self.frames = frames
        self.breaks_with = breaks_with
        self.first = 0
        self.closed = threading.Event()
        self.info = StreamInfo(
            "clip.mp4", 160, 120, rate_hz=10, frames=None if live else frames,
            duration_s=None if live else frames / 10, live=live,
        )  # fmt: skip

    def starting_at(self, start_s: float) -> FakeSource:
        again = FakeSource(self.frames, live=self.info.live, breaks_with=self.breaks_with)
        again.first = round(start_s * 10)
        again.closed = self.closed
        self.closed.clear()
        return again

    def __iter__(self) -> Iterator[Frame]:
        index = self.first
        while index < self.frames or self.info.live:
            image = np.full((120, 160, 3), BACK, np.uint8)
            yield Frame(image, self.info.name, index, index / 10)
            index += 1
            if self.info.live and self.closed.wait(0.01):
                return
        if self.breaks_with:
            raise self.breaks_with

    def close(self) -> None:
        self.closed.set()

    def __enter__(self) -> FakeSource:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class FakePipeline:
    """Sees the same faces in every frame."""

    labels = SEVEN
    model = SimpleNamespace(name="fake", version="1", title="fake 1")
    moving_title = "fake 1"
    detector = SimpleNamespace(name="fake")

    def __init__(self, *faces: Face) -> None:
        self.faces = list(faces or [face()])
        self.error: Exception | None = None

    def stream(self, source: FakeSource, options: object = None, *, profile: object = None) -> Iterator[Result]:
        with source:
            for frame in source:
                if self.error is not None:
                    raise self.error
                yield Result(frame.source, frame, [replace(face, index=i) for i, face in enumerate(self.faces)])
