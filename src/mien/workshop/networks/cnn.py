"""The shallow CNN: a few convolutions, no residuals, dropout. The baseline that every other network must beat."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import nn

from mien.workshop.networks.layers import activation_layer, attention_layer


class ShallowCNN(nn.Module):
    """Convolution, activation and 2×2 max pooling for each width; then one dense layer with dropout.

    Args:
        channels: input channels, 1 for grey.
        widths: channels of each convolution.
        dense: width of the dense layer.
        dropout: share of features dropped before the heads.
        activation: `leaky_relu`, `relu`, `gelu` or `silu`.
        size: side of the input in pixels.
    """

    def __init__(
        self,
        *,
        channels: int = 1,
        widths: Sequence[int] = (32, 64, 128),
        dense: int = 128,
        dropout: float = 0.5,
        activation: str = "relu",
        size: int = 48,
    ) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for width_in, width in zip((channels, *widths), widths, strict=False):
            # No batch norm: this is the plain baseline. With SGD at 0.1 it diverges (study log, 2026-11-20).
            layers += [nn.Conv2d(width_in, width, 3, padding=1), activation_layer(activation), nn.MaxPool2d(2)]
        side = size >> len(widths)
        self.layers = nn.Sequential(
            *layers,
            nn.Flatten(),
            nn.Linear(widths[-1] * side * side, dense),
            activation_layer(activation),
            nn.Dropout(dropout),
        )
        self.features = dense

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Take normalised faces (N, C, size, size), give features (N, dense)."""
        out: torch.Tensor = self.layers(x)
        return out


class CustomCNN(nn.Module):
    """For each width a 3×3 convolution, batch normalisation, activation, attention and 2×2 max pooling.

    Global average pooling, one dense layer and dropout follow.

    Args:
        channels: input channels, 1 for grey.
        widths: channels of each block.
        dense: width of the dense layer.
        dropout: share of features dropped before the heads.
        attention: `none`, `se` (Hu et al. 2018) or `cbam` (Woo et al. 2018), at the end of every block.
        reduction: how far channel attention narrows.
        activation: `leaky_relu`, `relu`, `gelu` or `silu`.
    """

    def __init__(
        self,
        *,
        channels: int = 1,
        widths: Sequence[int] = (64, 128, 256, 512),
        dense: int = 256,
        dropout: float = 0.4,
        attention: str = "cbam",
        reduction: int = 8,
        activation: str = "relu",
    ) -> None:
        super().__init__()
        blocks: list[nn.Module] = []
        for width_in, width in zip((channels, *widths), widths, strict=False):
            blocks += _convolution(width_in, width, activation)
            blocks += [attention_layer(attention, width, reduction), nn.MaxPool2d(2)]
        self.blocks = nn.Sequential(*blocks)
        self.neck = nn.Sequential(
            nn.AdaptiveAvgPool2d(1),
            nn.Flatten(),
            nn.Linear(widths[-1], dense),
            activation_layer(activation),
            nn.Dropout(dropout),
        )
        self.features = dense

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Take normalised faces (N, C, H, W), give features (N, dense)."""
        out: torch.Tensor = self.neck(self.blocks(x))
        return out


class VGG(nn.Module):
    """Simonyan & Zisserman 2015, in the form that Khaireddin & Chen 2021 trained on FER2013.

    A block is `depth` times 3×3 convolution, batch normalisation and activation, then 2×2 max pooling.

    Args:
        channels: input channels, 1 for grey.
        widths: channels of each block.
        depths: convolutions of each block.
        dense: width of each dense layer; the published network has (4096, 4096).
        dropout: share of features dropped after every dense layer.
        activation: `leaky_relu`, `relu`, `gelu` or `silu`.
        size: side of the input in pixels, at least 2 for each block's halving.
    """

    def __init__(
        self,
        *,
        channels: int = 1,
        widths: Sequence[int] = (64, 128, 256, 512),
        depths: Sequence[int] = (2, 2, 2, 2),
        dense: Sequence[int] = (512, 512),
        dropout: float = 0.2,
        activation: str = "relu",
        size: int = 48,
    ) -> None:
        super().__init__()
        side = size >> len(widths)
        if side < 1:
            # `create_network` turns it into a ConfigError, as it does with those of torch.
            raise ValueError(f"{len(widths)} blocks halve {size} pixels to nothing: give fewer widths")
        blocks: list[nn.Module] = []
        width_in = channels
        for width, depth in zip(widths, depths, strict=True):
            for _ in range(depth):
                blocks += _convolution(width_in, width, activation)
                width_in = width
            blocks.append(nn.MaxPool2d(2))
        self.blocks = nn.Sequential(*blocks)
        layers: list[nn.Module] = [nn.Flatten()]
        self.features = width_in * side * side
        for width in dense:
            layers += [nn.Linear(self.features, width), activation_layer(activation), nn.Dropout(dropout)]
            self.features = width
        self.dense = nn.Sequential(*layers)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Take normalised faces (N, C, size, size), give features (N, `features`)."""
        out: torch.Tensor = self.dense(self.blocks(x))
        return out


def _convolution(width_in: int, width: int, activation: str) -> list[nn.Module]:
    # No bias: the batch norm would subtract it again, and has its own.
    return [nn.Conv2d(width_in, width, 3, padding=1, bias=False), nn.BatchNorm2d(width), activation_layer(activation)]
