"""`mien study` as a user runs it, on pictures in folders."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch", reason='needs pip install "mien[train]"')
pytest.importorskip("matplotlib")

from mien.apps.cli.main import main
from mien.images.pictures import write
from mien.labels import SEVEN

STUDY = """
name = "small"
title = "Small"
[base.model]
arch = "shallow_cnn"
options = { widths = [4, 8], dense = 16 }
size = 16
[base.heads]
crowd = 0
[base.optim]
name = "adamw"
lr = 1e-3
[base.fit]
epochs = 2
batch_size = 16
[[entries]]
name = "one"
[[entries]]
name = "two"
[entries.optim]
name = "adam"
"""


def run(*arguments: object) -> int:
    with pytest.raises(SystemExit) as stopped:
        main([str(argument) for argument in arguments])
    return int(stopped.value.code or 0)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    random = np.random.default_rng(0)
    for split, count in (("train", 12), ("test", 4)):
        for number, name in enumerate(SEVEN):
            place = tmp_path / "faces" / split / name
            place.mkdir(parents=True)
            for index in range(count):
                write(place / f"{index}.png", random.integers(0, 40, (16, 16, 3), np.uint8) + np.uint8(30 * number))
    (tmp_path / "small.toml").write_text(STUDY)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "200")
    return tmp_path


def test_from_folders_to_a_report(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    command = ("study", "run", "small.toml", "faces", "--out", "runs", "--device", "cpu")
    assert run(*command) == 0
    said = capsys.readouterr().out
    assert "2/2  two, seed 0" in said
    assert "mien study report small.toml --runs runs" in said
    assert run(*command) == 0
    assert capsys.readouterr().out.count("was done already") == 2
    (folder / "runs/small/two/seed-0/scores.json").unlink()
    assert run("study", "report", "small.toml", "faces", "--runs", "runs", "--out", "report", "--no-time") == 0
    said = capsys.readouterr().out
    assert "measuring two, seed-0" in said
    assert "wrote report/report.html" in said
    markdown = (folder / "report" / "report.md").read_text()
    assert "On test, 28 rows" in markdown
    assert str(folder) not in markdown + (folder / "report" / "report.html").read_text()


def test_fewer_rows_epochs_entries_and_other_seeds(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    changes = ("--limit", 40, "--epochs", 1, "--only", "two", "--seed", 3, "--seed", 4, "--device", "cpu")
    assert run("study", "run", "small.toml", "faces", "--out", "runs", *changes) == 0
    assert sorted(path.as_posix() for path in Path("runs/small").glob("*/*")) == [
        "runs/small/two/seed-3",
        "runs/small/two/seed-4",
    ]
    assert run("study", "report", "small.toml", "--runs", "runs", "--out", "report", "--no-time") == 0
    markdown = (folder / "report" / "report.md").read_text()
    assert "trained with other settings than the file's: fit.epochs is 1, not 2" in markdown
    assert "rows of faces" in markdown


def test_a_failed_run_is_shown_and_gives_its_code(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    broken = '[[entries]]\nname = "broken"\n[entries.optim]\nlr = 1e30\nwarmup_epochs = 0\n'
    (folder / "small.toml").write_text(STUDY + broken)
    only = ("--only", "broken", "--only", "one", "--device", "cpu")
    assert run("study", "run", "small.toml", "faces", "--out", "runs", *only) == 7
    said = capsys.readouterr()
    assert "1 of 2 runs failed (broken seed 0)" in said.err
    assert "the loss became" in said.out
    assert (folder / "runs/small/one/seed-0/scores.json").exists()


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["study", "run", "none.toml", "faces", "--out", "runs"], 2, "none.toml: cannot be read"),
        (["study", "run", "small.toml", "none", "--out", "runs"], 4, "none"),
        (["study", "run", "small.toml", "faces", "--out", "runs", "--only", "x"], 2, "expected one of one, two"),
        (["study", "report", "small.toml", "--runs", "runs", "--out", "report"], 2, "mien study run makes it"),
        (["train", "small.toml", "faces", "--out", "run"], 2, "mien study run takes it"),
    ],
)
def test_bad_input_is_named(
    folder: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], code: int, message: str
) -> None:
    assert run(*arguments) == code
    error = capsys.readouterr().err
    assert error.startswith("error: ")
    assert message in error
    assert sorted(path.name for path in folder.iterdir()) == ["faces", "small.toml"]
