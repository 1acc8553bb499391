"""Lettering across a picture: a band of thin upright strokes, as letters make, brighter or darker than what is around.

A simple measure. It finds words of a few pixels' height that run along the picture; eyes with strong lashes, teeth and
patterned clothes look the same to it now and then.
"""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

from mien.workshop.curation.findings import Finding

UInt8 = npt.NDArray[np.uint8]
Float32 = npt.NDArray[np.float32]

LETTERS = 33.0
"""Strength from which a band is reported."""

_BAND, _STROKE_LIMIT = (22, 7), 60.0


def strokes(images: UInt8) -> tuple[Float32, npt.NDArray[np.int64]]:
    """The strength of the strongest band of strokes, float32 (N,), and its middle row; grey uint8 (N, H, W)."""
    strength = np.zeros(len(images), np.float32)
    place = np.zeros(len(images), np.int64)
    for row, image in enumerate(images):
        strength[row], place[row] = _strongest(image.astype(np.float32))
    return strength, place


def find_lettering(images: UInt8) -> list[Finding]:
    """Findings `watermark`; grey uint8 (N, H, W)."""
    strength, place = strokes(images)
    height = images.shape[1] if len(images) else 1
    return [
        Finding(
            "watermark", (int(row),), float(1 - LETTERS / (2 * strength[row])), "keep", "",
            f"a band of upright strokes {place[row] / height:.0%} of the way down",
        )
        for row in np.flatnonzero(strength >= LETTERS)
    ]  # fmt: skip


def _strongest(image: Float32) -> tuple[float, int]:
    """How much more the best band holds than those above and below it, and where it is."""
    width, height = _BAND
    if image.shape[0] < 3 * height or image.shape[1] < width + 2:
        return 0.0, 0
    bends = np.minimum(np.abs(2 * image[:, 1:-1] - image[:, :-2] - image[:, 2:]), _STROKE_LIMIT)
    mean = cv2.boxFilter(bends, -1, _BAND, borderType=cv2.BORDER_REPLICATE)
    above = np.vstack([np.repeat(mean[:1], height, axis=0), mean[:-height]])
    below = np.vstack([mean[height:], np.repeat(mean[-1:], height, axis=0)])
    more = mean - np.maximum(above, below)
    return float(more.max()), int(np.unravel_index(more.argmax(), more.shape)[0])
