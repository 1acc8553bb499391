"""Layers that more than one architecture uses."""

from __future__ import annotations

import torch
from torch import nn

ACTIVATIONS: dict[str, type[nn.Module]] = {
    "leaky_relu": nn.LeakyReLU,
    "relu": nn.ReLU,
    "gelu": nn.GELU,
    "silu": nn.SiLU,
}


def activation_layer(name: str) -> nn.Module:
    """A new activation layer by name; `leaky_relu` has the customary slope of 0.01 below zero.

    Raises:
        ValueError: no activation of that name.
    """
    if name not in ACTIVATIONS:
        raise ValueError(f"unknown activation {name!r}: expected one of {', '.join(ACTIVATIONS)}")
    kind = ACTIVATIONS[name]
    return kind() if kind is nn.GELU else kind(inplace=True)


class SqueezeExcitation(nn.Module):
    """Scale each channel by a gate in 0–1 computed from the channels' means (Hu et al. 2018)."""

    def __init__(self, width: int, reduction: int) -> None:
        super().__init__()
        narrow = max(width // reduction, 4)
        self.squeeze = nn.Conv2d(width, narrow, 1)
        self.excite = nn.Conv2d(narrow, width, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Take and give (N, width, H, W)."""
        narrow = torch.relu(self.squeeze(x.mean((2, 3), keepdim=True)))
        return x * torch.sigmoid(self.excite(narrow))
