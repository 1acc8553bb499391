"""`mien model evaluate` on raw photos and folders of crops; bad data and models get a sentence, no traceback."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from mien.apps.cli.main import main
from mien.errors import DataError, MienError
from mien.images import pictures as images
from mien.labels import CROWD, HEADS, SEVEN
from mien.workshop.evaluation.evaluate import evaluate
from mien.workshop.evaluation.scores import ModelIdentity

Mien = Callable[..., tuple[int, str, str]]


@pytest.fixture
def mien(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Mien:
    """Runs the command line in this process: exit code, stdout and stderr."""
    monkeypatch.setenv("COLUMNS", "160")

    def run(*arguments: object) -> tuple[int, str, str]:
        with pytest.raises(SystemExit) as ended:
            main([str(value) for value in arguments])
        told = capsys.readouterr()
        # Long lines are wrapped at the terminal's width.
        return int(ended.value.code or 0), " ".join(told.out.split()), told.err

    return run


def _picture(path: Path, side: int = 60, seed: int = 0) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    images.write(path, np.random.default_rng(seed).integers(0, 256, (side, side, 3), dtype=np.uint8))


@pytest.fixture(name="folder")
def _folder(tmp_path: Path) -> Path:
    """Two pictures of noise a class for three classes, without splits."""
    for number, name in enumerate(("happy", "sad", "fear")):
        for copy in range(2):
            _picture(tmp_path / "web" / name / f"{copy}.png", seed=2 * number + copy)
    return tmp_path / "web"


def _archive(path: Path, **changes: object) -> Path:
    """A FER2013 of 14 faces in train and 14 in test."""
    labels = np.arange(28) % 7
    votes = np.zeros((28, 10), np.int64)
    votes[np.arange(28), [CROWD.index(SEVEN[label]) for label in labels]] = 10
    arrays = {
        "images": np.random.default_rng(0).integers(0, 256, (28, 48, 48), dtype=np.uint8), "label": labels,
        "usage": np.repeat([0, 2], 14), "votes": votes,
    }  # fmt: skip
    np.savez(path, **(arrays | changes))
    return path


def test_a_folder_of_crops_without_splits_is_tested_whole(mien, toy_artifact, folder):
    code, out, _ = mien("model", "evaluate", toy_artifact, folder)
    assert code == 0
    assert "has no splits: all its 6 faces are tested" in out
    assert "--photos" not in out


def test_large_pictures_are_remarked_on(mien, toy_artifact, tmp_path):
    _picture(tmp_path / "web" / "happy" / "a.png", side=200)
    assert "if they are photos, add --photos" in mien("model", "evaluate", toy_artifact, tmp_path / "web")[1]
    assert "add --photos" not in mien("model", "evaluate", toy_artifact, tmp_path / "web", "--crops")[1]


def test_a_table_of_crops_gives_report_and_scores_both_ways(mien, toy_artifact, tmp_path):
    root = tmp_path / "web"
    for number in range(4):
        _picture(root / "images" / f"{number}.png", seed=number)
    lines = [f"{number}.png,{('happy', 'disgust')[number % 2]}" for number in range(4)]
    (root / "labels.csv").write_text("\n".join(["image,emotion", *lines]))
    out = tmp_path / "report"
    code, told, _ = mien("model", "evaluate", toy_artifact, root, "--crops", "--without", "disgust", "--out", out)
    assert code == 0, told
    assert "Each of the 4 photos is taken whole" in told
    assert "all, missed as errors" in told
    found = json.loads((out / "report.json").read_text())
    assert found["photos"]["photos"] == 4
    assert found["photos"]["sets"]["crowd-on-labels-test-without-disgust"]["photos"] == 2
    assert found["sets"]["crowd-on-labels-test-without-disgust"]["rows"] == 2
    assert "From photo to label" in (out / "report.html").read_text()


def test_photos_without_any_face_are_an_error(mien, toy_artifact, folder):
    code, _, err = mien("model", "evaluate", toy_artifact, folder, "--photos", "--detector", "haar")
    assert code == DataError.exit_code
    assert err.startswith("error: web: haar finds no face in any of the 6 photos")


def _with_table(folder: Path, text: str) -> Path:
    (folder / "labels.csv").write_text(text)
    return folder


@pytest.mark.parametrize(
    ("change", "options", "code", "message"),
    [
        (lambda f: _with_table(f, "image,emotion\ngone.png,happy\n"), (), 4, "gone.png"),
        (lambda f: _with_table(f, "image,emotion\nhappy/0.png,boredom\n"), (), 4, "line 2: 'boredom'"),
        (lambda f: _with_table(f, "a,b\n1,2\n"), (), 4, "expected a column image"),
        (
            lambda f: (f / "happy" / "0.png").write_bytes(b"no picture"),
            ("--photos",),
            4,
            "1 of 6 photos cannot be read",
        ),
        (lambda f: (f / "happy" / "0.png").write_bytes(b"no picture"), (), 4, "1 of 6 pictures cannot be read"),
        (lambda f: (f / "happy").rename(f / "glad"), (), 4, "'glad' is not a class"),
        (lambda f: None, ("--without", "boredom"), 2, "'boredom' is no class to leave out"),
        (lambda f: None, ("--detector", "haar"), 2, "add --photos"),
        (lambda f: None, ("--photos", "--detector", "yunet"), 2, "mien model pull yunet"),
        (lambda f: _with_table(f, "image,emotion\nx.png,sad\n"), ("--crops", "--detector", "haar"), 2, "nothing to do"),
    ],
)
def test_what_is_wrong_with_a_folder_is_said(mien, toy_artifact, folder, change, options, code, message):
    change(folder)
    found, _, err = mien("model", "evaluate", toy_artifact, folder, *options)
    assert (found, "Traceback" in err) == (code, False)
    assert err.startswith("error: ")
    assert message in err


def test_photos_from_nowhere_are_an_error(mien, toy_artifact, tmp_path):
    code, _, err = mien("model", "evaluate", toy_artifact, tmp_path / "gone", "--photos")
    assert (code, "no such folder" in err) == (4, True)
    code, _, err = mien("model", "evaluate", toy_artifact, _archive(tmp_path / "faces.npz"), "--photos")
    assert (code, "expected a folder of photos" in err) == (4, True)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"votes": np.zeros((27, 10), np.int64)}, "votes are whole numbers (28, 10), a row for each of 28 faces"),
        ({"votes": np.zeros((28, 8), np.int64)}, "found int64 (28, 8)"),
        ({"votes": np.full((28, 10), 300)}, "row 1: votes are counts 0–255, found [300"),
        ({"votes": np.full((28, 10), -1)}, "row 1: votes are counts 0–255"),
        ({"votes": np.full((28, 10), 0.5)}, "found float64"),
        ({"usage": np.zeros(28, np.int64)}, "validation and test are empty"),
        ({"label": np.full(28, 7)}, "row 1: label is a number 0–6, found 7"),
        ({"images": np.zeros((28, 48, 48), np.float32)}, "images are uint8"),
    ],
)
def test_what_is_wrong_with_an_archive_is_said(mien, toy_artifact, tmp_path, changes, message):
    code, _, err = mien("model", "evaluate", toy_artifact, _archive(tmp_path / "faces.npz", **changes))
    assert (code, "Traceback" in err) == (DataError.exit_code, False)
    assert message in err


@pytest.mark.parametrize(
    "changes",
    [
        {"votes": np.zeros((28, 10), np.int64)},
        {"label": np.where(np.arange(28) % 7 == 1, 0, np.arange(28) % 7)},
        {"usage": np.array([0] * 27 + [2])},
    ],
    ids=["no vote at all", "a class absent", "one face to test on"],
)
def test_lame_data_is_scored_all_the_same(mien, toy_artifact, tmp_path, changes):
    out = tmp_path / "report"
    archive = _archive(tmp_path / "faces.npz", **changes)
    code, _, err = mien("model", "evaluate", toy_artifact, archive, "--out", out)
    assert (code, err) == (0, "")
    assert json.loads((out / "report.json").read_text())["sets"]


def test_a_head_with_other_classes_is_an_error(mien, toy_artifact, tmp_path):
    model = shutil.copytree(toy_artifact, tmp_path / "odd")
    text = (model / "manifest.json").read_text()
    (model / "manifest.json").write_text(text.replace('"contempt"', '"boredom"'))
    code, _, err = mien("model", "evaluate", model, _archive(tmp_path / "faces.npz"))
    assert (code, "Traceback" in err) == (5, False)
    assert "boredom" in err


@pytest.mark.parametrize("value", [np.nan, -0.5, 2.0])
def test_what_are_no_probabilities_never_becomes_a_score(folder, value):
    from mien.workshop.data.factory import load_dataset

    dataset = load_dataset(folder, cache_dir=folder.parent / "cache")
    dataset.split[:] = 2
    with pytest.raises(MienError, match="expected probabilities that sum to 1"):
        evaluate(
            lambda crops, head: np.full((len(crops), len(HEADS[head])), value, np.float32),
            dataset,
            model=ModelIdentity("odd"),
        )


@pytest.mark.data
def test_real_photos_are_read_the_whole_way(mien, shared, tmp_path):
    photos = shared / "data" / "photos"
    if not photos.is_dir():
        pytest.skip(f"no photos at {photos}")
    root = tmp_path / "few"
    root.mkdir()
    names = {"astronaut.png": "happy", "obama_1080p.jpg": "happy", "coffee.png": "neutral"}
    for name in names:
        (root / name).symlink_to(photos / name)
    (root / "labels.csv").write_text("\n".join(["file,label", *(f"{n},{label}" for n, label in names.items())]))
    code, out, err = mien("model", "evaluate", "mien-s", root)
    assert code == 0, err
    assert "Detector mien finds a face in 2 of 3 photos" in out
