"""The student: a small residual network from a grey square to points, visibility, rotation and blendshapes."""

from __future__ import annotations

import torch
from torch import nn

from mien.faces.closeups import TOLD
from mien.faces.geometry import INPUT_PX, POINTS
from mien.labels import BLENDSHAPES

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
