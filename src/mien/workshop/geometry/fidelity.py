"""How far a geometry network follows its teacher on people it never saw: points, pose, blendshapes, by size."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from mien.faces.geometry import Geometry, GeometryReader, to_angles
from mien.labels import BLENDSHAPES, LANDMARKS
from mien.structures import Detections
from mien.workshop.geometry.answers import CONTEXT, Faces
from mien.workshop.geometry.mesh import to_ibug
from mien.workshop.geometry.views import LEAST_FACING

Float32 = npt.NDArray[np.float32]

SIZES_PX = (24, 48, 96)
REGIONS = {"jaw": (0, 17), "brows": (17, 27), "nose": (27, 36), "eyes": (36, 48), "mouth": (48, 68), "irises": (68, 70)}
LARGEST_YAW = 45.0
LEAST_SD = 0.05
"""Blendshapes in which the teacher's answers vary less than this are not counted: there is nothing to follow."""
_SHIFT, _SCALE, _LANDMARK = 0.03, 0.04, 0.01
"""Standard deviations, in heights of the box, by which the detector's answers are moved: a small face is found less
exactly than the large one that the box was taken from."""


@dataclass(frozen=True)
class Scores:
    """How far a network follows the teacher at one size of face.

    Args:
        size_px: height of the faces' boxes.
        faces: how many.
        nme: mean distance over that of the eyes' outer corners, in per cent, by region and of all 68 as `all`.
        pose_deg: mean absolute error of yaw, pitch, roll and their mean, where the teacher's yaw is within 45°.
        correlation: Pearson's, by blendshape, of those in which the teacher's standard deviation is above 0.05.
        hidden: share of the points that the teacher's mesh turns away of which the network says so, and the share
            of the others of which it does not.
    """

    size_px: int
    faces: int
    nme: dict[str, float]
    pose_deg: dict[str, float]
    correlation: dict[str, float]
    hidden: tuple[float, float]

    @property
    def mean_correlation(self) -> float:
        """Over the blendshapes that vary."""
        return float(np.mean(list(self.correlation.values())))


def sizes_of(faces: Faces) -> list[int]:
    """Of `SIZES_PX`, those that the kept pictures have pixels for."""
    return [size for size in SIZES_PX if size * CONTEXT <= faces.pictures.shape[1]]


def evaluate(reader: GeometryReader, faces: Faces, *, size_px: int, seed: int = 0) -> Scores:
    """Read the faces at a size and compare with the teacher, who saw them at their own."""
    read = read_faces(reader, faces, size_px=size_px, seed=seed)
    return compare(read, faces, size_px=size_px)


def read_faces(reader: GeometryReader, faces: Faces, *, size_px: int, seed: int = 0) -> Geometry:
    """The network's answers, in pixels of the kept pictures; box and landmarks are moved a little, by chance."""
    rng = np.random.default_rng(seed)
    side = faces.pictures.shape[1]
    small = round(CONTEXT * size_px)
    ratio = side / small
    parts = []
    for row in range(len(faces)):
        picture = faces.pictures[row]
        if small < side:
            picture = cv2.resize(picture, (small, small), interpolation=cv2.INTER_AREA)
        found = find_again(faces, row, small / side, rng)
        read = reader.read(picture, found)
        points = ((read.points + 0.5) * ratio - 0.5).astype(np.float32)
        parts.append(Geometry(points, read.visible, read.rotations, read.blendshapes))
    return Geometry(*(np.concatenate([getattr(part, name) for part in parts]) for name in _NAMES))


_NAMES = ("points", "visible", "rotations", "blendshapes")


def find_again(faces: Faces, row: int, ratio: float, rng: np.random.Generator) -> Detections:
    """What a detector says of a face in a kept picture that is smaller by `ratio`: a little wrong, by chance."""
    side = faces.pictures.shape[1] * ratio
    height = side / CONTEXT
    middle = side / 2 + rng.normal(0, _SHIFT, 2) * height
    half = height / 2 * np.exp(rng.normal(0, _SCALE))
    five = faces.landmarks[row] * ratio + rng.normal(0, _LANDMARK, (5, 2)) * height
    box = np.concatenate([middle - half, middle + half])
    return Detections(box[None].astype(np.float32), np.ones(1, np.float32), five[None].astype(np.float32))


def compare(read: Geometry, faces: Faces, *, size_px: int) -> Scores:
    """Scores of answers in the kept pictures' own pixels."""
    truth = to_ibug(faces.meshes)[:, :, :2]
    eyes = np.linalg.norm(truth[:, 45] - truth[:, 36], axis=1)
    off = 100 * np.linalg.norm(read.points - truth, axis=2) / eyes[:, None]
    nme = {"all": float(off[:, :LANDMARKS].mean())}
    nme |= {name: float(off[:, first:last].mean()) for name, (first, last) in REGIONS.items()}
    theirs = to_angles(faces.rotations)
    frontal = np.abs(theirs[:, 0]) <= LARGEST_YAW
    error = np.abs((read.poses - theirs + 180) % 360 - 180)[frontal].mean(axis=0)
    pose = {name: float(value) for name, value in zip(("yaw", "pitch", "roll"), error, strict=True)}
    correlation = {
        name: float(np.corrcoef(read.blendshapes[:, place], faces.blendshapes[:, place])[0, 1])
        for place, name in enumerate(BLENDSHAPES)
        if faces.blendshapes[:, place].std() > LEAST_SD
    }
    away = faces.facing <= LEAST_FACING
    hidden = (float((read.visible[away] < 0.5).mean()), float((read.visible[~away] < 0.5).mean()))
    return Scores(size_px, len(faces), nme, pose | {"mean": float(error.mean())}, correlation, hidden)


def to_markdown(scores: dict[str, list[Scores]]) -> str:
    """Tables of the scores by data set and size."""
    lines = [
        "| faces | px | n | NME % | "
        + " | ".join(REGIONS)
        + " | yaw ° | pitch ° | roll ° | mean ° | blendshapes r | n |"
    ]
    lines.append("|" + "---|" * (len(REGIONS) + 10))
    for name, entries in scores.items():
        for entry in entries:
            cells = [name, str(entry.size_px), str(entry.faces), f"{entry.nme['all']:.2f}"]
            cells += [f"{entry.nme[region]:.2f}" for region in REGIONS]
            cells += [f"{entry.pose_deg[angle]:.1f}" for angle in ("yaw", "pitch", "roll", "mean")]
            cells += [f"{entry.mean_correlation:.3f}", str(len(entry.correlation))]
            lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"
