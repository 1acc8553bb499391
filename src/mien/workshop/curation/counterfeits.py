"""Pictures without an upright face in the frame, made of a data set's own: what `noface` learns to tell faces from."""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np
import numpy.typing as npt

UInt8 = npt.NDArray[np.uint8]
Random = np.random.Generator

_BORDERS = (cv2.BORDER_REFLECT_101, cv2.BORDER_REPLICATE, cv2.BORDER_CONSTANT)
_LETTERS = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789!?.,      "


def make_counterfeits(images: UInt8, count: int, *, seed: int = 0) -> UInt8:
    """Pictures (count, H, W): faces turned over, cut off, far away, too near or taken apart; lettering, shapes, blanks.

    Args:
        images: grey uint8 (N, H, W), N at least 1.
        count: how many to make.
        seed: the same one makes the same pictures.
    """
    random = np.random.default_rng(seed)
    sources = random.permutation(np.resize(np.arange(len(images)), count))
    recipe = [RECIPES[place % len(RECIPES)] for place in range(count)]
    return np.stack([make(images[source], random) for source, make in zip(sources, recipe, strict=True)])


def _turned(image: UInt8, random: Random) -> UInt8:
    angle = random.choice([-1, 1]) * random.uniform(55, 180)
    return _warp(image, random, angle=angle, scale=random.uniform(0.7, 1.3), shift=random.uniform(-0.15, 0.15, 2))


def _cut_off(image: UInt8, random: Random) -> UInt8:
    angle, far = random.uniform(0, 2 * np.pi), random.uniform(0.35, 0.65)
    shift = far * np.array([np.cos(angle), np.sin(angle)])
    return _warp(image, random, angle=random.uniform(-15, 15), scale=random.uniform(0.8, 1.4), shift=shift)


def _far(image: UInt8, random: Random) -> UInt8:
    scale = random.uniform(0.3, 0.6)
    shift = random.uniform(-0.5, 0.5, 2) * (1 - scale)
    return _warp(image, random, angle=random.uniform(-25, 25), scale=scale, shift=shift)


def _near(image: UInt8, random: Random) -> UInt8:
    scale = random.uniform(1.8, 3)
    shift = random.uniform(-0.4, 0.4, 2) * (scale - 1)
    return _warp(image, random, angle=random.uniform(-20, 20), scale=scale, shift=shift)


def _apart(image: UInt8, random: Random) -> UInt8:
    """Tiles in another order."""
    tiles = int(random.choice([2, 3, 4]))
    high, wide = image.shape[0] // tiles, image.shape[1] // tiles
    parts = [image[i * high : (i + 1) * high, j * wide : (j + 1) * wide] for i in range(tiles) for j in range(tiles)]
    order = random.permutation(len(parts))
    rows = [np.hstack([parts[place] for place in order[i * tiles : (i + 1) * tiles]]) for i in range(tiles)]
    return _fit(np.vstack(rows), image.shape)


def _lettered(image: UInt8, random: Random) -> UInt8:
    """Lines of words on one colour, with or without a second colour below."""
    ground = random.choice(np.array([0, 40, 128, 200, 255, int(random.integers(256))]))
    sheet = np.full((192, 192), ground, np.uint8)
    if random.random() < 0.3:
        sheet[int(random.integers(192)) :] = random.integers(256)
    size, colour = random.uniform(0.3, 2.5), int(random.integers(256))
    font, left, top = int(random.integers(0, 8)), int(random.integers(-60, 60)), int(random.integers(0, 60))
    for line in range(int(random.integers(1, 9))):
        words = "".join(random.choice(list(_LETTERS), random.integers(4, 40)))
        place = (left, top + int(line * 34 * size * random.uniform(0.9, 1.4)))
        cv2.putText(sheet, words, place, font, size, colour, int(random.integers(1, 4)), cv2.LINE_AA)
    return _fit(sheet, image.shape)


def _shapes(image: UInt8, random: Random) -> UInt8:
    sheet = np.full((96, 96), random.integers(256), np.uint8)
    for _ in range(int(random.integers(1, 5))):
        colour, kind = int(random.integers(256)), random.integers(3)
        if kind == 0:
            corners = random.integers(-20, 116, (2, 2)).tolist()
            cv2.rectangle(sheet, corners[0], corners[1], colour, int(random.choice([-1, 1, 3])), cv2.LINE_AA)
        elif kind == 1:
            middle = random.integers(0, 96, 2).tolist()
            cv2.circle(sheet, middle, int(random.integers(3, 50)), colour, int(random.choice([-1, 2, 4])), cv2.LINE_AA)
        else:
            cv2.fillPoly(sheet, [random.integers(-10, 106, (3, 2)).astype(np.int32)], colour, cv2.LINE_AA)
    return _fit(sheet, image.shape)


def _blank(image: UInt8, random: Random) -> UInt8:
    """One colour or two that run into each other, clean or with noise."""
    first, second = random.integers(0, 256, 2)
    ramp = np.linspace(first, second if random.random() < 0.5 else first, image.shape[1])
    sheet = np.broadcast_to(ramp, image.shape)
    sheet = sheet if random.random() < 0.5 else sheet.T
    noise = random.normal(0, random.choice([0, 0, 2, 8]), image.shape)
    return np.clip(np.resize(sheet, image.shape) + noise, 0, 255).astype(np.uint8)


def _warp(image: UInt8, random: Random, *, angle: float, scale: float, shift: npt.NDArray[np.float64]) -> UInt8:
    """Turned by degrees, scaled, shifted by shares of the side; what comes in is mirrored, drawn out or one colour."""
    height, width = image.shape
    matrix = cv2.getRotationMatrix2D(((width - 1) / 2, (height - 1) / 2), float(angle), float(scale))
    matrix[:, 2] = matrix[:, 2] + shift * np.array([width, height])
    colour = float(random.choice(np.array([0.0, 255.0, float(image.mean()), float(random.integers(256))])))
    border = _BORDERS[random.integers(len(_BORDERS))]
    warped = cv2.warpAffine(
        image, matrix, (width, height), flags=cv2.INTER_LINEAR, borderMode=border, borderValue=colour
    )
    return np.asarray(warped, np.uint8)


def _fit(sheet: UInt8, shape: tuple[int, ...]) -> UInt8:
    return np.asarray(cv2.resize(sheet, (shape[1], shape[0]), interpolation=cv2.INTER_AREA), np.uint8)


RECIPES: tuple[Callable[[UInt8, Random], UInt8], ...] = (
    _turned, _cut_off, _far, _lettered, _near, _turned, _far, _apart, _shapes, _cut_off, _far, _lettered, _turned,
    _near, _blank,
)  # fmt: skip
"""Taken in turn: what is here more than once is made more often."""
