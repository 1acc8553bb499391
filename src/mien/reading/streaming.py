"""From frames to results over time: decode, detect, track, classify, and what `over_time` makes of a track."""

from __future__ import annotations

import contextlib
import itertools
import math
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from mien.errors import ConfigError
from mien.faces.detection import Detector, ScalableDetector
from mien.faces.tracking import Tracker
from mien.reading.face_reader import FaceReader
from mien.reading.over_time import OverTime, Sighting
from mien.reading.results import Result
from mien.reading.stages import Ahead, Profile
from mien.sources.opening import MovingSource, open_source
from mien.sources.stream import Sampling
from mien.structures import Detections, Frame

StreamSource = MovingSource

TOGETHER = 4
"""Frames of a file whose faces may share a batch."""
AHEAD = 8
AHEAD_PIXELS = 16_000_000
"""Frames that wait between two threads: so many, but no more than make so many pixels."""
FACE_PX = 64
"""Known faces are looked for in a picture reduced until the smallest is this high."""
SIZE_STEP_PX = 64
FULL_LOOK_S = 1.0
"""So often, and whenever a face is missing, the whole picture is looked at as a photo would be."""
DETECTION_SHARE = 0.5
"""Of the time between two frames of a live source; if finding faces takes longer, it skips frames."""
MAX_SKIPPED = 5


@dataclass(frozen=True)
class StreamOptions:
    """How a source of frames is analyzed; see `Pipeline.stream`.

    Args:
        sampling: which frames are taken.
        track: give each face a track ID, and smooth its probabilities over time.
        smooth_s: time constant of the smoothing in seconds, whatever the frame rate; 0 for none. None for the default,
            `smoothing.SMOOTH_S`, or for none with a temporal model.
        hold_s: how long another label must lead before it is shown, seconds; 0 for at once; None as above.
        detect_every: detect faces in every Nth frame and track them in between; None for every frame of a file, and
            as often as the load allows on a live source. Without tracking, every frame.
    """

    sampling: Sampling = field(default_factory=Sampling)
    track: bool = True
    smooth_s: float | None = None
    hold_s: float | None = None
    detect_every: int | None = None

    def __post_init__(self) -> None:
        for name in ("smooth_s", "hold_s"):
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
    follower = _Follower(pipeline.detector, StreamOptions(), Profile(), live=False)
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
        self._finder: _Finder | _Follower = _Finder(pipeline.detector)
        if options.track:
            self._finder = _Follower(pipeline.detector, options, profile, live=live)
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
                found.append((frame, sight, self._pipeline.crop(frame, sight.detections)))
        with self._profile.stage("classify"):
            probabilities, seen = self._pipeline.read(np.concatenate([inputs for _, _, inputs in found]))
        ends = np.cumsum([len(inputs) for _, _, inputs in found])[:-1]
        shares = zip(found, np.split(probabilities, ends), np.split(seen, ends), strict=True)
        with self._profile.stage("smooth"):
            sightings = [self._describe(frame, sight, own, known) for (frame, sight, _), own, known in shares]
            seconds = (time.perf_counter() - started) / len(frames)
            return [
                replace(result, seconds=seconds) for each in sightings for result in list(self._over_time.take(each))
            ]

    def _describe(
        self, frame: Frame, sight: _Sight, probabilities: npt.NDArray[np.float32], seen: npt.NDArray[Any]
    ) -> Sighting:
        faces = self._pipeline.describe(frame, sight.detections, probabilities)
        result = Result(frame.source, frame, faces, entered=sight.entered, left=sight.left)
        return Sighting(result, sight.ids, seen)


@dataclass(frozen=True)
class _Sight:
    """The faces of a frame; `ids` are their track IDs, None without tracking."""

    detections: Detections
    ids: npt.NDArray[np.int64] | None = None
    entered: tuple[int, ...] = ()
    left: tuple[int, ...] = ()


class _Finder:
    """Detects in every frame as in a photo."""

    def __init__(self, detector: Detector) -> None:
        self._detector = detector

    def find(self, frame: Frame) -> _Sight:
        return _Sight(self._detector.detect(frame.image))


class _Follower:
    """Tracks faces: detects as often and as closely as needed, and predicts positions in between."""

    def __init__(self, detector: Detector, options: StreamOptions, profile: Profile, *, live: bool) -> None:
        self._detector = detector
        self._profile = profile
        self._every = options.detect_every
        self._live = live
        self._tracker = Tracker()
        self._skipped = math.inf
        self._seen = Detections.empty()
        self._shape: tuple[int, ...] = ()
        self._full_look_s = -math.inf
        self._cost_s = 0.0
        self._last_s: float | None = None
        self._interval_s = math.inf

    def find(self, frame: Frame) -> _Sight:
        """The faces of the next frame."""
        if self._last_s is not None and frame.time_s > self._last_s:
            self._interval_s = frame.time_s - self._last_s
        self._last_s = frame.time_s
        self._skipped += 1
        if frame.image.shape != self._shape:
            # Places in a frame of another size say nothing about this one: look afresh, and closely.
            self._shape, self._skipped, self._full_look_s = frame.image.shape, math.inf, -math.inf
        if self._skipped >= self._patience():
            self._skipped = 0
            self._seen = self._look(frame)
            with self._profile.stage("track"):
                ids = self._tracker.update(self._seen, frame.image, frame.time_s)
            return _Sight(self._seen, ids, self._tracker.entered, self._tracker.left)
        with self._profile.stage("track"):
            predicted, ids = self._tracker.predict(frame.time_s)
        return _Sight(predicted, ids, (), self._tracker.left)

    def _patience(self) -> int:
        """Detect in every Nth frame."""
        if self._every is not None:
            return self._every
        # A file can wait: every frame is searched.
        if not self._live:
            return 1
        return min(MAX_SKIPPED, max(1, math.ceil(self._cost_s / (DETECTION_SHARE * self._interval_s))))

    def _look(self, frame: Frame) -> Detections:
        started = time.perf_counter()
        options: dict[str, Any] = {}
        reduced = self._reduced_px(frame)
        if reduced is not None:
            options["longest_px"] = reduced
        else:
            self._full_look_s = frame.time_s
        found = self._detector.detect(frame.image, **options)
        # A missing face may only be too small in the reduced picture.
        if reduced is not None and len(found) < len(self._seen):
            self._full_look_s = frame.time_s
            found = self._detector.detect(frame.image)
        # A moving average: one slow look changes little.
        self._cost_s += 0.2 * (time.perf_counter() - started - self._cost_s)
        return found

    def _reduced_px(self, frame: Frame) -> int | None:
        """The longer side that is enough for the faces that are there; None to look as at a photo."""
        due = frame.time_s - self._full_look_s >= FULL_LOOK_S
        if due or not len(self._seen) or self._tracker.waiting or not isinstance(self._detector, ScalableDetector):
            return None
        smallest = float((self._seen.boxes[:, 3] - self._seen.boxes[:, 1]).min())
        enough = max(frame.image.shape[:2]) * FACE_PX / max(smallest, 1.0)
        # In steps, because a detector has to prepare for every new input size.
        stepped = SIZE_STEP_PX * math.ceil(enough / SIZE_STEP_PX)
        return stepped if stepped < self._detector.longest_px else None
