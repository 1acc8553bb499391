"""`mien model calibrate` from a model and labelled faces to a model that says how sure it is anew."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from click.testing import Result
from commands import invoke

from mien.artifact.artifact import load_artifact, write_artifact
from mien.errors import ArtifactError, DataError
from mien.images.pictures import write
from mien.labels import CROWD, SEVEN
from mien.reading.classifier import load_model


def run(command: str, *arguments: object) -> Result:
    return invoke(f"model {command}", *arguments)


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """A small FER2013 with votes: noise, so that a calibrated model can only guess."""
    random = np.random.default_rng(0)
    label = np.arange(140) % 7
    votes = np.zeros((140, 10), np.uint8)
    votes[np.arange(140), [CROWD.index(SEVEN[value]) for value in label]] = 10
    path = tmp_path / "faces.npz"
    images = random.integers(0, 256, (140, 48, 48), dtype=np.uint8)
    np.savez(path, images=images, label=label, usage=np.repeat([0, 1, 2], [20, 60, 60]), votes=votes)
    return path


def test_it_tells_what_it_took_and_writes_the_same_graph(toy_artifact: Path, data: Path, tmp_path: Path) -> None:
    scores = [{"head": "crowd", "accuracy": 0.5, "calibration_error": 0.1}, {"head": "other", "calibration_error": 0.2}]
    before = load_artifact(toy_artifact)
    scored = write_artifact(tmp_path / "scored", before.graph, replace(before.manifest, scores=scores))
    out = tmp_path / "out"
    result = run("calibrate", scored, data, "--out", out)
    assert result.exit_code == 0, result.output
    assert "60 validation faces" in result.stdout
    assert result.stdout.count("taken") == 2
    after = load_artifact(out)
    assert after.manifest.sha256 == before.manifest.sha256
    assert after.manifest.version == "1.0-calibrated"
    was, now = (found.manifest.heads["crowd"].calibration.temperature for found in (before, after))
    assert now > was
    assert after.manifest.data["calibrated"]["heads"]["crowd"]["rows"] == 60
    assert after.manifest.scores == [{"head": "crowd", "accuracy": 0.5}, scores[1]]
    shown = run("show", out).stdout
    assert "calibrated  crowd: temperature" in shown
    assert "60 held-out faces, against FER+ votes" in shown


def test_without_out_it_only_tells(toy_artifact: Path, data: Path, tmp_path: Path) -> None:
    before = set(tmp_path.iterdir())
    result = run("calibrate", toy_artifact, data)
    assert result.exit_code == 0
    assert "nothing was written" in result.stdout
    assert set(tmp_path.iterdir()) == before


def test_a_folder_by_class_is_used_whole_and_answers_stay(toy_artifact: Path, tmp_path: Path) -> None:
    random = np.random.default_rng(1)
    crops = random.integers(0, 256, (21, 48, 48, 3), dtype=np.uint8)
    for number, crop in enumerate(crops):
        folder = tmp_path / "mine" / SEVEN[number % 7]
        folder.mkdir(parents=True, exist_ok=True)
        write(folder / f"{number}.png", crop)
    out = tmp_path / "out"
    result = run("calibrate", toy_artifact, tmp_path / "mine", "--out", out, "--version", "2")
    assert result.exit_code == 0, result.output
    assert "fitted on all its 21 faces" in result.stdout
    one, other = load_model(toy_artifact), load_model(out)
    assert other.version == "2"
    np.testing.assert_array_equal(one.predict(crops).argmax(axis=1), other.predict(crops).argmax(axis=1))
    assert np.abs(one.predict(crops) - other.predict(crops)).max() > 1e-3


def test_what_cannot_be_calibrated_is_told(toy_artifact: Path, data: Path, tmp_path: Path) -> None:
    taken = run("calibrate", toy_artifact, data, "--out", toy_artifact)
    assert isinstance(taken.exception, ArtifactError)
    assert isinstance(run("calibrate", toy_artifact, tmp_path / "nowhere").exception, DataError)
    np.savez(
        tmp_path / "bare.npz", images=np.zeros((3, 48, 48), np.uint8), label=np.full(3, -1), usage=np.ones(3, np.int64)
    )
    unlabelled = run("calibrate", toy_artifact, tmp_path / "bare.npz")
    assert isinstance(unlabelled.exception, DataError)
