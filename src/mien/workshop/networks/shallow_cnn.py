"""The shallow CNN: a few convolutions, no residuals, dropout. The baseline that every other network must beat."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import nn

from mien.workshop.networks.layers import activation_layer


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
            layers += [
                nn.Conv2d(width_in, width, 3, padding=1),
                activation_layer(activation),
                nn.MaxPool2d(2),
            ]
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
