"""The whole command over Ray, once: starting it costs seconds, so one test asks for several things."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("ray")

import pyarrow.parquet as pq

from mien.apps.batch.run import Batch, Workers
from mien.apps.batch.unit_reader import BatchOptions
from mien.apps.cli.main import main
from mien.errors import ConfigError
from mien.images.pictures import write

PICTURES = 60
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


def test_killed_and_resumed_every_input_has_its_row_once(
    faces: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    out, home = tmp_path / "out", tmp_path / "home"
    home.mkdir()
    environment = os.environ | {"HOME": str(home)}
    first = subprocess.Popen(
        [sys.executable, "-m", "mien", *command(faces, out)], env=environment, start_new_session=True,
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    deadline = time.monotonic() + PATIENCE_S
    while len(list(out.glob("pictures/[!_]*"))) < 3 and time.monotonic() < deadline and first.poll() is None:
        time.sleep(0.02)
    os.killpg(first.pid, signal.SIGKILL)
    first.wait()
    assert 0 < len(list(out.glob("pictures/[!_]*"))) < PICTURES // 2, "it was not killed in its midst"
    # One that arrives meanwhile is read too.
    write(faces / "new.png", np.full((48, 48, 3), 9, np.uint8))
    again = subprocess.run(
        [sys.executable, "-m", "mien", *command(faces, out, "--resume")], env=environment, capture_output=True,
        text=True, timeout=PATIENCE_S, check=False,
    )  # fmt: skip
    assert again.returncode == 3, again.stderr
    assert "were read before" in again.stdout
    told = [line for line in again.stderr.splitlines() if " files, " not in line]
    assert len(told) == 1
    assert told[0].startswith(f"error: {faces / 'bad.jpg'}")
    rows = pq.read_table(out / "pictures").to_pylist()
    assert sorted(row["source"] for row in rows) == sorted(str(path) for path in faces.glob("*.png"))
    errors = pq.read_table(out / "errors").to_pylist()
    assert [row["source"] for row in errors] == [str(faces / "bad.jpg")]
    assert not list(home.rglob("*")), "the home folder is not Ray's"
    assert not list(Path("/tmp").glob(f"mien-ray-{first.pid}-*"))
    # Nothing is left to read: no worker starts, and the summary stays.
    with pytest.raises(SystemExit) as ended:
        main(command(faces, out, "--resume"))
    assert ended.value.code == 3
    assert f"{PICTURES + 2} files, 1 unreadable; {PICTURES + 2} were read before" in capfd.readouterr().out


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
