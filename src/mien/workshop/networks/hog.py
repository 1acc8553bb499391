"""Histograms of oriented gradients: the classical features, with nothing to train but the heads above them."""

from __future__ import annotations

import math

import torch
from torch import nn
from torch.nn import functional

EPS = 1e-5
CLIP = 0.2


class HOG(nn.Module):
    """Dalal & Triggs 2005 with block norm L2-Hys, value for value what `skimage.feature.hog` computes.

    Each pixel votes with its gradient's length for one of the unsigned orientations; the votes are averaged over
    cells, and overlapping blocks of cells are scaled to unit length, clipped at 0.2 and scaled again. Of RGB pixels
    the channel with the longest gradient votes. Pixels beyond the last whole cell have no vote.

    Args:
        channels: input channels, 1 for grey.
        size: side of the input in pixels.
        orientations: bins over 180°.
        cell: side of a cell in pixels.
        block: side of a block in cells.
    """

    mean_std = (0.0, 1.0)
    """Gradients are taken of the pixels as they are, 0–255."""

    cosines: torch.Tensor
    sines: torch.Tensor

    def __init__(
        self, *, channels: int = 1, size: int = 48, orientations: int = 9, cell: int = 8, block: int = 2
    ) -> None:
        super().__init__()
        blocks = size // cell - block + 1
        if blocks < 1:
            raise ValueError(f"{size} pixels are less than a block of {block} cells of {cell} pixels")
        angles = [math.pi * k / orientations for k in range(orientations)]
        for name, function in (("cosines", math.cos), ("sines", math.sin)):
            values = torch.tensor([function(angle) for angle in angles]).view(1, -1, 1, 1)
            # Not saved: they follow from the options.
            self.register_buffer(name, values, persistent=False)
        self.channels, self.cell, self.block = channels, cell, block
        self.features = blocks * blocks * block * block * orientations

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Take pixels (N, C, H, W), give features (N, F) in the order block row, column, cell row, column, bin."""
        cells = functional.avg_pool2d(self._votes(*self._gradients(x)), self.cell)
        rows, columns = (side - self.block + 1 for side in cells.shape[2:])
        shifted = [cells[:, :, i : i + rows, j : j + columns] for i in range(self.block) for j in range(self.block)]
        blocks = torch.stack(shifted, 1).permute(0, 3, 4, 1, 2).flatten(3)
        return _unit(_unit(blocks).clamp(max=CLIP)).flatten(1)

    def _gradients(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Length, vertical and horizontal part, each (N, 1, H, W); zero across the picture's edge."""
        down = functional.pad(x[:, :, 2:] - x[:, :, :-2], (0, 0, 1, 1))
        right = functional.pad(x[..., 2:] - x[..., :-2], (1, 1))
        length = (down.square() + right.square()).sqrt()
        if self.channels > 1:
            longest = length.argmax(1, keepdim=True)
            length, down, right = (part.gather(1, longest) for part in (length, down, right))
        return length, down, right

    def _votes(self, length: torch.Tensor, down: torch.Tensor, right: torch.Tensor) -> torch.Tensor:
        """The length in the bin of its orientation, (N, orientations, H, W)."""
        # Turned into the upper half-plane, a gradient has passed the angle a if sin(its own angle - a) ≥ 0.
        sign = torch.where((down < 0) | ((down == 0) & (right < 0)), -1.0, 1.0)
        passed = self.cosines * (down * sign) - self.sines * (right * sign) >= 0
        beyond = functional.pad(passed[:, 1:].float(), (0, 0, 0, 0, 0, 1))
        return length * (passed.float() - beyond)


def _unit(blocks: torch.Tensor) -> torch.Tensor:
    # With the square of ε under the root, as scikit-image has it.
    return blocks / (blocks.square().sum(-1, keepdim=True) + EPS**2).sqrt()
