"""Graphs that say by themselves what they are, and that end in probabilities."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from mien.artifact.calibration import Calibration
from mien.artifact.manifest import Head, Manifest
from mien.errors import ConfigError

PROBABILITIES = "probabilities"
"""The one output of a graph with the decision rule in it, float32 (N, labels)."""


def describe(manifest: Manifest, outputs: Mapping[str, Iterable[str]]) -> dict[str, str]:
    """What every exported graph carries, by key.

    Args:
        manifest: the artifact's.
        outputs: the labels of each output's columns.
    """
    spec = manifest.input
    form = {
        "name": "faces", "dtype": "uint8", "shape": ["N", spec.channels, spec.height, spec.width],
        "colours": "grey, BT.601" if spec.channels == 1 else "RGB",
        "crop": f"a square around the centre of the face's box, {spec.crop_scale:g} box heights wide",
    }  # fmt: skip
    return {
        "mien.name": manifest.name,
        "mien.version": manifest.version,
        "mien.licence": manifest.licence,
        "mien.labels": json.dumps({name: list(labels) for name, labels in outputs.items()}),
        "mien.input": json.dumps(form),
    }


def list_outputs(manifest: Manifest, labels: tuple[str, ...] | None) -> dict[str, tuple[str, ...]]:
    """The labels of each output: of the probabilities if `labels` are given, else of every head's logits."""
    if labels is not None:
        return {PROBABILITIES: labels}
    return {name: head.labels for name, head in manifest.heads.items()}


def with_metadata(graph: bytes, metadata: Mapping[str, str]) -> bytes:
    """The graph with these `metadata_props` in place of its own."""
    model = onnx.load_from_string(graph)
    del model.metadata_props[:]
    helper.set_model_props(model, dict(metadata))
    return bytes(model.SerializeToString())


def shown_calibration(manifest: Manifest) -> Calibration:
    """The default head's calibration with the manifest's rule for what users are shown."""
    head, balance = manifest.heads[manifest.default_head], manifest.reading.balance
    return head.calibration.balanced(head.prior, balance) if balance and head.prior else head.calibration


def with_probabilities(graph: bytes, manifest: Manifest, labels: tuple[str, ...]) -> bytes:
    """The graph with one output: the default head's calibrated probabilities of `labels`, as users are shown them.

    It computes what `mien.artifact.calibration.Calibration.probabilities` and `mien.labels.project` do.
    """
    model = onnx.load_from_string(graph)
    head = manifest.heads[manifest.default_head]
    places = _find_places(head, labels)
    calibration, classes = shown_calibration(manifest), len(head.labels)
    tail = _Tail(model.graph)
    logs = tail.add("LogSoftmax", manifest.default_head, axis=-1)
    slope = np.asarray(calibration.scale or (1.0,) * classes, np.float32) / np.float32(calibration.temperature)
    values = tail.add("Mul", logs, tail.constant("slope", slope))
    if calibration.curvature:
        bent = tail.add("Mul", tail.add("Mul", logs, logs), tail.constant("curvature", calibration.curvature))
        values = tail.add("Sub", values, bent)
    if calibration.bias:
        values = tail.add("Add", values, tail.constant("bias", calibration.bias))
    own = tail.add("Softmax", values, axis=-1)
    kept = tail.add("Gather", own, tail.constant("places", np.asarray(places, np.int64)), axis=1)
    total = tail.add("ReduceSum", kept, tail.constant("axes", np.asarray([1], np.int64)), keepdims=1)
    tail.finish("Div", [kept, total], PROBABILITIES)
    del model.graph.output[:]
    model.graph.output.append(helper.make_tensor_value_info(PROBABILITIES, TensorProto.FLOAT, ["N", len(labels)]))
    _prune(model)
    onnx.checker.check_model(model, full_check=True)
    return bytes(model.SerializeToString())


def _find_places(head: Head, labels: tuple[str, ...]) -> list[int]:
    if missing := [label for label in labels if label not in head.labels]:
        raise ConfigError(f"the model's default head has no label {missing[0]!r}: it has {', '.join(head.labels)}")
    return [head.labels.index(label) for label in labels]


class _Tail:
    """Nodes at the end of a graph, with names that the graph does not have."""

    def __init__(self, graph: onnx.GraphProto) -> None:
        self._graph, self._count = graph, 0

    def constant(self, name: str, values: object) -> str:
        array = np.asarray(values)
        array = array if array.dtype == np.int64 else array.astype(np.float32)
        self._graph.initializer.append(numpy_helper.from_array(array, f"mien.rule.{name}"))
        return f"mien.rule.{name}"

    def add(self, kind: str, *inputs: str, **attributes: Any) -> str:
        self._count += 1
        name = f"mien.rule.{self._count}"
        self._graph.node.append(helper.make_node(kind, list(inputs), [name], None, None, None, **attributes))
        return name

    def finish(self, kind: str, inputs: list[str], output: str) -> None:
        self._graph.node.append(helper.make_node(kind, inputs, [output]))


def _prune(model: onnx.ModelProto) -> None:
    """Drop the nodes and weights that no output needs: those of the other heads."""
    needed = {output.name for output in model.graph.output}
    kept = []
    for node in reversed(model.graph.node):
        if needed.intersection(node.output):
            needed.update(node.input)
            kept.append(node)
    initializers = [entry for entry in model.graph.initializer if entry.name in needed]
    del model.graph.node[:], model.graph.initializer[:]
    model.graph.node.extend(reversed(kept))
    model.graph.initializer.extend(initializers)
