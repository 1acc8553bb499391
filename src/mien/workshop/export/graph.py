"""Checkpoint to ONNX: uint8 faces in, normalisation inside, one named output of logits a head."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Mapping

import onnx
import torch
from torch import nn

from mien.artifact.artifact import INPUT_NAME
from mien.artifact.input import InputSpec
from mien.workshop.export.quantize import simplify
from mien.workshop.networks.network import Network


class _Outputs(nn.Module):
    def __init__(self, network: Network) -> None:
        super().__init__()
        self.network = network

    def forward(self, faces: torch.Tensor) -> tuple[torch.Tensor, ...]:
        return tuple(self.network(faces).values())


def build_graph(network: Network, spec: InputSpec) -> bytes:
    """The network as the bytes of an ONNX file with a free batch dimension.

    Batch norms are folded into their convolutions, means over a picture are poolings; traces of the source code are
    taken out.
    """
    # Two faces: torch.export would take a batch of one for a constant.
    example = torch.zeros(2, spec.channels, spec.height, spec.width, dtype=torch.uint8)
    return export_module(_Outputs(network), example, tuple(network.heads))


def export_module(
    module: nn.Module, example: torch.Tensor, outputs: tuple[str, ...], *, input_name: str = INPUT_NAME
) -> bytes:
    """Any module as such a graph: one input, like the example but with a free first side, and a tuple of outputs."""
    return export_inputs(module, {input_name: example}, outputs, {input_name: ("N",)})


def export_inputs(
    module: nn.Module,
    examples: Mapping[str, torch.Tensor],
    outputs: tuple[str, ...],
    free: Mapping[str, tuple[str, ...]],
) -> bytes:
    """Any module as a graph of several inputs, given in order, and a tuple of outputs.

    Args:
        module: takes the first example, and all others as `*rest`.
        examples: by name; a free side must be longer than 1, or it would be taken for a constant.
        outputs: their names.
        free: of each input, the names of its first sides, which are free; sides of the same name are equally long.
    """
    sides = {name: torch.export.Dim(name) for names in free.values() for name in names}
    shapes = tuple({at: sides[name] for at, name in enumerate(free[key])} for key in examples)
    # The exporter warns of what no user of Mien can change; its errors are raised all the same.
    noisy = logging.getLogger("torch.onnx")
    level = noisy.level
    noisy.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            program = torch.onnx.export(
                module.cpu().eval(),
                tuple(examples.values()),
                dynamo=True,
                input_names=list(examples),
                output_names=list(outputs),
                dynamic_shapes=shapes if len(shapes) == 1 else (shapes[0], shapes[1:]),
                verbose=False,
            )
    finally:
        noisy.setLevel(level)
    assert program is not None
    model = program.model_proto
    _strip(model)
    onnx.checker.check_model(model, full_check=True)
    return simplify(bytes(model.SerializeToString()))


def _strip(model: onnx.ModelProto) -> None:
    """Take out what the exporter notes of the machine it ran on: file names, stack traces, module names."""
    # Artifacts are passed on, and a checkpoint should give the same sha256 wherever it is exported.
    del model.metadata_props[:]
    del model.graph.value_info[:]
    model.graph.doc_string = ""
    model.graph.name = "mien"
    entries = [*model.graph.node, *model.graph.input, *model.graph.output, *model.graph.initializer]
    for entry in entries:
        del entry.metadata_props[:]
        entry.doc_string = ""
