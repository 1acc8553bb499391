"""Training views of the close-ups: eyes and mouth cut out by landmarks that are a little wrong."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from mien.faces.closeups import SIDE_PX, TILE_OF, TILES, TOLD, cut_closeups, frame_tile
from mien.faces.geometry import MIRROR, MIRROR_BLENDSHAPES
from mien.workshop.geometry.answers import CONTEXT, Faces
from mien.workshop.geometry.mesh import BLENDSHAPE_POINTS, to_ibug
from mien.workshop.geometry.views import grained, lit

UInt8 = npt.NDArray[np.uint8]
Float32 = npt.NDArray[np.float32]

SMALLEST_PX = 22
_SHIFT, _SCALE, _TURN = 0.025, 0.04, 1.5
"""How wrong the first network's landmarks are: deviations of a tile's middle in units, of the unit, and in °."""


@dataclass(frozen=True)
class CloseupViews:
    """A batch: squares (N, 64, 64), points (N, 44, 2) and mesh (N, 146, 2) in half sides from the middle, which
    of the mesh a square shows (N, 146), blendshapes (N, 52)."""

    pictures: UInt8
    points: Float32
    mesh: Float32
    shown: Float32
    blendshapes: Float32


class CloseupViewer:
    """Draws random close-ups of faces; arguments as those of `Viewer`, whose fields it has."""

    def __init__(self, faces: Faces, mirror: npt.NDArray[np.int64]) -> None:
        self.faces = faces
        self.mirror = mirror
        self.points = to_ibug(faces.meshes)[:, :, :2]
        self.mesh = faces.meshes[:, list(BLENDSHAPE_POINTS), :2]

    def draw(self, rows: npt.NDArray[np.int64], rng: np.random.Generator) -> CloseupViews:
        """One view of each of these rows."""
        views = [self._view(int(row), rng) for row in rows]
        names = CloseupViews.__dataclass_fields__
        return CloseupViews(**{name: np.stack([getattr(view, name) for view in views]) for name in names})

    def _view(self, row: int, rng: np.random.Generator) -> CloseupViews:
        picture, points, mesh = self.faces.pictures[row], self.points[row], self.mesh[row]
        weights = self.faces.blendshapes[row]
        if rng.random() < 0.5:
            flip = np.array([-1, 1], np.float32), np.array([len(picture) - 1, 0], np.float32)
            picture = picture[:, ::-1]
            points, mesh = points[list(MIRROR)] * flip[0] + flip[1], mesh[self.mirror] * flip[0] + flip[1]
            weights = weights[list(MIRROR_BLENDSHAPES)]
        picture, ratio = photograph(picture, rng)
        points, mesh = ((shape + 0.5) * ratio - 0.5 for shape in (points, mesh))
        frames = random_frames(points, rng)
        square = cut_closeups(picture, frames)
        told = np.stack([_move(points[point], frames[tile]) for point, tile in zip(TOLD, TILE_OF, strict=True)])
        places, shown = place_mesh(mesh, frames)
        return CloseupViews(square, _to_unit(told), _to_unit(places), shown, weights)


def photograph(picture: UInt8, rng: np.random.Generator) -> tuple[UInt8, float]:
    """A kept picture at a random size, light and grain, and how much smaller it is."""
    side = len(picture)
    native = side / CONTEXT
    wanted = np.exp(rng.uniform(np.log(SMALLEST_PX), np.log(native))) if rng.random() < 0.4 else native
    small = max(24, round(side * wanted / native))
    if small < side:
        picture = np.asarray(cv2.resize(picture, (small, small), interpolation=cv2.INTER_AREA), np.uint8)
    return grained(lit(picture, rng), rng), small / side


def random_frames(points: Float32, rng: np.random.Generator) -> Float32:
    """Affines of the three tiles, each a little wrong."""
    middles = [points[list(tile.points)].mean(axis=0) for tile in TILES]
    across, down = middles[1] - middles[0], middles[2] - (middles[0] + middles[1]) / 2
    unit = max(float(np.linalg.norm(across) + np.linalg.norm(down)) / 2, 1e-3)
    turn = float(np.arctan2(across[1], across[0])) + np.radians(rng.normal(0, _TURN))
    wrong = unit * float(np.exp(rng.normal(0, _SCALE)))
    return np.stack(
        [
            frame_tile(tile, middle + rng.normal(0, _SHIFT, 2) * unit, wrong, turn)
            for tile, middle in zip(TILES, middles, strict=True)
        ]
    )


def place_mesh(mesh: Float32, frames: Float32) -> tuple[Float32, Float32]:
    """Where the square shows the points of a mesh (146, 2), and which it shows (146,)."""
    places, shown = np.zeros_like(mesh), np.zeros(len(mesh), np.float32)
    for tile, frame in zip(TILES, frames, strict=True):
        moved = _move(mesh, frame)
        corner, size = np.array(tile.corner), np.array(tile.size)
        inside = np.all((moved >= corner) & (moved <= corner + size - 1), axis=1) & (shown == 0)
        places[inside], shown[inside] = moved[inside], 1
    return places, shown


def _move(points: Float32, frame: Float32) -> Float32:
    moved: Float32 = (points @ frame[:, :2].T + frame[:, 2]).astype(np.float32)
    return moved


def _to_unit(places: Float32) -> Float32:
    units: Float32 = ((places + 0.5) * (2 / SIDE_PX) - 1).astype(np.float32)
    return units
