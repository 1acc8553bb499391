"""The files of jobs in a folder and in a bucket, for which a folder stands that pyarrow writes."""

from __future__ import annotations

import os
import threading
from pathlib import Path
from typing import IO

import pytest

pytest.importorskip("pyarrow")

from mien.apps.service.jobs_files import (
    OUTCOME,
    ROWS,
    STALE_UPLOAD_S,
    UPLOAD,
    BucketFiles,
    FilesLostError,
    FolderFiles,
    JobFiles,
)  # fmt: skip
from mien.apps.service.jobs_runner import JobRunner
from mien.apps.service.jobs_store import Job, JobStore, QueueFullError
from mien.apps.service.settings import load_settings
from mien.apps.storage import Storage, StorageError
from mien.errors import ConfigError

JOB = "0" * 32


@pytest.fixture(params=["folder", "bucket"])
def files(request: pytest.FixtureRequest, tmp_path: Path) -> JobFiles:
    return FolderFiles(tmp_path / "here") if request.param == "folder" else bucket(tmp_path)


def bucket(tmp_path: Path) -> BucketFiles:
    (tmp_path / "bucket" / "jobs").mkdir(parents=True)
    (tmp_path / "bucket" / "work").mkdir()
    files = BucketFiles(str(tmp_path / "bucket"), tmp_path / "here")
    # A bucket has no folders to be made before a file.
    write = files._storage.writing

    def write_with_folders(path: str):  # type: ignore[no-untyped-def]
        (tmp_path / "bucket" / path).parent.mkdir(parents=True, exist_ok=True)
        return write(path)

    files._storage.writing = write_with_folders  # type: ignore[method-assign]
    return files


def add(files: JobFiles, tmp_path: Path, job_id: str = JOB) -> None:
    upload = tmp_path / "some.part"
    upload.write_bytes(b"video")
    files.send(job_id, upload)
    files.take(job_id, upload)
    assert not upload.exists()


def test_a_video_goes_there_and_its_results_come_back(files: JobFiles, tmp_path: Path) -> None:
    add(files, tmp_path)
    with files.working(JOB, 1) as first, files.working(JOB, 2) as second:
        assert first.upload.read_bytes() == second.upload.read_bytes() == b"video"
        # The first is thought dead and is not: it writes into nobody's results.
        first.results[ROWS].write_text("of the first")
        for name in (ROWS, OUTCOME):
            second.results[name].write_text(f"ä {name}", encoding="utf-8")
        files.keep(JOB, second)
    files.drop_upload(JOB)
    for name in (ROWS, OUTCOME):
        with files.open(JOB, name) as file:
            assert file.read() == f"ä {name}"
    files.clear(JOB)
    with pytest.raises(FileNotFoundError), files.open(JOB, ROWS):
        pass
    with pytest.raises(FileNotFoundError), files.working(JOB, 3) as third:
        third.upload.read_bytes()
    files.clear(JOB)
    assert not [path for path in tmp_path.rglob("*") if path.is_file() and path.name != "trial"]


def test_strays_are_those_without_a_job(files: JobFiles, tmp_path: Path) -> None:
    for number in range(2):
        add(files, tmp_path, str(number) * 32)
    for path in tmp_path.rglob(UPLOAD):
        os.utime(path, (0, 0))
    assert files.strays({"0" * 32}) == ["1" * 32]


def test_what_is_just_arriving_in_a_bucket_is_no_stray(tmp_path: Path) -> None:
    files = bucket(tmp_path)
    add(files, tmp_path)
    assert STALE_UPLOAD_S > 60
    assert not files.strays(set())


def test_a_full_queue_leaves_nothing_in_the_bucket(tmp_path: Path) -> None:
    store = JobStore(tmp_path / "here", keep_s=1, max_queued=0, files=bucket(tmp_path))
    upload = store.incoming / "some.part"
    upload.write_bytes(b"video")
    with pytest.raises(QueueFullError):
        store.add(upload, owner="", name="", options={})
    assert upload.exists()
    assert not list((tmp_path / "bucket" / "jobs").iterdir())


def test_a_lost_bucket_costs_no_attempt(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mien.apps.service.jobs_runner.LOST_WAIT_S", 0.01)
    store = JobStore(tmp_path / "here", keep_s=1, max_queued=9)
    upload = store.incoming / "some.part"
    upload.write_bytes(b"video")
    job_id = store.add(upload, owner="", name="", options={}).id
    seen: list[Job] = []
    read = threading.Event()

    def work(job: Job, stopped: object) -> None:
        seen.append(job)
        if len(seen) < 5:
            raise FilesLostError("expired token")
        store.finish(job)
        read.set()

    runner = JobRunner(store, work, recover=lambda: None)
    runner.start()
    try:
        assert read.wait(60)
    finally:
        runner.close()
    assert [job.attempts for job in seen] == [1] * 5
    done = store.get(job_id, "")
    assert done is not None
    assert done.state == "done"


def test_what_cannot_be_reached_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigError, match="cannot keep videos and results there"):
        BucketFiles(str(tmp_path / "file" / "bucket"), tmp_path)
    files = bucket(tmp_path)

    def lost(*_: object) -> None:
        raise StorageError("cannot remove s3://bucket: expired token")

    monkeypatch.setattr(files._storage, "remove", lost)
    with pytest.raises(FilesLostError, match="expired token"):
        files.clear(JOB)
    store = JobStore(tmp_path / "here", keep_s=1, max_queued=9, files=files)
    (store.incoming / "some.part").write_bytes(b"video")
    # Cancelled all the same: its files are a stray until the bucket is back.
    assert store.cancel(store.add(store.incoming / "some.part", owner="", name="", options={}))


def write_half(file: IO[bytes]) -> None:
    file.write(b"half")
    raise StorageError("expired token")


def test_an_object_that_was_not_written_to_its_end_is_not_there(tmp_path: Path) -> None:
    from pyarrow import fs

    storage = Storage("s3://bucket/folder?region=none")
    storage._files, storage._root = fs.LocalFileSystem(), str(tmp_path)
    with pytest.raises(StorageError), storage.writing("rows") as file:
        write_half(file)
    assert not list(tmp_path.iterdir())
    with storage.writing("rows") as file:
        file.write(b"whole")
    assert storage.read("rows") == b"whole"


def test_settings_that_do_not_go_together_are_refused() -> None:
    with pytest.raises(ConfigError, match="several machines share"):
        load_settings(files="s3://bucket/mien")
    with pytest.raises(ConfigError, match="address of a bucket"):
        load_settings(files="/shared/mien", jobs="postgresql://db/mien")
