"""Residual blocks and the bodies that they make: SE-ResNet, and ResNet to compare it with."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import nn

from mien.workshop.networks.layers import StochasticDepth, activation_layer, attention_layer, blur


class ResidualBlock(nn.Module):
    """Two 3×3 convolutions, attention, and a shortcut (He et al. 2016).

    Where the block shrinks the picture, the shortcut averages before its 1×1 convolution, so that it drops no pixel
    (He et al. 2019, ResNet-D).

    Args:
        width_in, width_out: channels.
        stride: 2 to shrink the picture.
        activation: name in `layers.ACTIVATIONS`.
        attention: the layer after the convolutions, for feature maps (N, width_out, H, W).
        drop: chance in 0–1 that a face goes by the shortcut alone while training.
        antialias: blur before a convolution that shrinks.
    """

    def __init__(
        self,
        width_in: int,
        width_out: int,
        *,
        stride: int,
        activation: str,
        attention: nn.Module,
        drop: float = 0.0,
        antialias: bool = False,
    ) -> None:
        super().__init__()
        # Convolutions have no bias: the batch norm behind each would subtract it again.
        first: nn.Module = nn.Conv2d(width_in, width_out, 3, stride, 1, bias=False)
        residual: list[nn.Module] = [
            nn.Sequential(blur(), first) if antialias and stride > 1 else first,
            nn.BatchNorm2d(width_out),
            activation_layer(activation),
            nn.Conv2d(width_out, width_out, 3, 1, 1, bias=False),
            nn.BatchNorm2d(width_out),
            attention,
        ]
        if drop:
            residual.append(StochasticDepth(drop))
        self.residual = nn.Sequential(*residual)
        self.shortcut: nn.Module = nn.Identity()
        if stride != 1 or width_in != width_out:
            # An odd side keeps its last row, as the strided convolution does, and padding does not count in its mean.
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
    """The body: stem, stages of residual blocks, global average pooling, dense layer, dropout.

    Every block ends in squeeze-and-excitation (He et al. 2016; Hu et al. 2018).

    Args:
        channels: input channels, 1 for grey.
        widths: channels of each stage.
        depths: residual blocks of each stage.
        stem_stride: 2 halves 48×48 to 24×24 in the first convolution and costs a quarter of the time of 1.
        dense: width of the dense layer after pooling, 0 for none.
        dropout: share of features dropped before the heads.
        activation: `leaky_relu`, `relu`, `gelu` or `silu`.
        attention: `se`, or in its place `cbam` or `none`.
        reduction: how far the attention narrows.
        stochastic_depth: chance in 0–1 that the last block is left out for a face while training; the blocks before it
            have smaller ones, in even steps from none (Huang et al. 2016).
        antialias: blur before every convolution of a block that shrinks the picture (Zhang 2019).
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
        attention: str = "se",
        reduction: int = 8,
        stochastic_depth: float = 0.0,
        antialias: bool = False,
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
                # The stem alone decides about the first halving.
                stride = 2 if block == 0 and stage > 0 else 1
                drop = stochastic_depth * len(blocks) / max(sum(depths) - 1, 1)
                blocks.append(
                    ResidualBlock(
                        width_in, width, stride=stride, activation=activation, drop=drop, antialias=antialias,
                        attention=attention_layer(attention, width, reduction),
                    )
                )  # fmt: skip
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


class ResNet(SEResNet):
    """The same without squeeze-and-excitation and dense layer (He et al. 2016).

    It differs by its activation, its dropout, and the lack of gates alone, so that comparing the two with equal options
    shows what the gates bring. Two blocks in each of four stages make ResNet-18, which was published without dropout.
    See `SEResNet` for the arguments.
    """

    def __init__(
        self,
        *,
        channels: int = 1,
        widths: Sequence[int] = (64, 128, 256, 512),
        depths: Sequence[int] = (2, 2, 2, 2),
        stem_stride: int = 1,
        dropout: float = 0.0,
        activation: str = "relu",
    ) -> None:
        super().__init__(
            channels=channels, widths=widths, depths=depths, stem_stride=stem_stride, dropout=dropout,
            activation=activation, attention="none",
        )  # fmt: skip
