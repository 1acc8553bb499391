"""Landmarks as a second look at the face: Mien's own geometry network, frozen, beside the body that is trained.

Late fusion: where the 68 landmarks and the irises are, freed of place and size, joins the body's features before the
heads. The network is that of the wheel, so that a graph with landmarks takes face crops as any other does.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import torch
from onnx import numpy_helper
from torch import nn
from torch.nn import functional

from mien.artifact.input import InputSpec
from mien.faces.geometry import CROP, GRAPHS, INPUT_PX, POINTS, WEIGHTS

Arrays = dict[str, npt.NDArray[np.float32]]

FEATURES = 64
"""Features that landmarks give the heads."""

_PREFIX = "net."


class FrozenConv(nn.Module):
    """A convolution, or with a matrix a linear layer, whose weights are buffers: saved and moved, never trained."""

    weight: torch.Tensor
    bias: torch.Tensor

    def __init__(self, arrays: Arrays, name: str, *, stride: int = 1, padding: int = 0) -> None:
        super().__init__()
        self.register_buffer("weight", torch.from_numpy(arrays[f"{name}.weight"].copy()))
        self.register_buffer("bias", torch.from_numpy(arrays[f"{name}.bias"].copy()))
        self.stride, self.padding = stride, padding

    def forward(self, values: torch.Tensor) -> torch.Tensor:
        """Take (N, C, H, W), or (N, C) for a matrix."""
        if self.weight.ndim == 2:
            return functional.linear(values, self.weight, self.bias)
        return functional.conv2d(values, self.weight, self.bias, self.stride, self.padding)


class LandmarkFeatures(nn.Module):
    """Features (N, FEATURES) of landmarks in face crops (N, C, H, W) with values 0–255.

    Args:
        spec: the crops, whose `crop_scale` says how much of the face they show.
    """

    def __init__(self, spec: InputSpec) -> None:
        super().__init__()
        arrays = _bundled_arrays()
        self.pad = round(spec.height * (CROP / spec.crop_scale - 1) / 2)
        self.stem = FrozenConv(arrays, "body.0.0", stride=2, padding=1)
        self.blocks = nn.ModuleList(_Block(arrays, f"body.{number}") for number in _block_numbers(arrays))
        self.gather = FrozenConv(arrays, "gather")
        self.points = FrozenConv(arrays, "points")
        self.layer = nn.Linear(2 * POINTS, FEATURES)

    def find(self, faces: torch.Tensor) -> torch.Tensor:
        """Landmarks (N, 70, 2) in half sides of the square that the network sees, from its middle."""
        grey = faces.mean(dim=1, keepdim=True)
        # The network was taught on wider crops: beyond these, their edge is repeated.
        wide = functional.pad(grey, (self.pad,) * 4, mode="replicate")
        square = functional.interpolate(wide, (INPUT_PX, INPUT_PX), mode="bilinear", align_corners=False)
        values = torch.relu(self.stem(square / 127.5 - 1))
        for block in self.blocks:
            values = block(values)
        seen = torch.relu(self.gather(values)).flatten(1)
        found: torch.Tensor = self.points(seen).unflatten(1, (POINTS, 2))
        return found

    def forward(self, faces: torch.Tensor) -> torch.Tensor:
        """Take crops, give features."""
        with torch.no_grad():
            points = self.find(faces.float())
            centred = points - points.mean(dim=1, keepdim=True)
            shape = centred / centred.pow(2).mean(dim=(1, 2), keepdim=True).sqrt().clamp(min=1e-4)
        features: torch.Tensor = torch.relu(self.layer(shape.flatten(1)))
        return features


class _Block(nn.Module):
    def __init__(self, arrays: Arrays, name: str) -> None:
        super().__init__()
        # Only blocks that shrink have a way of their own past the convolutions.
        shrinks = f"{name}.way.0.weight" in arrays
        self.first = FrozenConv(arrays, f"{name}.first.0", stride=2 if shrinks else 1, padding=1)
        self.second = FrozenConv(arrays, f"{name}.second.0", padding=1)
        self.way: nn.Module = FrozenConv(arrays, f"{name}.way.0", stride=2) if shrinks else nn.Identity()

    def forward(self, values: torch.Tensor) -> torch.Tensor:
        return torch.relu(self.second(torch.relu(self.first(values))) + self.way(values))


def _block_numbers(arrays: Arrays) -> list[int]:
    return sorted({int(name.split(".")[1]) for name in arrays if name.startswith("body.") and ".first." in name})


@lru_cache(maxsize=1)
def _bundled_arrays() -> Arrays:
    """Weights and biases of the bundled graph by layer, float32; int8 ones come back as coarse as they are stored."""
    graph = onnx.load(WEIGHTS / GRAPHS[0]).graph
    stored = {tensor.name: numpy_helper.to_array(tensor) for tensor in graph.initializer}
    arrays: Arrays = {}
    for name in stored:
        layer, _, kind = name.removeprefix(_PREFIX).partition(".weight")
        # Biases of convolutions are those of the batch norms that the exporter folded into them.
        if kind in ("", "_quantized") and name.startswith(_PREFIX) and ".bias" not in name:
            arrays[f"{layer}.weight"] = _read(stored, f"{_PREFIX}{layer}.weight")
            folded = f"{_PREFIX}{layer}.weight_bias"
            arrays[f"{layer}.bias"] = _read(stored, folded if _is_there(stored, folded) else f"{_PREFIX}{layer}.bias")
    return arrays


def _is_there(stored: dict[str, Any], name: str) -> bool:
    return name in stored or f"{name}_quantized" in stored


def _read(stored: dict[str, Any], name: str) -> npt.NDArray[np.float32]:
    if name in stored:
        return np.asarray(stored[name], np.float32)
    values = stored[f"{name}_quantized"].astype(np.float32)
    # ONNX Runtime's quantiser calls the parts of a bias by another name than those of a weight.
    parts = f"{name}_quantized" if f"{name}_quantized_scale" in stored else name
    scale, zero = stored[f"{parts}_scale"].astype(np.float32), stored[f"{parts}_zero_point"].astype(np.float32)
    shape = (-1, *[1] * (values.ndim - 1))
    return np.asarray((values - zero.reshape(shape)) * scale.reshape(shape), np.float32)
