"""From frames to results over time: decode, detect, track, classify, smooth."""

from __future__ import annotations

import contextlib
import math
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace

import numpy as np
import numpy.typing as npt

from mien.errors import ConfigError
from mien.faces.turning import SteadyTurn, TurnSearch
from mien.reading.affect import AffectSmoother
from mien.reading.face_reader import FaceReader, Inspection
from mien.reading.following import SEARCH_S, Finder, Follower, Sight
from mien.reading.results import Result
from mien.reading.stages import Ahead, Profile
from mien.sources.opening import MovingSource, open_source
from mien.sources.stream import Sampling
from mien.structures import Face, Frame, Readings

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
        smooth_s: time constant of the smoothing in seconds, whatever the frame rate; 0 for none.
        hold_s: how long another label must lead before it is shown, seconds; 0 for at once.
        detect_every: detect faces in every Nth frame and track them in between; None for every frame of a file, and
            as often as the load allows on a live source. Without tracking, every frame.
        search_every: seconds between two searches of the whole frame; in between known faces are looked for where
            they should be, and everywhere as soon as one is not there. 0 searches every frame that is looked at.
    """

    sampling: Sampling = field(default_factory=Sampling)
    track: bool = True
    smooth_s: float = 0.3
    hold_s: float = 0.15
    detect_every: int | None = None
    search_every: float = SEARCH_S

    def __post_init__(self) -> None:
        for name in ("smooth_s", "hold_s", "search_every"):
            if not 0 <= getattr(self, name) < math.inf:
                raise ConfigError(f"{name} is a time from 0 seconds, not {getattr(self, name)}")
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
            yield from (reader.read([frame])[0] for frame in frames)
            return
        size = max(1, min(AHEAD, AHEAD_PIXELS // max(1, opened.info.width * opened.info.height)))
        # Closed in reverse: the reader first, then the decoder that feeds it, then the source.
        decoded = stack.enter_context(Ahead(frames, size=size))
        yield from stack.enter_context(Ahead(reader.read_all(decoded), size=size))


def _timed(frames: Iterator[Frame], stage: str, profile: Profile) -> Iterator[Frame]:
    while True:
        with profile.stage(stage):
            frame = next(frames, None)
        if frame is None:
            return
        yield frame


class _Reader:
    """Analyzes frame after frame, and keeps the state of tracking and smoothing."""

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
        self._smoother = Smoother(smooth_s=options.smooth_s, hold_s=options.hold_s)
        self._affect = AffectSmoother(smooth_s=options.smooth_s)

    def read_all(self, frames: Ahead[Frame]) -> Iterator[Result]:
        """All frames, as many together as are ready."""
        while ready := frames.take(TOGETHER):
            yield from self.read(ready)

    def read(self, frames: list[Frame]) -> list[Result]:
        """The results of successive frames; their faces share one batch."""
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
            readings = self._pipeline.read_crops(np.concatenate([entry[2] for entry in found]))
        ends = np.cumsum([len(entry[2]) for entry in found]).tolist()
        shares = [readings[end - len(entry[2]) : end] for entry, end in zip(found, ends, strict=True)]
        with self._profile.stage("smooth"):
            results = [
                self._describe(frame, sight, own, inspection)
                for (frame, sight, _, inspection), own in zip(found, shares, strict=True)
            ]
        seconds = (time.perf_counter() - started) / len(frames)
        return [replace(result, seconds=seconds) for result in results]

    def _describe(self, frame: Frame, sight: Sight, readings: Readings, inspection: Inspection) -> Result:
        faces = self._pipeline.describe(frame.image.shape, sight.detections, readings, inspection)
        if sight.ids is not None:
            faces = [
                self._smooth(face, int(track_id), frame.time_s) for face, track_id in zip(faces, sight.ids, strict=True)
            ]
        self._smoother.forget(sight.left)
        self._affect.forget(sight.left)
        labels = self._pipeline.labels
        return Result(frame.source, frame, faces, entered=sight.entered, left=sight.left, labels=labels)

    def _smooth(self, face: Face, track_id: int, time_s: float) -> Face:
        labels = tuple(face.probabilities)
        smoothed, held = self._smoother.update(track_id, list(face.probabilities.values()), time_s)
        return replace(
            face,
            track_id=track_id,
            raw=face.probabilities,
            probabilities=dict(zip(labels, smoothed.tolist(), strict=True)),
            held=labels[held],
            affect=self._affect.update(track_id, face.affect, time_s),
            # Judged again by the smoothed value, which is shown; `describe` saw this frame alone.
            abstained=self._pipeline.is_unsure(smoothed[held], face.quality_score),
        )


Float64 = npt.NDArray[np.float64]

FLOOR = 1e-3
"""Probabilities below it count as much as it: one frame that is sure of something else must not rule out the rest."""


@dataclass
class _State:
    log_p: Float64
    time_s: float
    frames: int
    held: int
    rival: int
    rival_since_s: float


class Smoother:
    """Smooths each track's probabilities in log space, with a time constant that does not depend on the frame rate.

    After t seconds an old value has the weight exp(-t / smooth_s) left; the first frames are plainly averaged.
    The held label gives way to another one that has led for `hold_s` without a break.

    Args:
        smooth_s: time constant in seconds; 0 leaves the probabilities as they are.
        hold_s: seconds; 0 changes the label at once.
    """

    def __init__(self, *, smooth_s: float, hold_s: float) -> None:
        self.smooth_s = smooth_s
        self.hold_s = hold_s
        self._states: dict[int, _State] = {}

    def update(self, track_id: int, probabilities: npt.ArrayLike, time_s: float) -> tuple[Float64, int]:
        """The smoothed probabilities (K,) of a track at a time, and the index of its held label.

        Args:
            track_id: whose they are.
            probabilities: of this frame, (K,), summing to 1.
            time_s: of this frame, not before the last one of this track.
        """
        log_p = np.log(np.maximum(np.asarray(probabilities, np.float64), FLOOR))
        state = self._states.get(track_id)
        if state is None:
            top = int(log_p.argmax())
            state = self._states[track_id] = _State(log_p, time_s, 1, top, top, time_s)
        else:
            self._mix(state, log_p, time_s)
        smoothed = np.exp(state.log_p - state.log_p.max())
        # Mixed as logarithms, probabilities no longer sum to 1.
        smoothed = smoothed / smoothed.sum()
        self._hold(state, int(smoothed.argmax()), time_s)
        return smoothed, state.held

    def forget(self, track_ids: Iterable[int]) -> None:
        """Drop tracks that ended."""
        for track_id in track_ids:
            self._states.pop(track_id, None)

    def _mix(self, state: _State, log_p: Float64, time_s: float) -> None:
        gap_s = max(0.0, time_s - state.time_s)
        share = 1.0 if self.smooth_s <= 0 else 1 - np.exp(-gap_s / self.smooth_s)
        state.frames += 1
        state.log_p = state.log_p + max(share, 1 / state.frames) * (log_p - state.log_p)
        state.time_s = time_s

    def _hold(self, state: _State, top: int, time_s: float) -> None:
        if top != state.rival:
            state.rival, state.rival_since_s = top, time_s
        # Differences of float times may miss the bound by a rounding error.
        if top != state.held and time_s - state.rival_since_s >= self.hold_s - 1e-9:
            state.held = top
