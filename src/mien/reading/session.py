"""One source from its first frame to its summary: opened, analyzed, written to sinks and remembered, for every app."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Self

from mien.errors import ConfigError, SourceError
from mien.images.pictures import MAX_PIXELS
from mien.reading.history import History
from mien.reading.pipeline import Pipeline
from mien.reading.results import Result, Row
from mien.reading.stages import Profile
from mien.reading.streaming import StreamOptions, StreamSource
from mien.reading.summary import Episode, Summary, find_all_episodes, summarize
from mien.sinks.base import Sink
from mien.sinks.resume import Renumbering, Written
from mien.sources.opening import open_source
from mien.sources.stream import FrameSource, Sampling

if TYPE_CHECKING:
    from mien.sinks.annotated import Sound, VideoSink
    from mien.structures import UInt8


@dataclass(frozen=True)
class SessionOptions:
    """How one source is analyzed.

    Args:
        stream: which frames, tracking and smoothing.
        max_pixels: limit on width × height of a frame.
        most_frames: a file with more frames is sampled, unless `stream` names a rate; None for no limit.
        history: remember what the faces showed; without it there is no summary.
    """

    stream: StreamOptions = field(default_factory=StreamOptions)
    max_pixels: int = MAX_PIXELS
    most_frames: int | None = None
    history: bool = True


class ReadingSession:
    """Gives the results of a source in order, each after it was written to the sinks. Iterate it once, in a `with`.

    A source that breaks off after its first frame ends the iteration without an exception: `error` says why, and what
    came before counts. Leaving the `with` block closes the source and finishes the annotated video.

    Args:
        pipeline: finds and reads the faces.
        source: what `open_source` takes, or a source that is open.
        options: how it is analyzed.
        name: what results and errors call the source, for one whose path its owner does not know.
        sinks: each result is written to them; whoever made them closes them.
        resumed: what an earlier run has written of this source: it continues from there, with the same track IDs.
        profile: adds up the time by stage.
        on_notice: hears in a sentence what is odd about the source; a warning of the log `mien` if not given.

    Raises:
        SourceError: the source cannot be opened.
        ConfigError: it is nothing that is understood, or a live source is to be resumed.
    """

    def __init__(
        self,
        pipeline: Pipeline,
        source: StreamSource,
        options: SessionOptions | None = None,
        *,
        name: str | None = None,
        sinks: Sequence[Sink] = (),
        resumed: Written | None = None,
        profile: Profile | None = None,
        on_notice: Callable[[str], None] | None = None,
    ) -> None:
        self.pipeline = pipeline
        self.options = options or SessionOptions()
        self.profile = profile or Profile()
        self.history = History(pipeline.labels)
        self.error: SourceError | None = None
        self.frames = self.faces = 0
        self.time_s = 0.0
        self._path = os.fspath(source) if isinstance(source, str | os.PathLike) else None
        self._name, self._resumed, self._on_notice = name, resumed, on_notice
        self._sinks = list(sinks)
        self._files = contextlib.ExitStack()
        self.sampling = self._first_sampling()
        self._frames = self._open(source)
        self.info = self._frames.info if name is None else replace(self._frames.info, name=name)

    def _first_sampling(self) -> Sampling:
        sampling = self.options.stream.sampling
        if self._resumed is None:
            return sampling
        return replace(sampling, start_s=max(sampling.start_s, self._resumed.start_s))

    def _open(self, source: StreamSource) -> FrameSource:
        options = self.options
        with self._naming():
            opened = open_source(source, self.sampling, max_pixels=options.max_pixels, on_notice=self._on_notice)
            info = opened.info
            if info.live and self._resumed is not None:
                opened.close()
                raise ConfigError(f"{info.name}: a camera or live stream cannot be resumed: leave --resume out")
            is_long = options.most_frames is not None and (info.frames or 0) > options.most_frames
            if is_long and self.sampling.rate_hz is None and info.duration_s:
                opened.close()
                # Opened twice: only an open file tells its length, and by then its sampling is fixed.
                self.sampling = replace(self.sampling, rate_hz=(options.most_frames or 1) / info.duration_s)
                opened = open_source(source, self.sampling, max_pixels=options.max_pixels, on_notice=self._on_notice)
        return opened

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            # The annotated video is finished first; whatever that raises, the source is closed.
            self._files.__exit__(kind, error, trace)
        finally:
            self._frames.close()

    def annotate(
        self, path: str | Path, *, draw: Callable[[Result], UInt8] | None = None, overwrite: bool = False
    ) -> VideoSink:
        """Write the annotated video too, with the file's sound; finished when the session ends.

        Raises:
            ConfigError: it cannot or may not be written there.
        """
        from mien.sinks.annotated import Sound, VideoSink

        sound = None
        if self._path is not None and not self.info.live and Path(self._path).is_file():
            sound = Sound(self._path, end_s=self.sampling.end_s)
            # Registered before the sink, so called after it: closing the sink copies the last of the sound.
            self._files.callback(self._notice_sound, sound)
        aspect = self.info.pixel_aspect
        # A quarter turn swaps the width and height of pixels that are not square.
        aspect = 1 / aspect if self.pipeline.options.quarters % 2 else aspect
        sink = VideoSink(path, sound=sound, draw=draw, overwrite=overwrite, pixel_aspect=aspect)
        self._sinks.append(self._files.enter_context(sink))
        return sink

    def recall(self, rows: Iterable[Row]) -> None:
        """Remember the rows that an earlier run has written of this source, in their order."""
        for row in rows:
            self.history.add_row(row)

    def __iter__(self) -> Iterator[Result]:
        """The results, one a frame.

        Raises:
            SourceError: not one frame can be read.
            ConfigError: a sink cannot be written.
        """
        # The open source samples already: twice would take every Nth of every Nth.
        stream = replace(self.options.stream, sampling=Sampling())
        results = self.pipeline.stream(self._frames, stream, profile=self.profile)
        # Ends the threads that work ahead, also where the loop is left early.
        with contextlib.closing(results):  # type: ignore[type-var]
            try:
                with self._naming():
                    for result in self._iter_new(results):
                        yield self._take(result)
            except SourceError as error:
                if not self.frames:
                    raise
                self.error = error

    def _iter_new(self, results: Iterator[Result]) -> Iterator[Result]:
        """The results that no earlier run has written, with the track IDs that it gave."""
        if self._resumed is None:
            yield from results
            return
        numbers = Renumbering(self._resumed.recent, self._resumed.highest_id)
        for result in results:
            if result.frame is not None and result.frame.index <= self._resumed.frame:
                numbers.learn(result)
            else:
                yield numbers.apply(result)

    def _take(self, result: Result) -> Result:
        if self._name is not None:
            result = replace(result, source=self._name)
        with self.profile.stage("write"):
            for sink in self._sinks:
                sink.write(result)
            if self.options.history:
                self.history.add(result)
        self.frames += 1
        self.faces += len(result.faces)
        if result.frame is not None:
            self.time_s = result.frame.time_s
        return result

    @property
    def end_s(self) -> float | None:
        """The last moment that will be analyzed, seconds; None where unknown."""
        duration_s = None if self.info.live else self.info.duration_s
        return min((end for end in (duration_s, self.sampling.end_s) if end is not None), default=None)

    @property
    def span_s(self) -> float | None:
        """Seconds of the source that are asked for, by the container's word; None where it says nothing."""
        return None if self.end_s is None else max(0.0, self.end_s - self.options.stream.sampling.start_s)

    @property
    def expected_frames(self) -> int | None:
        """How many frames will be analyzed; None where unknown."""
        if self.sampling.rate_hz is None or self.info.duration_s is None:
            return self.info.frames
        by_rate = round(self.sampling.rate_hz * self.info.duration_s) + 1
        return by_rate if self.info.frames is None else min(by_rate, self.info.frames)

    @property
    def progress(self) -> float:
        """How much was analyzed, 0–1; 0 where nobody knows how much there is."""
        if not self.span_s:
            return 0.0
        return min(max((self.time_s - self.options.stream.sampling.start_s) / self.span_s, 0.0), 1.0)

    def summary(self) -> Summary:
        """The figures of the source."""
        return summarize(self.history, self.info.name)

    def episodes(self) -> list[Episode]:
        """Each face's expression intervals, by their start."""
        return find_all_episodes(self.history)

    @contextlib.contextmanager
    def _naming(self) -> Iterator[None]:
        """Errors name the source as its owner does, not by the path where it is kept."""
        try:
            yield
        except SourceError as error:
            if self._name is None or self._path is None:
                raise
            raise type(error)(str(error).replace(self._path, self._name)) from error

    def _notice_sound(self, sound: Sound) -> None:
        if sound.notice and self._on_notice is not None:
            self._on_notice(sound.notice)
