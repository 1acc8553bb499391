"""A short form of each harness in `benchmarks/reliability/`: some damaged files of every kind that Mien opens."""

from __future__ import annotations

import json
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from mien.errors import DataError, MienError
from mien.labels import SEVEN
from mien.sinks.resume import Writer, prepare_resume

HARNESSES = Path(__file__).resolve().parents[1] / "benchmarks" / "reliability"
SEED = 23
COUNT = {"pictures": 60, "clips": 15, "graphs": 4, "manifests": 6, "predictions": 3, "settings": 2, "dataset-csv": 6}
NEEDED = {
    "settings": "pydantic", "checkpoints": "torch", "predictions": "torch", "resumed": "pyarrow", "pictures": "PIL"
}  # fmt: skip
NAMES = (
    "pictures", "clips", "manifests", "graphs", "dataset-csv", "dataset-npz", "dataset-folder", "settings", "decisions",
    "resumed", "checkpoints", "predictions",
)  # fmt: skip


@pytest.fixture(scope="module")
def harness() -> Any:
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(HARNESSES))
        import fuzz_targets

        yield fuzz_targets
    for name in ("fuzz_targets", "mutations"):
        sys.modules.pop(name, None)


def test_every_kind_is_tried(harness: Any) -> None:
    # A store takes seconds to make; tests/artifact/test_versions.py damages one.
    assert {*NAMES, "stores"} == set(harness.TARGETS)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.filterwarnings("ignore")
def test_whole_files_are_read_and_damaged_ones_read_or_refused(harness: Any, tmp_path: Path, name: str) -> None:
    if (needed := NEEDED.get(name)) and find_spec(needed) is None:
        pytest.skip(f"needs {needed}")
    target = harness.TARGETS[name]()
    for number, seed in enumerate(target.seeds):
        (tmp_path / f"whole-{number}").mkdir()
        target.attempt(seed, tmp_path / f"whole-{number}")
    refused = 0
    count = COUNT.get(name, 25)
    for number, data in harness.cases(target, name, SEED, 0, count):
        folder = tmp_path / str(number)
        folder.mkdir()
        try:
            target.attempt(data, folder)
        except MienError:
            refused += 1
    # These two try several loaders, and take what each says.
    assert refused or name in ("resumed", "settings", "graphs"), "no damage was noticed: are the files damaged at all?"


def test_the_same_seed_makes_the_same_files(harness: Any) -> None:
    first, again = ([*harness.cases(harness.dataset_folder(), "a", 5, 3, 9)] for _ in range(2))
    other = [*harness.cases(harness.dataset_folder(), "a", 6, 3, 9)]
    assert first == again
    assert [data for _, data in first] != [data for _, data in other]


@pytest.mark.parametrize(
    ("suffix", "content"),
    [
        (".csv", b"\xff\xfe\x00"), (".jsonl", b"\xff\xfe\x00"), (".parquet", b"\xff\xfe\x00"),
        (".csv", b"a,b\n1\n2,3\n"), (".jsonl", b'[1, 2]\n{"source": 1}\n'), (".parquet", b"PAR1PAR1"),
    ],
)  # fmt: skip
def test_rows_that_cannot_be_resumed_are_said(tmp_path: Path, suffix: str, content: bytes) -> None:
    path = tmp_path / f"rows{suffix}"
    path.write_bytes(content)
    with pytest.raises(DataError) as told:
        prepare_resume(path, None, Writer(SEVEN, moving=True, model="toy 1.0", detector="fake"))
    assert "\n" not in str(told.value)
    assert path.read_bytes() == content, "what could not be read is left alone"


def test_full_disks_and_read_only_folders_are_told_in_a_line() -> None:
    """Some seconds: a command runs ten times on disks of its own, with and without room."""
    command = ["unshare", "--map-root-user", "--mount"]
    try:
        subprocess.run([*command, "mount", "-t", "tmpfs", "tmpfs", "/mnt"], check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("nothing may be mounted here")
    harness = [sys.executable, str(HARNESSES / "disks.py"), "photos", "--share", "0"]
    done = subprocess.run(harness, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert json.loads(done.stdout)["refused"] == 2
