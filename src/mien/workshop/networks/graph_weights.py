"""The weights of an exported graph put back into the network that it came from, to be trained further."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import torch
from onnx import numpy_helper
from torch import nn

from mien.arrays import Float32, UInt8
from mien.artifact.artifact import INPUT_NAME, Artifact
from mien.artifact.calibration import softmax
from mien.artifact.onnx_file import require_whole
from mien.artifact.runtime import Session
from mien.errors import ArtifactError
from mien.workshop.networks.network import Network

Arrays = dict[str, npt.NDArray[Any]]

PARITY = 1e-2
"""Largest difference of a logit between a float graph and the network that took its weights."""

QUANTISED_PARITY = 0.05
"""Mean difference of a probability between an int8 graph, which rounds between layers too, and the network."""

_PREFIX = "network."
# What ONNX Runtime's quantiser adds to the name of a weight.
_QUANTISED = "_quantized"
_FOLDED = "_bias"
"""What the exporter adds to the name of a convolution's weight for the batch norm that it folded into it."""

Affine = tuple[torch.Tensor, torch.Tensor]
"""Scale and shift of each channel."""


def take_graph(network: Network, artifact: Artifact, faces: UInt8) -> None:
    """Put the weights of an artifact's graph into the network, and unfold its batch norms again.

    A folded batch norm is gone as such: what is left of it is a scale inside the convolution and a bias. It is given
    the statistics of `faces` instead, and the scale and shift by which the network computes what the graph does.

    Args:
        network: of the architecture and options that the artifact was exported from; heads that it lacks stay as they
            are, and learn from scratch.
        artifact: as `mien model export` writes it; int8 weights come back as coarse as they were stored.
        faces: prepared crops (N, C, H, W), some hundreds at least, like those that it was trained on.

    Raises:
        ArtifactError: the graph is of another architecture, or what comes out is not what it computes.
    """
    arrays = _read(artifact)
    norms = _norms(network)
    state = network.state_dict()
    # Norms are told by identity: where in a body they are differs by architecture.
    inside = {id(value) for norm in norms.values() for value in norm.state_dict(keep_vars=True).values()}
    new = tuple(f"heads.{name}." for name in network.heads if name not in artifact.manifest.outputs)
    wanted = {
        _PREFIX + key
        for key, value in network.state_dict(keep_vars=True).items()
        if id(value) not in inside and not key.startswith(new)
    }
    missing = sorted(wanted - arrays.keys())
    shapes = {_PREFIX + key: tuple(value.shape) for key, value in state.items()}
    odd = [name for name in sorted(wanted & arrays.keys()) if arrays[name].size != int(np.prod(shapes[name]))]
    if missing or odd or not norms.keys() <= arrays.keys():
        first = ", ".join([*missing, *odd, *sorted(norms.keys() - arrays.keys())][:3])
        raise ArtifactError(
            f"{artifact.folder}: its graph does not fit this architecture and its options, first at {first}: "
            "give the [model] section that it was trained with (its manifest.json holds it), or weights alone"
        )
    tensors = {
        name.removeprefix(_PREFIX): torch.from_numpy(arrays[name].astype(np.float32)).reshape(shapes[name])
        for name in wanted
    }
    network.load_state_dict(state | tensors)
    biases = {module: torch.from_numpy(arrays[name].astype(np.float32)) for name, module in norms.items()}
    give_statistics(network, {module: (torch.ones_like(bias), bias) for module, bias in biases.items()}, faces)
    _require_parity(network, artifact, faces[:64])


def _read(artifact: Artifact) -> Arrays:
    """The graph's weights by name; int8 ones as the float values that they represent."""
    require_whole(artifact.graph)
    model = onnx.load_from_string(artifact.graph)
    arrays: Arrays = {entry.name: numpy_helper.to_array(entry) for entry in model.graph.initializer}
    for node in model.graph.node:
        if node.op_type == "DequantizeLinear" and node.input[0] in arrays:
            arrays[node.input[0].removesuffix(_QUANTISED)] = _dequantise(node, arrays)
    return arrays


def _dequantise(node: onnx.NodeProto, arrays: Arrays) -> Float32:
    values, scale = (arrays[name].astype(np.float32) for name in node.input[:2])
    zero = arrays[node.input[2]].astype(np.float32) if len(node.input) > 2 else np.zeros_like(scale)
    # The operator's own default is axis 1.
    axis = next((attribute.i for attribute in node.attribute if attribute.name == "axis"), 1)
    shape = [-1 if place == axis else 1 for place in range(values.ndim)] if scale.ndim else []
    return np.asarray((values - zero.reshape(shape)) * scale.reshape(shape), np.float32)


def _norms(network: Network) -> dict[str, nn.BatchNorm2d]:
    """The batch norm that was folded into each convolution, by the name of the bias that it left."""
    found: dict[str, nn.BatchNorm2d] = {}
    convolution = ""
    # Modules come in the order of their definition, a norm after the convolution that it was folded into.
    for name, module in network.named_modules():
        if isinstance(module, nn.Conv2d):
            convolution = f"{_PREFIX}{name}.weight{_FOLDED}"
        elif isinstance(module, nn.BatchNorm2d) and convolution not in found:
            found[convolution] = module
    return found


def _require_parity(network: Network, artifact: Artifact, faces: UInt8) -> None:
    graph = Session(artifact.graph, threads=1).run({INPUT_NAME: faces})
    was_training = network.training
    with torch.no_grad():
        logits = network.eval()(torch.from_numpy(faces))
    network.train(was_training)
    found = {head: values.numpy() for head, values in logits.items() if head in graph}
    if b"DequantizeLinear" in artifact.graph:
        # An int8 graph rounds between layers too, so its answers are compared and not its logits.
        difference = max(float(np.abs(softmax(found[head]) - softmax(graph[head])).mean()) for head in found)
        same = difference <= QUANTISED_PARITY
    else:
        difference = max(float(np.abs(found[head] - graph[head]).max()) for head in found)
        same = difference <= PARITY
    if not same:
        raise ArtifactError(
            f"{artifact.folder}: the network that took its weights computes something else (differs by "
            f"{difference:.2g}): give the [model] section that it was trained with"
        )


def give_statistics(network: nn.Module, affines: Mapping[nn.BatchNorm2d, Affine], faces: UInt8) -> None:
    """Give each batch norm the statistics of what reaches it, and undo them in its own scale and shift.

    Then it computes scale · x + shift for each of the given layers, and can be trained like any other.

    Args:
        network: all of its other weights are there.
        affines: what each of its batch norms shall compute.
        faces: prepared crops (N, C, H, W), some hundreds at least.
    """

    def measure(module: nn.Module, given: tuple[torch.Tensor, ...]) -> None:
        assert isinstance(module, nn.BatchNorm2d)
        assert module.running_mean is not None
        assert module.running_var is not None
        values = given[0].float()
        mean, variance = values.mean((0, 2, 3)), values.var((0, 2, 3), unbiased=False)
        scale, shift = affines[module]
        module.running_mean.copy_(mean)
        module.running_var.copy_(variance)
        module.weight.copy_(scale * torch.sqrt(variance + module.eps))
        module.bias.copy_(shift + scale * mean)

    hooks = [module.register_forward_pre_hook(measure) for module in affines]
    was_training = network.training
    try:
        with torch.no_grad():
            # In evaluation mode each norm uses what it was just given, so later layers see what those of the graph see.
            network.eval()(torch.from_numpy(faces))
    finally:
        network.train(was_training)
        for hook in hooks:
            hook.remove()
