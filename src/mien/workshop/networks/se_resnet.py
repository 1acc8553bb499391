"""SE-ResNet for small grey faces: residual blocks with squeeze-and-excitation, made to run fast on 48×48 pictures."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from mien.workshop.networks.blocks import ResidualBody
from mien.workshop.networks.layers import attention_layer


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
