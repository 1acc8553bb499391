"""A trained geometry network as a graph and its card."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from safetensors.torch import save_file
from torch import nn

from mien.faces.geometry import CROP, INPUT_PX
from mien.workshop.export.graph import export_module
from mien.workshop.export.quantize import quantize, store_half
from mien.workshop.geometry.student import CLOSEUP_HIDDEN, HIDDEN, CloseupNet, FusionNet, GeometryNet

NAME = "mien-geometry"
FACE_OUTPUTS = ("points", "visible", "rotation", "features")
CLOSEUP_OUTPUTS = ("points", "features")
TEACHER = "MediaPipe Face Landmarker (face_landmarker.task, Google, Apache-2.0)"


def build_graph(net: GeometryNet | CloseupNet) -> bytes:
    """A network as a float32 graph: uint8 squares (N, 1, 64, 64) to its named outputs."""
    example = torch.zeros(2, 1, INPUT_PX, INPUT_PX, dtype=torch.uint8)
    return export_module(_Exported(net), example, FACE_OUTPUTS if isinstance(net, GeometryNet) else CLOSEUP_OUTPUTS)


def build_int8(net: GeometryNet | CloseupNet, squares: npt.NDArray[np.uint8]) -> bytes:
    """The same with convolutions in int8 and what stays float in float16; ranges from squares (N, 1, 64, 64)."""
    return store_half(quantize(build_graph(net), squares, bits=7))


def build_fusion(net: FusionNet) -> bytes:
    """The last layers as a graph of their own: float features (N, 288) to blendshapes."""
    example = torch.zeros(2, HIDDEN + CLOSEUP_HIDDEN)
    graph = export_module(nn.Sequential(net, nn.Sigmoid()), example, ("blendshapes",), input_name="features")
    return store_half(graph)


def build_half(net: GeometryNet | CloseupNet) -> bytes:
    """The float graph with its weights stored as float16."""
    return store_half(build_graph(net))


def save_weights(net: GeometryNet | CloseupNet, path: Path) -> None:
    """The weights in float16 as safetensors, to train on from; those of the mesh alone are left out."""
    kept = {name: value for name, value in net.state_dict().items() if not name.startswith("mesh.")}
    state = {name: value.half() if value.is_floating_point() else value for name, value in kept.items()}
    save_file({name: value.contiguous() for name, value in state.items()}, path)


def save(graphs: dict[str, bytes], folder: Path, *, version: str, further: dict[str, Any]) -> None:
    """Write the graphs and `geometry.json`, their card."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, graph in graphs.items():
        (folder / name).write_bytes(graph)
    card = {
        "name": NAME, "version": version, "licence": "Apache-2.0", "teacher": TEACHER,
        "sha256": {name: hashlib.sha256(graph).hexdigest() for name, graph in graphs.items()},
        "input_px": INPUT_PX, "crop": CROP, **further,
    }  # fmt: skip
    (folder / "geometry.json").write_text(json.dumps(card, indent=2) + "\n", encoding="utf-8")


class _Exported(nn.Module):
    def __init__(self, net: GeometryNet | CloseupNet) -> None:
        super().__init__()
        self.net = net

    def forward(self, faces: torch.Tensor) -> tuple[torch.Tensor, ...]:
        seen = self.net.features(faces.float())
        points = self.net.points(seen).unflatten(1, (-1, 2))
        if isinstance(self.net, CloseupNet):
            return points, seen
        return points, torch.sigmoid(self.net.visible(seen)), self.net.rotation(seen), seen
