"""One film read: what is kept of it while it is read and after, and how it is given out."""

from __future__ import annotations

import gzip
import io
import json
import tempfile
import time
from collections.abc import Generator
from dataclasses import dataclass, field
from pathlib import Path

from mien.apps.web.reading import mark_frame
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
MARKED_PX = 1280
"""Longer side of the pictures between, and of the annotated film."""
PREVIEWS = 6
MOST_FRAMES = 18_000
"""A film with more frames, by its own word, is sampled unless every frame is asked for: ten minutes at 30 a second."""
MAX_PIXELS = 40_000_000
MOST_MARKED_BYTES = 200 * 2**20


@dataclass(frozen=True)
class Wishes:
    """How a film is read.

    Args:
        rate_hz: frames a second; 0 for every frame, None for as many as MOST_FRAMES allow.
        annotate: make an annotated film too.
    """

    rate_hz: float | None = None
    annotate: bool = False


@dataclass(frozen=True)
class Preview:
    """A marked frame, JPEG."""

    time_s: float
    jpeg: bytes
    faces: int


class Rows:
    """Tidy rows, kept compressed: some 70 bytes each."""

    def __init__(self, labels: tuple[str, ...]) -> None:
        self.labels = labels
        self.count = 0
        self._buffer = io.BytesIO()
        self._file = gzip.GzipFile(fileobj=self._buffer, mode="wb", compresslevel=3, mtime=0)

    def add(self, result: Result) -> None:
        """The rows of a result."""
        for row in rows(result, self.labels, moving=True):
            self._file.write((json.dumps(row, ensure_ascii=False) + "\n").encode("utf-8", "backslashreplace"))
            self.count += 1

    def close(self) -> None:
        """No more rows come."""
        self._file.close()

    def __iter__(self) -> Generator[Row]:
        with gzip.GzipFile(fileobj=io.BytesIO(self._buffer.getvalue())) as file:
            yield from map(json.loads, file)

    def to_json_lines(self) -> bytes:
        """An object a row."""
        return gzip.decompress(self._buffer.getvalue())

    def to_csv(self) -> str:
        """A line a row."""
        return csv_text([columns(self.labels, moving=True), *(list(row.values()) for row in self)])

    def to_parquet(self) -> bytes:
        """A typed table.

        Raises:
            MissingExtraError: pyarrow is not installed.
        """
        need_pyarrow()
        with tempfile.TemporaryDirectory(prefix="mien-") as folder:
            lines, target = Path(folder, "rows.jsonl"), Path(folder, "rows.parquet")
            lines.write_bytes(self.to_json_lines())
            write_parquet(lines, target, parquet_schema(self.labels, columns(self.labels, moving=True)))
            return target.read_bytes()


@dataclass
class Film:
    """What is known of a film, also while it is read.

    Args:
        name: the file's name.
        duration_s: by the film's own word; None where it says none.
        expected: frames that will be read; None where unknown.
        rate_hz: frames a second that are taken; None for every one.
        complete: it was read to its end.
        trouble: what went wrong, in a sentence.
        seconds: that reading took.
        time_s: of the newest frame.
        marked: the annotated film, MP4.
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
    marked: bytes = b""
    previews: list[Preview] = field(default_factory=list)

    @property
    def frames(self) -> int:
        """Read so far."""
        return self.history.frames

    @property
    def speed_hz(self) -> float:
        """Frames a second of reading."""
        return self.frames / self.seconds if self.seconds > 0 else 0.0

    @property
    def progress(self) -> float:
        """How much of it was read, 0–1."""
        if self.complete:
            return 1.0
        if self.duration_s:
            return min(self.time_s / self.duration_s, 1.0)
        return min(self.frames / self.expected, 1.0) if self.expected else 0.0

    def summary(self) -> Summary:
        """The figures of its faces."""
        return summarize(self.history, self.name)

    def episodes(self) -> list[Episode]:
        """By their start."""
        return find_all_episodes(self.history)


def create_film(name: str, pipeline: Pipeline) -> Film:
    """A film of which nothing was read yet."""
    return Film(
        name, History(pipeline.labels), Rows(pipeline.labels), detector=pipeline.detector.name,
        model=pipeline.model.title,
    )  # fmt: skip


def read_film(data: bytes, film: Film, pipeline: Pipeline, wishes: Wishes) -> Generator[Result]:
    """Read a film file, adding to `film`; gives each result, so that the caller may show it or stop.

    The file lies on disk while it is read, and is deleted however the reading ends. What was read before an error or a
    stop stands; an error is told in `film.trouble`.
    """
    started = time.perf_counter()
    with tempfile.TemporaryDirectory(prefix="mien-") as folder:
        suffix = Path(film.name).suffix.lower()
        path = Path(folder, f"film{suffix if suffix in VIDEO_SUFFIXES else ''}")
        path.write_bytes(data)
        try:
            yield from _read(path, film, pipeline, wishes, started)
            film.complete = True
        except SourceError as error:
            film.trouble = str(error).replace(str(path), film.name)
        finally:
            film.rows.close()
            film.seconds = time.perf_counter() - started


def _read(path: Path, film: Film, pipeline: Pipeline, wishes: Wishes, started: float) -> Generator[Result]:
    rate_hz, every = wishes.rate_hz or None, wishes.rate_hz == 0
    options = SessionOptions(
        StreamOptions(Sampling(rate_hz=rate_hz)), max_pixels=MAX_PIXELS, most_frames=None if every else MOST_FRAMES
    )
    marked = path.with_name("marked.mp4")
    with ReadingSession(pipeline, path, options, name=film.name, on_notice=lambda text: None) as session:
        film.history, film.rate_hz, film.expected = session.history, session.sampling.rate_hz, session.expected_frames
        film.width, film.height, film.duration_s = session.info.width, session.info.height, session.info.duration_s
        if wishes.annotate:
            session.annotate(marked, draw=_draw)
        for result in session:
            film.rows.add(result)
            film.time_s = session.time_s
            film.seconds = time.perf_counter() - started
            _keep_preview(film, result)
            yield result
    if marked.is_file() and marked.stat().st_size <= MOST_MARKED_BYTES:
        film.marked = marked.read_bytes()
    if session.error is not None:
        raise session.error


def _draw(result: Result) -> UInt8:
    assert result.frame is not None
    return mark_frame(result.frame.image, result.faces, MARKED_PX, panels=True)


def _keep_preview(film: Film, result: Result) -> None:
    """One frame of each stretch of the film; rather one with faces."""
    assert result.frame is not None
    place = min(int(film.progress * PREVIEWS), PREVIEWS - 1)
    same = bool(film.previews) and len(film.previews) > place
    if same and (film.previews[-1].faces or not result.faces):
        return
    image = mark_frame(result.frame.image, result.faces, PREVIEW_PX)
    preview = Preview(result.frame.time_s, encode(image, "jpeg", quality=85), len(result.faces))
    if same:
        film.previews[-1] = preview
    else:
        film.previews.append(preview)
