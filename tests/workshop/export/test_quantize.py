"""Graphs in float16 and int8 from small made-up networks."""

from __future__ import annotations

import numpy as np
import pytest

onnx = pytest.importorskip("onnx", reason='needs pip install "mien[train]"')

from onnx import TensorProto, helper, numpy_helper

from mien.artifact.runtime import Session
from mien.errors import ArtifactError, ConfigError
from mien.labels import HEADS
from mien.workshop.export.quantize import METHODS, quantize, simplify, store_half

FACES = np.random.default_rng(1).integers(0, 256, (64, 1, 48, 48), dtype=np.uint8)


def convolutions(seed: int = 0) -> bytes:
    """Two convolutions, a squeeze-and-excitation gate, pooling by a mean, two heads."""
    random = np.random.default_rng(seed)
    weights, nodes = [], []

    def constant(name: str, values: np.ndarray) -> str:
        weights.append(numpy_helper.from_array(values, name))
        return name

    def weight(name: str, *shape: int) -> list[str]:
        scale = 1 / np.sqrt(np.prod(shape[1:]))
        return [
            constant(f"network.{name}.weight", random.normal(0, scale, shape).astype(np.float32)),
            constant(f"network.{name}.bias", random.normal(0, 0.1, shape[0]).astype(np.float32)),
        ]

    def add(kind: str, inputs: list[str], out: str, **attributes: object) -> str:
        nodes.append(helper.make_node(kind, inputs, [out], f"node_{out}", **attributes))
        return out

    axes = constant("axes", np.array([2, 3]))
    std = constant("network.normalize.std", np.array(64, np.float32))
    x = add("Div", [add("Cast", ["faces"], "cast", to=TensorProto.FLOAT), std], "normal")
    around = {"kernel_shape": [3, 3], "strides": [2, 2], "pads": [1, 1, 1, 1]}
    x = add("Relu", [add("Conv", [x, *weight("stem", 16, 1, 3, 3)], "stem", **around)], "stem_out")
    x = add("Conv", [x, *weight("body", 32, 16, 3, 3)], "body", **around)
    gate = add("ReduceMean", [x, axes], "mean", keepdims=1)
    gate = add("Sigmoid", [add("Conv", [gate, *weight("gate", 32, 32, 1, 1)], "gate", kernel_shape=[1, 1])], "gated")
    x = add("LeakyRelu", [add("Mul", [x, gate], "scaled")], "active", alpha=0.01)
    flat = add("Flatten", [add("ReduceMean", [x, axes], "pooled", keepdims=1)], "flat")
    outputs = []
    for head, labels in HEADS.items():
        add("Gemm", [flat, *weight(f"heads.{head}", len(labels), 32)], head, transB=1)
        outputs.append(helper.make_tensor_value_info(head, TensorProto.FLOAT, ["N", len(labels)]))
    faces = helper.make_tensor_value_info("faces", TensorProto.UINT8, ["N", 1, 48, 48])
    graph = helper.make_graph(nodes, "mien", [faces], outputs, weights)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10).SerializeToString()


def answers(graph: bytes) -> dict[str, np.ndarray]:
    return Session(graph, threads=1).run({"faces": FACES})


def kinds(graph: bytes) -> list[str]:
    return [node.op_type for node in onnx.load_from_string(graph).graph.node]


def differ(graph: bytes, other: bytes) -> float:
    one, two = answers(graph), answers(other)
    return max(float(np.abs(one[head] - two[head]).max() / np.ptp(one[head])) for head in HEADS)


def test_means_become_pooling_and_nothing_else_changes() -> None:
    graph = simplify(convolutions())
    assert kinds(graph).count("GlobalAveragePool") == 2
    assert "ReduceMean" not in kinds(graph)
    assert differ(convolutions(), graph) < 1e-5
    assert "axes" not in {value.name for value in onnx.load_from_string(graph).graph.initializer}


def test_half_keeps_names_and_answers() -> None:
    graph = store_half(convolutions())
    stored = {value.name: value.data_type for value in onnx.load_from_string(graph).graph.initializer}
    assert stored["network.body.weight"] == TensorProto.FLOAT16
    assert stored["network.body.bias"] == TensorProto.FLOAT
    assert len(graph) < 0.75 * len(convolutions())
    assert differ(convolutions(), graph) < 5e-3


def test_half_refuses_what_float16_cannot_hold() -> None:
    model = onnx.load_from_string(convolutions())
    body = next(value for value in model.graph.initializer if value.name == "network.body.weight")
    body.CopyFrom(numpy_helper.from_array(1e6 * numpy_helper.to_array(body), body.name))
    with pytest.raises(ArtifactError, match="65504"):
        store_half(model.SerializeToString())


@pytest.mark.parametrize("method", METHODS)
def test_int8_answers_nearly_the_same(method: str) -> None:
    graph = quantize(convolutions(), FACES, method=method)
    stored = {value.name: value.data_type for value in onnx.load_from_string(graph).graph.initializer}
    assert stored["network.body.weight_quantized"] == TensorProto.INT8
    assert stored["network.stem.weight"] == TensorProto.FLOAT
    assert all(stored[f"network.heads.{head}.weight"] == TensorProto.FLOAT for head in HEADS)
    assert differ(convolutions(), graph) < 0.25


def test_seven_bits_and_float_gates() -> None:
    graph = onnx.load_from_string(quantize(convolutions(), FACES, method="minmax", gates=False, bits=7))
    values = {value.name: numpy_helper.to_array(value) for value in graph.graph.initializer}
    assert np.abs(values["network.body.weight_quantized"].astype(int)).max() <= 64
    assert values["network.gate.weight"].dtype == np.float32


def test_same_faces_give_the_same_graph_without_notes_of_the_tool() -> None:
    graph = quantize(convolutions(), FACES, method="minmax")
    assert graph == quantize(convolutions(), FACES, method="minmax")
    assert not onnx.load_from_string(graph).metadata_props


def test_what_cannot_be_quantised_is_refused() -> None:
    with pytest.raises(ConfigError, match="unknown calibration"):
        quantize(convolutions(), FACES, method="guess")
    with pytest.raises(ConfigError, match="7 or 8 bits"):
        quantize(convolutions(), FACES, bits=4)
    with pytest.raises(ConfigError, match="32 calibration faces"):
        quantize(convolutions(), FACES[:3])
    with pytest.raises(ArtifactError, match="quantised already"):
        quantize(quantize(convolutions(), FACES, method="minmax"), FACES)


def test_a_graph_without_convolutions_is_refused(toy_artifact) -> None:
    with pytest.raises(ArtifactError, match="no convolution"):
        quantize((toy_artifact / "model.onnx").read_bytes(), FACES)
