"""Models for other runtimes: they answer as the artifact does, and say what they are."""

from __future__ import annotations

import hashlib
import json
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
from commands import invoke

pytest.importorskip("torch", reason='needs pip install "mien[train]"')

from mien.apps.cli import export as export_command
from mien.artifact.artifact import Artifact, load_artifact, write_artifact
from mien.artifact.catalog import resolve
from mien.artifact.runtime import Session, run_ort_format
from mien.errors import ArtifactError, ConfigError, MissingExtraError
from mien.labels import SEVEN
from mien.reading.classifier import load_model
from mien.workshop import TargetOptions, export_model_to
from mien.workshop.export.targets import parity, runtime_format, target, targets

CONVERTERS = {"litert": "litert_torch", "coreml": "coremltools", "executorch": "executorch"}


@pytest.fixture(scope="module")
def small() -> Artifact:
    """The smallest bundled model: int8, with a rule for what is shown."""
    return load_artifact(resolve("mien-xs"))


def test_probabilities_are_those_that_users_are_shown(small: Artifact, tmp_path: Path) -> None:
    done = export_model_to("mien-xs", "onnx", tmp_path / "out", TargetOptions(probabilities=True))
    assert done.difference is not None
    assert done.difference < 1e-5
    session = Session(done.path.read_bytes())
    assert list(session.outputs) == ["probabilities"]
    faces = parity.make_faces(small.manifest.input)
    crops = faces.transpose(0, 2, 3, 1)[..., 0]
    shown = load_model("mien-xs").as_shown().predict(crops)
    labels = small.manifest.heads[small.manifest.default_head].labels
    kept = shown[:, [labels.index(label) for label in SEVEN]]
    found = session.run({"faces": faces})["probabilities"]
    assert np.allclose(found, kept / kept.sum(axis=1, keepdims=True), atol=1e-4)
    # The rule is in it: without it, other numbers come.
    assert small.manifest.reading.balance
    assert not np.allclose(shown, load_model("mien-xs").predict(crops), atol=1e-2)


def test_every_graph_says_what_it_is(small: Artifact, tmp_path: Path) -> None:
    done = export_model_to("mien-xs", "ort", tmp_path / "out", TargetOptions(probabilities=True, labels="eight"))
    spec = small.manifest.input
    faces = np.zeros((2, spec.channels, spec.height, spec.width), np.uint8)
    found, told = run_ort_format(done.path.read_bytes(), {"faces": faces})
    assert found["probabilities"].shape == (2, 8)
    assert np.allclose(found["probabilities"].sum(axis=1), 1, atol=1e-5)
    assert (told["mien.name"], told["mien.licence"]) == (small.manifest.name, small.manifest.licence)
    assert told["mien.version"] == small.manifest.version
    assert json.loads(told["mien.labels"])["probabilities"][-1] == "contempt"
    assert json.loads(told["mien.input"])["shape"][1:] == [spec.channels, spec.height, spec.width]
    assert (done.path.parent / "manifest.json").is_file()


def test_what_the_browser_reads(tmp_path: Path) -> None:
    done = export_model_to("mien-xs", "web", tmp_path / "out")
    rules = json.loads((tmp_path / "out" / "reading.json").read_text("utf-8"))
    assert rules["labels"]["seven"] == list(SEVEN)
    for name, digest in rules["files"].items():
        assert hashlib.sha256((tmp_path / "out" / name).read_bytes()).hexdigest() == digest
    assert done.path.name in rules["files"]
    with pytest.raises(ConfigError, match="by itself"):
        export_model_to("mien-xs", "web", tmp_path / "no", TargetOptions(probabilities=True))


def test_a_graph_that_answers_otherwise_is_not_written(
    toy_artifact: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def write_other(request: target.Request, folder: Path) -> target.Written:
        written = runtime_format.write_onnx(request, folder)
        assert written.run is not None
        run = written.run
        return target.Written(written.name, lambda faces: run(faces[::-1]))

    monkeypatch.setattr(runtime_format, "write_other", write_other, raising=False)
    monkeypatch.setitem(targets.TARGETS, "other", ("runtime_format", "write_other", ""))
    with pytest.raises(ArtifactError, match="does not answer as the model does"):
        export_model_to(toy_artifact, "other", tmp_path / "out")
    assert list(tmp_path.iterdir()) == []


def test_another_model_of_one_s_own_and_what_is_refused(toy_artifact: Path, tmp_path: Path) -> None:
    done = export_model_to(toy_artifact, "ort", tmp_path / "out")
    assert done.difference == pytest.approx(0, abs=1e-6)
    with pytest.raises(ArtifactError, match="there already"):
        export_model_to(toy_artifact, "onnx", tmp_path / "out")
    export_model_to(toy_artifact, "onnx", tmp_path / "out", overwrite=True)
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["manifest.json", "model.onnx"]
    with pytest.raises(ConfigError, match="onnx, ort, web"):
        export_model_to(toy_artifact, "tensorrt", tmp_path / "no")
    damaged = load_artifact(toy_artifact)
    folder = write_artifact(tmp_path / "damaged", damaged.graph, damaged.manifest)
    (folder / "model.onnx").write_bytes(b"damaged")
    with pytest.raises(ArtifactError, match="sha256"):
        export_model_to(folder, "ort", tmp_path / "no")


@pytest.mark.parametrize("name", ["mien-s", "mien-xs"])
def test_graphs_as_modules_of_torch_answer_alike(name: str) -> None:
    artifact = load_artifact(resolve(name))
    faces = parity.make_faces(artifact.manifest.input)[:16]
    expected = parity.to_probabilities(Session(artifact.graph).run({"faces": faces}), artifact.manifest, None)
    found = parity.to_probabilities(parity.run_unrounded(artifact.graph, faces), artifact.manifest, None)
    # int8 rounds between layers and the module does not; a ReLU that is forgotten costs 0.2.
    assert np.abs(found - expected).mean() < 0.01


@pytest.mark.parametrize(("name", "package"), CONVERTERS.items())
def test_converters_write_what_answers_alike_or_are_asked_for(name: str, package: str, tmp_path: Path) -> None:
    if find_spec(package) is None:
        with pytest.raises(MissingExtraError, match=rf"mien\[{name}\]"):
            export_model_to("mien-xs", name, tmp_path / "out")
        assert list(tmp_path.iterdir()) == []
        return
    done = export_model_to("mien-xs", name, tmp_path / "out")
    assert done.size_bytes > 1e6
    assert done.difference is None or done.difference < parity.FLOAT


def test_the_command(tmp_path: Path) -> None:
    assert tuple(targets.TARGETS) == export_command.TARGETS
    done = invoke("model export", "mien-xs", "--to", "ort", "--out", tmp_path / "out", "--with-probabilities")
    assert done.exit_code == 0, done.output
    assert "differ from the model's by" in done.output
    refused = invoke("model export", "mien-xs", "data", "--to", "ort", "--out", tmp_path / "no")
    assert isinstance(refused.exception, ConfigError)
    assert "leave data out" in str(refused.exception)
    refused = invoke("model export", "runs/mine", "--out", tmp_path / "no")
    assert "with its DATA" in str(refused.exception)
