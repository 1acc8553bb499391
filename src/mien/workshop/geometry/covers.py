"""What covers eyes and mouth: a small network over the close-ups, taught on drawn glasses, masks and other things.

Nobody has labelled what covers the faces of the photographs, so what is drawn over them is all that it knows.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import torch
from safetensors.torch import load_file, save_file
from torch import nn
from torch.nn import functional

from mien.errors import ConfigError
from mien.faces.geometry import COVERABLE, INPUT_PX, cut_closeups, cut_face, frame_face, tile_frames
from mien.workshop.geometry.answers import Faces
from mien.workshop.geometry.fusing import find_again
from mien.workshop.geometry.student import GeometryNet
from mien.workshop.geometry.teacher import to_ibug
from mien.workshop.geometry.views import photograph

UInt8 = npt.NDArray[np.uint8]
Float32 = npt.NDArray[np.float32]

WIDTHS = (16, 24, 32, 48)
SHARE = 0.6
"""Of the views, so many have something drawn over the face."""
TOGETHER = 64


class CoverNet(nn.Module):
    """Input: close-ups of eyes and mouth, grey 0–255, (N, 1, 64, 64). Output: logits (N, 3) in the order of
    `COVERABLE`: how much of each is covered."""

    def __init__(self) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        before = 1
        for width in WIDTHS:
            layers += [nn.Conv2d(before, width, 3, 2, 1, bias=False), nn.BatchNorm2d(width), nn.ReLU()]
            before = width
        self.body = nn.Sequential(*layers)
        self.last = nn.Sequential(
            nn.Flatten(), nn.Dropout(0.3), nn.Linear(WIDTHS[-1] * (INPUT_PX // 2 ** len(WIDTHS)) ** 2, len(COVERABLE))
        )

    def forward(self, squares: torch.Tensor) -> torch.Tensor:
        """Logits; apply a sigmoid for the share that is covered, 0–1."""
        logits: torch.Tensor = self.last(self.body(squares / 127.5 - 1))
        return logits


@dataclass(frozen=True)
class CoverViews:
    """Close-ups (N, 64, 64), and how much of each of `COVERABLE` is covered, (N, 3) in 0–1."""

    squares: UInt8
    covered: Float32


def draw_views(
    first: GeometryNet, faces: Faces, rows: npt.NDArray[np.int64], fills: UInt8, rng: np.random.Generator,
    *, share: float = SHARE,
) -> CoverViews:  # fmt: skip
    """One view of each of these rows, cut out as the first network's landmarks say.

    Args:
        first: the network of the whole face.
        faces: with the teacher's points.
        rows: which of them.
        fills: grey pictures (M, S, S) of which some covers are made.
        rng: decides.
        share: of the views in which something is drawn over the face.
    """
    squares, covered = [], []
    for start in range(0, len(rows), TOGETHER):
        views = [_view(faces, int(row), fills, rng, share) for row in rows[start : start + TOGETHER]]
        crops = np.stack([cut_face(picture, frame) for picture, frame, _ in views])
        with torch.no_grad():
            points = first.points(first.features(torch.from_numpy(crops)[:, None].float())).unflatten(1, (-1, 2))
        for (picture, frame, shares), mine in zip(views, points.numpy(), strict=True):
            places = (mine + 1) * (INPUT_PX / 2) - 0.5
            places = (places - frame[:, 2]) @ np.linalg.inv(frame[:, :2]).T
            squares.append(cut_closeups(picture, tile_frames(places)))
            covered.append(shares)
    return CoverViews(np.stack(squares), np.stack(covered).astype(np.float32))


def _view(
    faces: Faces, row: int, fills: UInt8, rng: np.random.Generator, share: float
) -> tuple[UInt8, Float32, Float32]:
    picture, points = faces.pictures[row], to_ibug(faces.meshes[row])[:, :2]
    shares = np.zeros(len(COVERABLE), np.float32)
    if rng.random() < share:
        mask = draw_cover(picture.shape, points, rng)
        picture = lay_over(picture, mask, fills, rng)
        at = np.clip(np.round(points), 0, np.array(mask.shape[::-1]) - 1).astype(int)
        hidden = mask[at[:, 1], at[:, 0]] > 0
        shares = np.array([hidden[list(places)].mean() for places in COVERABLE.values()], np.float32)
    picture, ratio = photograph(picture, rng)
    frame, _ = frame_face(find_again(faces, row, ratio, rng), 0)
    return picture, frame, shares


def draw_cover(shape: Sequence[int], points: Float32, rng: np.random.Generator) -> UInt8:
    """A mask (H, W) of something in front of a face: glasses, a bar, a mask, a hand-sized patch, or anything."""
    mask = np.zeros(shape[:2], np.uint8)
    across = points[45] - points[36]
    unit, level = float(np.linalg.norm(across)), float(np.degrees(np.arctan2(across[1], across[0])))
    eyes, mouth = [points[36:42].mean(axis=0), points[42:48].mean(axis=0)], points[48:68].mean(axis=0)

    def near(point: Any, spread: float) -> Any:
        return point + rng.normal(0, spread, 2) * unit

    def size(low: tuple[float, float], high: tuple[float, float]) -> tuple[float, float]:
        return unit * rng.uniform(low[0], high[0]), unit * rng.uniform(low[1], high[1])

    kind = rng.integers(6)
    if kind == 0:
        for eye in eyes:
            _ellipse(mask, near(eye, 0.03), size((0.2, 0.16), (0.3, 0.26)), level)
    elif kind == 1:
        _bar(mask, near((eyes[0] + eyes[1]) / 2, 0.05), size((1.1, 0.3), (1.9, 0.6)), level + rng.normal(0, 5))
    elif kind == 2:
        top, chin = points[29 if rng.random() < 0.6 else 33], points[8]
        low = chin + (chin - points[57]) * rng.uniform(0, 0.6)
        corners = [near(point, 0.05) for point in (points[1], top, points[15], points[12], low, points[4])]
        cv2.fillConvexPoly(mask, cv2.convexHull(np.round(corners).astype(np.int32)), 1)
    elif kind == 3:
        _ellipse(mask, near(mouth, 0.1), size((0.35, 0.25), (0.7, 0.5)), rng.uniform(0, 180))
    elif kind == 4:
        _ellipse(mask, near(eyes[rng.integers(2)], 0.05), size((0.22, 0.2), (0.4, 0.4)), rng.uniform(0, 180))
    else:
        draw = _ellipse if rng.random() < 0.5 else _bar
        draw(mask, near(points[:68].mean(axis=0), 0.7), size((0.15, 0.15), (0.6, 0.6)), rng.uniform(0, 180))
    return mask


def lay_over(picture: UInt8, mask: UInt8, fills: UInt8, rng: np.random.Generator) -> UInt8:
    """The grey picture behind the mask, which is of one shade, shaded, like skin, or a piece of another picture."""
    fill = _fill(picture, fills, rng)
    if rng.random() < 0.4:
        soft = cv2.GaussianBlur(mask.astype(np.float32), (0, 0), rng.uniform(0.5, 2))
        return np.asarray(picture * (1 - soft) + fill * soft, np.uint8)
    return np.where(mask > 0, fill, picture).astype(np.uint8)


def _fill(picture: UInt8, fills: UInt8, rng: np.random.Generator) -> UInt8:
    kind, shape = rng.random(), picture.shape
    if kind < 0.35:
        return np.full(shape, rng.integers(256), np.uint8)
    if kind < 0.6:
        slope = [np.linspace(-1, 1, length) * rng.normal(0, 30) for length in shape]
        shaded = slope[0][:, None] + slope[1][None] + rng.uniform(30, 220) + rng.normal(0, rng.uniform(0, 8), shape)
        return np.clip(shaded, 0, 255).astype(np.uint8)
    if kind < 0.8:
        skin = cv2.GaussianBlur(picture, (0, 0), rng.uniform(3, 10))
        return np.asarray(np.roll(skin, tuple(rng.integers(-40, 40, 2).tolist()), (0, 1)), np.uint8)
    other = cv2.resize(fills[rng.integers(len(fills))], shape[::-1])
    return np.asarray(other[::-1] if rng.random() < 0.5 else other[:, ::-1], np.uint8)


def _ellipse(mask: UInt8, middle: Any, axes: tuple[float, float], degrees: float) -> None:
    width, height = 2 * axes[0], 2 * axes[1]
    cv2.ellipse(mask, ((float(middle[0]), float(middle[1])), (width, height), float(degrees)), 1, -1)


def _bar(mask: UInt8, middle: Any, size: tuple[float, float], degrees: float) -> None:
    corners = cv2.boxPoints(((float(middle[0]), float(middle[1])), size, float(degrees)))
    cv2.fillConvexPoly(mask, np.round(corners).astype(np.int32), 1)


def fit(views: CoverViews, *, epochs: int = 14, batch_size: int = 128, seed: int = 0) -> CoverNet:
    """The network after so many rounds over the views."""
    torch.manual_seed(seed)
    net = CoverNet().train().to(memory_format=torch.channels_last)
    squares, covered = torch.from_numpy(views.squares)[:, None], torch.from_numpy(views.covered)
    rounds = len(squares) // batch_size
    optimiser = torch.optim.AdamW(net.parameters(), lr=3e-3, weight_decay=0.05)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, 6e-3, total_steps=epochs * rounds + 1)
    for _ in range(epochs):
        for rows in torch.randperm(len(squares))[: rounds * batch_size].reshape(rounds, batch_size):
            inputs = squares[rows].float().contiguous(memory_format=torch.channels_last)
            with torch.autocast("cpu", dtype=torch.bfloat16):
                logits = net(inputs)
            loss = functional.binary_cross_entropy_with_logits(logits.float(), covered[rows])
            optimiser.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimiser.step()
            schedule.step()
    return net.eval()


@dataclass(frozen=True)
class CoverScores:
    """Of each of `COVERABLE`: the share found of those that are covered by more than 0.8, and called so of the bare."""

    found: tuple[float, ...]
    wrongly: tuple[float, ...]


def evaluate(net: CoverNet, views: CoverViews) -> CoverScores:
    """How well drawn covers are found at a threshold of a half."""
    with torch.no_grad():
        shares = torch.sigmoid(net(torch.from_numpy(views.squares)[:, None].float())).numpy()
    columns = range(len(COVERABLE))
    return CoverScores(
        tuple(float((shares[views.covered[:, at] > 0.8, at] > 0.5).mean()) for at in columns),
        tuple(float((shares[views.covered[:, at] == 0, at] > 0.5).mean()) for at in columns),
    )


def save_covers(net: CoverNet, path: Path) -> None:
    """Write the weights as safetensors, in float16."""
    state = {name: value.half() if value.is_floating_point() else value for name, value in net.state_dict().items()}
    save_file({name: value.contiguous() for name, value in state.items()}, path)


def load_covers(path: Path) -> CoverNet:
    """Read what `save_covers` wrote.

    Raises:
        ConfigError: there is none.
    """
    if not path.is_file():
        raise ConfigError(f"{path} is missing: run the step covers first")
    net = CoverNet()
    saved = {name: value.float() if value.is_floating_point() else value for name, value in load_file(path).items()}
    net.load_state_dict(saved)
    return net.eval()
