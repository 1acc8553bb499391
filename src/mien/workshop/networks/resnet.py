"""ResNet-18 for small grey faces: a 3×3 stem without pooling in the place of ImageNet's 7×7."""

from __future__ import annotations

from collections.abc import Sequence

from mien.workshop.networks.blocks import ResidualBody


class ResNet(ResidualBody):
    """The body: stem, four stages of basic residual blocks, global average pooling, dropout (He et al. 2016).

    It differs from `SEResNet` by its activation, its dropout, and the lack of squeeze-and-excitation alone, so that
    comparing the two with equal options tells what the gates bring.

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
