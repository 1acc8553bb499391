"""The whole loop from the command line: images in folders, a training, an artifact, a picture read with it."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch", reason='needs pip install "mien[train]"')

from mien.apps.cli.main import main
from mien.images.pictures import write
from mien.labels import SEVEN
from mien.workshop.training.config import load_config

CONFIG = """
name = "tiny"
[model]
arch = "shallow_cnn"
options = { widths = [4, 8], dense = 16 }
[heads]
crowd = 0
[optim]
name = "adamw"
lr = 1e-3
[fit]
epochs = 2
batch_size = 16
"""


def run(*arguments: object) -> int:
    with pytest.raises(SystemExit) as stopped:
        main([str(argument) for argument in arguments])
    return int(stopped.value.code or 0)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    random = np.random.default_rng(0)
    for split, count in (("train", 20), ("test", 4)):
        for number, name in enumerate(SEVEN):
            place = tmp_path / "faces" / split / name
            place.mkdir(parents=True)
            for index in range(count):
                face = random.integers(0, 40, (48, 48, 3), dtype=np.uint8) + np.uint8(30 * number)
                write(place / f"{index}.png", face)
    (tmp_path / "tiny.toml").write_text(CONFIG)
    return tmp_path


def test_from_folders_to_a_reading(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    faces, artifact = folder / "faces", folder / "artifact"
    assert run("train", folder / "tiny.toml", faces, "--out", folder / "run", "--device", "cpu") == 0
    said = capsys.readouterr().out
    assert "a tenth of the training rows is held out" in said
    assert "kept epoch" in said
    assert (folder / "run" / "curves.png").read_bytes().startswith(b"\x89PNG")

    assert run("model", "export", folder / "run", faces, "--out", artifact, "--version", "0.2.0") == 0
    manifest = json.loads((artifact / "manifest.json").read_text())
    assert (manifest["name"], manifest["version"], manifest["default_head"]) == ("tiny", "0.2.0", "fer2013")
    assert {score["rows"] for score in manifest["scores"]} >= {28}
    assert {"report.md", "report.json", "history.json", "curves.png"} <= {
        p.name for p in (artifact / "report").iterdir()
    }

    capsys.readouterr()
    picture = faces / "test" / "happy" / "0.png"
    assert run("analyze", picture, "--model", artifact, "--detector", "none", "--json") == 0
    face = json.loads(capsys.readouterr().out)["faces"][0]
    assert sum(face["probabilities"].values()) == pytest.approx(1, abs=1e-3)
    assert face["model"].startswith("tiny")


def test_the_mean_of_two_trainings_is_a_model(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    faces, mean = folder / "faces", folder / "mean"
    for name, more in (("run-0", ()), ("run-1", ("--epochs", 3)), ("run-2", ("--seed", 5))):
        assert run("train", folder / "tiny.toml", faces, "--out", folder / name, *more) == 0
    asked = (
        "model",
        "average",
        faces,
        "--run",
        folder / "run-0",
        "--run",
        folder / "run-1" / "best.safetensors",
        "--out",
        mean,
    )
    capsys.readouterr()
    assert run(*asked) == 0
    said = capsys.readouterr().out
    assert "their mean" in said
    assert "best.safetensors; next: mien model export" in said
    assert run("model", "export", mean, faces, "--out", folder / "artifact") == 0
    manifest = json.loads((folder / "artifact" / "manifest.json").read_text())
    assert [member["config"]["fit"]["epochs"] for member in manifest["training"]["mean_of"]][1] == 3
    assert (folder / "artifact" / "report" / "members.json").is_file()

    capsys.readouterr()
    assert run(*asked) == 2
    assert "holds a best.safetensors: give another --out, or --overwrite" in capsys.readouterr().err
    assert run(*asked, "--overwrite") == 0
    assert run(*asked[:-1], folder / "run-0") == 2
    assert "holds a training" in capsys.readouterr().err

    elsewhere = ("--run", folder / "run-0", "--run", folder / "run-2", "--out", folder / "elsewhere")
    assert run("model", "average", faces, *elsewhere) == 2
    assert "each would be measured on rows that another was trained on" in capsys.readouterr().err
    assert not (folder / "elsewhere").exists()


def test_a_stopped_training_has_its_exit_code_and_is_resumed(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    command = ("train", folder / "tiny.toml", folder / "faces", "--out", folder / "run", "--device", "cpu")
    assert run(*command, "--stop-after", 1) == 75
    assert "stopped after epoch 1: the same command resumes" in capsys.readouterr().out
    assert run(*command, "--time-limit", "1h30m") == 0
    assert len(json.loads((folder / "run" / "history.json").read_text())["history"]) == 2


def test_a_template_names_the_heads_of_the_data(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = folder / "mine.toml"
    assert run("train", "--init", path, folder / "faces") == 0
    assert "[heads]" in path.read_text()
    assert load_config(path).heads.weights == {"fer2013": 1.0}
    assert run("train", "--init", path) == 2
    assert "already exists" in capsys.readouterr().err


def test_a_written_artifact_is_kept_unless_told_otherwise(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    artifact = folder / "artifact"
    artifact.mkdir()
    (artifact / "mine.txt").write_text("precious")
    assert run("model", "export", folder / "none", folder / "faces", "--out", artifact) == 5
    assert "is there already" in capsys.readouterr().err
    assert (artifact / "mine.txt").read_text() == "precious"


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["train", "none.toml", "faces", "--out", "run"], 2, "none.toml: cannot be read"),
        (["train", "tiny.toml", "none", "--out", "run"], 4, "none"),
        (["model", "export", "none", "faces", "--out", "artifact"], 5, "no such checkpoint"),
    ],
)
def test_what_is_missing_is_named(
    folder: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    arguments: list[str],
    code: int,
    message: str,
) -> None:
    monkeypatch.chdir(folder)
    assert run(*arguments) == code
    error = capsys.readouterr().err
    assert error.startswith("error: ")
    assert message in error


def test_options_are_checked_with_the_rest_of_the_configuration(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Before anything is read or written."""
    config = folder / "frozen.toml"
    config.write_text(CONFIG.replace("lr = 1e-3", "lr = 1e-3\nfreeze_epochs = 2"))
    assert run("train", config, folder / "faces", "--out", folder / "run", "--epochs", 1, "--seed", 5) == 2
    error = " ".join(capsys.readouterr().err.split())
    assert "with epochs 1, with seed 5: optim.freeze_epochs = 2 is above fit.epochs = 1: give at most 1" in error
    assert not (folder / "run").exists()
