"""The last layers of the geometry networks: blendshapes from what both looks have seen, fitted on frozen features.

Both networks run as they do for users, on faces of many sizes framed by a detector that is a little wrong, so that the
fit knows the errors of the first look. It is done in minutes, where training through both networks would take hours.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from safetensors.torch import load_file, save_file
from torch import nn
from torch.nn import functional

from mien.errors import ConfigError
from mien.faces.closeups import cut_closeups, tile_frames
from mien.faces.geometry import INPUT_PX, MIRROR_BLENDSHAPES, cut_face, frame_face
from mien.structures import Detections
from mien.workshop.geometry.answers import Faces
from mien.workshop.geometry.closeup_views import photograph
from mien.workshop.geometry.fidelity import find_again
from mien.workshop.geometry.student import CloseupNet, FusionNet, GeometryNet

Float32 = npt.NDArray[np.float32]

TOGETHER = 64
HELD_SHARE = 0.1
LEAST_SD = 0.05


@dataclass(frozen=True)
class Seen:
    """What both networks have seen of faces, (N, HIDDEN + CLOSEUP_HIDDEN), and the teacher's blendshapes, (N, 52)."""

    features: Float32
    blendshapes: Float32


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
