"""The face-recognition network of dlib (King 2017), whose weights are in the public domain, to be trained further."""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional

MEANS = (122.782, 117.001, 104.298)
"""Grey values of red, green and blue that dlib takes off before it divides by `SCALE`."""
SCALE = 256.0
_STAGES = ((32, 3, False), (64, 4, True), (128, 3, True), (256, 3, True), (256, 1, True))
"""Channels, blocks, and whether the first block shrinks the picture."""


class DlibBlock(nn.Module):
    """Two 3×3 convolutions beside a shortcut without weights: pooled, and padded with zeros where channels are added.

    Args:
        width_in, width_out: channels.
        shrink: halve the picture; as in dlib this convolution does not pad.
    """

    def __init__(self, width_in: int, width_out: int, *, shrink: bool) -> None:
        super().__init__()
        stride, padding = (2, 0) if shrink else (1, 1)
        self.residual = nn.Sequential(
            nn.Conv2d(width_in, width_out, 3, stride, padding, bias=False),
            nn.BatchNorm2d(width_out),
            nn.ReLU(inplace=True),
            nn.Conv2d(width_out, width_out, 3, 1, 1, bias=False),
            nn.BatchNorm2d(width_out),
        )
        self.shortcut = nn.AvgPool2d(2) if shrink else nn.Identity()
        self.shrink = shrink

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Take (N, width_in, H, W), give (N, width_out, about H / stride, about W / stride)."""
        # Smaller faces than dlib's come down to maps of which a convolution without padding would leave nothing.
        least = 3 if self.shrink else 1
        new = self.residual(_pad(x, (x.shape[1], max(x.shape[2], least), max(x.shape[3], least))))
        old = self.shortcut(x) if min(x.shape[2:]) > 1 else x
        size = (new.shape[1], max(new.shape[2], old.shape[2]), max(new.shape[3], old.shape[3]))
        return functional.relu(_pad(new, size) + _pad(old, size))


class DlibResNet(nn.Module):
    """The body: 29 convolutions, global average pooling, dropout; 5.6 million parameters.

    Without first weights it is a small ResNet like others. With `[model] weights = "….dat"` it begins with what dlib
    learned from about three million photographs of faces, recognising persons, see `models.dlib_weights`.

    Args:
        channels: input channels, 1 for grey, 3 for RGB.
        dropout: share of features dropped before the heads.

    Source: https://github.com/davisking/dlib-models, dlib_face_recognition_resnet_model_v1, CC0 1.0.
    """

    def __init__(self, *, channels: int = 1, dropout: float = 0.2) -> None:
        super().__init__()
        width_in = _STAGES[0][0]
        self.stem = nn.Sequential(
            nn.Conv2d(channels, width_in, 7, 2, bias=False),
            nn.BatchNorm2d(width_in),
            nn.ReLU(inplace=True),
            nn.MaxPool2d(3, 2),
        )
        blocks: list[nn.Module] = []
        for width, count, shrinks in _STAGES:
            for block in range(count):
                blocks.append(DlibBlock(width_in, width, shrink=shrinks and block == 0))
                width_in = width
        self.stages = nn.Sequential(*blocks)
        self.neck = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Dropout(dropout))
        self.features = width_in
        self.mean_std = (sum(MEANS) / len(MEANS), SCALE)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Take normalised faces (N, C, H, W), 150×150 in dlib, give features (N, 256)."""
        out: torch.Tensor = self.neck(self.stages(self.stem(x)))
        return out


def _pad(x: torch.Tensor, size: tuple[int, int, int]) -> torch.Tensor:
    """Zeros after the last channel, row and column, up to (C, H, W)."""
    channels, height, width = (wanted - given for wanted, given in zip(size, x.shape[1:], strict=True))
    return functional.pad(x, (0, width, 0, height, 0, channels)) if channels or height or width else x
