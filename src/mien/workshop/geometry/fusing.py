"""The last layers of the geometry networks: blendshapes from what both looks have seen, fitted on frozen features.

Both networks run as they do for users, on faces of many sizes framed by a detector that is a little wrong, so that the
fit knows the errors of the first look. It is done in minutes, where training through both networks would take hours.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
import torch
from safetensors.torch import load_file, save_file
from torch import nn
from torch.nn import functional

from mien.errors import ConfigError, DataError
from mien.faces.geometry import (
    INPUT_PX,
    MIRROR_BLENDSHAPES,
    Geometry,
    GeometryReader,
    cut_closeups,
    cut_face,
    frame_face,
    tile_frames,
    to_angles,
)
from mien.files import read_npz, replacing
from mien.labels import BLENDSHAPES, LANDMARKS
from mien.structures import Detections
from mien.workshop.geometry.answers import CONTEXT, Faces
from mien.workshop.geometry.student import CloseupNet, FusionNet, GeometryNet
from mien.workshop.geometry.teacher import to_ibug
from mien.workshop.geometry.views import LEAST_FACING, photograph

Float32 = npt.NDArray[np.float32]

TOGETHER = 64
HELD_SHARE = 0.1
LEAST_SD = 0.05


@dataclass(frozen=True)
class Seen:
    """What both networks have seen of faces, (N, HIDDEN + CLOSEUP_HIDDEN), and the teacher's blendshapes, (N, 52)."""

    features: Float32
    blendshapes: Float32


def join(parts: Sequence[Seen]) -> Seen:
    """All of them, one after another."""
    return Seen(np.concatenate([part.features for part in parts]), np.concatenate([part.blendshapes for part in parts]))


def save_seen(seen: Seen, path: Path) -> None:
    """Write a .npz."""
    with replacing(path) as file:
        np.savez(file, allow_pickle=False, **vars(seen))


def load_seen(path: Path) -> Seen:
    """Read what `save_seen` wrote.

    Raises:
        DataError: the file is damaged, or something else.
    """
    try:
        return Seen(**read_npz(path, ("features", "blendshapes")))
    except (OSError, ValueError) as error:
        raise DataError(
            f"{path} is not a whole file of what two networks saw ({error}): remove it, and faces are looked at again"
        ) from error


def look(face: GeometryNet, closeups: CloseupNet, faces: Faces, rng: np.random.Generator) -> Seen:
    """One random view of each face, half of them mirrored, through both networks."""
    features, blendshapes = [], []
    for start in range(0, len(faces), TOGETHER):
        rows = range(start, min(start + TOGETHER, len(faces)))
        views = [_view(faces, row, rng) for row in rows]
        crops = np.stack([cut_face(picture, frame) for picture, frame, _ in views])
        with torch.no_grad():
            first = face.features(torch.from_numpy(crops)[:, None].float())
            points = face.points(first).unflatten(1, (-1, 2)).numpy()
        squares = []
        for (picture, frame, _), mine in zip(views, points, strict=True):
            places = (mine + 1) * (INPUT_PX / 2) - 0.5
            inverse = np.linalg.inv(frame[:, :2])
            squares.append(cut_closeups(picture, tile_frames((places - frame[:, 2]) @ inverse.T)))
        with torch.no_grad():
            second = closeups.features(torch.from_numpy(np.stack(squares))[:, None].float())
        features.append(torch.cat([first, second], dim=1).numpy())
        blendshapes.append(np.stack([weights for _, _, weights in views]))
    return Seen(np.concatenate(features), np.concatenate(blendshapes))


def _view(faces: Faces, row: int, rng: np.random.Generator) -> tuple[npt.NDArray[np.uint8], Float32, Float32]:
    """A degraded picture, the frame about its face, and the teacher's blendshapes."""
    picture, ratio = photograph(faces.pictures[row], rng)
    found = find_again(faces, row, ratio, rng)
    weights = faces.blendshapes[row]
    if rng.random() < 0.5:
        picture = np.ascontiguousarray(picture[:, ::-1])
        found = _mirrored(found, picture.shape[1])
        weights = weights[list(MIRROR_BLENDSHAPES)]
    frame, _ = frame_face(found, 0)
    return picture, frame, weights


def _mirrored(found: Detections, width: int) -> Detections:
    boxes = found.boxes[:, [2, 1, 0, 3]] * np.array([-1, 1, -1, 1], np.float32)
    boxes += np.array([width - 1, 0, width - 1, 0], np.float32)
    five = found.landmarks[:, [1, 0, 2, 4, 3]] * np.array([-1, 1], np.float32) + np.array([width - 1, 0], np.float32)
    return Detections(boxes, found.scores, five)


def fit(seen: Seen, *, epochs: int = 60, seed: int = 0, report: bool = False) -> FusionNet:
    """The layers from features to blendshapes that follow best on a tenth of the faces that they are not fitted on."""
    torch.manual_seed(seed)
    rng = np.random.default_rng(seed)
    net = FusionNet()
    features, targets = torch.from_numpy(seen.features), torch.from_numpy(seen.blendshapes)
    net.scale.copy_(features.std(dim=0).clamp(min=1e-3).reciprocal())
    net.shift.copy_(features.mean(dim=0))
    # Where a blendshape is rare its output begins at what it is on average: one that begins at a half may never learn.
    mean = targets.mean(dim=0).clamp(1e-3, 1 - 1e-3)
    last = net.layers[-1]
    assert isinstance(last, nn.Linear)
    with torch.no_grad():
        last.weight.mul_(0.1)
        last.bias.copy_(torch.logit(mean))
    sd = targets.std(dim=0).clamp(min=LEAST_SD)
    held = torch.from_numpy(rng.random(len(features)) < HELD_SHARE)
    mine = torch.nonzero(~held).flatten().numpy()
    optimiser = torch.optim.AdamW(net.parameters(), lr=2e-3, weight_decay=0.05)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, epochs)
    best, kept = float("inf"), {name: value.clone() for name, value in net.state_dict().items()}
    for epoch in range(epochs):
        net.train()
        for rows in np.array_split(rng.permutation(mine), max(1, len(mine) // 512)):
            noisy = features[rows] + 0.05 * torch.randn(len(rows), features.shape[1]) / net.scale
            logits = net(noisy)
            error = ((torch.sigmoid(logits) - targets[rows]) / sd).pow(2).mean()
            # Squares of a saturated sigmoid have no slope; cross-entropy has.
            error = (
                error
                + 0.3
                * (functional.binary_cross_entropy_with_logits(logits, targets[rows], reduction="none") / sd).mean()
            )
            optimiser.zero_grad()
            error.backward()  # type: ignore[no-untyped-call]
            optimiser.step()
        schedule.step()
        net.eval()
        with torch.no_grad():
            left = float(((torch.sigmoid(net(features[held])) - targets[held]) / sd).pow(2).mean())
        if left < best:
            best, kept = left, {name: value.clone() for name, value in net.state_dict().items()}
        if report:
            logging.getLogger("mien").info("epoch %d: %.4f", epoch + 1, left)
    net.load_state_dict(kept)
    return net.eval()


def save_fusion(net: FusionNet, path: Path) -> None:
    """Write the layers as safetensors."""
    save_file({name: value.contiguous() for name, value in net.state_dict().items()}, path)


def load_fusion(path: Path) -> FusionNet:
    """Read what `save_fusion` wrote.

    Raises:
        ConfigError: there is none.
    """
    if not path.is_file():
        raise ConfigError(f"{path} is missing: fuse first")
    net = FusionNet()
    net.load_state_dict(load_file(path))
    return net.eval()


SIZES_PX = (24, 48, 96)
REGIONS = {"jaw": (0, 17), "brows": (17, 27), "nose": (27, 36), "eyes": (36, 48), "mouth": (48, 68), "irises": (68, 70)}
LARGEST_YAW = 45.0
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
