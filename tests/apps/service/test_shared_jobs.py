"""Services and workers that share a database of jobs and a folder."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from clips import write_clip
from postgres import empty_postgres
from service_runs import PATIENCE_S, InProcess, running

from mien.apps.cli.main import main
from mien.apps.service.settings import Settings, load_settings
from mien.apps.service.worker import work
from mien.errors import ConfigError

FRAMES = 60


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    path = tmp_path_factory.mktemp("clips") / "clip.mp4"
    return write_clip(path, [index / 25 for index in range(FRAMES)]).read_bytes()


@pytest.fixture
def shared_jobs(tmp_path: Path) -> Iterator[dict[str, Any]]:
    with empty_postgres() as url:
        yield {"jobs": url, "state_dir": tmp_path / "state"}


def submit(service: InProcess, clip: bytes) -> str:
    answer = service.request("POST", "/v1/videos", content=clip, headers={"Content-Type": "video/mp4"})
    assert answer.status_code == 202, answer.text
    return str(answer.json()["id"])


def wait_for(service: InProcess, job_id: str, *states: str) -> dict[str, Any]:
    end = time.monotonic() + PATIENCE_S
    while (job := service.get(f"/v1/jobs/{job_id}").json())["state"] not in states:
        assert time.monotonic() < end, job
        time.sleep(0.02)
    return dict(job)


def frames_of(service: InProcess, job_id: str) -> list[int]:
    return [row["frame"] for row in service.get(f"/v1/jobs/{job_id}/result").json()["rows"]]


def test_one_accepts_another_reads_and_both_answer(
    toy_artifact: Path, shared_jobs: dict[str, Any], clip: bytes
) -> None:
    with running(toy_artifact, video_workers=0, **shared_jobs) as front:
        waiting, cancelled = submit(front, clip), submit(front, clip)
        assert front.request("DELETE", f"/v1/jobs/{cancelled}").json()["state"] == "cancelled"
        assert front.get(f"/v1/jobs/{waiting}").json()["state"] == "queued"
        with running(toy_artifact, **shared_jobs) as back:
            wait_for(front, waiting, "done")
            assert frames_of(front, waiting) == frames_of(back, waiting) == list(range(FRAMES))
            assert back.get(f"/v1/jobs/{cancelled}").json()["state"] == "cancelled"


def test_a_killed_worker_loses_nothing(
    toy_artifact: Path, shared_jobs: dict[str, Any], clip: bytes, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    # The test need not wait as long as a service does.
    monkeypatch.setattr("mien.apps.service.jobs_postgres.LOST_S", 1.0)
    monkeypatch.setattr("mien.apps.service.jobs_runner.BEAT_S", 0.3)
    given = {"models": [str(toy_artifact)], "detector": "haar", **{k: str(v) for k, v in shared_jobs.items()}}
    variables = {
        f"MIEN_SERVICE_{name.upper()}": value if isinstance(value, str) else json.dumps(value)
        for name, value in given.items()
    }
    # Three, so that one is left to be killed in its midst even where this process hears late of the first.
    long = write_clip(tmp_path / "long.mp4", [index / 25 for index in range(100)], size=(240, 320)).read_bytes()
    with running(toy_artifact, video_workers=0, **shared_jobs) as front:
        jobs = [submit(front, long) for _ in range(3)]
        worker = subprocess.Popen(
            [sys.executable, "-m", "mien", "worker"], env=os.environ | variables, stderr=subprocess.DEVNULL
        )
        try:
            end = time.monotonic() + PATIENCE_S
            while not any(front.get(f"/v1/jobs/{job_id}").json()["frames"] for job_id in jobs):
                assert worker.poll() is None
                assert time.monotonic() < end
                time.sleep(0.02)
        finally:
            worker.send_signal(signal.SIGKILL)
            worker.wait()
        assert {front.get(f"/v1/jobs/{job_id}").json()["state"] for job_id in jobs} != {"done"}
        with running(toy_artifact, **shared_jobs):
            for job_id in jobs:
                wait_for(front, job_id, "done")
        assert [frames_of(front, job_id) for job_id in jobs] == [list(range(100))] * 3


def test_a_lost_database_is_a_503_that_says_when_to_try_again(
    toy_artifact: Path, shared_jobs: dict[str, Any], clip: bytes
) -> None:
    with running(toy_artifact, video_workers=0, **shared_jobs) as front:
        job_id = submit(front, clip)
        front.service.jobs.store.close()
        answer = front.get(f"/v1/jobs/{job_id}")
        assert (answer.status_code, answer.headers["retry-after"]) == (503, "5")
        assert "database of jobs" in answer.json()["detail"]


def test_settings_that_leave_videos_unread_are_refused() -> None:
    with pytest.raises(ConfigError, match="leaves videos unread"):
        load_settings(video_workers=0)
    with pytest.raises(ConfigError, match="address of a PostgreSQL database"):
        load_settings(jobs="mysql://host/jobs")
    with pytest.raises(ConfigError, match="set MIEN_SERVICE_JOBS"):
        work(Settings())


def test_the_password_is_not_shown(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("MIEN_SERVICE_JOBS", "postgresql://mien:secret@db/mien")
    with pytest.raises(SystemExit):
        main(["serve", "--show-settings"])
    assert "secret" not in capsys.readouterr().out
