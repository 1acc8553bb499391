"""One video of a job: checked before it is taken, read frame by frame, and what stays of it."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mien.errors import SourceError
from mien.files import write_whole
from mien.reading.episodes import find_all_episodes
from mien.reading.history import History
from mien.reading.rows import columns
from mien.reading.streaming import StreamOptions
from mien.reading.summary import summarize
from mien.sinks.tables import JsonLinesSink
from mien.sources.factory import open_source
from mien.sources.stream import Sampling, StreamInfo

if TYPE_CHECKING:
    from mien.reading.pipeline import Pipeline
    from mien.structures import Result

# Demuxers that read one file and nothing else. A playlist (HLS, DASH, concat, SDP) names further files and hosts,
# which a stranger's upload must not make the service open.
CONTAINERS = (
    "mov,mp4,m4a,3gp,3g2,mj2", "matroska,webm", "avi", "mpeg", "mpegts", "mpegvideo", "flv", "asf", "ogg", "gif",
    "yuv4mpegpipe", "h264", "hevc", "ivf", "mjpeg", "m4v", "dv", "mxf", "wtv", "apng",
)  # fmt: skip


@dataclass(frozen=True)
class VideoLimits:
    """What a job may cost.

    Args:
        max_pixels: width × height of a frame.
        max_duration_s: seconds of video that are read.
        max_frames: frames that are read.
        max_rows: faces and empty frames that are kept.
    """

    max_pixels: int
    max_duration_s: float
    max_frames: int
    max_rows: int = 500_000


@dataclass(frozen=True)
class VideoOptions:
    """How a video is read; see `mien.reading.streaming.StreamOptions` and `Sampling`."""

    labels: str = "seven"
    start_s: float = 0.0
    end_s: float | None = None
    every: int = 1
    rate_hz: float | None = None
    track: bool = True
    smooth_s: float = 0.3
    hold_s: float = 0.15
    min_confidence: float = 0.0

    @property
    def sampling(self) -> Sampling:
        """Which frames are taken."""
        return Sampling(start_s=self.start_s, end_s=self.end_s, every=self.every, rate_hz=self.rate_hz)

    @property
    def stream(self) -> StreamOptions:
        """How faces are followed and smoothed."""
        return StreamOptions(track=self.track, smooth_s=self.smooth_s, hold_s=self.hold_s)

    def span_s(self, info: StreamInfo) -> float | None:
        """Seconds of the video that are asked for, by the container's word; None where it says nothing."""
        ends = [end_s for end_s in (self.end_s, info.duration_s) if end_s is not None]
        return max(0.0, min(ends) - self.start_s) if ends else None


class StoppedError(Exception):
    """The reading was stopped from outside."""


class TooLongError(SourceError):
    """More seconds or frames are asked for than the service reads."""


def check_video(path: Path, name: str, options: VideoOptions, limits: VideoLimits) -> StreamInfo:
    """Look at an upload, its first frame included, before it becomes a job.

    Raises:
        SourceError: it is no video that can be read, in words that name the client's file.
        ImageTooLargeError, TooLongError: it is over a limit.
    """
    with naming(path, name):
        _check_container(path)
        with open_source(path, max_pixels=limits.max_pixels, on_notice=_ignore) as source:
            info = source.info
    span_s = options.span_s(info)
    if span_s is not None and span_s > limits.max_duration_s:
        raise TooLongError(
            f"{name}: {span_s:,.0f} seconds of video are more than the limit of {limits.max_duration_s:,.0f}; "
            "send a shorter one, or name a part by start_s and end_s"
        )
    return info


@contextlib.contextmanager
def naming(path: Path, name: str) -> Any:
    """Errors that name the file as the client did, not as it lies here."""
    try:
        yield
    except SourceError as error:
        raise type(error)(str(error).replace(str(path), name)) from error


def _check_container(path: Path) -> None:
    import av

    if not path.stat().st_size:
        return
    try:
        with av.open(f"file:{path}", options={"format_whitelist": ",".join(CONTAINERS), "protocol_whitelist": "file"}):
            return
    except (av.FFmpegError, OSError, ValueError) as error:
        if isinstance(error, av.error.InvalidDataError):
            return
        raise SourceError(
            f"{path}: expected a video file such as MP4, MOV, MKV, WebM or AVI; this cannot be opened as one"
        ) from error


@dataclass
class Progress:
    """How far a job is."""

    frames: int = 0
    faces: int = 0
    progress: float = 0.0


def read_video(
    pipeline: Pipeline, path: Path, name: str, options: VideoOptions, limits: VideoLimits, *,
    rows: Path, outcome: Path, go_on: Callable[[Progress], bool],
) -> str | None:  # fmt: skip
    """Read a video to the end, writing rows as it goes and its summary last.

    Args:
        pipeline: with the labels that are asked for.
        path, name: where the upload lies, and what results call it.
        options, limits: how, and how much.
        rows, outcome: the files to write, JSON Lines and JSON.
        go_on: told after each frame; False stops the reading.

    Returns:
        What is to be said about the result (it breaks off, it is over a limit), or None.

    Raises:
        SourceError: not one frame can be read.
        ConfigError, OSError: the files cannot be written.
        StoppedError: `go_on` said so.
    """
    with naming(path, name):
        source = open_source(path, options.sampling, max_pixels=limits.max_pixels, on_notice=_ignore)
    span_s = options.span_s(source.info)
    progress, history, notice = Progress(), History(pipeline.labels), None
    with source, JsonLinesSink(rows, pipeline.labels, overwrite=True, moving=options.track) as sink:
        try:
            with naming(path, name), contextlib.closing(pipeline.stream(source, options.stream)) as results:  # type: ignore[type-var]
                for result in results:
                    told = replace(result, source=name)
                    sink.write(told)
                    history.add(told)
                    _count(progress, told, options, span_s)
                    if not go_on(progress):
                        raise StoppedError
                    notice = _over(progress, told, options, limits)
                    if notice:
                        break
        except SourceError as error:
            if not progress.frames:
                raise
            notice = str(error)
    told_info = replace(source.info, name=name)
    write_whole(outcome, json.dumps(describe(pipeline, history, told_info, moving=options.track)).encode())
    return notice


def describe(pipeline: Pipeline, history: History, info: StreamInfo, *, moving: bool) -> dict[str, Any]:
    """Episodes, summary, and what the rows mean."""
    episodes = [asdict(entry) | {"duration_s": entry.duration_s} for entry in find_all_episodes(history)]
    return {
        "source": info.name,
        "width": info.width,
        "height": info.height,
        "rate_hz": info.rate_hz,
        "model": pipeline.model.title,
        "detector": pipeline.detector.name,
        "labels": list(pipeline.labels),
        "columns": list(columns(pipeline.labels, moving=moving)),
        "summary": summarize(history, info.name).to_dict(),
        "episodes": [
            {key: round(value, 4) if isinstance(value, float) else value for key, value in entry.items()}
            for entry in episodes
        ],
    }


def _count(progress: Progress, result: Result, options: VideoOptions, span_s: float | None) -> None:
    progress.frames += 1
    progress.faces += len(result.faces)
    if span_s and result.frame is not None:
        progress.progress = min(0.999, max(progress.progress, (result.frame.time_s - options.start_s) / span_s))


def _over(progress: Progress, result: Result, options: VideoOptions, limits: VideoLimits) -> str | None:
    read_s = 0.0 if result.frame is None else result.frame.time_s - options.start_s
    reached = {
        f"{limits.max_duration_s:,.0f} seconds": read_s >= limits.max_duration_s,
        f"{limits.max_frames:,} frames": progress.frames >= limits.max_frames,
        f"{limits.max_rows:,} rows": progress.frames + progress.faces >= limits.max_rows,
    }
    limit = next((words for words, is_over in reached.items() if is_over), None)
    return None if limit is None else f"reading ended at the limit of {limit}; what was read stands"


def _ignore(text: str) -> None:
    """Notices about a client's file are none for the service's log."""
