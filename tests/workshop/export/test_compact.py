"""Artifacts made smaller: checked, calibrated anew, and said in the manifest."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("onnx", reason='needs pip install "mien[train]"')

from commands import invoke
from test_quantize import convolutions

from mien.artifact.artifact import Artifact, Head, Manifest, load_artifact, write_artifact
from mien.artifact.input import InputSpec
from mien.errors import ArtifactError, ConfigError, DataError
from mien.labels import CROWD, HEADS, SEVEN
from mien.reading.classifier import load_model
from mien.workshop.data.base import FaceDataset
from mien.workshop.export import compact
from mien.workshop.export.compact import Compaction, compact_artifact

ROWS = 150


@pytest.fixture
def artifact(tmp_path: Path) -> Artifact:
    heads = {name: Head(labels) for name, labels in HEADS.items()}
    manifest = Manifest("small", "1.0", "2026-01-01", "Apache-2.0", InputSpec(), heads, "crowd", scores=[{"old": 1}])
    return load_artifact(write_artifact(tmp_path / "small", convolutions(), manifest))


@pytest.fixture
def faces() -> FaceDataset:
    random = np.random.default_rng(0)
    labels = np.arange(ROWS) % 7
    votes = np.zeros((ROWS, 10), np.uint8)
    votes[np.arange(ROWS), [CROWD.index(SEVEN[label]) for label in labels]] = 10
    images = random.integers(0, 256, (ROWS, 48, 48), dtype=np.uint8)
    split = np.repeat([0, 1, 2], 50).astype(np.int8)
    return FaceDataset("noise", images, labels, split, np.arange(ROWS).astype(str), votes, "0" * 64)


@pytest.fixture(autouse=True)
def _loose(monkeypatch: pytest.MonkeyPatch) -> None:
    """A network with random weights is never sure, so that rounding changes its top label often."""
    monkeypatch.setattr(compact, "BOUNDS", dict.fromkeys(compact.PRECISIONS, (0.3, 1.0)))


def test_int8_says_how_it_was_made_and_what_it_costs(artifact: Artifact, faces: FaceDataset) -> None:
    made = compact_artifact(artifact, faces, Compaction(calibration="best", faces=32))
    entry = made.manifest.data["quantised"]
    assert entry["precision"] == "int8"
    assert entry["method"] in ("minmax", "percentile", "entropy")
    assert entry["calibrated_on"] == {"name": "noise", "split": "train", "rows": 32, "sha256": "0" * 64}
    assert entry["from_sha256"] == artifact.manifest.sha256
    assert entry["rows"] == 50
    assert 0.3 <= entry["agreement"] <= 1
    assert entry["cost_points"].keys() == {"fer2013", "crowd"}
    assert made.manifest.version == "1.0-int8"
    assert made.manifest.scores == ()
    assert made.manifest.data["calibrated"]["heads"].keys() == {"fer2013", "crowd"}


def test_half_and_rearranged_graphs_answer_the_same(artifact: Artifact, faces: FaceDataset) -> None:
    for precision, version in (("float16", "1.0-float16"), ("float32", "1.0")):
        made = compact_artifact(artifact, faces, Compaction(precision))
        assert made.manifest.version == version
        assert made.manifest.data["quantised"]["largest_difference"] < 0.01


def test_another_answer_is_found_out(artifact: Artifact, faces: FaceDataset, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compact, "store_half", lambda graph: convolutions(seed=1))
    monkeypatch.setitem(compact.BOUNDS, "float16", (0.99, 0.05))
    with pytest.raises(ArtifactError, match="answers other than the float32 one"):
        compact_artifact(artifact, faces, Compaction("float16"))


def test_what_is_missing_is_named(artifact: Artifact, faces: FaceDataset) -> None:
    with pytest.raises(DataError, match="64 calibration faces asked, train has 50"):
        compact_artifact(artifact, faces, Compaction(faces=64))
    with pytest.raises(DataError, match="validation split"):
        compact_artifact(artifact, faces.part("train"), Compaction())
    with pytest.raises(ConfigError, match="unknown precision"):
        Compaction("int4")
    with pytest.raises(ConfigError, match="unknown calibration"):
        Compaction(calibration="guess")


def test_the_command_writes_scores_it_and_tells(artifact: Artifact, faces: FaceDataset, tmp_path: Path) -> None:
    data, out = tmp_path / "faces.npz", tmp_path / "out"
    np.savez(data, images=faces.images, label=faces.labels, usage=faces.split.astype(int), votes=faces.votes)
    arguments = [
        artifact.folder,
        data,
        "--out",
        out,
        "--faces",
        32,
        "--calibration",
        "minmax",
    ]
    result = invoke("model quantize", *arguments)
    assert result.exit_code == 0, result.output
    assert "before" in result.stdout
    assert "cost" in result.stdout
    assert "minmax of 32 faces of train" in result.stdout
    model = load_model(str(out))
    assert model.version == "1.0-int8"
    assert {score["head"] for score in model.manifest.scores} == {"fer2013", "crowd"}
    shown = invoke("model show", out).stdout
    assert "quantised   int8" in shown
    again = invoke("model quantize", *arguments)
    assert isinstance(again.exception, ArtifactError)


def test_a_quantised_model_is_not_quantised_again(artifact: Artifact, faces: FaceDataset) -> None:
    made = compact_artifact(artifact, faces, Compaction(calibration="minmax", faces=32))
    with pytest.raises(ArtifactError, match="quantised already"):
        compact_artifact(replace(artifact, graph=made.graph), faces, Compaction(calibration="minmax", faces=32))
