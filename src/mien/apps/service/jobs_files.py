"""The files of video jobs, a folder each: in the state folder, or in a bucket that all machines reach.

Buckets are opened as `mien batch` opens them, by pyarrow: same addresses, same credentials, same words for what goes
wrong. fsspec would need a package a store, obstore would be a second way to all of them.
"""

from __future__ import annotations

import contextlib
import io
import shutil
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import IO, Protocol

from mien.apps.storage import BLOCK_BYTES, Storage, StorageError
from mien.errors import ConfigError, MissingExtraError, OutputError

UPLOAD, ROWS, OUTCOME = "upload", "rows.jsonl", "outcome.json"
JOBS, WORK = "jobs", "work"
STALE_UPLOAD_S = 3600.0
"""Younger files of no known job may be those of one that is just being added."""
STALE_WORK_S = 24 * 3600.0


class StoreLostError(Exception):
    """The database of jobs, or the store of their files, cannot be reached."""

    what = "the database of jobs"


class FilesLostError(StoreLostError):
    """The store of videos and results cannot be reached."""

    what = "the store of videos and results"


@dataclass(frozen=True)
class WorkFiles:
    """What a worker reads and writes.

    Args:
        upload: the video.
        results: where to write `ROWS` and `OUTCOME`, by these names.
    """

    upload: Path
    results: dict[str, Path]


class JobFiles(Protocol):
    """The files of jobs by the job's ID; methods that read raise FileNotFoundError for what was deleted."""

    def send(self, job_id: str, upload: Path) -> None:
        """Bring an upload to where all reach it, before its job is known: this may take long."""
        ...

    def take(self, job_id: str, upload: Path) -> None:
        """Make an upload that was sent a job's own; this takes no time."""
        ...

    def working(self, job_id: str, attempt: int) -> contextlib.AbstractContextManager[WorkFiles]:
        """Files for one attempt at a job, of its own: another process may think that the job is its own too."""
        ...

    def keep(self, job_id: str, work: WorkFiles) -> None:
        """Make the results of an attempt the job's."""
        ...

    def open(self, job_id: str, name: str) -> contextlib.AbstractContextManager[IO[str]]:
        """A result, as text."""
        ...

    def drop_upload(self, job_id: str) -> None:
        """Delete the video."""
        ...

    def clear(self, job_id: str) -> None:
        """Delete all files of a job."""
        ...

    def strays(self, known: set[str]) -> list[str]:
        """IDs under which there are files, though no such job is known, nor being added."""
        ...


class FolderFiles:
    """Files in a folder.

    Args:
        folder: the state folder, of one machine or of all.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder / JOBS
        self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)

    def path(self, job_id: str, name: str) -> Path:
        """A file of a job."""
        return self._folder / job_id / name

    def send(self, job_id: str, upload: Path) -> None:
        """Nothing: the upload is in the same folder."""

    def take(self, job_id: str, upload: Path) -> None:
        """Rename it."""
        target = self.path(job_id, UPLOAD)
        target.parent.mkdir(mode=0o700)
        upload.replace(target)

    @contextlib.contextmanager
    def working(self, job_id: str, attempt: int) -> Iterator[WorkFiles]:
        """The upload itself, and results beside it."""
        results = {name: self.path(job_id, f"{attempt}-{name}") for name in (ROWS, OUTCOME)}
        yield WorkFiles(self.path(job_id, UPLOAD), results)

    def keep(self, job_id: str, work: WorkFiles) -> None:
        """Rename the results."""
        for name, file in work.results.items():
            file.replace(self.path(job_id, name))

    def open(self, job_id: str, name: str) -> contextlib.AbstractContextManager[IO[str]]:
        """A result, as text."""
        return self.path(job_id, name).open(encoding="utf-8")

    def drop_upload(self, job_id: str) -> None:
        """Delete the video."""
        self.path(job_id, UPLOAD).unlink(missing_ok=True)

    def clear(self, job_id: str) -> None:
        """Delete all files of a job."""
        shutil.rmtree(self._folder / job_id, ignore_errors=True)

    def strays(self, known: set[str]) -> list[str]:
        """All that are unknown: who adds a job holds the lock from file to row."""
        return [path.name for path in self._folder.iterdir() if path.name not in known]


class BucketFiles:
    """Files in a bucket; a worker copies a video to its own disk and its results back.

    Args:
        uri: s3://bucket/folder, gs://… or az://….
        folder: the state folder, of this machine alone, for what is being worked on.

    Raises:
        ConfigError: the bucket cannot be read or written.
        MissingExtraError: without pyarrow.
    """

    def __init__(self, uri: str, folder: Path) -> None:
        if find_spec("pyarrow") is None:
            raise MissingExtraError("pyarrow", "parquet")
        self._storage = Storage(uri)
        self._work = folder / WORK
        self._work.mkdir(parents=True, exist_ok=True, mode=0o700)
        try:
            # A wrong address or key is told at the start, not by the first video.
            with self._storage.writing(f"{WORK}/trial") as file:
                file.write(b"May be deleted.")
            self._storage.read(f"{WORK}/trial")
        except (StorageError, OutputError) as error:
            raise ConfigError(f"cannot keep videos and results there: {error}") from error

    def send(self, job_id: str, upload: Path) -> None:
        """Copy it there."""
        with _reaching(), upload.open("rb") as video, self._storage.writing(self._path(job_id, UPLOAD)) as file:
            shutil.copyfileobj(video, file, BLOCK_BYTES)

    def take(self, job_id: str, upload: Path) -> None:
        """Delete the copy here."""
        upload.unlink()

    @contextlib.contextmanager
    def working(self, job_id: str, attempt: int) -> Iterator[WorkFiles]:
        """Copies in a folder here, gone at the end."""
        with tempfile.TemporaryDirectory(
            prefix=f"{job_id}-{attempt}-", dir=self._work, ignore_cleanup_errors=True
        ) as folder:
            upload = Path(folder, UPLOAD)
            with _reaching(), self._storage.streamed(self._path(job_id, UPLOAD)) as video, upload.open("wb") as file:
                shutil.copyfileobj(video, file, BLOCK_BYTES)
            yield WorkFiles(upload, {name: Path(folder, name) for name in (ROWS, OUTCOME)})

    def keep(self, job_id: str, work: WorkFiles) -> None:
        """Copy the results there."""
        for name, path in work.results.items():
            with _reaching(), path.open("rb") as result, self._storage.writing(self._path(job_id, name)) as file:
                shutil.copyfileobj(result, file, BLOCK_BYTES)

    @contextlib.contextmanager
    def open(self, job_id: str, name: str) -> Iterator[IO[str]]:
        """A result, as text."""
        with _reaching(), self._storage.streamed(self._path(job_id, name)) as file:
            yield io.TextIOWrapper(file, encoding="utf-8")

    def drop_upload(self, job_id: str) -> None:
        """Delete the video."""
        with _reaching():
            self._storage.remove(self._path(job_id, UPLOAD))

    def clear(self, job_id: str) -> None:
        """Delete all files of a job."""
        with _reaching():
            self._storage.remove(f"{JOBS}/{job_id}")

    def strays(self, known: set[str]) -> list[str]:
        """Those that are old enough; work that a kill left here goes as well."""
        for path in self._work.iterdir():
            if max(part.stat().st_mtime for part in [path, *path.rglob("*")]) < time.time() - STALE_WORK_S:
                shutil.rmtree(path, ignore_errors=True)
        with _reaching():
            found = {path.split("/")[1] for path in self._storage.list_older(JOBS, STALE_UPLOAD_S)}
        return sorted(found - known)

    def _path(self, job_id: str, name: str) -> str:
        return f"{JOBS}/{job_id}/{name}"


@contextlib.contextmanager
def _reaching() -> Iterator[None]:
    try:
        yield
    except (StorageError, OutputError) as error:
        raise FilesLostError(str(error)) from error
