"""One analyzed video: what is kept of it during and after its analysis, and its downloads."""

from __future__ import annotations

import contextlib
import gzip
import io
import json
import tempfile
import time
from collections.abc import Generator
from dataclasses import dataclass, field
from pathlib import Path

from mien.apps.web.reading import annotate_frame
from mien.errors import SourceError
from mien.images.pictures import UInt8, encode
from mien.reading.history import History
from mien.reading.pipeline import Pipeline
from mien.reading.results import Result, Row, columns, rows
from mien.reading.session import ReadingSession, SessionOptions
from mien.reading.streaming import StreamOptions
from mien.reading.summary import Episode, Summary, find_all_episodes, summarize
from mien.sinks.tables import csv_text, need_pyarrow, parquet_schema, write_parquet
from mien.sources.container import VIDEO_SUFFIXES
from mien.sources.stream import Sampling

PREVIEW_PX = 640
ANNOTATED_PX = 1280
"""Longer side of the preview frames, and of the annotated video."""
PREVIEWS = 6
MOST_FRAMES = 18_000
"""A video with more frames, by its header, is sampled unless every frame is requested: ten minutes at 30 Hz."""
MAX_PIXELS = 40_000_000
MOST_ANNOTATED_BYTES = 200 * 2**20


@dataclass(frozen=True)
class VideoOptions:
    """How a video is analyzed.

    Args:
        rate_hz: frames per second; 0 for every frame, None for as many as MOST_FRAMES allows.
        annotate: make an annotated video too.
    """

    rate_hz: float | None = None
    annotate: bool = False


@dataclass(frozen=True)
class Preview:
    """An annotated frame, JPEG."""

    time_s: float
    jpeg: bytes
    faces: int


class Rows:
    """Tidy rows, kept compressed: about 70 bytes each, or a kilobyte with geometry."""

    def __init__(self, labels: tuple[str, ...], *, geometry: bool = False) -> None:
        self.labels, self.geometry = labels, geometry
        self.count = 0
        self._buffer = io.BytesIO()
        self._file = gzip.GzipFile(fileobj=self._buffer, mode="wb", compresslevel=3, mtime=0)

    def add(self, result: Result) -> None:
        """Add the rows of a result."""
        for row in rows(result, self.labels, moving=True, geometry=self.geometry):
            # A file name may contain lone surrogates, which UTF-8 cannot encode.
            self._file.write((json.dumps(row, ensure_ascii=False) + "\n").encode("utf-8", "backslashreplace"))
            self.count += 1

    def close(self) -> None:
        """Finish; no more rows can be added."""
        self._file.close()

    def __iter__(self) -> Generator[Row]:
        # Unfinished while the run that a stop ends still comes to its end, beside the one that shows what there is.
        with gzip.GzipFile(fileobj=io.BytesIO(self._buffer.getvalue())) as file, contextlib.suppress(EOFError):
            yield from map(json.loads, file)

    def to_json_lines(self) -> bytes:
        """One JSON object per row."""
        return gzip.decompress(self._buffer.getvalue())

    def to_csv(self) -> str:
        """One CSV line per row."""
        return csv_text([self._columns, *(list(row.values()) for row in self)])

    @property
    def _columns(self) -> tuple[str, ...]:
        return columns(self.labels, moving=True, geometry=self.geometry)

    def to_parquet(self) -> bytes:
        """The rows as Parquet; MissingExtraError without pyarrow."""
        need_pyarrow()
        with tempfile.TemporaryDirectory(prefix="mien-") as folder:
            lines, target = Path(folder, "rows.jsonl"), Path(folder, "rows.parquet")
            lines.write_bytes(self.to_json_lines())
            write_parquet(lines, target, parquet_schema(self._columns), self.labels)
            return target.read_bytes()


@dataclass
class Video:
    """What is known of a video, also during its analysis.

    Args:
        name: the file's name.
        duration_s: from its header; None if unknown.
        expected: frames to analyze; None if unknown.
        rate_hz: frames per second that are analyzed; None for all.
        complete: whether it was analyzed to its end.
        trouble: what went wrong, as a sentence.
        notices: what was odd about it, a sentence each.
        seconds: time spent.
        time_s: time of the latest frame.
        annotated: the annotated video, MP4.
    """

    name: str
    history: History
    rows: Rows
    duration_s: float | None = None
    expected: int | None = None
    rate_hz: float | None = None
    complete: bool = False
    trouble: str = ""
    seconds: float = 0.0
    time_s: float = 0.0
    width: int = 0
    height: int = 0
    detector: str = ""
    model: str = ""
    annotated: bytes = b""
    previews: list[Preview] = field(default_factory=list)
    notices: list[str] = field(default_factory=list)

    @property
    def frames(self) -> int:
        """Frames analyzed so far."""
        return self.history.frames

    @property
    def speed_hz(self) -> float:
        """Frames analyzed per second."""
        return self.frames / self.seconds if self.seconds > 0 else 0.0

    @property
    def progress(self) -> float:
        """Progress, 0–1."""
        if self.complete:
            return 1.0
        if self.duration_s:
            return min(self.time_s / self.duration_s, 1.0)
        return min(self.frames / self.expected, 1.0) if self.expected else 0.0

    def summary(self) -> Summary:
        """Figures of each face."""
        return summarize(self.history, self.name)

    def episodes(self) -> list[Episode]:
        """The expression intervals, by start."""
        return find_all_episodes(self.history)


def create_video(name: str, pipeline: Pipeline) -> Video:
    """A video before its analysis."""
    return Video(
        name, History(pipeline.labels), Rows(pipeline.labels, geometry=pipeline.geometry is not None),
        detector=pipeline.detector.name,
        model=pipeline.model.title,
    )  # fmt: skip


def read_video(data: bytes, video: Video, pipeline: Pipeline, options: VideoOptions) -> Generator[Result]:
    """Analyze a video file, adding to `video`; yields each result, so that the caller can show it or stop.

    A temporary file holds the video meanwhile, and is deleted however this ends. Results before an error or a stop are
    kept; an error ends up in `video.trouble`.
    """
    started = time.perf_counter()
    with tempfile.TemporaryDirectory(prefix="mien-") as folder:
        suffix = Path(video.name).suffix.lower()
        # Of the visitor's file name only a known suffix gets to the disk.
        path = Path(folder, f"video{suffix if suffix in VIDEO_SUFFIXES else ''}")
        path.write_bytes(data)
        try:
            yield from _read(path, video, pipeline, options, started)
            video.complete = True
        except SourceError as error:
            video.trouble = str(error)
        finally:
            video.rows.close()
            video.seconds = time.perf_counter() - started


def _read(path: Path, video: Video, pipeline: Pipeline, options: VideoOptions, started: float) -> Generator[Result]:
    rate_hz, every = options.rate_hz or None, options.rate_hz == 0
    session_options = SessionOptions(
        StreamOptions(Sampling(rate_hz=rate_hz)), max_pixels=MAX_PIXELS, most_frames=None if every else MOST_FRAMES
    )
    annotated = path.with_name("annotated.mp4")

    def heed(text: str) -> None:
        # The file has another name on the disk.
        video.notices.append(text.replace(str(path), video.name))

    with ReadingSession(pipeline, path, session_options, name=video.name, on_notice=heed) as session:
        video.history, video.rate_hz, video.expected = (
            session.history,
            session.sampling.rate_hz,
            session.expected_frames,
        )
        video.width, video.height, video.duration_s = session.info.width, session.info.height, session.info.duration_s
        if options.annotate:
            session.annotate(annotated, draw=_draw)
        for result in session:
            video.rows.add(result)
            video.time_s = session.time_s
            video.seconds = time.perf_counter() - started
            _keep_preview(video, result)
            yield result
    # It waits in memory for the download, so a huge one is dropped.
    if annotated.is_file() and annotated.stat().st_size <= MOST_ANNOTATED_BYTES:
        video.annotated = annotated.read_bytes()
    if session.error is not None:
        raise session.error


def _draw(result: Result) -> UInt8:
    assert result.frame is not None
    return annotate_frame(result.frame.image, result.faces, ANNOTATED_PX, panels=True)


def _keep_preview(video: Video, result: Result) -> None:
    """Keep a frame from each part of the video, preferably one with faces."""
    assert result.frame is not None
    place = min(int(video.progress * PREVIEWS), PREVIEWS - 1)
    same = bool(video.previews) and len(video.previews) > place
    # A frame with faces is not replaced, and none is replaced by one without.
    if same and (video.previews[-1].faces or not result.faces):
        return
    image = annotate_frame(result.frame.image, result.faces, PREVIEW_PX)
    preview = Preview(result.frame.time_s, encode(image, "jpeg", quality=85), len(result.faces))
    if same:
        video.previews[-1] = preview
    else:
        video.previews.append(preview)
