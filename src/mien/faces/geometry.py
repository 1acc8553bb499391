"""The shape of a face from its picture: 68 landmarks, irises, what is visible, head pose and blendshapes."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from mien.artifact.runtime import Session, Tensor
from mien.errors import ArtifactError
from mien.faces.detection import roll_of
from mien.images.pictures import to_grey
from mien.labels import BLENDSHAPES, LANDMARKS
from mien.structures import Detections, Pose

UInt8 = npt.NDArray[np.uint8]
Float32 = npt.NDArray[np.float32]

INPUT_PX = 64
CROP = 1.2
"""Side of the square that the network sees, in heights of the detector's box."""
POINTS = 70
"""iBUG's 68 (Sagonas et al., 2013), then the centres of the irises, first that of the person's right eye."""


def _mirror_points() -> tuple[int, ...]:
    jaw, brows = [*range(16, -1, -1)], [*range(26, 16, -1)]
    nose = [27, 28, 29, 30, 35, 34, 33, 32, 31]
    eyes = [45, 44, 43, 42, 47, 46, 39, 38, 37, 36, 41, 40]
    mouth = [54, 53, 52, 51, 50, 49, 48, 59, 58, 57, 56, 55, 64, 63, 62, 61, 60, 67, 66, 65]
    return (*jaw, *brows, *nose, *eyes, *mouth, 69, 68)


def _mirror_names() -> tuple[int, ...]:
    swap = {"Left": "Right", "Right": "Left"}
    others = []
    for name in BLENDSHAPES:
        side = next((side for side in swap if name.endswith(side)), None)
        others.append(name if side is None else name.removesuffix(side) + swap[side])
    return tuple(BLENDSHAPES.index(name) for name in others)


MIRROR = _mirror_points()
"""For each of the 70 points, the one that takes its place in the mirror image."""
MIRROR_BLENDSHAPES = _mirror_names()

WEIGHTS = Path(__file__).parent / "weights"
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


GRAPHS = ("geometry.onnx", "closeups.onnx", "blendshapes.onnx", "covers.onnx")
COVERABLE = {"right eye": range(36, 42), "left eye": range(42, 48), "mouth": range(48, 68)}
"""What a graph of its own says is covered or not, and their points; right and left are the person's own."""
SEEN_FACE, SEEN_CLOSEUPS = 160, 128
"""Features of each network, from which the last layers tell the blendshapes."""
_SQUARES = {"faces": Tensor("uint8", (None, 1, INPUT_PX, INPUT_PX))}
_FACE_OUTPUTS = {
    "points": Tensor("float", (None, POINTS, 2)), "visible": Tensor("float", (None, POINTS)),
    "rotation": Tensor("float", (None, 6)), "features": Tensor("float", (None, SEEN_FACE)),
}  # fmt: skip
_CLOSEUP_OUTPUTS = {"points": Tensor("float", (None, len(TOLD), 2)), "features": Tensor("float", (None, SEEN_CLOSEUPS))}
_WHOLE_CROP = 0.95
"""A picture that is a face crop already shows so much of the box's height: FER2013's framing."""


@dataclass(frozen=True)
class Geometry:
    """The shapes of the faces of one picture, a row each.

    Args:
        points: x, y in pixels of the picture: iBUG's 68, right iris, left iris, float32 (N, 70, 2).
        visible: probability that a point is seen, neither turned away, covered nor out of the picture, (N, 70).
        rotations: of the heads, (N, 3, 3), in axes x to the picture's right, y up, z towards the camera: the columns
            are where the head's left, its crown and its nose point.
        blendshapes: 0–1 in the order of `BLENDSHAPES`, (N, 52).
    """

    points: Float32
    visible: Float32
    rotations: Float32
    blendshapes: Float32

    def __post_init__(self) -> None:
        n = len(self.points)
        shapes = [part.shape for part in (self.points, self.visible, self.rotations, self.blendshapes)]
        expected = [(n, POINTS, 2), (n, POINTS), (n, 3, 3), (n, len(BLENDSHAPES))]
        if shapes != expected:
            raise ValueError(f"geometry takes arrays of shapes {expected}, not {shapes}")

    @classmethod
    def empty(cls) -> Geometry:
        """No face."""
        shapes = ((0, POINTS, 2), (0, POINTS), (0, 3, 3), (0, len(BLENDSHAPES)))
        return cls(*(np.zeros(shape, np.float32) for shape in shapes))

    def __len__(self) -> int:
        return len(self.points)

    def __getitem__(self, rows: Any) -> Geometry:
        """The rows that a mask, slice or index array picks."""
        return Geometry(self.points[rows], self.visible[rows], self.rotations[rows], self.blendshapes[rows])

    @property
    def poses(self) -> Float32:
        """Yaw, pitch and roll of each head in degrees, (N, 3); see `to_angles`."""
        return to_angles(self.rotations)


class GeometryReader:
    """Mien's own networks for the geometry of faces, taught by MediaPipe's Face Landmarker.

    The first looks at the whole face, the second at eyes and mouth, cut out by what the first has found: places are
    then known to a fraction of the first one's pixels, and with them where the eyes look and how far they are closed.
    One reader may be shared by threads.

    Args:
        folder: of `geometry.onnx`, `closeups.onnx` and `geometry.json`; default those that come with the package.
        threads: as `Session` takes them.

    Raises:
        ArtifactError: a file is missing, damaged or something else.
    """

    def __init__(self, folder: Path = WEIGHTS, *, threads: int | None = None) -> None:
        graphs, self.card = _load(folder)
        self.name = f"{self.card['name']} {self.card['version']}"
        sessions = (Session(graphs[name], threads=threads) for name in GRAPHS)
        self._face, self._closeups, self._fusion, self._covers = sessions
        self._face.require(_SQUARES, _FACE_OUTPUTS)
        self._closeups.require(_SQUARES, _CLOSEUP_OUTPUTS)
        self._fusion.require(
            {"features": Tensor("float", (None, SEEN_FACE + SEEN_CLOSEUPS))},
            {"blendshapes": Tensor("float", (None, len(BLENDSHAPES)))},
        )
        self._covers.require(_SQUARES, {"covered": Tensor("float", (None, len(COVERABLE)))})

    def read(self, image: UInt8, detections: Detections, *, whole: bool = False) -> Geometry:
        """The geometry of the faces that a detector found.

        Args:
            image: RGB uint8 (H, W, 3).
            detections: where the faces are; with landmarks, the network sees each face upright.
            whole: the picture is a face crop already, and its only box is the whole picture.
        """
        if not len(detections):
            return Geometry.empty()
        frames = [frame_face(detections, row, whole=whole) for row in range(len(detections))]
        crops = np.stack([cut_face(image, frame) for frame, _ in frames])
        face = self.run(crops)
        first = place(face, frames)
        tiles = [tile_frames(points) for points in first.points]
        squares = np.stack([cut_closeups(image, frame) for frame in tiles])
        told, covered = self.run_closeups(squares), self.run_covers(squares)
        points = [refine(*row) for row in zip(first.points, told["points"], tiles, strict=True)]
        seen = np.concatenate([face["features"], told["features"]], axis=1)
        blendshapes = self._fusion.run({"features": seen})["blendshapes"]
        return Geometry(np.stack(points), uncovered(first.visible, covered), first.rotations, blendshapes)

    def run(self, crops: UInt8) -> dict[str, Float32]:
        """What the first network says of grey faces, uint8 (N, 64, 64), in their own frame."""
        return self._face.run({"faces": crops[:, None]})

    def run_closeups(self, squares: UInt8) -> dict[str, Float32]:
        """What the second network says of grey close-ups, uint8 (N, 64, 64), in their own frame."""
        return self._closeups.run({"faces": squares[:, None]})

    def run_covers(self, squares: UInt8) -> Float32:
        """How much of each of `COVERABLE` is covered, (N, 3) in 0–1, in the same close-ups."""
        return self._covers.run({"faces": squares[:, None]})["covered"]


def uncovered(visible: Float32, covered: Float32) -> Float32:
    """Probabilities (N, 70) that points are seen, lowered where eyes or mouth are covered, (N, 3)."""
    lowered = visible.copy()
    for column, points in enumerate(COVERABLE.values()):
        lowered[:, list(points)] *= 1 - covered[:, column : column + 1]
    return lowered


@dataclass(frozen=True)
class _Placed:
    """What the first network says, in the picture."""

    points: Float32
    visible: Float32
    rotations: Float32


def place(outputs: dict[str, Float32], frames: Sequence[tuple[Float32, float]]) -> _Placed:
    """The first network's outputs in the picture's pixels and axes; each frame with the angle it is turned by."""
    points = (outputs["points"] + 1) * (INPUT_PX / 2) - 0.5
    rotations = to_rotations(outputs["rotation"])
    for row, (frame, turn) in enumerate(frames):
        back = cv2.invertAffineTransform(frame)
        points[row] = points[row] @ back[:, :2].T + back[:, 2]
        # The network saw the face upright: the head turns back with its picture.
        rotations[row] = about_camera(-turn) @ rotations[row]
    return _Placed(points.astype(np.float32), outputs["visible"], rotations)


def frame_face(detections: Detections, row: int, *, whole: bool = False) -> tuple[Float32, float]:
    """The affine (2, 3) from a picture to the network's square about one face, and its turn in radians."""
    box, five = detections.boxes[row], detections.landmarks[row]
    width, height = (box[2:] - box[:2]).tolist()
    turn = 0.0 if np.isnan(five).any() else roll_of(five)
    if whole:
        height = max(width, height) / _WHOLE_CROP
    elif abs(np.sin(turn)) > 0.7:
        # The face lies on its side, and so does its height.
        height = width
    return frame_of((box[:2] + box[2:]) / 2, max(height, 1.0), turn), turn


def frame_of(middle: Float32, height: float, turn: float) -> Float32:
    """The affine (2, 3) to the square of `CROP` heights about the middle, turned anti-clockwise by `turn` radians."""
    scale = INPUT_PX / (CROP * height)
    cos, sin = scale * np.cos(turn), scale * np.sin(turn)
    linear = np.array([[cos, sin], [-sin, cos]])
    shift = (INPUT_PX - 1) / 2 - linear @ middle
    return np.hstack([linear, shift[:, None]]).astype(np.float32)


def cut_face(image: UInt8, frame: Float32, side: int = INPUT_PX) -> UInt8:
    """What a frame shows of a picture, RGB (H, W, 3) or grey (H, W), as grey (side, side); edges repeat beyond it."""
    scale = side / INPUT_PX
    # Middles of pixels lie at halves: place i of a square smaller by `scale` lies at (i + 0.5) / scale - 0.5.
    return cut(image, frame[:, :2] * scale, (frame[:, 2] + 0.5) * scale - 0.5, (side, side))


def to_rotations(columns: Float32) -> Float32:
    """Rotations (N, 3, 3) from their first two columns (N, 6), made perpendicular (Zhou et al., 2019)."""
    first = columns[:, :3] / np.maximum(np.linalg.norm(columns[:, :3], axis=1, keepdims=True), 1e-9)
    second = columns[:, 3:] - (first * columns[:, 3:]).sum(axis=1, keepdims=True) * first
    second = second / np.maximum(np.linalg.norm(second, axis=1, keepdims=True), 1e-9)
    return np.stack([first, second, np.cross(first, second)], axis=2).astype(np.float32)


def about_camera(turn: float) -> Float32:
    """The rotation (3, 3) of a picture that is turned anti-clockwise by `turn` radians."""
    cos, sin = np.cos(turn), np.sin(turn)
    return np.array([[cos, -sin, 0], [sin, cos, 0], [0, 0, 1]], np.float32)


def to_angles(rotations: Float32) -> Float32:
    """Yaw, pitch and roll in degrees, float32 (..., 3), of rotations (..., 3, 3) = Ry(yaw) Rx(pitch) Rz(roll).

    Right-handed about x to the picture's right, y up, z towards the camera: yaw is positive when the face turns to the
    picture's right (the person's left), pitch when it looks down, roll when the head leans to the picture's left,
    which is anti-clockwise. Yaw and roll are ±180°, pitch is ±90°.

    >>> to_angles(np.eye(3, dtype=np.float32)).tolist()
    [0.0, 0.0, 0.0]
    """
    yaw = np.arctan2(rotations[..., 0, 2], rotations[..., 2, 2])
    # Rounding may carry the sine beyond 1.
    pitch = np.arcsin(np.clip(-rotations[..., 1, 2], -1, 1))
    roll = np.arctan2(rotations[..., 1, 0], rotations[..., 1, 1])
    # Adding 0 turns -0.0 into 0.0.
    angles: Float32 = np.degrees(np.stack([yaw, pitch, roll], axis=-1)).astype(np.float32) + np.float32(0)
    return angles


def from_angles(angles: Sequence[float]) -> Float32:
    """The rotation (3, 3) of yaw, pitch and roll in degrees: the inverse of `to_angles`."""
    yaw, pitch, roll = np.radians(angles)
    about_y = np.array([[np.cos(yaw), 0, np.sin(yaw)], [0, 1, 0], [-np.sin(yaw), 0, np.cos(yaw)]])
    about_x = np.array([[1, 0, 0], [0, np.cos(pitch), -np.sin(pitch)], [0, np.sin(pitch), np.cos(pitch)]])
    rotation: Float32 = (about_y @ about_x @ about_camera(float(roll))).astype(np.float32)
    return rotation


def to_fields(geometry: Geometry, row: int) -> dict[str, Any]:
    """What `Face` holds of one row."""
    points = geometry.points[row].tolist()
    yaw, pitch, roll = geometry.poses[row].tolist()
    return {
        "landmarks68": tuple((x, y) for x, y in points[:LANDMARKS]),
        "iris": tuple((x, y) for x, y in points[LANDMARKS:]),
        "visible": tuple(geometry.visible[row, :LANDMARKS].tolist()),
        "pose": Pose(yaw, pitch, roll),
        "blendshapes": dict(zip(BLENDSHAPES, geometry.blendshapes[row].tolist(), strict=True)),
    }


@lru_cache(maxsize=1)
def bundled_reader() -> GeometryReader:
    """The network that comes with the package, loaded once.

    Raises:
        ArtifactError: when this installation lacks it.
    """
    return GeometryReader()


def _load(folder: Path) -> tuple[dict[str, bytes], dict[str, Any]]:
    card_file = folder / "geometry.json"
    try:
        graphs = {name: (folder / name).read_bytes() for name in GRAPHS}
        card = json.loads(card_file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ArtifactError(f"no geometry networks in {folder}: {error}") from error
    if not isinstance(card, dict) or not {"name", "version", "sha256"} <= set(card):
        raise ArtifactError(f"{card_file}: expected name, version and sha256")
    for name, graph in graphs.items():
        found = hashlib.sha256(graph).hexdigest()
        if found != card["sha256"].get(name):
            raise ArtifactError(f"{folder / name} is not the graph of its card: its sha256 is {found}")
    return graphs, card


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
