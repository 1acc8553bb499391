"""Video jobs on disk and the runner that reads them: states, expiry, restarts, more than one process."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from postgres import empty_postgres

from mien.apps.service.jobs_files import OUTCOME, ROWS, STALE_UPLOAD_S, UPLOAD, StoreLostError
from mien.apps.service.jobs_postgres import PostgresJobs
from mien.apps.service.jobs_runner import JobRunner
from mien.apps.service.jobs_store import LOST_S, MAX_ATTEMPTS, STATES, Job, JobStore, QueueFullError
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


@pytest.fixture(params=["sqlite", "postgresql"])
def store(request: pytest.FixtureRequest, tmp_path: Path, clock: Clock) -> Iterator[JobStore]:
    folder = tmp_path / "state"
    if request.param == "sqlite":
        yield JobStore(folder, keep_s=100.0, max_queued=3, clock=clock)
        return
    with empty_postgres() as url:
        opened = PostgresJobs(url, folder, keep_s=100.0, max_queued=3, clock=clock)
        yield opened
        opened.close()


def claim(store: JobStore) -> Job:
    job = store.claim()
    assert job is not None
    return job


def crash(store: JobStore) -> None:
    """What the store shows once the process that ran its jobs is dead, and has been for a while."""
    if isinstance(store, PostgresJobs):
        with store._connect() as database:
            database.execute("UPDATE jobs SET seen_s = seen_s - ?", (LOST_S + 1,))


def add(store: JobStore, owner: str = "", name: str = "film.mp4") -> Job:
    upload = store.incoming / "some.part"
    upload.write_bytes(b"video")
    return store.add(upload, owner=owner, name=name, options={"every": 2})


def test_a_job_waits_runs_and_is_done(store: JobStore, clock: Clock) -> None:
    job = add(store)
    assert (job.state, job.options) == ("queued", {"every": 2})
    assert store.files.path(job.id, UPLOAD).read_bytes() == b"video"
    assert not list(store.incoming.iterdir())
    running = claim(store)
    assert (running.id, running.state, running.attempts) == (job.id, "running", 1)
    assert store.claim() is None
    clock.now_s += 10
    assert store.report(running, frames=5, faces=7, progress=0.25)
    halfway = store.get(job.id, "")
    assert halfway is not None
    assert (halfway.frames, halfway.faces, halfway.eta_s(clock())) == (5, 7, pytest.approx(30.0))
    store.finish(running, notice="breaks off")
    done = store.get(job.id, "")
    assert done is not None
    assert (done.state, done.progress, done.notice, done.expires_s) == ("done", 1.0, "breaks off", clock() + 100)
    assert not store.files.path(job.id, UPLOAD).exists()


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
        job = claim(store)
    assert store.cancel(job)
    assert not store.files.path(job.id, UPLOAD).exists()
    assert not store.report(job, frames=1, faces=1, progress=0.5)
    store.finish(job)
    cancelled = store.get(job.id, "")
    assert cancelled is not None
    assert cancelled.state == "cancelled"
    assert not store.cancel(job)


def test_a_result_expires_and_its_job_is_forgotten_later(store: JobStore, clock: Clock) -> None:
    add(store)
    job = claim(store)
    store.files.path(job.id, OUTCOME).write_text("{}")
    store.finish(job)
    clock.now_s += 99
    kept = store.get(job.id, "")
    assert kept is not None
    assert kept.state == "done"
    clock.now_s += 1
    expired = store.get(job.id, "")
    assert expired is not None
    assert expired.state == "expired"
    assert not store.files.path(job.id, OUTCOME).exists()
    clock.now_s += 100
    assert store.get(job.id, "") is None
    assert store.count() == dict.fromkeys(STATES, 0)


def test_a_job_that_runs_does_not_expire(store: JobStore, clock: Clock) -> None:
    add(store)
    job = claim(store)
    clock.now_s += 10_000
    running = store.get(job.id, "")
    assert running is not None
    assert running.state == "running"


def test_after_a_crash_jobs_wait_again(store: JobStore, clock: Clock) -> None:
    add(store)
    job = claim(store)
    store.report(job, frames=9, faces=9, progress=0.9)
    crash(store)
    assert store.recover(ERROR) == 1
    again = store.claim()
    assert again is not None
    assert (again.id, again.attempts, again.frames, again.progress) == (job.id, 2, 0, 0.0)


def test_a_job_that_brings_the_service_down_is_given_up(store: JobStore) -> None:
    job = add(store)
    for _ in range(MAX_ATTEMPTS):
        claim(store)
        crash(store)
        store.recover(ERROR)
    assert store.claim() is None
    failed = store.get(job.id, "")
    assert failed is not None
    assert (failed.state, failed.error) == ("failed", ERROR)


def test_an_orderly_end_is_no_attempt(store: JobStore) -> None:
    job = add(store)
    for _ in range(MAX_ATTEMPTS + 1):
        store.hand_back(claim(store))
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
    store.remove_strays()
    assert not stray.exists()
    assert not old.exists()
    assert new.exists()
    assert store.files.path(job.id, UPLOAD).exists()


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
        store.files.path(jobs["done"].id, ROWS).write_text("rows")
        store.finish(claim(store))
        store.finish(claim(store), error=ERROR)
        store.cancel(jobs["cancelled"])
    assert all(store.files.path(job.id, UPLOAD).exists() for job in jobs.values())
    store.remove_strays()
    assert not any(store.files.path(job.id, UPLOAD).exists() for job in jobs.values())
    assert store.files.path(jobs["done"].id, ROWS).read_text() == "rows"


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
        store.finish(job)
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


@pytest.mark.parametrize("store", ["sqlite"], indirect=True)
def test_of_two_runners_one_works_until_it_ends(store: JobStore, runners: list[JobRunner]) -> None:
    begun, done = threading.Event(), threading.Semaphore(0)

    def stubborn(job: Job, stopped: Callable[[], bool]) -> None:
        begun.set()
        while not stopped():
            threading.Event().wait(0.01)
        store.hand_back(job)

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


@pytest.mark.parametrize("store", ["postgresql"], indirect=True)
class TestManyMachines:
    def test_each_of_many_workers_gets_other_jobs(self, store: JobStore, runners: list[JobRunner]) -> None:
        seen: list[str] = []
        done = threading.Semaphore(0)

        def work(job: Job, stopped: Callable[[], bool]) -> None:
            seen.append(job.id)
            store.finish(job)
            done.release()

        for _ in range(2):
            start(runners, store, work, workers=3)
        for _ in range(12):
            while store.is_full():
                threading.Event().wait(0.01)
            add(store)
        for _ in range(12):
            assert done.acquire(timeout=PATIENCE_S)
        assert len(seen) == len(set(seen)) == 12

    def test_a_job_of_a_slow_worker_stays_its_own(self, store: JobStore) -> None:
        add(store)
        job = claim(store)
        assert store.recover(ERROR) == 0
        crash(store)
        store.beat([job])
        assert store.recover(ERROR) == 0
        assert store.report(job, frames=1, faces=1, progress=0.1)

    def test_a_worker_that_was_thought_dead_spoils_nothing(self, store: JobStore) -> None:
        add(store)
        slow = claim(store)
        crash(store)
        assert store.recover(ERROR) == 1
        other = claim(store)
        assert (other.id, other.attempts) == (slow.id, 2)
        # The first wakes up: it may neither report, nor end, nor give back what is another's.
        assert not store.report(slow, frames=9, faces=9, progress=0.9)
        store.finish(slow, error=ERROR)
        store.hand_back(slow)
        assert store.files.path(other.id, UPLOAD).exists()
        assert store.report(other, frames=1, faces=1, progress=0.1)
        store.finish(other)
        assert store.count()["done"] == 1

    def test_a_database_that_ends_connections_is_survived_and_one_that_is_gone_told(self, store: JobStore) -> None:
        assert isinstance(store, PostgresJobs)
        add(store)
        with store._connect() as database:
            database.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                "WHERE datname = current_database() AND pid != pg_backend_pid()"
            )
        assert store.count()["queued"] == 1
        store.close()
        with pytest.raises(StoreLostError, match="cannot be reached"):
            store.count()


def test_a_database_that_is_not_there_is_named_without_its_password(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"PostgreSQL at 127\.0\.0\.1:1/mien") as told:
        PostgresJobs("postgresql://mien:secret@127.0.0.1:1/mien", tmp_path, keep_s=1, max_queued=1)
    assert "secret" not in str(told.value)
