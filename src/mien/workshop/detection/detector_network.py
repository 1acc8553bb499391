"""The student: a small fully convolutional detector of faces."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor, nn

STRIDES = (8, 16, 32)
"""Pixels of the picture between two points of each level."""

OUTPUTS = 15
"""Of each point: score logit, centre (2), logarithm of the size (2), five landmarks (10), all in strides."""


@dataclass(frozen=True)
class Shape:
    """How large the network is.

    Args:
        stem: channels at a half of the picture's size.
        quarter: channels at a quarter.
        widths: channels at strides 8, 16 and 32.
        blocks: blocks at a quarter and at strides 8, 16 and 32.
        head: channels of the three heads.
    """

    stem: int = 16
    quarter: int = 32
    widths: tuple[int, int, int] = (64, 96, 128)
    blocks: tuple[int, int, int, int] = (0, 2, 2, 2)
    head: int = 64

    def to_dict(self) -> dict[str, Any]:
        """For a checkpoint's metadata."""
        return asdict(self)


def _dense(inputs: int, outputs: int, stride: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False), nn.BatchNorm2d(outputs), nn.ReLU(inplace=True)
    )


class Separable(nn.Module):
    """A depthwise and a pointwise convolution and one norm; adds its input where the shapes allow."""

    def __init__(self, inputs: int, outputs: int, stride: int = 1) -> None:
        super().__init__()
        self.adds = inputs == outputs and stride == 1
        self.depthwise = nn.Conv2d(inputs, inputs, 3, stride, 1, groups=inputs, bias=False)
        self.pointwise = nn.Conv2d(inputs, outputs, 1, bias=False)
        self.norm = nn.BatchNorm2d(outputs)

    def forward(self, features: Tensor) -> Tensor:
        """Features (N, C, H, W) → (N, outputs, H / stride, W / stride)."""
        result = self.norm(self.pointwise(self.depthwise(features)))
        return torch.relu(result + features if self.adds else result)


class FaceNetwork(nn.Module):
    """Pictures (N, 1, H, W), grey 0–255, H and W multiples of 32 → (N, points, 15).

    Points come level by level, stride 8 first, row by row. The last layers' weights are scaled for inputs in
    0–255: normalisation is the first layer, as in every graph that Mien ships.
    """

    def __init__(self, shape: Shape | None = None) -> None:
        super().__init__()
        self.shape = shape or Shape()
        stem, quarter, widths, blocks = self.shape.stem, self.shape.quarter, self.shape.widths, self.shape.blocks
        self.stem = nn.Sequential(_dense(1, stem, 2), _dense(stem, quarter, 2), *self._more(quarter, blocks[0]))
        before = (quarter, *widths[:2])
        self.stages = nn.ModuleList(
            nn.Sequential(Separable(inputs, outputs, 2), *self._more(outputs, more))
            for inputs, outputs, more in zip(before, widths, blocks[1:], strict=True)
        )
        head = self.shape.head
        self.laterals = nn.ModuleList(nn.Conv2d(width, head, 1) for width in widths)
        self.heads = nn.ModuleList(
            nn.Sequential(Separable(head, head), Separable(head, head), nn.Conv2d(head, OUTPUTS, 1)) for _ in STRIDES
        )
        self._start()

    @staticmethod
    def _more(width: int, count: int) -> list[nn.Module]:
        return [Separable(width, width) for _ in range(count)]

    def _start(self) -> None:
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
        for head in self.heads:
            last = list(head.children())[-1]
            assert isinstance(last, nn.Conv2d)
            assert last.bias is not None
            nn.init.normal_(last.weight, std=0.01)
            nn.init.zeros_(last.bias)
            # A face at one point in a hundred, two strides large.
            last.bias.data[0] = -4.6
            last.bias.data[3:5] = 0.7

    def forward(self, pictures: Tensor) -> Tensor:
        """See the class."""
        features = self.stem((pictures - 127.5) / 64)
        levels = []
        for stage in self.stages:
            features = stage(features)
            levels.append(features)
        merged = [self.laterals[2](levels[2])]
        for level in (1, 0):
            wider = nn.functional.interpolate(merged[0], scale_factor=2.0, mode="nearest")
            merged.insert(0, self.laterals[level](levels[level]) + wider)
        outputs = [head(each).flatten(2) for head, each in zip(self.heads, merged, strict=True)]
        return torch.cat(outputs, dim=2).transpose(1, 2)


def make_points(height: int, width: int) -> tuple[Tensor, Tensor]:
    """Centres (P, 2) in pixels and strides (P,) of the points of a picture of that size, in the network's order."""
    centres, strides = [], []
    for stride in STRIDES:
        rows = (torch.arange(height // stride) + 0.5) * stride
        columns = (torch.arange(width // stride) + 0.5) * stride
        grid = torch.stack(torch.meshgrid(rows, columns, indexing="ij")[::-1], dim=-1).reshape(-1, 2)
        centres.append(grid)
        strides.append(torch.full((len(grid),), float(stride)))
    return torch.cat(centres), torch.cat(strides)


def decode(outputs: Tensor, centres: Tensor, strides: Tensor) -> tuple[Tensor, Tensor]:
    """Boxes xyxy (N, P, 4) and landmarks (N, P, 5, 2) in pixels from outputs (N, P, 15)."""
    step = strides[None, :, None]
    middle = centres[None] + outputs[..., 1:3] * step
    half = torch.exp(outputs[..., 3:5].clamp(-4, 5)) * step / 2
    landmarks = centres[None, :, None] + outputs[..., 5:].reshape(*outputs.shape[:2], 5, 2) * step[..., None]
    return torch.cat([middle - half, middle + half], dim=-1), landmarks
