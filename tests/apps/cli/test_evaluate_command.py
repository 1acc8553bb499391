"""`mien model evaluate` from a model and a data set on disk to the table and the report."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from commands import invoke
from onnx import TensorProto, helper, numpy_helper

from mien.artifact.artifact import INPUT_NAME, Head, Manifest, write_artifact
from mien.artifact.input import InputSpec
from mien.errors import ArtifactError, ConfigError, DataError
from mien.images.pictures import write
from mien.labels import CROWD, HEADS, SEVEN
from mien.reading.classifier import load_model
from mien.workshop.evaluation.models import HeadPredictor


def _graph() -> bytes:
    """A graph that reads the label v in the first pixel: logit 2kv - k² of class k is highest at k = v."""
    numbers = {head: np.array([[*SEVEN, "contempt"].index(name) for name in HEADS[head]]) for head in HEADS}
    nodes = [
        helper.make_node("Cast", [INPUT_NAME], ["float"], to=TensorProto.FLOAT),
        helper.make_node("Flatten", ["float"], ["flat"]),
    ]
    weights = []
    for head, k in numbers.items():
        slope = np.zeros((2304, len(k)), np.float32)
        slope[0] = 2 * k
        offset = np.where(k == 7, -1e3, -(k.astype(np.float32) ** 2)).astype(np.float32)
        weights += [numpy_helper.from_array(slope, f"{head}_w"), numpy_helper.from_array(offset, f"{head}_b")]
        nodes.append(helper.make_node("Gemm", ["flat", f"{head}_w", f"{head}_b"], [head]))
    graph = helper.make_graph(
        nodes,
        "first-pixel",
        [helper.make_tensor_value_info(INPUT_NAME, TensorProto.UINT8, ["N", 1, 48, 48])],
        [helper.make_tensor_value_info(h, TensorProto.FLOAT, ["N", len(k)]) for h, k in numbers.items()],
        weights,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    onnx.checker.check_model(model)
    return model.SerializeToString()


@pytest.fixture
def model(tmp_path: Path) -> Path:
    heads = {name: Head(labels) for name, labels in HEADS.items()}
    manifest = Manifest("first-pixel", "1", "2025-03-09", "Apache-2.0", InputSpec(), heads, "crowd")
    return write_artifact(tmp_path / "model", _graph(), manifest)


@pytest.fixture
def data(tmp_path: Path) -> Callable[..., Path]:
    """Writes an archive of some faces of Training, PublicTest and PrivateTest."""

    def write(sizes: tuple[int, int, int] = (14, 0, 35)) -> Path:
        label = np.arange(sum(sizes), dtype=np.int64) % 7
        images = np.random.default_rng(0).integers(0, 256, (len(label), 48, 48), dtype=np.uint8)
        images[:, 0, 0] = label
        votes = np.zeros((len(label), 10), np.uint8)
        votes[np.arange(len(label)), [CROWD.index(SEVEN[value]) for value in label]] = 10
        path = tmp_path / "faces.npz"
        np.savez(path, images=images, label=label, usage=np.repeat(np.arange(3), sizes), votes=votes)
        return path

    return write


def _run(*arguments: object):
    return invoke("model evaluate", *arguments)


def test_it_prints_the_scores_and_writes_the_report(model, data, tmp_path):
    out = tmp_path / "report"
    result = _run(model, data(), "--out", out)
    assert result.exit_code == 0, result.output
    assert "first-pixel 1 on" in result.stdout
    assert result.stdout.count("100.00") == 5
    assert f"wrote {out / 'report.html'}" in result.stdout.replace("\n", "")
    found = json.loads((out / "report.json").read_text())
    assert found["sets"]["crowd-test"]["accuracy"] == 1
    assert found["model"]["sha256"] == load_model(model).manifest.sha256
    assert (out / "reliability-crowd-test.svg").is_file()


def test_a_report_says_that_mirror_images_were_read(model, data, tmp_path):
    out = tmp_path / "report"
    result = _run(model, data(), "--flip", "--out", out, "--no-pose", "--no-faces")
    assert result.exit_code == 0, result.output
    assert "first-pixel 1 +flip on" in result.stdout
    assert "Test-time flipping is on" in result.stdout
    page = (out / "report.html").read_text()
    assert "Test-time flipping is on" in page
    assert "crowd: temperature 1.000" in page
    assert json.loads((out / "report.json").read_text())["model"]["version"] == "1 +flip"


def test_a_balance_needs_a_model_that_knows_its_prior(model, data):
    result = _run(model, data(), "--balance", 0.5)
    assert isinstance(result.exception, ConfigError)
    assert "first-pixel 1 does not say how frequent its classes were" in str(result.exception)


def test_a_balance_stands_in_what_is_printed(data):
    result = _run("mien-xs", data(), "--balance", 0.5)
    assert result.exit_code == 0, result.output
    assert "+balance0.5 on" in result.stdout
    assert "Balance 0.5: probabilities and labels are those for faces" in result.stdout


def test_crops_are_scored_without_a_balance_and_photos_as_users_get_them(data, tmp_path):
    crops = _run("mien-xs", data()).stdout
    assert "mien-xs 0.3.0 on" in crops
    assert "Balance" not in crops
    rng = np.random.default_rng(0)
    (tmp_path / "web" / "images").mkdir(parents=True)
    for number in range(2):
        write(tmp_path / "web" / "images" / f"{number}.png", rng.integers(0, 256, (48, 48, 3), dtype=np.uint8))
    (tmp_path / "web" / "labels.csv").write_text("image,emotion\n0.png,happy\n1.png,sad\n")
    photos = _run("mien-xs", tmp_path / "web", "--crops").stdout
    assert "mien-xs 0.3.0 +balance0.3 on" in photos
    assert "the model's own rule for what users see of head crowd" in photos.replace("\n", " ")
    assert "Balance" not in _run("mien-xs", tmp_path / "web", "--crops", "--balance", 0).stdout


def test_without_out_nothing_is_written(model, data, tmp_path, monkeypatch):
    path = data()
    monkeypatch.chdir(tmp_path)
    before = set(tmp_path.iterdir())
    assert _run(model, path).exit_code == 0
    assert set(tmp_path.iterdir()) == before


def test_a_folder_with_something_in_it_needs_overwrite(model, data, tmp_path):
    out = tmp_path / "report"
    out.mkdir()
    (out / "report.md").write_text("old")
    refused = _run(model, data(), "--out", out)
    assert isinstance(refused.exception, ConfigError)
    assert "--overwrite" in str(refused.exception)
    assert (out / "report.md").read_text() == "old"
    assert _run(model, data(), "--out", out, "--overwrite").exit_code == 0
    assert (out / "report.md").read_text().startswith("# first-pixel 1")


def test_what_cannot_be_evaluated_is_said_before_anything_is_written(model, data, tmp_path):
    out = tmp_path / "report"
    assert isinstance(_run("no-such-model", data(), "--out", out).exception, ConfigError)
    empty = _run(model, data((7, 0, 0)), "--out", out)
    assert isinstance(empty.exception, DataError)
    assert "validation and test are empty" in str(empty.exception)
    assert isinstance(_run(model, data(), "--out", model / "manifest.json").exception, ConfigError)
    assert not out.exists()


def test_every_head_comes_from_one_run_and_equals_predict(model):
    loaded = load_model(model)
    runs: list[int] = []
    run = loaded.run
    loaded.run = lambda faces: runs.append(len(faces)) or run(faces)  # type: ignore[method-assign]
    crops = np.random.default_rng(1).integers(0, 256, (5, 60, 60, 3), dtype=np.uint8)
    every = HeadPredictor(loaded)
    found = {head: every(crops, head) for head in HEADS}
    assert runs == [5]
    for head in HEADS:
        np.testing.assert_array_equal(found[head], loaded.predict(crops, head))
    every(crops.copy(), "crowd")
    assert runs[1] == 5


def test_the_report_is_made_as_it_was_asked_for(model, data, tmp_path):
    out, run = tmp_path / "report", tmp_path / "run"
    run.mkdir()
    rows = [{"epoch": e, "train_loss": 1.0, "loss": 1.0, "score": 0.5 + e / 10, "crowd": 0.6} for e in range(3)]
    (run / "history.json").write_text(json.dumps({"history": rows}))
    options = ("--no-faces", "--no-pose", "--min-confidence", "0.4", "--run", run)
    result = _run(model, data(), "--out", out, *options)
    assert result.exit_code == 0, result.output
    assert {"report.html", "report.json", "report.md"} < {path.name for path in out.iterdir()}
    text = (out / "report.html").read_text()
    assert "<img" not in text
    assert "Below a confidence of 0.4" in text
    assert "3 epochs" in text
    assert json.loads((out / "report.json").read_text())["abstaining"]["crowd-test"]["threshold"] == 0.4


def test_a_run_without_a_history_is_told_before_the_work(model, data, tmp_path):
    result = _run(model, data(), "--out", tmp_path / "report", "--run", tmp_path)
    assert isinstance(result.exception, ArtifactError)
    assert "history.json" in str(result.exception)
    assert not (tmp_path / "report").exists()


def test_faces_and_occlusion_maps_stand_in_the_report(model, data, tmp_path):
    result = _run(model, data(), "--out", tmp_path / "report")
    assert result.exit_code == 0, result.output
    assert "they need YuNet" in result.stdout.replace("\n", " ")
    text = (tmp_path / "report" / "report.html").read_text()
    assert text.count("data:image/jpeg") >= 14
    assert "Occlusion:" in text


def test_poor_pictures_are_read_when_asked_for(model, data, tmp_path):
    out = tmp_path / "report"
    result = _run(model, data(), "--robustness", "--no-pose", "--out", out)
    assert result.exit_code == 0, result.output
    assert "eyes covered" in result.output
    found = json.loads((out / "report.json").read_text())["robustness"]["sets"]
    assert found["crowd-test"]["spoilt"]["eyes"]["accuracy"] == 1
    assert found["crowd-test"]["spoilt"]["noise-20"]["change"] < 0
