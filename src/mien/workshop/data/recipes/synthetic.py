"""Worse copies of training faces: dark, rotated, blurred, coarse, compressed.

They show no new face and no new expression: they teach a model that an expression stays the same in bad light or from a
poor camera. Only training rows are copied, and copies only trained on.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable

import cv2
import numpy as np
import numpy.typing as npt

from mien.images import pictures as images
from mien.labels import SEVEN
from mien.workshop.data.base import SPLITS
from mien.workshop.data.recipes.recipe import Recipe, Source
from mien.workshop.data.recipes.rows import Ledger, Rows

UInt8 = npt.NDArray[np.uint8]
Random = np.random.Generator


def with_synthetic(rows: Rows, recipe: Recipe, ledger: Ledger) -> Rows:
    """The rows and what every synthetic source of the recipe makes of them."""
    parts = [rows]
    for source in recipe.sources:
        if source.kind == "synthetic":
            made = make_copies(rows, source, recipe.seed)
            ledger.given[source.name] = len(made)
            parts.append(made)
    return Rows.joined(parts)


def make_copies(rows: Rows, source: Source, seed: int) -> Rows:
    """Copies of a share of the training faces of one source, for each degradation; they stay in the face's group."""
    wanted = [SEVEN.index(name) for name in source.classes or SEVEN]
    candidates = np.flatnonzero(
        (rows.split == SPLITS.index("train")) & (rows.sources == source.of) & np.isin(rows.labels, wanted)
    )
    parts = [rows[:0]]
    for number, name in enumerate(source.make):
        generator = np.random.default_rng([seed, zlib.crc32(source.name.encode()), number])
        count = round(source.share * len(candidates))
        part = rows[np.sort(generator.permutation(candidates)[:count])]
        pictures = [MAKERS[name](image, generator) for image in part.images]
        fresh = {
            "images": np.array(pictures, np.uint8).reshape(part.images.shape),
            "ids": np.array([f"{one}#{name}" for one in part.ids], np.str_),
            "sources": np.full(len(part), source.name),
            "votes": np.zeros_like(part.votes),
        }
        parts.append(Rows(**{**vars(part), **fresh}))
    return Rows.joined(parts)


def darken(image: UInt8, random: Random) -> UInt8:
    """A fifth to a half of the light, with the noise of a sensor that makes up for it."""
    light = random.uniform(0.2, 0.5)
    noise = random.normal(0, random.uniform(2, 6), image.shape[:2])
    noise = noise if image.ndim == 2 else noise[:, :, None]
    return np.clip(image * light + noise, 0, 255).round().astype(np.uint8)


def rotate(image: UInt8, random: Random) -> UInt8:
    """10 to 30 degrees, either way; what lies beyond the picture repeats its edge."""
    height, width = image.shape[:2]
    angle = float(random.uniform(10, 30) * random.choice([-1, 1]))
    turn = cv2.getRotationMatrix2D(((width - 1) / 2, (height - 1) / 2), angle, 1.0)
    return np.asarray(cv2.warpAffine(image, turn, (width, height), borderMode=cv2.BORDER_REPLICATE), np.uint8)


def blur(image: UInt8, random: Random) -> UInt8:
    """Out of focus: a Gaussian of a fortieth to a twentieth of the side."""
    sigma = float(random.uniform(0.025, 0.05)) * image.shape[0]
    return np.asarray(cv2.GaussianBlur(image, (0, 0), sigma), np.uint8)


def coarsen(image: UInt8, random: Random) -> UInt8:
    """As from afar: a third to a half of the size and back."""
    height, width = image.shape[:2]
    ratio = float(random.uniform(1 / 3, 1 / 2))
    small = images.resize(image, max(1, round(ratio * height)), max(1, round(ratio * width)))
    return images.resize(small, height, width)


def compress(image: UInt8, random: Random) -> UInt8:
    """JPEG of a quality of 5 to 20."""
    data = images.encode(image, "jpeg", quality=int(random.integers(5, 21)))
    decoded = images.decode(data)
    return images.to_grey(decoded) if image.ndim == 2 else decoded


MAKERS: dict[str, Callable[[UInt8, Random], UInt8]] = {
    "dark": darken,
    "rotated": rotate,
    "blurred": blur,
    "coarse": coarsen,
    "compressed": compress,
}
