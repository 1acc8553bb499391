"""The video of one job: checked on upload, analyzed frame by frame, and its result files."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mien.errors import SourceError
from mien.files import write_whole
from mien.reading.results import columns
from mien.reading.session import ReadingSession, SessionOptions
from mien.reading.smoothing import HOLD_S, SMOOTH_S
from mien.reading.streaming import StreamOptions
from mien.sinks.tables import JsonLinesSink
from mien.sources.opening import open_source
from mien.sources.stream import Sampling, StreamInfo

if TYPE_CHECKING:
    from mien.reading.pipeline import Pipeline
    from mien.reading.results import Result


@dataclass(frozen=True)
class VideoLimits:
    """What a job may cost.

    Args:
        max_pixels: width × height of a frame.
        max_duration_s: most seconds of video.
        max_frames: most frames.
        max_rows: most rows: faces and frames without a face.
    """

    max_pixels: int
    max_duration_s: float
    max_frames: int
    max_rows: int = 500_000


@dataclass(frozen=True)
class VideoOptions:
    """How a video is analyzed; see `mien.reading.streaming.StreamOptions` and `Sampling`."""

    labels: str = "seven"
    start_s: float = 0.0
    end_s: float | None = None
    every: int = 1
    rate_hz: float | None = None
    track: bool = True
    smooth_s: float = SMOOTH_S
    hold_s: float = HOLD_S
    min_confidence: float = 0.0
    min_quality: float = 0.0
    geometry: bool = False

    @property
    def sampling(self) -> Sampling:
        """Which frames to analyze."""
        return Sampling(start_s=self.start_s, end_s=self.end_s, every=self.every, rate_hz=self.rate_hz)

    @property
    def stream(self) -> StreamOptions:
        """Which frames to analyze, and how to track and smooth."""
        return StreamOptions(self.sampling, track=self.track, smooth_s=self.smooth_s, hold_s=self.hold_s)


class StoppedError(Exception):
    """The analysis was stopped from outside."""


class TooLongError(SourceError):
    """More seconds are requested than the service accepts."""


def check_video(path: Path, name: str, options: VideoOptions, limits: VideoLimits) -> StreamInfo:
    """Check an upload, its first frame included, before it becomes a job.

    Raises:
        SourceError: it is not a readable video; the message has the client's file name.
        ImageTooLargeError, TooLongError: it is over a limit.
    """
    try:
        with open_source(path, max_pixels=limits.max_pixels, on_notice=_ignore) as source:
            info = source.info
    except SourceError as error:
        # The path is the service's own; clients know the file by the name they gave it.
        raise type(error)(str(error).replace(str(path), name)) from error
    ends = [end_s for end_s in (options.end_s, info.duration_s) if end_s is not None]
    span_s = max(0.0, min(ends) - options.start_s) if ends else 0.0
    if span_s > limits.max_duration_s:
        raise TooLongError(
            f"{name}: {span_s:,.0f} seconds of video exceed the limit of {limits.max_duration_s:,.0f}; "
            "send a shorter video, or select a part with start_s and end_s"
        )
    return info


@dataclass
class Progress:
    """The progress of a job."""

    frames: int = 0
    faces: int = 0
    progress: float = 0.0


def read_video(
    pipeline: Pipeline, path: Path, name: str, options: VideoOptions, limits: VideoLimits, *,
    rows: Path, outcome: Path, on_progress: Callable[[Progress], bool],
) -> str | None:  # fmt: skip
    """Analyze a video to the end, writing rows on the way and the summary last.

    Args:
        pipeline: with the requested labels.
        path, name: the upload, and its name in results.
        options, limits: how, and how much at most.
        rows, outcome: the files to write, JSON Lines and JSON.
        on_progress: called after each frame; returns False to stop.

    Returns:
        Remarks on the video and the result (its size changes, truncated, over a limit), or None.

    Raises:
        SourceError: no frame can be read.
        ConfigError, OSError: the files cannot be written.
        StoppedError: `on_progress` returned False.
    """
    session_options = SessionOptions(options.stream, max_pixels=limits.max_pixels)
    notices: list[str] = []
    with (
        # An earlier attempt, which the service did not survive, may have left rows.
        JsonLinesSink(rows, pipeline.labels, overwrite=True, moving=options.track, geometry=options.geometry) as sink,
        ReadingSession(pipeline, path, session_options, name=name, sinks=[sink], on_notice=notices.append) as session,
    ):
        over = None
        for result in session:
            # Never quite 1 before the job is done: clients may take 1 for a result.
            if not on_progress(Progress(session.frames, session.faces, min(session.progress, 0.999))):
                raise StoppedError
            over = _over(session, result, limits)
            if over:
                break
    last = over if session.error is None else str(session.error)
    write_whole(outcome, json.dumps(describe(session, moving=options.track, geometry=options.geometry)).encode())
    # Clients know the file by the name they gave it.
    return "; ".join([*(notice.replace(str(path), name) for notice in notices), *([last] if last else [])]) or None


def describe(session: ReadingSession, *, moving: bool, geometry: bool = False) -> dict[str, Any]:
    """Expression intervals, summary, and the columns of the rows."""
    info, pipeline = session.info, session.pipeline
    episodes = [asdict(entry) | {"duration_s": entry.duration_s} for entry in session.episodes()]
    return {
        "source": info.name, "width": info.width, "height": info.height, "rate_hz": info.rate_hz,
        "model": pipeline.model.title, "detector": pipeline.detector.name, "labels": list(pipeline.labels),
        "columns": list(columns(pipeline.labels, moving=moving, geometry=geometry)),
        "summary": session.summary().to_dict(),
        "episodes": [
            {key: round(value, 4) if isinstance(value, float) else value for key, value in entry.items()}
            for entry in episodes
        ],
    }  # fmt: skip


def _over(session: ReadingSession, result: Result, limits: VideoLimits) -> str | None:
    start_s = session.sampling.start_s
    read_s = 0.0 if result.frame is None else result.frame.time_s - start_s
    # A header may claim fewer seconds than follow, so what was read is counted as well.
    reached = {
        f"{limits.max_duration_s:,.0f} seconds": read_s >= limits.max_duration_s,
        f"{limits.max_frames:,} frames": session.frames >= limits.max_frames,
        f"{limits.max_rows:,} rows": session.frames + session.faces >= limits.max_rows,
    }
    limit = next((words for words, is_over in reached.items() if is_over), None)
    return None if limit is None else f"the analysis stopped at the limit of {limit}; the result ends there"


def _ignore(text: str) -> None:
    """Notices about a client's file do not belong in the service's log."""
