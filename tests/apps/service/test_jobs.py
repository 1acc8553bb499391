"""Video jobs on disk and the runner that reads them: states, expiry, restarts, more than one process."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from mien.apps.service.jobs_runner import JobRunner
from mien.apps.service.jobs_store import (
    MAX_ATTEMPTS,
    OUTCOME,
    ROWS,
    STALE_UPLOAD_S,
    STATES,
    UPLOAD,
    Job,
    JobStore,
    QueueFullError,
)
from mien.errors import ConfigError

PATIENCE_S = 180.0
ERROR = {"type": "urn:mien:problem:internal-error", "title": "t", "status": 500, "detail": "d"}


class Clock:
    def __init__(self) -> None:
        self.now_s = 1_000_000.0

    def __call__(self) -> float:
        return self.now_s


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def store(tmp_path: Path, clock: Clock) -> JobStore:
    return JobStore(tmp_path / "state", keep_s=100.0, max_queued=3, clock=clock)


def add(store: JobStore, owner: str = "", name: str = "film.mp4") -> Job:
    upload = store.incoming / "some.part"
    upload.write_bytes(b"video")
    return store.add(upload, owner=owner, name=name, options={"every": 2})


def test_a_job_waits_runs_and_is_done(store: JobStore, clock: Clock) -> None:
    job = add(store)
    assert (job.state, job.options) == ("queued", {"every": 2})
    assert store.path(job.id, UPLOAD).read_bytes() == b"video"
    assert not list(store.incoming.iterdir())
    running = store.claim()
    assert running is not None
    assert (running.id, running.state, running.attempts) == (job.id, "running", 1)
    assert store.claim() is None
    clock.now_s += 10
    assert store.report(job.id, frames=5, faces=7, progress=0.25)
    halfway = store.get(job.id, "")
    assert halfway is not None
    assert (halfway.frames, halfway.faces, halfway.eta_s(clock())) == (5, 7, pytest.approx(30.0))
    store.finish(job.id, notice="breaks off")
    done = store.get(job.id, "")
    assert done is not None
    assert (done.state, done.progress, done.notice, done.expires_s) == ("done", 1.0, "breaks off", clock() + 100)
    assert not store.path(job.id, UPLOAD).exists()


def test_jobs_run_in_the_order_they_came(store: JobStore, clock: Clock) -> None:
    jobs = []
    for _ in range(3):
        jobs.append(add(store))
        clock.now_s += 1
    assert [store.position(job) for job in jobs] == [0, 1, 2]
    assert [claimed.id for job in jobs if (claimed := store.claim())] == [job.id for job in jobs]


def test_no_more_wait_than_may(store: JobStore) -> None:
    for _ in range(3):
        add(store)
    assert store.is_full()
    with pytest.raises(QueueFullError):
        add(store)
    assert store.count()["queued"] == 3
    assert (store.incoming / "some.part").exists()
    store.claim()
    add(store)


def test_a_job_is_its_owners_alone(store: JobStore) -> None:
    job = add(store, owner="ann")
    assert store.get(job.id, "ann") is not None
    assert store.get(job.id, "bob") is None
    assert store.get(job.id, "") is None


def test_numbers_cannot_be_guessed(store: JobStore) -> None:
    ids = {add(store).id for _ in range(3)}
    assert len(ids) == 3
    assert all(len(job_id) == 32 and int(job_id, 16) >= 0 for job_id in ids)


@pytest.mark.parametrize("running", [False, True])
def test_cancelling_deletes_the_video_at_once(store: JobStore, *, running: bool) -> None:
    job = add(store)
    if running:
        store.claim()
    assert store.cancel(job)
    assert not store.path(job.id, UPLOAD).exists()
    assert not store.report(job.id, frames=1, faces=1, progress=0.5)
    store.finish(job.id)
    cancelled = store.get(job.id, "")
    assert cancelled is not None
    assert cancelled.state == "cancelled"
    assert not store.cancel(job)


def test_a_result_expires_and_its_job_is_forgotten_later(store: JobStore, clock: Clock) -> None:
    job = add(store)
    store.claim()
    store.path(job.id, OUTCOME).write_text("{}")
    store.finish(job.id)
    clock.now_s += 99
    kept = store.get(job.id, "")
    assert kept is not None
    assert kept.state == "done"
    clock.now_s += 1
    expired = store.get(job.id, "")
    assert expired is not None
    assert expired.state == "expired"
    assert not store.path(job.id, OUTCOME).exists()
    clock.now_s += 100
    assert store.get(job.id, "") is None
    assert store.count() == dict.fromkeys(STATES, 0)


def test_a_job_that_runs_does_not_expire(store: JobStore, clock: Clock) -> None:
    job = add(store)
    store.claim()
    clock.now_s += 10_000
    running = store.get(job.id, "")
    assert running is not None
    assert running.state == "running"


def test_after_a_crash_jobs_wait_again(store: JobStore, clock: Clock) -> None:
    job = add(store)
    store.claim()
    store.report(job.id, frames=9, faces=9, progress=0.9)
    assert JobStore(store.folder, keep_s=100.0, max_queued=3, clock=clock).recover(ERROR) == 1
    again = store.claim()
    assert again is not None
    assert (again.id, again.attempts, again.frames, again.progress) == (job.id, 2, 0, 0.0)


def test_a_job_that_brings_the_service_down_is_given_up(store: JobStore) -> None:
    job = add(store)
    for _ in range(MAX_ATTEMPTS):
        assert store.claim() is not None
        store.recover(ERROR)
    assert store.claim() is None
    failed = store.get(job.id, "")
    assert failed is not None
    assert (failed.state, failed.error) == ("failed", ERROR)


def test_an_orderly_end_is_no_attempt(store: JobStore) -> None:
    job = add(store)
    for _ in range(MAX_ATTEMPTS + 1):
        assert store.claim() is not None
        store.hand_back(job.id)
        store.recover(ERROR)
    waiting = store.get(job.id, "")
    assert waiting is not None
    assert (waiting.state, waiting.attempts) == ("queued", 0)


def test_what_a_kill_left_is_removed(store: JobStore, clock: Clock) -> None:
    job = add(store)
    stray = store.folder / "jobs" / ("0" * 32)
    stray.mkdir()
    old, new = store.incoming / "old.part", store.incoming / "new.part"
    for path, age_s in ((old, STALE_UPLOAD_S + 1), (new, 1.0)):
        path.write_bytes(b"half")
        os.utime(path, (clock() - age_s, clock() - age_s))
    store.recover(ERROR)
    assert not stray.exists()
    assert not old.exists()
    assert new.exists()
    assert store.path(job.id, UPLOAD).exists()


def test_a_kill_just_after_a_job_ended_leaves_no_video(
    store: JobStore, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    jobs = {}
    for state in ("done", "failed", "cancelled"):
        jobs[state] = add(store)
        clock.now_s += 1
    with monkeypatch.context() as patch:
        patch.setattr(Path, "unlink", lambda *_, **__: None)
        patch.setattr(JobStore, "_clear", lambda *_: None)
        store.claim()
        store.path(jobs["done"].id, ROWS).write_text("rows")
        store.finish(jobs["done"].id)
        store.claim()
        store.finish(jobs["failed"].id, error=ERROR)
        store.cancel(jobs["cancelled"])
    assert all(store.path(job.id, UPLOAD).exists() for job in jobs.values())
    store.recover(ERROR)
    assert not any(store.path(job.id, UPLOAD).exists() for job in jobs.values())
    assert store.path(jobs["done"].id, ROWS).read_text() == "rows"


def test_a_folder_that_cannot_be_made_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigError, match="cannot store jobs"):
        JobStore(tmp_path / "file" / "state", keep_s=1, max_queued=1)


@pytest.fixture
def runners() -> Iterator[list[JobRunner]]:
    made: list[JobRunner] = []
    yield made
    for runner in made:
        runner.close()


def start(runners: list[JobRunner], store: JobStore, work: Any, *, workers: int = 1) -> JobRunner:
    runner = JobRunner(store, work, recover=lambda: store.recover(ERROR), workers=workers)
    runners.append(runner)
    runner.start()
    return runner


def finishing(store: JobStore, done: threading.Semaphore) -> Callable[[Job, Callable[[], bool]], None]:
    def work(job: Job, stopped: Callable[[], bool]) -> None:
        store.finish(job.id)
        done.release()

    return work


def test_a_runner_reads_what_waits_and_what_comes(store: JobStore, runners: list[JobRunner]) -> None:
    first, done = add(store), threading.Semaphore(0)
    runner = start(runners, store, finishing(store, done))
    assert done.acquire(timeout=PATIENCE_S)
    second = add(store)
    runner.notify()
    assert done.acquire(timeout=PATIENCE_S)
    assert {job.state for name in (first.id, second.id) if (job := store.get(name, ""))} == {"done"}


def test_of_two_runners_one_works_until_it_ends(store: JobStore, runners: list[JobRunner]) -> None:
    begun, done = threading.Event(), threading.Semaphore(0)

    def stubborn(job: Job, stopped: Callable[[], bool]) -> None:
        begun.set()
        while not stopped():
            threading.Event().wait(0.01)
        store.hand_back(job.id)

    add(store)
    first = start(runners, store, stubborn)
    assert begun.wait(PATIENCE_S)
    start(runners, store, finishing(store, done))
    running = store.count()
    # The second one waits for the lock: it neither takes the job away nor counts it as left by a crash.
    assert not done.acquire(timeout=0.2)
    assert store.count() == running
    first.close()
    assert done.acquire(timeout=PATIENCE_S)
    assert store.count()["done"] == 1


def test_a_runner_that_never_got_the_lock_ends(store: JobStore, runners: list[JobRunner]) -> None:
    done = threading.Semaphore(0)
    start(runners, store, finishing(store, done))
    add(store)
    assert done.acquire(timeout=PATIENCE_S)
    second = start(runners, store, finishing(store, done))
    second.close()
