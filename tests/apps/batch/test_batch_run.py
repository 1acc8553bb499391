"""The whole command over Ray, once: starting it costs seconds, so one test asks for several things."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("ray")

import pyarrow.parquet as pq

from mien.apps.batch.attempts import Attempt
from mien.apps.batch.run import BUSY, Batch, Progress, Workers
from mien.apps.batch.unit_reader import BatchOptions, UnitDone, UnitReader
from mien.apps.cli.main import main
from mien.errors import ConfigError
from mien.images.pictures import write

PICTURES, BEGUN = 60, 3
PATIENCE_S = 300


@pytest.fixture
def faces(tmp_path: Path) -> Path:
    folder = tmp_path / "faces"
    folder.mkdir()
    random = np.random.default_rng(3)
    for place in range(PICTURES):
        write(folder / f"{place:03}.png", random.integers(0, 255, (48, 48, 3), np.uint8))
    (folder / "bad.jpg").write_bytes(b"\xff\xd8\xff\xe0 cut off")
    return folder


def command(faces: Path, out: Path, *more: str) -> list[str]:
    return [
        "batch", str(faces), "--out", str(out), "--model", "mien-xs", "--detector", "none", "--workers", "1",
        "--pictures", "2", *more,
    ]  # fmt: skip


def test_begun_killed_and_resumed_every_input_has_its_row_once(
    faces: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    out, home = tmp_path / "out", tmp_path / "home"
    home.mkdir()
    with monkeypatch.context() as patch:
        patch.setattr(Batch, "run", leave_what_a_kill_leaves)
        with pytest.raises(SystemExit):
            main(command(faces, out))
    assert "--resume goes on" in capfd.readouterr().err
    # One that arrives meanwhile is read too.
    write(faces / "new.png", np.full((48, 48, 3), 9, np.uint8))
    run = subprocess.Popen(
        [sys.executable, "-m", "mien", *command(faces, out, "--resume")], env=os.environ | {"HOME": str(home)},
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True,
    )  # fmt: skip
    try:
        killed = kill_the_worker(run, out)
        told, complained = run.communicate(timeout=PATIENCE_S)
    finally:
        run.kill()
    if BUSY in complained:
        pytest.skip(complained)
    assert run.returncode == 3, complained
    assert killed or sys.platform != "linux"
    assert f"{BEGUN * 2} were read before" in told
    # Nothing of Ray's, least of all about its worker.
    assert [line for line in told.splitlines() if not line.startswith(("Saved: ", f"{PICTURES + 2} files"))] == []
    complaints = [line for line in complained.splitlines() if f"of {PICTURES + 2} files" not in line]
    assert [line.partition(" a JPEG")[0] for line in complaints] == [f"error: {faces / 'bad.jpg'}:"]
    rows = pq.read_table(out / "pictures").to_pylist()
    assert sorted(row["source"] for row in rows) == sorted(str(path) for path in faces.glob("*.png"))
    errors = pq.read_table(out / "errors").to_pylist()
    assert [row["source"] for row in errors] == [str(faces / "bad.jpg")]
    assert not list(home.rglob("*")), "the home folder is not Ray's"
    assert not list(Path("/tmp").glob(f"mien-ray-{run.pid}-*"))
    # Nothing is left to read: no worker starts, and the summary stays.
    with pytest.raises(SystemExit) as ended:
        main(command(faces, out, "--resume"))
    assert ended.value.code == 3
    assert f"{PICTURES + 2} files, 1 unreadable; all were read before" in capfd.readouterr().out


def leave_what_a_kill_leaves(batch: Batch, _: Workers) -> Iterator[Progress]:
    """In place of `Batch.run`: some units whole, one begun."""
    reader = UnitReader(batch.options, batch.storage.uri, 1)
    for unit in batch.units[:BEGUN]:
        reader.read(unit)
    Attempt(batch.storage, batch.units[BEGUN])
    Path(batch.storage.uri, f"pictures/_01234567.{batch.units[BEGUN].id}.parquet.part").write_bytes(b"PAR1")
    raise KeyboardInterrupt
    yield batch.progress


def kill_the_worker(run: subprocess.Popen[str], out: Path) -> bool:
    """SIGKILL to the process that reads, once it has read something; whether there was one."""
    deadline = time.monotonic() + PATIENCE_S
    while len(list(out.glob("pictures/[!_]*"))) <= BEGUN and time.monotonic() < deadline and run.poll() is None:
        time.sleep(0.02)
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):
            if os.getsid(int(path.parent.name)) == run.pid and b"UnitReader" in path.read_bytes():
                os.kill(int(path.parent.name), signal.SIGKILL)
                return True
    return False


def test_the_time_left_does_not_count_the_start() -> None:
    progress = Progress(5, 100, inputs_done=20, resumed=20, started=time.monotonic() - 1000)
    progress.add(UnitDone("a", 20))
    assert progress.left_s is None
    progress.first = (time.monotonic() - 100, 40)
    progress.add(UnitDone("b", 20))
    assert progress.left_s == pytest.approx(200, rel=0.1)


def test_what_cannot_be_done_is_said_before_anything_starts(faces: Path, tmp_path: Path) -> None:
    options = BatchOptions({"detector": "none"}, "mien-xs")
    with pytest.raises(ConfigError, match="only without tracking"):
        Batch([str(faces)], str(tmp_path / "out"), options, part_s=60)
    with pytest.raises(ConfigError, match="unknown label set"):
        Batch([str(faces)], str(tmp_path / "out"), BatchOptions({"labels": "nine"}))
    assert not (tmp_path / "out").exists()


def test_a_cluster_that_is_not_there_is_named(faces: Path, tmp_path: Path) -> None:
    batch = Batch([str(faces)], str(tmp_path / "out"), BatchOptions({"detector": "none"}, "mien-xs"))
    with pytest.raises(ConfigError, match=r"Ray cannot be reached at 127\.0\.0\.1:1"):
        next(batch.run(Workers(address="127.0.0.1:1")))
