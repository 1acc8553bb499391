"""SE-ResNet for small grey faces: residual blocks with squeeze-and-excitation, made to run fast on 48×48 pictures."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import nn

from mien.models.layers import SqueezeExcitation, activation_layer


class SEResidualBlock(nn.Module):
    """Two 3×3 convolutions, squeeze-and-excitation, and a shortcut (He et al. 2016; Hu et al. 2018)."""

    def __init__(self, width_in: int, width_out: int, *, stride: int, reduction: int, activation: str) -> None:
        super().__init__()
        self.residual = nn.Sequential(
            nn.Conv2d(width_in, width_out, 3, stride, 1, bias=False),
            nn.BatchNorm2d(width_out),
            activation_layer(activation),
            nn.Conv2d(width_out, width_out, 3, 1, 1, bias=False),
            nn.BatchNorm2d(width_out),
            SqueezeExcitation(width_out, reduction),
        )
        self.shortcut: nn.Module = nn.Identity()
        if stride != 1 or width_in != width_out:
            pool = nn.AvgPool2d(stride, ceil_mode=True, count_include_pad=False) if stride > 1 else nn.Identity()
            self.shortcut = nn.Sequential(
                pool, nn.Conv2d(width_in, width_out, 1, bias=False), nn.BatchNorm2d(width_out)
            )
        self.activation = activation_layer(activation)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Take (N, width_in, H, W), give (N, width_out, H / stride, W / stride)."""
        out: torch.Tensor = self.activation(self.residual(x) + self.shortcut(x))
        return out


class SEResNet(nn.Module):
    """The body: stem, four stages of residual blocks, global average pooling, dense layer, dropout.

    Args:
        channels: input channels, 1 for grey.
        widths: channels of each stage; the published network has (64, 128, 256, 512).
        depths: residual blocks of each stage.
        stem_stride: 2 halves 48×48 to 24×24 in the first convolution and costs a quarter of the time of 1.
        dense: width of the dense layer after pooling, 0 for none.
        dropout: share of features dropped before the heads.
        activation: `leaky_relu`, `relu`, `gelu` or `silu`.
        reduction: how far squeeze-and-excitation narrows.
    """

    def __init__(
        self,
        *,
        channels: int = 1,
        widths: Sequence[int] = (64, 128, 256, 512),
        depths: Sequence[int] = (2, 2, 2, 2),
        stem_stride: int = 1,
        dense: int = 0,
        dropout: float = 0.2,
        activation: str = "leaky_relu",
        reduction: int = 8,
    ) -> None:
        super().__init__()
        self.stem = nn.Sequential(
            nn.Conv2d(channels, widths[0], 3, stem_stride, 1, bias=False),
            nn.BatchNorm2d(widths[0]),
            activation_layer(activation),
        )
        blocks: list[nn.Module] = []
        width_in = widths[0]
        for stage, (width, depth) in enumerate(zip(widths, depths, strict=True)):
            for block in range(depth):
                stride = 2 if block == 0 and stage > 0 else 1
                blocks.append(
                    SEResidualBlock(width_in, width, stride=stride, reduction=reduction, activation=activation)
                )
                width_in = width
        self.stages = nn.Sequential(*blocks)
        neck: list[nn.Module] = [nn.AdaptiveAvgPool2d(1), nn.Flatten()]
        if dense:
            neck += [nn.Linear(width_in, dense), nn.BatchNorm1d(dense), activation_layer(activation)]
        self.neck = nn.Sequential(*neck, nn.Dropout(dropout))
        self.features = dense or width_in

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Take normalised faces (N, C, H, W), give features (N, `features`)."""
        out: torch.Tensor = self.neck(self.stages(self.stem(x)))
        return out
