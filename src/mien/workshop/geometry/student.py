"""The student: a small residual network from a grey square to points, visibility, rotation and blendshapes."""

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

from mien.faces.geometry import CROP, INPUT_PX, POINTS, TOLD
from mien.labels import BLENDSHAPES
from mien.workshop.export.graph import export_module
from mien.workshop.export.quantize import quantize, store_half

WIDTHS = (16, 32, 64, 96)
DEPTHS = (1, 1, 2, 2)
HIDDEN = 160
INNER = 96
CLOSEUP_WIDTHS = (16, 32, 48, 64)
CLOSEUP_HIDDEN = 128
FUSION = (192, 128)
MESH = 146
"""Points of the mesh that are learned beside the others and not exported: they tell the body more about each face."""


class _Block(nn.Module):
    def __init__(self, before: int, width: int, stride: int) -> None:
        super().__init__()
        self.first = _conv(before, width, stride)
        self.second = _conv(width, width, 1)
        self.way: nn.Module = nn.Identity()
        if stride > 1 or before != width:
            self.way = nn.Sequential(nn.Conv2d(before, width, 1, stride, bias=False), nn.BatchNorm2d(width))

    def forward(self, values: torch.Tensor) -> torch.Tensor:
        inner = self.second(torch.relu(self.first(values)))
        return torch.relu(inner + self.way(values))


class CloseupNet(nn.Module):
    """Input: close-ups of eyes and mouth, grey 0–255, (N, 1, 64, 64). Output: see `forward`."""

    def __init__(self) -> None:
        super().__init__()
        self.body = _body(CLOSEUP_WIDTHS)
        self.gather = nn.Conv2d(CLOSEUP_WIDTHS[-1], CLOSEUP_HIDDEN, 4, bias=False)
        self.norm = nn.BatchNorm2d(CLOSEUP_HIDDEN)
        self.points = nn.Linear(CLOSEUP_HIDDEN, 2 * len(TOLD))
        self.blendshapes = nn.Sequential(
            nn.Linear(CLOSEUP_HIDDEN, INNER), nn.ReLU(), nn.Linear(INNER, len(BLENDSHAPES))
        )
        self.mesh = nn.Linear(CLOSEUP_HIDDEN, 2 * MESH)

    def features(self, squares: torch.Tensor) -> torch.Tensor:
        """What the heads see, (N, CLOSEUP_HIDDEN)."""
        values = self.body(squares / 127.5 - 1)
        return torch.relu(self.norm(self.gather(values))).flatten(1)

    def forward(self, squares: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """Points (N, 44, 2) in half sides of the square from its middle, blendshapes (N, 52) 0–1."""
        seen = self.features(squares)
        return self.points(seen).unflatten(1, (len(TOLD), 2)), torch.sigmoid(self.blendshapes(seen))


class FusionNet(nn.Module):
    """From the features of both networks, (N, HIDDEN + CLOSEUP_HIDDEN), to logits of the blendshapes, (N, 52)."""

    scale: torch.Tensor
    shift: torch.Tensor

    def __init__(self) -> None:
        super().__init__()
        seen = HIDDEN + CLOSEUP_HIDDEN
        self.register_buffer("scale", torch.ones(seen))
        self.register_buffer("shift", torch.zeros(seen))
        self.layers = nn.Sequential(
            nn.Linear(seen, FUSION[0]), nn.ReLU(), nn.Linear(FUSION[0], FUSION[1]), nn.ReLU(),
            nn.Linear(FUSION[1], len(BLENDSHAPES)),
        )  # fmt: skip

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        """Logits; apply a sigmoid for 0–1."""
        logits: torch.Tensor = self.layers((features - self.shift) * self.scale)
        return logits


class GeometryNet(nn.Module):
    """Input: grey values 0–255, (N, 1, 64, 64). Output: by name, see `forward`."""

    def __init__(self) -> None:
        super().__init__()
        self.body = _body(WIDTHS)
        # A convolution as wide as what is left of the face: linear in all of it, and quantised like the others.
        self.gather = nn.Conv2d(WIDTHS[-1], HIDDEN, INPUT_PX // 2 // 2 ** (len(WIDTHS) - 1), bias=False)
        self.norm = nn.BatchNorm2d(HIDDEN)
        self.points = nn.Linear(HIDDEN, 2 * POINTS)
        self.visible = nn.Linear(HIDDEN, POINTS)
        self.rotation = nn.Linear(HIDDEN, 6)
        # Whether an eye blinks is a matter of distances, which no weighted sum of coordinates is.
        self.blendshapes = nn.Sequential(nn.Linear(HIDDEN, INNER), nn.ReLU(), nn.Linear(INNER, len(BLENDSHAPES)))
        self.mesh = nn.Linear(HIDDEN, 2 * MESH)

    def features(self, faces: torch.Tensor) -> torch.Tensor:
        """What the heads see, (N, HIDDEN)."""
        values = self.body(faces / 127.5 - 1)
        return torch.relu(self.norm(self.gather(values))).flatten(1)

    def forward(self, faces: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """Points (N, 70, 2) in half sides of the square from its middle, visibility (N, 70) and blendshapes (N, 52)
        as probabilities, and the first two columns of the head's rotation (N, 6), not yet of length 1."""
        seen = self.features(faces)
        return (
            self.points(seen).unflatten(1, (POINTS, 2)),
            torch.sigmoid(self.visible(seen)),
            self.rotation(seen),
            torch.sigmoid(self.blendshapes(seen)),
        )


def to_rotation(columns: torch.Tensor) -> torch.Tensor:
    """Rotations (N, 3, 3) from their first two columns (N, 6) (Zhou et al., 2019)."""
    first = nn.functional.normalize(columns[:, :3], dim=1)
    second = columns[:, 3:] - (first * columns[:, 3:]).sum(dim=1, keepdim=True) * first
    second = nn.functional.normalize(second, dim=1)
    return torch.stack([first, second, torch.linalg.cross(first, second)], dim=2)


def _body(widths: tuple[int, ...]) -> nn.Sequential:
    layers: list[nn.Module] = [_conv(1, widths[0], 2), nn.ReLU()]
    before = widths[0]
    for stage, (width, depth) in enumerate(zip(widths, DEPTHS, strict=True)):
        for block in range(depth):
            layers.append(_Block(before, width, 2 if block == 0 and stage > 0 else 1))
            before = width
    return nn.Sequential(*layers)


def _conv(before: int, width: int, stride: int) -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(before, width, 3, stride, 1, bias=False), nn.BatchNorm2d(width))


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


def build_covers(net: nn.Module, squares: npt.NDArray[np.uint8]) -> bytes:
    """The network of what is covered as a graph in int8: uint8 close-ups (N, 1, 64, 64) to shares (N, 3)."""
    example = torch.zeros(2, 1, INPUT_PX, INPUT_PX, dtype=torch.uint8)
    return store_half(quantize(export_module(_Shares(net), example, ("covered",)), squares, bits=7))


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


class _Shares(nn.Module):
    def __init__(self, net: nn.Module) -> None:
        super().__init__()
        self.net = net

    def forward(self, squares: torch.Tensor) -> torch.Tensor:
        return torch.sigmoid(self.net(squares.float()))
