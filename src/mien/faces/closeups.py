"""Close-ups of eyes and mouth, cut out by landmarks: small things are seen larger, level and in their place."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from mien.images.pictures import to_grey

UInt8 = npt.NDArray[np.uint8]
Float32 = npt.NDArray[np.float32]

SIDE_PX = 64
"""Of the square that the three close-ups share."""


@dataclass(frozen=True)
class Tile:
    """One close-up, in units of the face's own: the mean of the distances eye to eye and eyes to mouth.

    Args:
        points: those whose middle is its middle.
        lift: how far above that it looks, in units.
        scale: pixels a unit.
        corner: x, y of its upper left corner in the square, pixels.
        size: width and height, pixels.
        tells: points whose places it shows.
    """

    points: tuple[int, ...]
    lift: float
    scale: float
    corner: tuple[int, int]
    size: tuple[int, int]
    tells: tuple[int, ...]


TILES = (
    Tile(tuple(range(36, 42)), 0.12, 40.0, (0, 0), (32, 32), (*range(17, 22), *range(36, 42), 68)),
    Tile(tuple(range(42, 48)), 0.12, 40.0, (32, 0), (32, 32), (*range(22, 27), *range(42, 48), 69)),
    Tile(tuple(range(48, 60)), -0.04, 46.0, (0, 32), (64, 32), tuple(range(48, 68))),
)
"""Right eye with its brow, left eye with its brow, mouth."""

TOLD = tuple(point for tile in TILES for point in tile.tells)
"""Of the 70 points, those that the close-ups tell, in their order."""

TILE_OF = tuple(place for place, tile in enumerate(TILES) for _ in tile.tells)
"""The tile that tells each of them."""


def tile_frames(points: Float32) -> Float32:
    """The affines (3, 2, 3) from a picture to the square, one a tile, by a face's 70 points (70, 2)."""
    right, left, mouth = (points[list(tile.points)].mean(axis=0) for tile in TILES)
    across, down = left - right, mouth - (left + right) / 2
    # Two distances, because turning the head shortens one and nodding the other.
    unit = max(float(np.linalg.norm(across) + np.linalg.norm(down)) / 2, 1e-3)
    turn = float(np.arctan2(across[1], across[0]))
    return np.stack(
        [frame_tile(tile, middle, unit, turn) for tile, middle in zip(TILES, (right, left, mouth), strict=True)]
    )


def frame_tile(tile: Tile, middle: Float32, unit: float, turn: float) -> Float32:
    """The affine (2, 3) of one tile: of a picture turned anti-clockwise by `turn` radians, `middle` in its middle."""
    cos, sin = np.cos(turn) * tile.scale / unit, np.sin(turn) * tile.scale / unit
    linear = np.array([[cos, sin], [-sin, cos]])
    place = np.array(tile.corner) + (np.array(tile.size) - 1) / 2 + (0, tile.lift * tile.scale)
    return np.hstack([linear, (place - linear @ middle)[:, None]]).astype(np.float32)


def cut_closeups(image: UInt8, frames: Float32) -> UInt8:
    """The square (64, 64), grey, with the close-ups of a picture, RGB (H, W, 3) or grey (H, W)."""
    square = np.empty((SIDE_PX, SIDE_PX), np.uint8)
    for tile, frame in zip(TILES, frames, strict=True):
        (x, y), (width, height) = tile.corner, tile.size
        square[y : y + height, x : x + width] = cut(image, frame[:, :2], frame[:, 2] - (x, y), tile.size)
    return square


def cut(image: UInt8, linear: Float32, shift: Float32, size: tuple[int, int]) -> UInt8:
    """What an affine shows of a picture in so many pixels, width and height, in grey; edges repeat beyond it.

    Args:
        image: RGB uint8 (H, W, 3) or grey (H, W).
        linear, shift: from places in the picture, x and y from the middle of its first pixel, to those in the result.
        size: of the result.
    """
    grey, low = _cut_out(image, linear, shift, size)
    shift = shift + linear @ low
    scale = float(np.sqrt(abs(np.linalg.det(linear))))
    if scale < 0.7:
        # Bilinear sampling skips pixels when it shrinks, so areas come first.
        small = [max(1, round(1.2 * scale * length)) for length in grey.shape[::-1]]
        ratio = np.array(grey.shape[::-1]) / small
        grey = np.asarray(cv2.resize(grey, small, interpolation=cv2.INTER_AREA), np.uint8)
        shift = shift + linear @ (0.5 * ratio - 0.5)
        linear = linear * ratio
    affine = np.hstack([linear, shift[:, None]]).astype(np.float32)
    return np.asarray(
        cv2.warpAffine(grey, affine, size, flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE), np.uint8
    )


def refine(points: Float32, told: Float32, frames: Float32) -> Float32:
    """The 70 points (70, 2) in the picture, those of the close-ups replaced by what they tell.

    Args:
        points: as they were.
        told: places in half sides of the square from its middle, (44, 2), in the order of `TOLD`.
        frames: the close-ups' affines.
    """
    places = (told + 1) * (SIDE_PX / 2) - 0.5
    refined = points.copy()
    for place, frame in enumerate(frames):
        back = cv2.invertAffineTransform(frame)
        mine = [row for row, tile in enumerate(TILE_OF) if tile == place]
        refined[[TOLD[row] for row in mine]] = places[mine] @ back[:, :2].T + back[:, 2]
    return refined


def _cut_out(
    image: UInt8, linear: Float32, shift: Float32, size: tuple[int, int]
) -> tuple[UInt8, npt.NDArray[np.int64]]:
    """The part of a picture that the result shows, in grey, and its upper left corner (x, y)."""
    width, height = size
    corners = np.array([[0, 0], [width, 0], [0, height], [width, height]]) - shift
    places = corners @ np.linalg.inv(linear).T
    limits = np.array(image.shape[1::-1])
    # Two pixels to spare on each side, for interpolation at the edge.
    low = np.clip(np.floor(places.min(axis=0)).astype(np.int64) - 2, 0, limits - 1)
    high = np.clip(np.ceil(places.max(axis=0)).astype(np.int64) + 2, low + 1, limits)
    # Only this part is turned grey: a face may be small in a large picture.
    part = np.ascontiguousarray(image[low[1] : high[1], low[0] : high[0]])
    return (part if part.ndim == 2 else to_grey(part)), low
