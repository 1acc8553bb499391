"""Residual blocks and the body that they make: what ResNet and SE-ResNet share."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

import torch
from torch import nn

from mien.workshop.networks.layers import StochasticDepth, activation_layer, attention_layer, blur

Attention = Callable[[int], nn.Module]
"""Makes a layer that re-weighs feature maps (N, width, H, W), given their width."""


class ResidualBlock(nn.Module):
    """Two 3×3 convolutions, attention if there is any, and a shortcut (He et al. 2016).

    Where the block shrinks the picture, the shortcut averages before its 1×1 convolution, so that it drops no pixel
    (He et al. 2019, ResNet-D).

    Args:
        width_in, width_out: channels.
        stride: 2 to shrink the picture.
        activation: name in `layers.ACTIVATIONS`.
        attention: makes the last layer of the residual; none if not given.
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
        attention: Attention | None = None,
        drop: float = 0.0,
        antialias: bool = False,
    ) -> None:
        super().__init__()
        first: nn.Module = nn.Conv2d(width_in, width_out, 3, stride, 1, bias=False)
        residual: list[nn.Module] = [
            nn.Sequential(blur(), first) if antialias and stride > 1 else first,
            nn.BatchNorm2d(width_out),
            activation_layer(activation),
            nn.Conv2d(width_out, width_out, 3, 1, 1, bias=False),
            nn.BatchNorm2d(width_out),
        ]
        if attention:
            residual.append(attention(width_out))
        if drop:
            residual.append(StochasticDepth(drop))
        self.residual = nn.Sequential(*residual)
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


class ResidualBody(nn.Module):
    """Stem, stages of residual blocks, global average pooling, dense layer, dropout.

    Args:
        channels: input channels, 1 for grey.
        widths: channels of each stage.
        depths: residual blocks of each stage.
        stem_stride: stride of the first convolution.
        dense: width of the dense layer after pooling, 0 for none.
        dropout: share of features dropped before the heads.
        activation: name in `layers.ACTIVATIONS`.
        attention: makes the last layer of every block's residual; none if not given.
        stochastic_depth: chance in 0–1 that the last block is left out for a face while training; the blocks before it
            have smaller ones, in even steps from none (Huang et al. 2016).
        antialias: blur before every convolution of a block that shrinks the picture (Zhang 2019).
    """

    def __init__(
        self,
        *,
        channels: int,
        widths: Sequence[int],
        depths: Sequence[int],
        stem_stride: int,
        dense: int,
        dropout: float,
        activation: str,
        attention: Attention | None = None,
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
                stride = 2 if block == 0 and stage > 0 else 1
                drop = stochastic_depth * len(blocks) / max(sum(depths) - 1, 1)
                blocks.append(
                    ResidualBlock(
                        width_in, width, stride=stride, activation=activation, attention=attention, drop=drop,
                        antialias=antialias,
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


class ResNet(ResidualBody):
    """The body: stem, four stages of basic residual blocks, global average pooling, dropout (He et al. 2016).

    It differs from `SEResNet` by its activation, its dropout, and the lack of squeeze-and-excitation alone, so that
    comparing the two with equal options shows what the gates bring.

    Args:
        channels: input channels, 1 for grey.
        widths: channels of each stage.
        depths: residual blocks of each stage; two in each of four make ResNet-18.
        stem_stride: 2 halves 48×48 to 24×24 in the first convolution and costs a quarter of the time of 1.
        dropout: share of features dropped before the heads; the published network has none.
        activation: `leaky_relu`, `relu`, `gelu` or `silu`.
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
            channels=channels,
            widths=widths,
            depths=depths,
            stem_stride=stem_stride,
            dense=0,
            dropout=dropout,
            activation=activation,
        )


class SEResNet(ResidualBody):
    """The body: stem, four stages of residual blocks, global average pooling, dense layer, dropout.

    Every block ends in squeeze-and-excitation (He et al. 2016; Hu et al. 2018).

    Args:
        channels: input channels, 1 for grey.
        widths: channels of each stage; the published network has (64, 128, 256, 512).
        depths: residual blocks of each stage.
        stem_stride: 2 halves 48×48 to 24×24 in the first convolution and costs a quarter of the time of 1.
        dense: width of the dense layer after pooling, 0 for none.
        dropout: share of features dropped before the heads.
        activation: `leaky_relu`, `relu`, `gelu` or `silu`.
        attention: `se`, or in its place `cbam` or `none`.
        reduction: how far the attention narrows.
        stochastic_depth: chance that the last block is left out for a face while training; falls to 0 at the first.
        antialias: blur before each convolution of a block that shrinks the picture.
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
        super().__init__(
            channels=channels,
            widths=widths,
            depths=depths,
            stem_stride=stem_stride,
            dense=dense,
            dropout=dropout,
            activation=activation,
            attention=partial(attention_layer, attention, reduction=reduction),
            stochastic_depth=stochastic_depth,
            antialias=antialias,
        )
