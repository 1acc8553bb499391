"""Originals of an odd size, and classes with hardly any rows."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from mien.errors import SourceError
from mien.images.header import read_size, sniff
from mien.labels import SEVEN
from mien.workshop.curation.findings import Finding, Int64

SMALL_PX = 32
LONG = 1.6
"""A picture is odd from this ratio of its sides on."""

FEW_ROWS = 20
FEW_SHARE = 0.02

_HEAD_BYTES = 1 << 16


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
    """Width and height in pixels by the file's header; None where it does not say."""
    try:
        with path.open("rb") as file:
            head = file.read(_HEAD_BYTES)
        kind = sniff(head)
        size = read_size(head, kind) if kind else None
    except (OSError, SourceError, ValueError):
        return None
    return size if size and min(size) > 0 else None
