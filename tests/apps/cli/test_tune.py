"""`mien tune` from the command line: a search with its report, and what it says of bad input."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch", reason='needs pip install "mien[train]"')
pytest.importorskip("optuna", reason='needs pip install "mien[train]"')

from mien.apps.cli.main import main
from mien.images.pictures import write
from mien.labels import SEVEN
from mien.workshop.experiments.study_plan import load_study

SEARCH = """
name = "toy"
title = "A toy <search>"
[base]
heads = { crowd = 0 }
fit = { epochs = 2, batch_size = 8, selection = "fer2013" }
[search]
trials = 2
subset = 28
[ranges]
optim.lr = { low = 1e-4, high = 1e-2, log = true }
model.choices.small = { arch = "shallow_cnn", options = { widths = [4, 8], dense = 8 } }
[confirm]
best = 1
"""


def run(*arguments: object) -> int:
    with pytest.raises(SystemExit) as stopped:
        main([str(argument) for argument in arguments])
    return int(stopped.value.code or 0)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    random = np.random.default_rng(0)
    for number, name in enumerate(SEVEN):
        place = tmp_path / "faces" / "train" / name
        place.mkdir(parents=True)
        for index in range(10):
            write(place / f"{index}.png", random.integers(0, 60, (48, 48, 3), np.uint8) + np.uint8(20 * number))
    (tmp_path / "toy.toml").write_text(SEARCH)
    return tmp_path


@pytest.mark.parametrize(("missing", "extra"), [("torch", "train"), ("optuna", "search"), ("sqlalchemy", "search")])
def test_a_missing_package_is_one_sentence(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, missing: str, extra: str
) -> None:
    monkeypatch.setattr("mien.apps.cli.parameters.find_spec", lambda name: None if name == missing else object())
    assert run("tune", folder / "toy.toml", folder / "faces", "--out", folder / "out") == 2
    assert f'needs {missing}, which is not installed: pip install "mien[{extra}]"' in capsys.readouterr().err


def test_a_search_its_report_and_the_study_of_the_best(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = folder / "out"
    assert run("tune", folder / "toy.toml", folder / "faces", "--out", out, "--device", "cpu") == 0
    said = capsys.readouterr().out
    assert "toy: 2 trials, one worker, 28 training and 7 validation rows" in said
    assert "2/2  trial 001  score" in said
    page = (out / "report.html").read_text()
    assert "A toy &lt;search&gt;" in page
    assert "data:image/png;base64," in page
    assert load_study(out / "best.toml").entries[0].training["model"]["arch"] == "shallow_cnn"

    (out / "report.md").unlink()
    assert run("tune", folder / "toy.toml", folder / "faces", "--out", out, "--report-only") == 0
    assert "- trials: **2**" in (out / "report.md").read_text()


@pytest.mark.parametrize(
    ("text", "arguments", "message"),
    [
        ("low = 1e-4, high = 1e-2", [], "low = 0.5 is above high = 0.1: exchange them"),
        (
            "",
            ["--storage", "postgresql+psycopg://me:secret@127.0.0.1:1/none"],
            "me:***@127.0.0.1:1/none cannot be used",
        ),
        ("", ["--report-only"], "there is no search yet"),
    ],
)
def test_what_cannot_be_is_said_before_anything_starts(
    folder: Path, capsys: pytest.CaptureFixture[str], text: str, arguments: list[str], message: str
) -> None:
    if text:
        (folder / "toy.toml").write_text(SEARCH.replace(text, "low = 0.5, high = 0.1"))
    assert run("tune", folder / "toy.toml", folder / "faces", "--out", folder / "out", *arguments) == 2
    said = capsys.readouterr()
    assert message in said.err
    assert "secret" not in said.err + said.out
    assert not (folder / "out" / "trials").exists()
