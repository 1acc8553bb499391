"""ONNX graphs made smaller and quicker: means as pooling, weights as float16, int8 by calibration faces."""

from __future__ import annotations

import contextlib
import io
import logging
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import onnx
from onnx import helper, numpy_helper

from mien.arrays import UInt8
from mien.artifact.artifact import INPUT_NAME
from mien.artifact.onnx_file import require_whole
from mien.artifact.runtime import load_quantizer
from mien.errors import ArtifactError, ConfigError

METHODS = ("minmax", "percentile", "entropy")
"""How the range of a layer's values is read off the calibration faces."""

PERCENTILE = 99.99
STRIDE = 32
"""Calibration faces that run at once: all values of all layers are kept until they are counted."""

LEAST_HALF = 1024
"""Initialisers with fewer values stay float32: biases and scales weigh nothing."""


def simplify(graph: bytes) -> bytes:
    """The same function with means over height and width as `GlobalAveragePool`, quicker in ONNX Runtime.

    Nothing in it is of one machine: the layouts of a processor are made when a session starts.
    """
    model = _parse(graph)
    constants = {value.name: value for value in model.graph.initializer}
    for node in model.graph.node:
        if node.op_type == "ReduceMean" and _pools(node, constants):
            node.op_type = "GlobalAveragePool"
            # GlobalAveragePool has neither axes nor keepdims.
            del node.input[1:]
            del node.attribute[:]
    _drop_unused(model)
    return _sealed(model)


def store_half(graph: bytes) -> bytes:
    """The same graph with large weights stored as float16 under their names, cast to float32 when a session starts.

    Raises:
        ArtifactError: a weight is beyond the range of float16.
    """
    model = _parse(graph)
    casts = []
    for value in model.graph.initializer:
        # np.prod of no dimensions is 1: scalars stay as they are.
        if value.data_type != onnx.TensorProto.FLOAT or np.prod(value.dims) < LEAST_HALF:
            continue
        weights = numpy_helper.to_array(value)
        if not np.abs(weights).max() <= np.finfo(np.float16).max:
            raise ArtifactError(f"{value.name}: weights above 65504 cannot be stored as float16")
        wide = f"{value.name}_float32"
        # The name stays with the stored weights, so that the tensor of a checkpoint can still be found by it.
        value.CopyFrom(numpy_helper.from_array(weights.astype(np.float16), value.name))
        for node in model.graph.node:
            node.input[:] = [wide if name == value.name else name for name in node.input]
        casts.append(helper.make_node("Cast", [value.name], [wide], f"{wide}_cast", to=onnx.TensorProto.FLOAT))
    # At the front: ONNX wants every node behind those that it reads from.
    for position, node in enumerate(casts):
        model.graph.node.insert(position, node)
    return _sealed(model)


def quantize(graph: bytes, faces: UInt8, *, method: str = "percentile", gates: bool = True, bits: int = 7) -> bytes:
    """The graph with convolutions in int8: signed weights with a scale a channel, unsigned values between layers.

    The first convolution and the heads stay in float32. Written as QuantizeLinear and DequantizeLinear about float
    operators (QDQ), which every ONNX runtime reads.

    Args:
        graph: float32, with batch norms folded, as `build_graph` gives it.
        faces: prepared crops (N, C, H, W) whose values give the layers' ranges; a multiple of 32 of them is used.
        method: one of `METHODS`.
        gates: quantise squeeze-and-excitation as well.
        bits: of the weights, 8 or 7; with 8, processors without VNNI may overflow and answer something else.

    Raises:
        ArtifactError: the graph has no convolution behind the first, or is quantised already.
        ConfigError: an unknown method, other bits, or fewer than 32 faces.
    """
    if method not in METHODS:
        raise ConfigError(f"unknown calibration {method!r}: expected one of {', '.join(METHODS)}")
    if bits not in (7, 8):
        raise ConfigError(f"int8 weights have 7 or 8 bits, not {bits}")
    if len(faces) < STRIDE:
        raise ConfigError(f"quantising takes {STRIDE} calibration faces or more, not {len(faces)}")
    model = _parse(simplify(graph))
    kinds = [node.op_type for node in model.graph.node]
    if "DequantizeLinear" in kinds:
        raise ArtifactError("the graph is quantised already: start from its float32 form")
    if kinds.count("Conv") < 2:
        raise ArtifactError("the graph has no convolution behind the first: nothing would be quantised")
    return _quantized(model, faces, method, bits, _kept_float(model, gates=gates))


def _parse(graph: bytes) -> onnx.ModelProto:
    """The graph of an ONNX file that names no other file: onnx would read those from the working folder."""
    require_whole(graph)
    return onnx.load_from_string(graph)


def _quantized(model: onnx.ModelProto, faces: UInt8, method: str, bits: int, kept: list[str]) -> bytes:
    tools = load_quantizer()
    methods = {
        "minmax": tools.CalibrationMethod.MinMax,
        "percentile": tools.CalibrationMethod.Percentile,
        "entropy": tools.CalibrationMethod.Entropy,
    }
    # Batch norms are folded already; without this mark ONNX Runtime asks for its own pre-processing.
    helper.set_model_props(model, {"onnx.quant.pre_process": "onnxruntime.quant"})
    with tempfile.TemporaryDirectory() as folder, _quiet():
        path = Path(folder, "int8.onnx")
        tools.quantize_static(
            model,
            path,
            # ONNX Runtime refuses a number of faces that the stride does not divide.
            _Faces(faces[: len(faces) // STRIDE * STRIDE]),
            quant_format=tools.QuantFormat.QDQ,
            per_channel=True,
            # 7 bits keep the 16-bit sums of processors without VNNI from overflowing.
            reduce_range=bits == 7,
            activation_type=tools.QuantType.QUInt8,
            weight_type=tools.QuantType.QInt8,
            nodes_to_exclude=kept,
            calibrate_method=methods[method],
            extra_options={"CalibStridedMinMax": STRIDE, "CalibPercentile": PERCENTILE},
        )
        return _sealed(onnx.load(path))


class _Faces:
    """Calibration faces as ONNX Runtime asks for them: a range at a time."""

    def __init__(self, faces: UInt8) -> None:
        self.faces = faces
        self.set_range(0, len(faces))

    def __len__(self) -> int:
        return len(self.faces)

    def set_range(self, start_index: int, end_index: int) -> None:
        """Go on with these rows."""
        self.rest: list[UInt8] = [self.faces[start_index:end_index]]

    def get_next(self) -> dict[str, UInt8] | None:
        """The next batch, or None."""
        return {INPUT_NAME: self.rest.pop()} if self.rest else None


def _kept_float(model: onnx.ModelProto, *, gates: bool) -> list[str]:
    """Names of the nodes that stay in float32: all up to the first convolution, the heads, and the gates if asked."""
    nodes = list(model.graph.node)
    first = next(place for place, node in enumerate(nodes) if node.op_type == "Conv")
    kept = {node.name for node in nodes[: first + 1]}
    kept |= {node.name for node in nodes if node.op_type in ("Gemm", "MatMul")}
    if not gates:
        # A gate is what lies between a pooling and the product with the features.
        pooled: set[str] = set()
        for node in nodes:
            if node.op_type == "GlobalAveragePool" or (pooled & set(node.input) and node.op_type != "Mul"):
                pooled |= set(node.output)
                kept.add(node.name)
    return sorted(kept)


def _pools(node: onnx.NodeProto, constants: dict[str, onnx.TensorProto]) -> bool:
    """Whether a mean is over height and width, and keeps them."""
    if len(node.input) != 2 or node.input[1] not in constants:
        return False
    # Modulo, because axes may be counted from the end.
    axes = {int(axis) % 4 for axis in numpy_helper.to_array(constants[node.input[1]]).ravel()}
    kept = next((attribute.i for attribute in node.attribute if attribute.name == "keepdims"), 1)
    return axes == {2, 3} and kept == 1


def _drop_unused(model: onnx.ModelProto) -> None:
    used = {name for node in model.graph.node for name in node.input}
    # The axes of the means, which nothing reads any more.
    needed = [value for value in model.graph.initializer if value.name in used]
    del model.graph.initializer[:]
    model.graph.initializer.extend(needed)


def _sealed(model: onnx.ModelProto) -> bytes:
    """Checked bytes without notes of the tool that wrote them."""
    del model.metadata_props[:]
    del model.graph.value_info[:]
    model.graph.doc_string = ""
    onnx.checker.check_model(model, full_check=True)
    return bytes(model.SerializeToString())


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """ONNX Runtime's quantiser prints and logs to the root logger."""
    # The root logger, because the quantiser calls `logging.warning` itself.
    logger = logging.getLogger()
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with contextlib.redirect_stdout(io.StringIO()):
            yield
    finally:
        logger.setLevel(level)
