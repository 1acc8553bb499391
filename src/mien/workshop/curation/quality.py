"""Pictures that show little whatever they show: flat, too dark, too bright, out of focus."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from mien.workshop.curation.findings import Finding

UInt8 = npt.NDArray[np.uint8]
Float32 = npt.NDArray[np.float32]

DARK = 60
"""Too dark when nine of ten pixels are below it."""

BRIGHT = 190
"""Too bright when nine of ten pixels are above it."""

BLUR_SPREADS = 3.0
"""Out of focus when so many robust standard deviations below the data set's median sharpness."""

_BLOCK = 4096


@dataclass(frozen=True)
class Quality:
    """Measures of each picture, float32 (N,).

    Args:
        spread: greatest minus least pixel.
        low, high: the 10th and 90th percentile of the pixels.
        sharpness: logarithm of the variance of the Laplacian over the variance of the pixels: contrast does not count.
    """

    spread: Float32
    low: Float32
    high: Float32
    sharpness: Float32


def measure(images: UInt8) -> Quality:
    """Measure grey pictures uint8 (N, H, W)."""
    columns: list[Float32] = []
    for start in range(0, len(images), _BLOCK):
        block = images[start : start + _BLOCK]
        pixels = block.reshape(len(block), -1)
        spread = pixels.max(axis=1).astype(np.float32) - pixels.min(axis=1)
        low, high = np.percentile(pixels, (10, 90), axis=1)
        edges = [cv2.Laplacian(image.astype(np.float32), cv2.CV_32F, ksize=1).var() for image in block]
        sharpness = np.log((np.array(edges) + 0.5) / (pixels.var(axis=1) + 5))
        columns.append(np.stack([spread, low, high, sharpness]).astype(np.float32))
    return Quality(*np.concatenate(columns, axis=1)) if columns else Quality(*np.zeros((4, 0), np.float32))


def find_poor(quality: Quality) -> list[Finding]:
    """Findings `flat`, `dark`, `bright` and `blur`; a flat picture is nothing else besides.

    Flat pictures are suggested to be dropped, the others to be looked at: a face in the dark is a face.
    """
    found = []
    flat = quality.spread == 0
    depth = _below_usual(quality.sharpness, flat)
    for row in range(len(flat)):
        low, high = float(quality.low[row]), float(quality.high[row])
        if flat[row]:
            found.append(Finding("flat", (row,), 1.0, "drop", "", f"every pixel is {low:.0f}"))
            continue
        if high < DARK:
            found.append(
                Finding("dark", (row,), 1 - high / 255, "keep", "", f"nine of ten pixels are below {high:.0f} of 255")
            )
        if low > BRIGHT:
            found.append(
                Finding("bright", (row,), low / 255, "keep", "", f"nine of ten pixels are above {low:.0f} of 255")
            )
        if depth[row] > BLUR_SPREADS:
            said = f"{depth[row]:.1f} spreads less sharp than is usual here"
            found.append(Finding("blur", (row,), 1 - BLUR_SPREADS / (2 * float(depth[row])), "keep", "", said))
    return found


def _below_usual(values: Float32, out: npt.NDArray[np.bool_]) -> Float32:
    """By how many robust standard deviations each value lies below the median of those that are not `out`."""
    used = values[~out]
    if not used.size:
        return np.zeros_like(values)
    middle = np.median(used)
    spread = 1.4826 * np.median(np.abs(used - middle))
    return np.asarray((middle - values) / max(float(spread), 0.05), np.float32)
