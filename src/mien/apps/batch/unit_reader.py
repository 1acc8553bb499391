"""A worker: one pipeline that reads unit after unit and writes each as partitions of its own."""

from __future__ import annotations

import contextlib
import io
import itertools
import json
import os
import tempfile
import time
from collections import deque
from collections.abc import Generator, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from mien.apps.batch.attempts import Attempt
from mien.apps.batch.plan import Unit
from mien.apps.storage import Storage, StorageError, fetch, scheme_of
from mien.errors import MienError, OutputError, SourceError
from mien.images.pictures import MAX_PIXELS
from mien.reading.pipeline import Pipeline
from mien.reading.results import Result, columns, rows
from mien.sinks.tables import for_arrow, parquet_schema, table_metadata
from mien.sources.photos import exists

Row = dict[str, str]

ROW_GROUP = 2000
FETCHES = 8
"""Files that are fetched ahead of the one that is read."""
DEADLY = "reading it ended its worker more than once"


@dataclass(frozen=True)
class BatchOptions:
    """How every input is read; the output holds rows of one set of options only.

    Args:
        reader: the keywords of `Pipeline`, but for `threads`.
        model: a bundled name or an artifact's folder.
        min_face: height of the smallest face wanted, pixels.
        track: follow faces through a video and smooth what they show.
        stream: further fields of `StreamOptions`.
        sampling: fields of `Sampling`.
    """

    reader: dict[str, Any] = field(default_factory=dict)
    model: str | None = None
    min_face: float | None = None
    track: bool = True
    stream: dict[str, Any] = field(default_factory=dict)
    sampling: dict[str, Any] = field(default_factory=dict)

    def create_pipeline(self, *, threads: int | None = None) -> Pipeline:
        """The pipeline of a worker."""
        from mien.faces.detectors import create_detector

        options = dict(self.reader)
        detector = create_detector(options.pop("detector", "auto"), min_face_px=self.min_face)
        return Pipeline(self.model, detector=detector, threads=threads, **options)


@dataclass(frozen=True)
class UnitDone:
    """What came of a unit.

    Args:
        unit: its id.
        inputs, errors: how many files, and how many of them could not be read.
        frames, faces, rows: in all of them.
        seconds: of the worker.
        fatal: why nothing further can be read or written, in a sentence; empty otherwise.
    """

    unit: str
    inputs: int
    errors: int = 0
    frames: int = 0
    faces: int = 0
    rows: int = 0
    seconds: float = 0.0
    fatal: str = ""


class UnitReader:
    """Made once a worker; called with batches of units.

    Args:
        options: how inputs are read.
        out: the output's folder.
        threads: of the model, and of OpenCV.
    """

    def __init__(self, options: BatchOptions, out: str, threads: int) -> None:
        import cv2

        # A worker a core: threads of their own would only get in each other's way.
        cv2.setNumThreads(threads)
        self.options = options
        self.storage = Storage(out)
        self.pipeline = options.create_pipeline(threads=threads)

    def __call__(self, batch: dict[str, Any]) -> dict[str, list[str]]:
        """Read units; a column of `UnitDone` as JSON."""
        return {"done": [json.dumps(asdict(self.read(Unit.from_json(str(text))))) for text in batch["unit"]]}

    def read(self, unit: Unit) -> UnitDone:
        """Read one unit and write its partitions."""
        started = time.perf_counter()
        moving = unit.kind == "video"
        partition = _Partition(self.pipeline, moving=moving and self.options.track)
        try:
            attempt = Attempt(self.storage, unit)
            errors = [_error(name, SourceError(f"{name}: {DEADLY}"), unit) for name in attempt.deadly]
            results = (self._read_video if moving else self._read_pictures)(unit, attempt, errors)
            with contextlib.closing(results), self.storage.writing(unit.rows_path) as file:
                partition.write(results, file)
                # Before the rows get their name: a unit that is whole lacks none of its errors.
                self._write_errors(unit, errors)
        except (OutputError, StorageError) as error:
            return UnitDone(unit.id, len(unit.names), fatal=str(error))
        return UnitDone(
            unit.id, len(unit.names), len(errors), partition.frames, partition.faces, partition.rows,
            time.perf_counter() - started,
        )  # fmt: skip

    def _read_pictures(self, unit: Unit, attempt: Attempt, errors: list[Row]) -> Generator[Result]:
        names: list[str] = []
        contents = _iter_contents(unit, attempt, names, errors)
        for number, result in enumerate(self.pipeline.run(contents, on_notice=_ignore)):
            if result.error is not None:
                errors.append(_error(names[number], result.error, unit))
            else:
                yield replace(result, source=names[number])

    def _read_video(self, unit: Unit, attempt: Attempt, errors: list[Row]) -> Generator[Result]:
        from mien.reading.session import ReadingSession, SessionOptions
        from mien.reading.streaming import StreamOptions
        from mien.sources.stream import Sampling

        name = unit.names[0]
        if not attempt.begins(name):
            return
        sampling = Sampling(start_s=unit.start_s, end_s=unit.end_s, **self.options.sampling)
        stream = StreamOptions(sampling, track=self.options.track, **self.options.stream)
        max_pixels = self.options.reader.get("max_pixels", MAX_PIXELS)
        options = SessionOptions(stream, max_pixels=max_pixels, history=False)
        try:
            with _local_copy(name) as path:
                with ReadingSession(self.pipeline, path, options, name=name, on_notice=_ignore) as session:
                    yield from session
                if session.error is not None:
                    errors.append(_error(name, session.error, unit))
        except StorageError:
            raise
        except SourceError as error:
            # A part of a video may lie behind its last frame: containers round their lengths up.
            if not unit.start_s:
                errors.append(_error(name, error, unit))

    def _write_errors(self, unit: Unit, errors: Sequence[Row]) -> None:
        import pyarrow as pa
        from pyarrow import parquet

        if errors:
            with self.storage.writing(unit.errors_path) as file:
                parquet.write_table(pa.Table.from_pylist(list(errors)), file)


class _Partition:
    """Writes results as Parquet, a row group at a time, so that a long video needs no more memory than a short one."""

    def __init__(self, pipeline: Pipeline, *, moving: bool) -> None:
        self._kind: dict[str, bool] = {"moving": moving, "geometry": pipeline.geometry is not None}
        self._pipeline, self._labels = pipeline, pipeline.labels
        self.frames = self.faces = self.rows = 0

    def write(self, results: Iterable[Result], file: Any) -> None:
        import pyarrow as pa
        from pyarrow import parquet

        metadata = table_metadata(self._labels, [self._pipeline.model.title], [self._pipeline.detector.name])
        schema = parquet_schema(columns(self._labels, **self._kind)).with_metadata(metadata)
        waiting = self._iter_rows(results)
        with parquet.ParquetWriter(file, schema, compression="zstd") as writer:
            while group := list(itertools.islice(waiting, ROW_GROUP)):
                writer.write_table(pa.Table.from_pylist(group, schema))
                self.rows += len(group)

    def _iter_rows(self, results: Iterable[Result]) -> Iterator[dict[str, Any]]:
        for result in results:
            self.frames += 1
            self.faces += len(result.faces)
            yield from map(for_arrow, rows(result, self._labels, **self._kind))


def _iter_contents(unit: Unit, attempt: Attempt, given: list[str], errors: list[Row]) -> Iterator[Path | _Fetched]:
    """A path for a local file, else what was fetched, some files ahead; `given` gets the names of those that came."""
    waiting = iter(unit.names)
    coming: deque[tuple[str, Future[bytes] | None]] = deque()
    with ThreadPoolExecutor(FETCHES) as pool:
        while True:
            for name in itertools.islice(waiting, FETCHES - len(coming)):
                coming.append((name, pool.submit(fetch, name) if scheme_of(name) else None))
            if not coming:
                return
            name, future = coming.popleft()
            try:
                content = _local(name) if future is None else _Fetched(future.result(), name)
            except SourceError as error:
                errors.append(_error(name, error, unit))
                continue
            if attempt.begins(name):
                given.append(name)
                yield content


def _local(name: str) -> Path:
    # A pipeline takes the name of no file for a pattern if it has a star in it.
    if not exists(name):
        raise SourceError(f"{name}: does not exist")
    return Path(name)


class _Fetched(io.BytesIO):
    """Bytes with the name by which messages call them."""

    def __init__(self, data: bytes, name: str) -> None:
        super().__init__(data)
        self.name = name


@contextlib.contextmanager
def _local_copy(name: str) -> Iterator[str]:
    """A path that a video can be read from: its reader seeks in it, so one from elsewhere is copied first."""
    if not scheme_of(name):
        yield name
        return
    with tempfile.TemporaryDirectory(prefix="mien-batch-") as folder:
        path = Path(folder, "video")
        try:
            path.write_bytes(fetch(name))
        except OSError as error:
            raise OutputError.of(folder, error) from error
        yield os.fspath(path)


def _error(name: str, error: MienError, unit: Unit) -> Row:
    return {"source": name, "error": str(error), "unit": unit.id}


def _ignore(notice: str) -> None:
    """A worker has nobody to tell what is odd about one of millions of files."""
