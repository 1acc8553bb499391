"""What corrupts the picture of a face: blur, JPEG, little light, noise, tilt, few pixels, a misplaced box, covers.

A corruption takes crops, uint8 (N, H, W) or (N, H, W, 3), and gives crops of the same kind, by the same seed the same.
Lengths are shares of the crop, or pixels of a crop of 48 px, FER2013's. Places outside the crop repeat its edge.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial

import cv2
import numpy as np
import numpy.typing as npt

from mien.arrays import Float64, UInt8
from mien.errors import DataError
from mien.images.pictures import decode, encode

FER_SIDE = 48
GAMMA = 2.2
"""Between light and grey levels, about that of sRGB."""

EYES = (0.24, 0.44, 0.08, 0.92)
MOUTH = (0.58, 0.86, 0.2, 0.8)
"""Top, bottom, left and right of what covers them: nine in ten eyes and mouths of FER2013 are at these heights."""

_DIRECTIONS = np.array([[1, 0], [-1, 0], [0, 1], [0, -1]], np.float64)


@dataclass(frozen=True)
class Corruption:
    """One way to corrupt a picture.

    Args:
        key: short name for JSON.
        group: what it belongs to, for people.
        title: what it is called in a table.
        how: how it is made, in words.
        corrupt: the function, of crops and a generator.
    """

    key: str
    group: str
    title: str
    how: str
    corrupt: Callable[[UInt8, np.random.Generator], UInt8] = field(repr=False)

    def apply(self, crops: UInt8, *, seed: int = 0) -> UInt8:
        """The corrupted crops; what is random is each corruption's own.

        Raises:
            DataError: for what are no crops.
        """
        if crops.dtype != np.uint8 or crops.ndim not in (3, 4) or 0 in crops.shape[1:]:
            raise DataError(f"expected crops uint8 (N, H, W) or (N, H, W, 3), not {crops.dtype} {crops.shape}")
        # crc32, because Python's own hash of a string differs from process to process.
        return self.corrupt(crops, np.random.default_rng((seed, zlib.crc32(self.key.encode()))))


def blur(crops: UInt8, _: np.random.Generator, *, sigma: float) -> UInt8:
    """Gaussian, sigma in pixels of a crop of 48 px."""
    wide = sigma * crops.shape[1] / FER_SIDE
    return _each(crops, lambda crop: cv2.GaussianBlur(crop, (0, 0), wide, borderType=cv2.BORDER_REPLICATE))


def jpeg(crops: UInt8, _: np.random.Generator, *, quality: int) -> UInt8:
    """Written as JPEG and read again."""

    def through(crop: UInt8) -> UInt8:
        read = decode(encode(crop, "jpeg", quality=quality))
        return read[..., 0] if crop.ndim == 2 else read

    return _each(crops, through)


def low_light(crops: UInt8, generator: np.random.Generator, *, light: float, noise: float) -> UInt8:
    """A share of the light, so that grey levels fall by its root, and what the sensor adds."""
    return _noisy(crops * light ** (1 / GAMMA), generator, noise)


def add_noise(crops: UInt8, generator: np.random.Generator, *, sigma: float) -> UInt8:
    """Gaussian, in grey levels; the same in all colours."""
    return _noisy(crops.astype(np.float64), generator, sigma)


def tilt(crops: UInt8, generator: np.random.Generator, *, degrees: float) -> UInt8:
    """To the left or to the right, by chance."""
    angles = np.radians(degrees) * generator.choice([-1.0, 1.0], len(crops))
    turns = np.stack([np.cos(angles), -np.sin(angles), np.sin(angles), np.cos(angles)], axis=1).reshape(-1, 2, 2)
    return _resample(crops, turns, np.zeros((len(crops), 2)))


def box_size(crops: UInt8, _: np.random.Generator, *, scale: float) -> UInt8:
    """As if the detector's box were so much larger: above 1 more than the face is seen, below 1 its rim is cut off."""
    return _resample(crops, np.tile(scale * np.eye(2), (len(crops), 1, 1)), np.zeros((len(crops), 2)))


def box_shift(crops: UInt8, generator: np.random.Generator, *, share: float, directions: Float64) -> UInt8:
    """As if the detector's box lay off by a share of its side, in one of these directions (x, y), by chance."""
    chosen = directions[generator.integers(len(directions), size=len(crops))]
    return _resample(crops, np.tile(np.eye(2), (len(crops), 1, 1)), share * chosen)


def few_pixels(crops: UInt8, _: np.random.Generator, *, side: int) -> UInt8:
    """Seen in so many pixels a side; whoever reads them enlarges them again. Smaller crops stay as they are."""
    # Enlarging would blur and call it few pixels.
    if side >= min(crops.shape[1:3]):
        return crops
    out = np.empty((len(crops), side, side, *crops.shape[3:]), np.uint8)
    for row, crop in enumerate(crops):
        # INTER_AREA averages, as a sensor with fewer pixels does; other ways would alias.
        out[row] = cv2.resize(np.ascontiguousarray(crop), (side, side), interpolation=cv2.INTER_AREA)
    return out


def cover(crops: UInt8, _: np.random.Generator, *, place: tuple[float, float, float, float], grey: int) -> UInt8:
    """A bar of one grey in front of the face; `place` is its top, bottom, left and right."""
    height, width = crops.shape[1:3]
    top, bottom, left, right = (
        round(at * size) for at, size in zip(place, (height, height, width, width), strict=True)
    )
    covered = crops.copy()
    covered[:, top:bottom, left:right] = grey
    return covered


def _noisy(levels: Float64, generator: np.random.Generator, sigma: float) -> UInt8:
    # One grain a pixel, not a channel: FER2013 is grey, and colour noise would weigh less after its conversion.
    grain = sigma * generator.standard_normal(levels.shape[:3])
    return np.rint(np.clip(levels + grain.reshape(*grain.shape, *[1] * (levels.ndim - 3)), 0, 255)).astype(np.uint8)


def _each(crops: UInt8, change: Callable[[UInt8], npt.ArrayLike]) -> UInt8:
    out = np.empty_like(crops)
    for row, crop in enumerate(crops):
        out[row] = change(np.ascontiguousarray(crop))
    return out


def _resample(crops: UInt8, turns: Float64, moves: Float64) -> UInt8:
    """Each crop at turn @ (place - middle) + middle + move, the move (x, y) in shares of its sides."""
    height, width = crops.shape[1:3]
    # OpenCV's coordinates are those of pixel centres.
    middle = np.array([width - 1, height - 1]) / 2
    out = np.empty_like(crops)
    for row, (turn, move) in enumerate(zip(turns, moves, strict=True)):
        offset = middle - turn @ middle + move * (width, height)
        out[row] = cv2.warpAffine(
            np.ascontiguousarray(crops[row]), np.column_stack([turn, offset]), (width, height),
            flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP, borderMode=cv2.BORDER_REPLICATE,
        )  # fmt: skip
    return out


def _light(key: str, words: str, stops: int) -> Corruption:
    how = f"grey levels × {2 ** (-stops / GAMMA):.2f}, noise σ 3"
    return Corruption(key, "Light", f"{words} of the light", how, partial(low_light, light=0.5**stops, noise=3))


def _small(height: int, crop_scale: float) -> Corruption:
    side = round(crop_scale * height)
    how = f"seen in {side} × {side} px"
    return Corruption(f"box-{height}px", "Size", f"box {height} px high", how, partial(few_pixels, side=side))


def _sized(scale: float) -> Corruption:
    words = "loose" if scale > 1 else "tight"
    how = "of its side"
    return Corruption(f"scale-{scale:g}", "Box", f"{words} box × {scale:g}", how, partial(box_size, scale=scale))


def _shifted(key: str, title: str, how: str, share: float, *directions: int) -> Corruption:
    change = partial(box_shift, share=share, directions=_DIRECTIONS[list(directions)])
    return Corruption(key, "Box", title, how, change)


def corruptions(crop_scale: float = 0.95) -> tuple[Corruption, ...]:
    """All that a report measures, in its order.

    Args:
        crop_scale: side of the model's crops as a multiple of the box's height, for the small boxes.
    """
    return (
        Corruption("blur-1", "Sharpness", "blur σ 1 px", "Gaussian, σ 1 px of 48", partial(blur, sigma=1.0)),
        Corruption("blur-2", "Sharpness", "blur σ 2 px", "Gaussian, σ 2 px of 48", partial(blur, sigma=2.0)),
        Corruption("jpeg-30", "Sharpness", "JPEG 30", "the crop itself at quality 30", partial(jpeg, quality=30)),
        _light("light-quarter", "a quarter", 2),
        _light("light-sixteenth", "a sixteenth", 4),
        Corruption("noise-10", "Noise", "noise σ 10", "Gaussian, σ 10 of 255", partial(add_noise, sigma=10.0)),
        Corruption("noise-20", "Noise", "noise σ 20", "Gaussian, σ 20 of 255", partial(add_noise, sigma=20.0)),
        *(_small(height, crop_scale) for height in (24, 20, 16, 12)),
        Corruption("tilt-15", "Pose", "tilted by 15°", "to the left or the right", partial(tilt, degrees=15.0)),
        _shifted("shift-5", "box off by 5 %", "to any side, of the crop's side", 0.05, 0, 1, 2, 3),
        _shifted("shift-10-sideways", "box 10 % to the side", "left or right", 0.1, 0, 1),
        _shifted("shift-10-down", "box 10 % too low", "of the crop's side", 0.1, 2),
        _shifted("shift-10-up", "box 10 % too high", "of the crop's side", 0.1, 3),
        *(_sized(scale) for scale in (0.8, 0.9, 1.1, 1.2, 1.3)),
        Corruption(
            "eyes", "Cover", "eyes covered", "a dark bar as wide as sunglasses", partial(cover, place=EYES, grey=20)
        ),
        Corruption(
            "mouth", "Cover", "mouth covered", "a light patch, as a mask", partial(cover, place=MOUTH, grey=210)
        ),
    )
