"""Training views of faces: framed as by a detector, turned, dark, far, noisy, covered; the points go along."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from mien.faces.detection import roll_of
from mien.faces.geometry import (
    CROP,
    INPUT_PX,
    MIRROR,
    MIRROR_BLENDSHAPES,
    SIDE_PX,
    TILE_OF,
    TILES,
    TOLD,
    about_camera,
    cut_closeups,
    cut_face,
    frame_of,
    frame_tile,
)
from mien.workshop.geometry.answers import CONTEXT, Faces
from mien.workshop.geometry.teacher import BLENDSHAPE_POINTS, to_ibug

UInt8 = npt.NDArray[np.uint8]
Float32 = npt.NDArray[np.float32]

LEAST_FACING = -0.12
"""Points whose skin faces further away than this cosine are hidden behind the face."""
SMALLEST_PX = 20


@dataclass(frozen=True)
class Views:
    """A batch: grey squares (N, 64, 64) and what a student should say; points in half sides from the middle."""

    pictures: UInt8
    points: Float32
    mesh: Float32
    visible: Float32
    rotations: Float32
    blendshapes: Float32
    unit: Float32
    """Distance of the eyes' outer corners, in the same half sides, (N,)."""


class Viewer:
    """Draws random views of faces.

    Args:
        faces: with the teacher's answers.
        scenes: grey pictures to put behind faces and before them, uint8 (M, S, S).
        mirror: for each of the blendshapes' points, the one that takes its place in the mirror image.
    """

    def __init__(self, faces: Faces, scenes: UInt8, mirror: npt.NDArray[np.int64]) -> None:
        self.faces = faces
        self.mirror = mirror
        self.scenes = scenes
        self.points = to_ibug(faces.meshes)[:, :, :2]
        self.mesh = faces.meshes[:, list(BLENDSHAPE_POINTS), :2]

    def draw(self, rows: npt.NDArray[np.int64], rng: np.random.Generator) -> Views:
        """One view of each of these rows."""
        return stack([self._view(int(row), rng) for row in rows])

    def _view(self, row: int, rng: np.random.Generator) -> Views:
        faces = self.faces
        frame, turn = random_frame(faces, row, rng)
        mirrored = rng.random() < 0.5
        if mirrored:
            frame = np.array([[-1, 0, INPUT_PX - 1], [0, 1, 0]], np.float32) @ np.vstack([frame, [0, 0, 1]]).astype(
                np.float32
            )
        points, mesh = _move(self.points[row], frame), _move(self.mesh[row], frame)
        rotation = about_camera(turn) @ faces.rotations[row]
        visible = faces.facing[row] > LEAST_FACING
        weights = faces.blendshapes[row]
        if mirrored:
            points, visible = points[list(MIRROR)], visible[list(MIRROR)]
            mesh = mesh[self.mirror]
            rotation = rotation * np.array([[1, -1, -1], [-1, 1, 1], [-1, 1, 1]], np.float32)
            weights = weights[list(MIRROR_BLENDSHAPES)]
        picture = self._photograph(row, frame, rng)
        covered = cover(picture, points, self.scenes, rng)
        inside = np.all((points >= -0.5) & (points < INPUT_PX - 0.5), axis=1)
        return _one(picture, points, mesh, visible & inside & ~covered, rotation, weights)

    def _photograph(self, row: int, frame: Float32, rng: np.random.Generator) -> UInt8:
        """The face through the frame, at a random size, light and grain."""
        faces = self.faces
        source = faces.pictures[row]
        if rng.random() < 0.5:
            source = self._before_scene(source, faces.edges[row], rng)
        face_px = INPUT_PX / CROP
        wanted = np.exp(rng.uniform(np.log(SMALLEST_PX), np.log(face_px))) if rng.random() < 0.5 else face_px
        side = max(12, round(INPUT_PX * wanted / face_px))
        picture = cut_face(source, frame, side)
        picture = lit(picture, rng)
        picture = grained(picture, rng)
        return np.asarray(cv2.resize(picture, (INPUT_PX, INPUT_PX), interpolation=cv2.INTER_LINEAR), np.uint8)

    def _before_scene(self, source: UInt8, edges: Float32, rng: np.random.Generator) -> UInt8:
        side = len(source)
        x1, y1, x2, y2 = np.clip(np.round(edges), 0, side).astype(int)
        scene = self.scenes[rng.integers(len(self.scenes))]
        behind = np.asarray(cv2.resize(scene, (side, side), interpolation=cv2.INTER_LINEAR), np.uint8)
        behind[y1:y2, x1:x2] = source[y1:y2, x1:x2]
        return behind


def random_frame(faces: Faces, row: int, rng: np.random.Generator) -> tuple[Float32, float]:
    """An affine (2, 3) from a kept picture to a student's square, and its turn in radians, anti-clockwise."""
    side = faces.pictures.shape[1]
    height = side / CONTEXT
    shift = rng.normal(0, 0.045, 2).clip(-0.12, 0.12) * height
    scale = np.exp(np.clip(rng.normal(0, 0.09), -0.18, 0.2))
    if rng.random() < 0.85:
        turn = roll_of(faces.landmarks[row]) + np.radians(rng.normal(0, 6))
    else:
        turn = np.radians(rng.uniform(-45, 45))
    return frame_of(np.array([side / 2, side / 2], np.float32) + shift, height * scale, turn), float(turn)


def cover(picture: UInt8, points: Float32, scenes: UInt8, rng: np.random.Generator) -> npt.NDArray[np.bool_]:
    """Sometimes hide a part of the picture behind a bar, a disc or a piece of a scene; which points that covers."""
    if rng.random() > 0.2:
        return np.zeros(len(points), np.bool_)
    mask = np.zeros((INPUT_PX, INPUT_PX), np.uint8)
    middle = rng.uniform(0.1, 0.9, 2) * INPUT_PX
    axes = rng.uniform(0.06, 0.25, 2) * INPUT_PX
    angle = rng.uniform(0, 180)
    if rng.random() < 0.5:
        box = cv2.boxPoints((middle.tolist(), (2 * axes).tolist(), angle))
        cv2.fillConvexPoly(mask, np.round(box).astype(np.int32), 1)
    else:
        cv2.ellipse(mask, (middle.tolist(), (2 * axes).tolist(), angle), 1, -1)
    if rng.random() < 0.5:
        fill = np.full_like(picture, rng.integers(0, 256))
    else:
        fill = cv2.resize(scenes[rng.integers(len(scenes))], picture.shape[::-1])
    picture[mask > 0] = fill[mask > 0]
    at = np.clip(np.round(points), 0, INPUT_PX - 1).astype(int)
    covered: npt.NDArray[np.bool_] = mask[at[:, 1], at[:, 0]] > 0
    return covered


def lit(picture: UInt8, rng: np.random.Generator) -> UInt8:
    """The picture under another light: from the side, brighter, flatter, by another gamma."""
    values = picture.astype(np.float32)
    if rng.random() < 0.3:
        ramp = np.linspace(-1, 1, len(picture), dtype=np.float32)
        tilt = rng.normal(0, 0.3, 2)
        values *= np.exp(np.clip(tilt[0] * ramp[:, None] + tilt[1] * ramp[None], -0.7, 0.7))
    middle = values.mean()
    values = (values - middle) * np.exp(rng.normal(0, 0.25)) + middle * np.exp(rng.normal(0, 0.25))
    if rng.random() < 0.3:
        values = 255 * (np.clip(values, 0, 255) / 255) ** np.exp(rng.normal(0, 0.4))
    return np.asarray(np.clip(values, 0, 255), np.uint8)


def grained(picture: UInt8, rng: np.random.Generator) -> UInt8:
    """The picture with blur, noise and JPEG, each sometimes."""
    if rng.random() < 0.2:
        sigma = rng.uniform(0.4, 1.2) * len(picture) / INPUT_PX
        picture = np.asarray(cv2.GaussianBlur(picture, (0, 0), max(sigma, 0.2)), np.uint8)
    if rng.random() < 0.3:
        noise = rng.normal(0, rng.uniform(1, 10), picture.shape)
        picture = np.clip(picture + noise, 0, 255).astype(np.uint8)
    if rng.random() < 0.25:
        _, data = cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, int(rng.integers(25, 95))])
        picture = np.asarray(cv2.imdecode(data, cv2.IMREAD_GRAYSCALE), np.uint8)
    return picture


def _move(points: Float32, frame: Float32) -> Float32:
    moved: Float32 = (points @ frame[:, :2].T + frame[:, 2]).astype(np.float32)
    return moved


def to_unit(points: Float32) -> Float32:
    """Pixels of a student's square to half sides from its middle."""
    units: Float32 = ((points + 0.5) * (2 / INPUT_PX) - 1).astype(np.float32)
    return units


def _one(
    picture: UInt8, points: Float32, mesh: Float32, visible: npt.NDArray[np.bool_], rotation: Float32, weights: Float32
) -> Views:
    units = to_unit(points)
    eyes = np.float32(np.linalg.norm(units[45] - units[36]))
    return Views(picture, units, to_unit(mesh), visible.astype(np.float32), rotation, weights, eyes)  # type: ignore[arg-type]


def stack(views: list[Views]) -> Views:
    """Single views as one batch."""
    return Views(**{name: np.stack([getattr(view, name) for view in views]) for name in Views.__dataclass_fields__})


SMALLEST_CLOSEUP_PX = 22
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
    wanted = np.exp(rng.uniform(np.log(SMALLEST_CLOSEUP_PX), np.log(native))) if rng.random() < 0.4 else native
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


def _to_unit(places: Float32) -> Float32:
    units: Float32 = ((places + 0.5) * (2 / SIDE_PX) - 1).astype(np.float32)
    return units
