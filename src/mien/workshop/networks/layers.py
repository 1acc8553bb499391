"""Layers that more than one architecture uses."""

from __future__ import annotations

from collections.abc import Callable

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
    # torch's GELU cannot work in place.
    return kind() if kind is nn.GELU else kind(inplace=True)


class StochasticDepth(nn.Module):
    """Drop the residual of a face at random while training, and make up for it in the others (Huang et al. 2016)."""

    def __init__(self, chance: float) -> None:
        super().__init__()
        if not 0 <= chance < 1:
            raise ValueError(f"the chance that a block is left out is {chance}: expected 0 or more, and less than 1")
        self.chance = chance

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Take and give (N, C, H, W)."""
        if not self.training or not self.chance:
            return x
        kept = torch.rand(len(x), 1, 1, 1, device=x.device) >= self.chance
        # Scaled up, so that the mean is that of evaluation, where nothing is dropped.
        return x * (kept / (1 - self.chance)).to(x.dtype)


def blur() -> nn.Module:
    """A layer that blurs feature maps (N, C, H, W) with the weights 1 2 1 in rows and columns."""
    # Two means of 2×2 make 1 2 1 both ways; padding the first alone keeps the size.
    return nn.Sequential(nn.AvgPool2d(2, 1, padding=1), nn.AvgPool2d(2, 1))


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


class ChannelGate(nn.Module):
    """Scale each channel by a gate in 0–1 computed from its mean and its maximum (Woo et al. 2018, equation 2)."""

    def __init__(self, width: int, reduction: int) -> None:
        super().__init__()
        narrow = max(width // reduction, 4)
        self.shared = nn.Sequential(nn.Conv2d(width, narrow, 1), nn.ReLU(), nn.Conv2d(narrow, width, 1))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Take and give (N, width, H, W)."""
        # The same layers for both, as published.
        scores = self.shared(x.mean((2, 3), keepdim=True)) + self.shared(x.amax((2, 3), keepdim=True))
        return x * torch.sigmoid(scores)


class SpatialGate(nn.Module):
    """Scale each place by a gate in 0–1: a 7×7 convolution of the channels' mean and maximum (equation 3)."""

    def __init__(self) -> None:
        super().__init__()
        self.convolution = nn.Conv2d(2, 1, 7, padding=3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Take and give (N, C, H, W)."""
        maps = torch.cat((x.mean(1, keepdim=True), x.amax(1, keepdim=True)), 1)
        return x * torch.sigmoid(self.convolution(maps))


class CBAM(nn.Sequential):
    """Convolutional block attention: first which channels matter, then where (Woo et al. 2018)."""

    def __init__(self, width: int, reduction: int) -> None:
        super().__init__(ChannelGate(width, reduction), SpatialGate())


ATTENTION: dict[str, Callable[[int, int], nn.Module]] = {
    "none": lambda width, reduction: nn.Identity(),
    "se": SqueezeExcitation,
    "cbam": CBAM,
}


def attention_layer(name: str, width: int, reduction: int) -> nn.Module:
    """A new attention layer by name for feature maps (N, width, H, W); it changes no shape.

    Raises:
        ValueError: no attention of that name.
    """
    if name not in ATTENTION:
        raise ValueError(f"unknown attention {name!r}: expected one of {', '.join(ATTENTION)}")
    return ATTENTION[name](width, reduction)
