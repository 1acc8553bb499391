"""An exported graph as a module of torch, for converters that take nothing else."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import onnx
import torch
from onnx import numpy_helper
from torch import nn
from torch.nn import functional

from mien.errors import ArtifactError

Tensors = list[torch.Tensor]
Attributes = dict[str, Any]


class GraphModule(nn.Module):
    """Computes what a graph of Mien does, in float32: what int8 graphs round between layers is left unrounded.

    Args:
        graph: an ONNX file's bytes.

    Raises:
        ArtifactError: it has an operation that Mien's exports do not.
    """

    def __init__(self, graph: bytes) -> None:
        super().__init__()
        model = onnx.load_from_string(graph)
        arrays = {entry.name: numpy_helper.to_array(entry) for entry in model.graph.initializer}
        self._steps: list[tuple[str, list[str], str, Attributes]] = []
        self._places: dict[str, str] = {}
        for node in model.graph.node:
            self._take(node, arrays)
        self._input = model.graph.input[0].name
        self.outputs = [output.name for output in model.graph.output]
        used = {name for _, inputs, _, _ in self._steps for name in inputs}
        for name in sorted(used & arrays.keys()):
            self._places[name] = f"weight_{len(self._places)}"
            self.register_buffer(self._places[name], torch.from_numpy(arrays[name].copy()))

    def _take(self, node: onnx.NodeProto, arrays: dict[str, np.ndarray[Any, Any]]) -> None:
        attributes = {entry.name: onnx.helper.get_attribute_value(entry) for entry in node.attribute}
        inputs, output = list(node.input), node.output[0]
        if node.op_type == "DequantizeLinear" and inputs[0] in arrays:
            arrays[output] = _dequantize(*(arrays[name] for name in inputs), axis=attributes.get("axis", 1))
            return
        kind = {"QuantizeLinear": "Clamp", "DequantizeLinear": "Identity"}.get(node.op_type, node.op_type)
        if kind not in OPERATIONS:
            raise ArtifactError(f"the graph has the operation {kind}, which Mien converts to ONNX Runtime alone")
        if kind == "Clamp":
            # Where a ReLU was merged into the rounding after it, the range is all that is left of it.
            attributes = _find_range(arrays[inputs[1]], arrays[inputs[2]])
        self._steps.append((kind, inputs[:1] if kind in ("Clamp", "Identity") else inputs, output, attributes))

    def forward(self, faces: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """The graph's outputs, in their order."""
        values = {self._input: faces}
        values |= {name: getattr(self, place) for name, place in self._places.items()}
        for kind, inputs, output, attributes in self._steps:
            values[output] = OPERATIONS[kind]([values[name] for name in inputs if name], attributes)
        return tuple(values[name] for name in self.outputs)


def _dequantize(
    values: np.ndarray[Any, Any], scale: np.ndarray[Any, Any], zero: np.ndarray[Any, Any], *, axis: int
) -> np.ndarray[Any, Any]:
    shape = [-1 if place == axis else 1 for place in range(values.ndim)] if scale.ndim else []
    found = (values.astype(np.float32) - zero.astype(np.float32).reshape(shape)) * scale.reshape(shape)
    return np.asarray(found, np.float32)


def _find_range(scale: np.ndarray[Any, Any], zero: np.ndarray[Any, Any]) -> Attributes:
    limits = np.iinfo(zero.dtype)
    low, high = ((limit - int(zero)) * float(scale) for limit in (limits.min, limits.max))
    return {"low": low, "high": high}


def _convolve(given: Tensors, attributes: Attributes) -> torch.Tensor:
    padding = attributes.get("pads", [0, 0, 0, 0])
    # Converters know symmetric padding alone.
    if padding[:2] != padding[2:]:
        given = [functional.pad(given[0], (padding[1], padding[3], padding[0], padding[2])), *given[1:]]
        padding = [0, 0, 0, 0]
    bias = given[2] if len(given) > 2 else None
    strides, dilations = attributes.get("strides", [1, 1]), attributes.get("dilations", [1, 1])
    return functional.conv2d(given[0], given[1], bias, strides, padding[:2], dilations, attributes.get("group", 1))


def _pool(given: Tensors, attributes: Attributes) -> torch.Tensor:
    return functional.avg_pool2d(
        given[0], attributes["kernel_shape"], attributes.get("strides"), attributes.get("pads", [0, 0])[:2],
        bool(attributes.get("ceil_mode", 0)), bool(attributes.get("count_include_pad", 0)),
    )  # fmt: skip


def _multiply(given: Tensors, attributes: Attributes) -> torch.Tensor:
    weight = given[1].T if attributes.get("transB", 0) else given[1]
    return given[0] @ weight + (given[2] if len(given) > 2 else 0)


OPERATIONS: dict[str, Callable[[Tensors, Attributes], torch.Tensor]] = {
    "Identity": lambda given, _: given[0],
    "Clamp": lambda given, attributes: torch.clamp(given[0], attributes["low"], attributes["high"]),
    "Cast": lambda given, _: given[0].to(torch.float32),
    "Add": lambda given, _: given[0] + given[1],
    "Sub": lambda given, _: given[0] - given[1],
    "Mul": lambda given, _: given[0] * given[1],
    "Div": lambda given, _: given[0] / given[1],
    "Relu": lambda given, _: functional.relu(given[0]),
    "LeakyRelu": lambda given, attributes: functional.leaky_relu(given[0], attributes.get("alpha", 0.01)),
    "Sigmoid": lambda given, _: torch.sigmoid(given[0]),
    "Conv": _convolve,
    "AveragePool": _pool,
    "GlobalAveragePool": lambda given, _: given[0].mean((2, 3), keepdim=True),
    # The exporter's one reshape: features a face.
    "Reshape": lambda given, _: given[0].flatten(1),
    "Flatten": lambda given, _: given[0].flatten(1),
    "Gemm": _multiply,
    "LogSoftmax": lambda given, _: functional.log_softmax(given[0], -1),
    "Softmax": lambda given, _: functional.softmax(given[0], -1),
    "Gather": lambda given, _: torch.index_select(given[0], 1, given[1]),
    "ReduceSum": lambda given, _: given[0].sum(1, keepdim=True),
}
"""What Mien's graphs consist of, as `targets.described` and `export.graph` write them."""
