"""What a network takes, and how face crops are brought to it: the same code in training, evaluation and serving."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from mien.images.pictures import resize, to_grey, to_rgb

UInt8 = npt.NDArray[np.uint8]


@dataclass(frozen=True)
class InputSpec:
    """The pictures that a network takes.

    Args:
        height, width: size in pixels.
        channels: 1 for grey, 3 for RGB.
        crop_scale: side of the square crop as a multiple of the detector's box height, centred on the box.
    """

    height: int = 48
    width: int = 48
    channels: int = 1
    crop_scale: float = 0.95


def prepare(crops: Sequence[UInt8] | UInt8, spec: InputSpec) -> UInt8:
    """Bring face crops of any size to a network's input.

    Args:
        crops: RGB or grey uint8 crops, each (H, W, 3) or (H, W); an array (N, H, W, 3) or (N, H, W) will do.
        spec: what the network takes.

    Returns:
        uint8 (N, channels, height, width), not normalised: the graph's first layer does that.
    """
    out = np.empty((len(crops), spec.channels, spec.height, spec.width), np.uint8)
    for row, crop in enumerate(crops):
        # Training does it in this order, too; the other order rounds differently.
        picture = to_grey(crop) if spec.channels == 1 else to_rgb(crop)
        sized = resize(picture, spec.height, spec.width)
        out[row] = sized if spec.channels == 1 else sized.transpose(2, 0, 1)
    return out
