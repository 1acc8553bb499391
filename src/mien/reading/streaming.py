"""From frames to results over time: decode, detect, track, classify, and what `over_time` makes of a track."""

from __future__ import annotations

import contextlib
import itertools
import math
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace

import numpy as np
import numpy.typing as npt

from mien.errors import ConfigError
from mien.faces.turning import SteadyTurn, TurnSearch
from mien.reading.face_reader import FaceReader, Inspection
from mien.reading.following import SEARCH_S, Finder, Follower, Sight
from mien.reading.over_time import OverTime, Sighting
from mien.reading.results import Result
from mien.reading.stages import Ahead, Profile
from mien.sources.opening import MovingSource, open_source
from mien.sources.stream import Sampling
from mien.structures import Frame, Readings

StreamSource = MovingSource

TOGETHER = 4
"""Frames of a file whose faces may share a batch."""
AHEAD = 8
AHEAD_PIXELS = 16_000_000
"""Frames that wait between two threads: so many, but no more than make so many pixels."""


@dataclass(frozen=True)
class StreamOptions:
    """How a source of frames is analyzed; see `Pipeline.stream`.

    Args:
        sampling: which frames are taken.
        track: give each face a track ID, and smooth its probabilities over time.
        smooth_s: time constant of the smoothing in seconds, whatever the frame rate; 0 for none. None for the default,
            `smoothing.SMOOTH_S`, or that of a temporal model.
        hold_s: how long another label must lead before it is shown, seconds; 0 for at once; None as above.
        detect_every: detect faces in every Nth frame and track them in between; None for every frame of a file, and
            as often as the load allows on a live source. Without tracking, every frame.
        search_every: seconds between two searches of the whole frame; in between known faces are looked for where
            they should be, and everywhere as soon as one is not there. 0 searches every frame that is looked at.
    """

    sampling: Sampling = field(default_factory=Sampling)
    track: bool = True
    smooth_s: float | None = None
    hold_s: float | None = None
    detect_every: int | None = None
    search_every: float = SEARCH_S

    def __post_init__(self) -> None:
        for name in ("smooth_s", "hold_s", "search_every"):
            value = getattr(self, name)
            if value is not None and not 0 <= value < math.inf:
                raise ConfigError(f"{name} is a time from 0 seconds, not {value}")
        if self.detect_every is not None and self.detect_every < 1:
            raise ConfigError(f"detect_every is a number of frames from 1, not {self.detect_every}")


def iter_results(
    pipeline: FaceReader,
    source: StreamSource,
    options: StreamOptions,
    profile: Profile | None = None,
    *,
    color: str = "rgb",
) -> Iterator[Result]:
    """One result per frame; see `Pipeline.stream`.

    A file is decoded in one thread and read in another, ahead of whoever takes the results. A live source is read as
    results are taken, so that each is of the newest frame.
    """
    profile = profile or Profile()
    opened = open_source(source, options.sampling, max_pixels=pipeline.max_pixels, color=color)
    with contextlib.ExitStack() as stack:
        stack.enter_context(opened)
        reader = _Reader(pipeline, options, profile, live=opened.info.live)
        frames = (pipeline.turn(frame) for frame in _timed(iter(opened), "decode", profile))
        if opened.info.live:
            yield from itertools.chain.from_iterable(reader.read([frame]) for frame in frames)
            return
        size = max(1, min(AHEAD, AHEAD_PIXELS // max(1, opened.info.width * opened.info.height)))
        # Closed in reverse: the reader first, then the decoder that feeds it, then the source.
        decoded = stack.enter_context(Ahead(frames, size=size))
        yield from stack.enter_context(Ahead(reader.read_all(decoded), size=size))


def iter_faces(
    pipeline: FaceReader, frames: Iterable[Frame]
) -> Iterator[tuple[Frame, npt.NDArray[np.int64], npt.NDArray[np.uint8]]]:
    """Each frame with the track and the prepared crop (C, H, W) of each of its faces, not yet classified."""
    follower = Follower(pipeline.detector, Profile(), every=None, search_s=SEARCH_S, live=False)
    for frame in frames:
        sight = follower.find(frame)
        assert sight.ids is not None
        yield frame, sight.ids, pipeline.crop(frame, sight.detections)


def _timed(frames: Iterator[Frame], stage: str, profile: Profile) -> Iterator[Frame]:
    while True:
        with profile.stage(stage):
            frame = next(frames, None)
        if frame is None:
            return
        yield frame


class _Reader:
    """Analyzes frame after frame, and keeps the state of tracking and of what is read over time."""

    def __init__(self, pipeline: FaceReader, options: StreamOptions, profile: Profile, *, live: bool) -> None:
        self._pipeline = pipeline
        self._profile = profile
        detector = pipeline.detector
        if isinstance(detector, TurnSearch):
            detector = SteadyTurn(detector)
        self._finder: Finder | Follower = Finder(detector)
        if options.track:
            self._finder = Follower(
                detector, profile, every=options.detect_every, search_s=options.search_every, live=live
            )
        elif pipeline.temporal is not None:
            raise ConfigError("a temporal model reads faces that are tracked: leave tracking on, or the model out")
        self._over_time = OverTime(pipeline, smooth_s=options.smooth_s, hold_s=options.hold_s, live=live)

    def read_all(self, frames: Ahead[Frame]) -> Iterator[Result]:
        """All frames, as many together as are ready."""
        while ready := frames.take(TOGETHER):
            yield from self.read(ready)
        yield from self._over_time.end()

    def read(self, frames: list[Frame]) -> list[Result]:
        """The results that are known with these successive frames; their faces share one batch."""
        started = time.perf_counter()
        found = []
        for frame in frames:
            with self._profile.stage("detect"):
                sight = self._finder.find(frame)
            with self._profile.stage("crop"):
                inputs = self._pipeline.crop(frame, sight.detections)
            with self._profile.stage("inspect"):
                found.append((frame, sight, inputs, self._pipeline.inspect(frame, sight.detections, inputs)))
        with self._profile.stage("classify"):
            readings, seen = self._pipeline.read(np.concatenate([entry[2] for entry in found]))
        seconds = (time.perf_counter() - started) / len(frames)
        results, end = [], 0
        with self._profile.stage("smooth"):
            for frame, sight, inputs, inspection in found:
                part = slice(end, end := end + len(inputs))
                own = self._describe(frame, sight, readings[part], inspection)
                known = self._over_time.take(Sighting(own, sight.ids, seen[part]))
                results += [replace(result, seconds=seconds) for result in known]
        return results

    def _describe(self, frame: Frame, sight: Sight, readings: Readings, inspection: Inspection) -> Result:
        faces = self._pipeline.describe(frame.image.shape, sight.detections, readings, inspection)
        labels = self._pipeline.labels
        return Result(frame.source, frame, faces, entered=sight.entered, left=sight.left, labels=labels)
