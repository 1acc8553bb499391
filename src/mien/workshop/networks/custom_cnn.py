"""A small CNN whose blocks can end in attention: none, squeeze-and-excitation, or CBAM."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import nn

from mien.workshop.networks.layers import activation_layer, attention_layer


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
            blocks += [
                nn.Conv2d(width_in, width, 3, padding=1, bias=False),
                nn.BatchNorm2d(width),
                activation_layer(activation),
                attention_layer(attention, width, reduction),
                nn.MaxPool2d(2),
            ]
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
