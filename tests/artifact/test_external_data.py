"""Graphs whose weights lie in other files: their sha256 says nothing of those, so they are refused everywhere."""

from __future__ import annotations

import hashlib
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from mien.artifact import mlflow_store as tracking
from mien.artifact.artifact import INPUT_NAME, Artifact, load_artifact, write_artifact
from mien.artifact.onnx_file import require_whole
from mien.artifact.runtime import Session
from mien.errors import ArtifactError
from mien.reading.classifier import load_model

PLACES = ("relative", "above", "absolute", "symlink")
KINDS = ("initializer", "constant", "branch", "function", "sparse")
REFUSED = "another file"


def make_files(folder: Path) -> dict[str, str]:
    """Files of weights about a working folder, by how a graph in there would name them."""
    work = folder / "work"
    work.mkdir()
    weights = np.random.default_rng(0).normal(0, 0.1, 2304 * 8).astype(np.float32)
    for path in (work / "w.bin", folder / "above.bin"):
        weights.tofile(path)
    (work / "link.bin").symlink_to(folder / "above.bin")
    return {"relative": "w.bin", "above": "../above.bin", "absolute": str(folder / "above.bin"), "symlink": "link.bin"}


def elsewhere(name: str, shape: tuple[int, ...], location: str) -> TensorProto:
    """A float tensor whose values lie in another file."""
    tensor = TensorProto(name=name, data_type=TensorProto.FLOAT, dims=shape, data_location=TensorProto.EXTERNAL)
    for key, value in (("location", location), ("offset", "0"), ("length", str(4 * int(np.prod(shape))))):
        tensor.external_data.add(key=key, value=value)
    return tensor


def hide(toy: bytes, location: str, kind: str = "initializer") -> bytes:
    """The toy graph with the weights of its head `crowd` in another file."""
    model = onnx.load_from_string(toy)
    graph = model.graph
    old = next(value for value in graph.initializer if value.name == "crowd_weights")
    tensor = elsewhere("crowd_weights", tuple(old.dims), location)
    if kind == "initializer":
        old.CopyFrom(tensor)
        return bytes(model.SerializeToString())
    graph.initializer.remove(old)
    constant = helper.make_node("Constant", [], ["crowd_weights"], value=tensor)
    if kind == "branch":
        branch = helper.make_graph([constant], "branch", [], [helper.make_tensor_value_info("crowd_weights", 1, None)])
        graph.initializer.append(helper.make_tensor("yes", TensorProto.BOOL, (), [True]))
        constant = helper.make_node("If", ["yes"], ["crowd_weights"], then_branch=branch, else_branch=branch)
    elif kind == "function":
        function = helper.make_function("mien", "Weights", [], ["crowd_weights"], [constant], list(model.opset_import))
        model.functions.append(function)
        model.opset_import.append(helper.make_opsetid("mien", 1))
        constant = helper.make_node("Weights", [], ["crowd_weights"], domain="mien")
    elif kind == "sparse":
        place = helper.make_tensor("place", TensorProto.INT64, (1,), [0])
        graph.sparse_initializer.append(
            helper.make_sparse_tensor(elsewhere("crowd_weights", (1,), location), place, list(old.dims))
        )
        return bytes(model.SerializeToString())
    graph.node.insert(0, constant)
    return bytes(model.SerializeToString())


def sealed(folder: Path, toy: Artifact, graph: bytes) -> Path:
    """An artifact whose manifest has the sha256 of that graph, as somebody else might make it."""
    folder.mkdir()
    (folder / "model.onnx").write_bytes(graph)
    manifest = replace(toy.manifest, sha256=hashlib.sha256(graph).hexdigest())
    (folder / "manifest.json").write_text(manifest.to_json(), encoding="utf-8")
    return folder


@pytest.fixture
def toy(toy_artifact: Path) -> Artifact:
    return load_artifact(toy_artifact)


@pytest.fixture
def evil(toy: Artifact, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., bytes]:
    """Makes graphs whose other files are where ONNX Runtime would look, in a working folder of the test's own."""
    files = make_files(tmp_path)
    monkeypatch.chdir(tmp_path / "work")
    return lambda place="relative", kind="initializer": hide(toy.graph, files[place], kind)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("place", PLACES)
def test_no_graph_is_run_whose_weights_lie_elsewhere(evil: Callable[..., bytes], place: str, kind: str) -> None:
    graph = evil(place, kind)
    with pytest.raises(ArtifactError, match=REFUSED):
        Session(graph)


@pytest.mark.parametrize("place", PLACES)
def test_onnx_runtime_itself_looks_nowhere(
    evil: Callable[..., bytes], place: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mien.artifact.runtime.require_whole", lambda graph: None)
    for kind in ("initializer", "constant"):
        with pytest.raises(ArtifactError, match=r"cannot load the graph"):
            Session(evil(place, kind))


@pytest.mark.parametrize("kind", ["initializer", "constant"])
@pytest.mark.parametrize("place", PLACES)
def test_an_artifact_holds_all_of_its_weights(
    evil: Callable[..., bytes], toy: Artifact, tmp_path: Path, place: str, kind: str
) -> None:
    graph = evil(place, kind)
    folder = sealed(tmp_path / "evil", toy, graph)
    with pytest.raises(ArtifactError, match=rf"model\.onnx: .*'crowd_weights' in {REFUSED}"):
        load_model(folder)
    with pytest.raises(ArtifactError, match=REFUSED):
        write_artifact(tmp_path / "new", graph, toy.manifest)
    assert not (tmp_path / "new").exists()


def test_the_command_line_refuses_such_a_model(evil: Callable[..., bytes], toy: Artifact, tmp_path: Path) -> None:
    folder = sealed(tmp_path / "evil", toy, evil())
    picture = tmp_path / "face.png"
    picture.write_bytes(_png())
    command = [sys.executable, "-m", "mien", "analyze", str(picture), "--detector", "none", "--model", str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode not in (0, 1)
    assert REFUSED in " ".join(done.stderr.split())
    assert "Traceback" not in done.stderr
    whole = subprocess.run([*command[:-1], str(toy.folder)], capture_output=True, text=True, check=False)
    assert whole.returncode == 0, whole.stderr


def test_no_tool_reads_weights_from_elsewhere(evil: Callable[..., bytes], toy: Artifact) -> None:
    from mien.workshop.curation.similarity import with_embedding
    from mien.workshop.export.quantize import quantize, simplify, store_half

    graph = evil()
    faces = np.zeros((32, 1, 48, 48), np.uint8)
    tools: tuple[Callable[[], Any], ...] = (
        lambda: simplify(graph), lambda: store_half(graph), lambda: quantize(graph, faces),
        lambda: with_embedding(graph, "crowd"),
    )  # fmt: skip
    for tool in tools:
        with pytest.raises(ArtifactError, match=REFUSED):
            tool()


def test_no_network_takes_weights_from_elsewhere(evil: Callable[..., bytes], toy: Artifact, tmp_path: Path) -> None:
    pytest.importorskip("torch", reason='needs pip install "mien[train]"')
    from mien.workshop.networks.architectures import create_network
    from mien.workshop.networks.graph_weights import take_graph
    from mien.workshop.training.config import ModelConfig, TrainingConfig
    from mien.workshop.training.state import settle

    network = create_network("se_resnet", widths=[8, 16], depths=[1, 1])
    with pytest.raises(ArtifactError, match=REFUSED):
        take_graph(network, replace(toy, graph=evil()), np.zeros((4, 1, 48, 48), np.uint8))
    folder = sealed(tmp_path / "evil", toy, evil())
    for model in (ModelConfig(weights=folder), ModelConfig(weights=folder, arch="se_resnet")):
        config = TrainingConfig.model_construct(model=model)
        with pytest.raises(ArtifactError, match=REFUSED):
            settle(config)


def test_no_version_is_registered_or_loaded(
    evil: Callable[..., bytes], toy: Artifact, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    if not tracking.is_installed():
        pytest.skip('needs pip install "mien[journal]"')
    request.getfixturevalue("own_store")
    from mien.artifact.versions import register

    folder = sealed(tmp_path / "evil", toy, evil())
    with pytest.raises(ArtifactError, match=REFUSED):
        register(folder)
    with pytest.MonkeyPatch.context() as patch:
        # As an older Mien, or somebody else, would have registered it.
        patch.setattr("mien.artifact.artifact.require_whole", lambda graph: None)
        version, _ = register(folder)
    with pytest.raises(ArtifactError, match=REFUSED):
        load_model(version.reference)


def test_no_detector_reads_weights_from_elsewhere(evil: Callable[..., bytes], tmp_path: Path) -> None:
    from mien.faces.yunet import YuNet

    (tmp_path / "yunet.onnx").write_bytes(evil())
    with pytest.raises(ArtifactError, match=rf"yunet\.onnx is not a face detector: .*{REFUSED}"):
        YuNet(tmp_path / "yunet.onnx")


def test_memory_is_no_file_either(toy: Artifact) -> None:
    with pytest.raises(ArtifactError, match=REFUSED):
        require_whole(hide(toy.graph, "*/_ORT_MEM_ADDR_/*"))


def test_a_graph_compiled_elsewhere_is_refused(toy: Artifact) -> None:
    model = onnx.load_from_string(toy.graph)
    model.graph.node.append(helper.make_node("EPContext", [INPUT_NAME], ["out"], domain="com.microsoft"))
    with pytest.raises(ArtifactError, match="EPContext"):
        require_whole(model.SerializeToString())


def test_whole_graphs_are_whole(toy: Artifact) -> None:
    def is_whole(graph: bytes) -> bool:
        try:
            require_whole(graph)
        except ArtifactError:
            return False
        return True

    assert is_whole(toy.graph)
    assert is_whole(load_artifact(_bundled()).graph)
    assert is_whole(b"")
    assert not is_whole(toy.graph[:-1])


@pytest.mark.parametrize("marked", [b"\x70\x01", b"\x70\x02", b"\x70\x81\x80\x80\x80\x10", b"\x6a\x00"])
def test_any_mention_of_another_file_counts(toy: Artifact, marked: bytes) -> None:
    """Also one that a later field takes back, or that readers of protobuf cut to fewer bits."""
    tensor = b"\x42\x01w" + marked + b"\x70\x00"
    graph = b"\x2a" + bytes([len(tensor)]) + tensor
    with pytest.raises(ArtifactError, match="'w' in another file"):
        require_whole(toy.graph + b"\x3a" + bytes([len(graph)]) + graph)


def test_damage_is_told_and_ends(toy: Artifact) -> None:
    for data in (b"hello world", toy.graph[:-1], b"\x3b", b"\x3a\xff", b"\xff" * 40, b"\x3a\xff\xff\xff\xff\xff\x7f"):
        with pytest.raises(ArtifactError, match="no ONNX file, or one that is cut off"):
            require_whole(data)
    random = np.random.default_rng(0)
    for _ in range(300):
        data = bytearray(toy.graph[:400])
        data[random.integers(len(data))] = random.integers(256)
        try:
            require_whole(bytes(data))
        except ArtifactError:
            continue


def _bundled() -> Path:
    from mien.artifact.catalog import resolve

    return resolve("mien-xs")


def _png() -> bytes:
    from mien.images.pictures import encode

    return encode(np.full((48, 48, 3), 128, np.uint8), "png")
