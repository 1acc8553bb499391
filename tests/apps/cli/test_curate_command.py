from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
from click.testing import Result
from commands import invoke

from mien.apps.cli.parameters import TRAIN_PACKAGES
from mien.errors import ConfigError, DataError
from mien.images import pictures as images
from mien.workshop.curation.table import read_table

# Looked for rather than imported: torch takes seconds.
pytestmark = pytest.mark.skipif(
    not all(map(find_spec, (*TRAIN_PACKAGES, "sklearn", "cleanlab"))), reason='needs pip install "mien[train]"'
)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    random = np.random.default_rng(0)
    for split, count in (("train", 6), ("test", 2)):
        for label in ("happy", "sad"):
            (tmp_path / "faces" / split / label).mkdir(parents=True)
            for number in range(count):
                picture = random.integers(0, 256, (60, 60), dtype=np.uint8)
                images.write(tmp_path / "faces" / split / label / f"{number};.png", picture)
    copied = (tmp_path / "faces" / "test" / "sad" / "0;.png").read_bytes()
    (tmp_path / "faces" / "train" / "happy" / "copy.png").write_bytes(copied)
    images.write(tmp_path / "faces" / "train" / "sad" / "long.png", random.integers(0, 256, (30, 90), dtype=np.uint8))
    return tmp_path / "faces"


def curate(*arguments: object) -> Result:
    return invoke("data curate", *arguments)


def test_a_folder_is_looked_through(folder: Path, toy_artifact: Path) -> None:
    out = folder.parent / "found" / "issues.csv"
    result = curate(folder, "--out", out, "--model", toy_artifact)
    assert result.exit_code == 0, result.output
    assert sorted(path.name for path in out.parent.iterdir()) == [
        f"issues.{end}" for end in ("csv", "html", "json", "npz")
    ]
    assert str(out) in result.stdout
    table = read_table(out)
    (leak,) = table.of_kind("leak")
    assert [table.ids[row] for row in leak.rows] == ["test/sad/0;.png", "train/happy/copy.png"]
    assert [table.ids[row] for issue in table.of_kind("size") for row in issue.rows] == ["train/sad/long.png"]
    assert table.model == "toy 1.0"

    again = curate(folder, "--out", out, "--model", toy_artifact)
    assert isinstance(again.exception, ConfigError)
    assert "--overwrite" in str(again.exception)
    assert curate(folder, "--out", out, "--model", toy_artifact, "--overwrite", "--no-page").exit_code == 0
    assert not out.with_suffix(".html").exists()


def test_what_cannot_be_done_is_said_before_the_work(folder: Path, toy_artifact: Path, tmp_path: Path) -> None:
    other = curate(folder, "--out", tmp_path / "issues.txt")
    assert isinstance(other.exception, ConfigError)
    missing = curate(tmp_path / "nothing", "--out", tmp_path / "issues.csv", "--model", toy_artifact)
    assert isinstance(missing.exception, DataError)
    (tmp_path / "empty").mkdir()
    empty = curate(tmp_path / "empty", "--out", tmp_path / "issues.csv", "--model", toy_artifact)
    assert isinstance(empty.exception, DataError)
    unknown = curate(folder, "--out", tmp_path / "issues.csv", "--model", "nobody")
    assert isinstance(unknown.exception, ConfigError)
    (folder / "train" / "sad" / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    broken = curate(folder, "--out", tmp_path / "issues.csv", "--model", toy_artifact)
    assert "broken.png" in str(broken.exception)
    assert not (tmp_path / "issues.csv").exists()
