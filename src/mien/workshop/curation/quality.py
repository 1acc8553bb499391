"""Pictures that show little whatever they show: flat, too dark, too bright, out of focus."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from mien.arrays import Bool, Float32, Int64, UInt8
from mien.errors import SourceError
from mien.images.header import read_size, sniff
from mien.labels import SEVEN
from mien.workshop.curation.issues import Finding

DARK = 60
"""Too dark when nine of ten pixels are below it."""

BRIGHT = 190
"""Too bright when nine of ten pixels are above it."""

BLUR_SPREADS = 3.0
"""Out of focus when so many robust standard deviations below the data set's median sharpness."""

_BLOCK = 4096

LETTERS = 33.0
"""Strength from which a band is reported."""
_BAND, _STROKE_LIMIT = (22, 7), 60.0
SMALL_PX = 32
LONG = 1.6
"""A picture is odd from this ratio of its sides on."""
FEW_ROWS = 20
FEW_SHARE = 0.02
_HEAD_BYTES = 1 << 16


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
        # The constants are for pictures of hardly any contrast.
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
            said = f"{depth[row]:.1f} spreads less sharp than usual here"
            found.append(Finding("blur", (row,), 1 - BLUR_SPREADS / (2 * float(depth[row])), "keep", "", said))
    return found


def _below_usual(values: Float32, out: Bool) -> Float32:
    """By how many robust standard deviations each value lies below the median of those that are not `out`."""
    used = values[~out]
    if not used.size:
        return np.zeros_like(values)
    middle = np.median(used)
    # By this factor the median deviation of normal values is their standard deviation.
    spread = 1.4826 * np.median(np.abs(used - middle))
    # At least 0.05: where nearly all are equally sharp, the others need not be out of focus.
    return np.asarray((middle - values) / max(float(spread), 0.05), np.float32)


def strokes(images: UInt8) -> tuple[Float32, Int64]:
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
    # Limited, so that one hard edge does not pass for many strokes.
    bends = np.minimum(np.abs(2 * image[:, 1:-1] - image[:, :-2] - image[:, 2:]), _STROKE_LIMIT)
    mean = cv2.boxFilter(bends, -1, _BAND, borderType=cv2.BORDER_REPLICATE)
    # Compared with what is around it: hair and patterns have strokes everywhere.
    above = np.vstack([np.repeat(mean[:1], height, axis=0), mean[:-height]])
    below = np.vstack([mean[height:], np.repeat(mean[-1:], height, axis=0)])
    more = mean - np.maximum(above, below)
    return float(more.max()), int(np.unravel_index(more.argmax(), more.shape)[0])


def find_odd_sizes(root: Path, ids: Sequence[str]) -> list[Finding]:
    """Originals in a folder that are very small or far from square: what is read of them is stretched.

    Args:
        root: the folder.
        ids: the paths of the pictures below it, by row.
    """
    found = []
    for row, name in enumerate(ids):
        size = _size(root / name)
        if size is None:
            continue
        width, height = size
        ratio = max(width, height) / min(width, height)
        if min(width, height) < SMALL_PX:
            score = 1 - min(width, height) / (2 * SMALL_PX)
            found.append(Finding("size", (row,), score, "keep", "", f"the file is {width}×{height} px, very small"))
        elif ratio >= LONG:
            score = min(1.0, 1 - LONG / (2 * ratio))
            said = f"the file is {width}×{height} px and was stretched to a square"
            found.append(Finding("size", (row,), score, "keep", "", said))
    return found


def find_small_classes(labels: Int64) -> list[Finding]:
    """Classes with fewer than 20 rows or 2 % of the labelled ones; the issue names no rows, but for none at all."""
    counts = np.bincount(labels[labels >= 0], minlength=len(SEVEN))
    total = int(counts.sum())
    found = []
    for name, count in zip(SEVEN, counts.tolist(), strict=True):
        if total and (count < FEW_ROWS or count < FEW_SHARE * total):
            score = 1 - count / max(2 * FEW_ROWS, 2 * FEW_SHARE * total)
            found.append(Finding("class", (), score, "keep", "", f"{name} has {count:,} of {total:,} rows"))
    return found


def _size(path: Path) -> tuple[int, int] | None:
    """Width and height in pixels by the file's header; None if it has none."""
    try:
        with path.open("rb") as file:
            head = file.read(_HEAD_BYTES)
        kind = sniff(head)
        size = read_size(head, kind) if kind else None
    except (OSError, SourceError, ValueError):
        return None
    return size if size and min(size) > 0 else None
