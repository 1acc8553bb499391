"""The network that judges the detector's candidates one by one: what they are taken from, and how it is trained."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.nn import functional

from mien.faces.detection import overlaps
from mien.faces.verification import SIDE_PX, SURROUNDINGS, cut_candidates
from mien.structures import Detections
from mien.workshop.detection.compose import Composed, Composer
from mien.workshop.detection.detector_network import FaceNetwork
from mien.workshop.detection.training import detect_with

UInt8 = npt.NDArray[np.uint8]
Float32 = npt.NDArray[np.float32]
Rng = np.random.Generator

MARGIN = 1.4
"""Candidates are kept with so much more around them, for shifts and turns in training."""

KEPT_PX = math.ceil(SIDE_PX * MARGIN / 4) * 4

FITS, MISSES = 0.5, 0.25
"""A candidate that overlaps a face by more than the first is one, by less than the second is none."""


class Verifier(nn.Module):
    """Squares (N, 1, 40, 40), grey 0–255, upright → logits (N,) of being a face."""

    def __init__(self, widths: tuple[int, int, int, int] = (16, 32, 48, 64)) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        before = 1
        for width in widths:
            layers += [nn.Conv2d(before, width, 3, 2, 1, bias=False), nn.BatchNorm2d(width), nn.ReLU(inplace=True)]
            before = width
        self.features = nn.Sequential(*layers)
        self.dropout = nn.Dropout(0.2)
        self.last = nn.Linear(before * 9, 1)

    def forward(self, squares: Tensor) -> Tensor:
        """See the class."""
        flat = self.features((squares - 127.5) / 64).flatten(1)
        result: Tensor = self.last(self.dropout(flat))[:, 0]
        return result


@dataclass(frozen=True)
class Candidates:
    """What a detector took for faces.

    Args:
        squares: upright, with a margin, uint8 (N, 56, 56).
        real: whether each is a face (N,).
        scores: the detector's (N,).
        heights: of the boxes in pixels (N,).
        origins: number of the picture each is from (N,).
    """

    squares: UInt8
    real: npt.NDArray[np.bool_]
    scores: Float32
    heights: Float32
    origins: npt.NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.real)

    @classmethod
    def join(cls, parts: list[Candidates]) -> Candidates:
        """All of them."""
        return cls(*(np.concatenate([getattr(one, name) for one in parts]) for name in cls.__dataclass_fields__))


def cut_from(composed: Composed, found: Detections, origin: int) -> Candidates:
    """The candidates of a picture whose truth is known; those in between or doubtful are left out."""
    real = composed.kinds == 1
    fit = overlaps(found.boxes, composed.boxes[real]).max(axis=1, initial=0)
    doubt = np.zeros(len(found), np.bool_)
    for box in composed.boxes[~real]:
        common = np.minimum(found.boxes[:, 2:], box[2:]) - np.maximum(found.boxes[:, :2], box[:2])
        doubt |= np.clip(common, 0, None).prod(axis=1) > 0.25 * (found.boxes[:, 2:] - found.boxes[:, :2]).prod(axis=1)
    chosen = np.flatnonzero((fit >= FITS) | ((fit < MISSES) & ~doubt))
    kept = found[chosen]
    squares = cut_candidates(composed.picture, kept, side_px=KEPT_PX, surroundings=SURROUNDINGS * KEPT_PX / SIDE_PX)
    heights = kept.boxes[:, 3] - kept.boxes[:, 1]
    return Candidates(squares, fit[chosen] >= FITS, kept.scores, heights, np.full(len(chosen), origin))


def gather_composed(
    network: FaceNetwork, composer: Composer, count: int, side: int, *, min_score: float, seed: int
) -> Candidates:
    """The network's candidates in so many composed pictures."""
    parts = []
    for number in range(count):
        composed = composer.make(np.random.default_rng([seed, number]), side)
        parts.append(cut_from(composed, detect_with(network, composed.picture, min_score), number))
    return Candidates.join(parts)


def gather_scenes(
    network: FaceNetwork, composer: Composer, scales: tuple[float, ...], *, min_score: float, quarters: int = 1
) -> Candidates:
    """The network's candidates in whole scenes, at several sizes and turned by quarters."""
    parts = []
    for number, source in enumerate(composer.scenes):
        for scale in scales:
            full = source.levels[0]
            height, width = (max(32, round(side * scale / 32) * 32) for side in full.shape)
            shrinks = scale < 1
            small = cv2.resize(full, (width, height), interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR)
            back = np.array([width / full.shape[1], height / full.shape[0]] * 2, np.float32)
            boxes = source.seen.boxes * back
            for quarter in range(quarters):
                picture = np.ascontiguousarray(np.rot90(small, quarter)).astype(np.uint8, copy=False)
                # A turned scene's faces are doubtful as a whole: only what lies apart from them is taken.
                turned = _turn(boxes, quarter, height, width)
                kinds = np.where((source.seen.scores >= 0.7) & (quarter == 0), 1, -1)
                landmarks = np.zeros((len(boxes), 5, 2), np.float32)
                truth = Composed(picture, turned, landmarks, kinds, np.zeros(len(boxes), np.float32))
                parts.append(cut_from(truth, detect_with(network, picture, min_score), number))
    return Candidates.join(parts)


def _turn(boxes: Float32, quarters: int, height: int, width: int) -> Float32:
    """Boxes after `np.rot90` of a picture of that size."""
    for _ in range(quarters):
        boxes = np.stack([boxes[:, 1], width - boxes[:, 2], boxes[:, 3], width - boxes[:, 0]], axis=1)
        height, width = width, height
    return boxes


def vary(squares: UInt8, rng: Rng) -> UInt8:
    """Shifted, turned, scaled, mirrored, relit, coarser: (N, 56, 56) → (N, 40, 40)."""
    result = np.empty((len(squares), SIDE_PX, SIDE_PX), np.uint8)
    for row, square in enumerate(squares):
        angle, scale = rng.normal(0, 8), np.exp(rng.normal(0, 0.07))
        cosine, sine = scale * math.cos(math.radians(angle)), scale * math.sin(math.radians(angle))
        turn = np.array([[cosine, -sine], [sine, cosine]]) @ np.diag([rng.choice([-1.0, 1.0]), 1.0])
        middle = np.array([KEPT_PX / 2 - 0.5] * 2) + rng.normal(0, 1.3, 2)
        matrix = np.hstack([turn, (SIDE_PX / 2 - 0.5 - turn @ middle)[:, None]])
        one = cv2.warpAffine(square, matrix, (SIDE_PX, SIDE_PX), borderMode=cv2.BORDER_REPLICATE)
        if rng.random() < 0.35:
            small = int(rng.uniform(9, SIDE_PX))
            one = cv2.resize(cv2.resize(one, (small, small), interpolation=cv2.INTER_AREA), (SIDE_PX, SIDE_PX))
        if rng.random() < 0.5:
            table = 127.5 + (np.arange(256) - 127.5) * rng.uniform(0.6, 1.3) + rng.uniform(-30, 30)
            one = cv2.LUT(one, np.clip(table, 0, 255).astype(np.uint8))
        result[row] = one
    return result


def centre(squares: UInt8) -> UInt8:
    """What the shipped graph sees of kept squares: their middle (N, 40, 40)."""
    low = (KEPT_PX - SIDE_PX) // 2
    return squares[:, low : low + SIDE_PX, low : low + SIDE_PX]


def train_verifier(
    data: Candidates,
    *,
    steps: int = 4000,
    batch: int = 192,
    learning_rate: float = 2e-3,
    seed: int = 0,
    told: Callable[[str], None] = print,
) -> Verifier:
    """Train on candidates, half of each batch faces; what is judged wrong counts most (focal loss)."""
    torch.manual_seed(seed)
    rng = np.random.default_rng(seed)
    network = Verifier().to(memory_format=torch.channels_last)
    optimizer = torch.optim.AdamW(network.parameters(), lr=learning_rate, weight_decay=0.02)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, learning_rate, steps, pct_start=0.1)
    faces, others = np.flatnonzero(data.real), np.flatnonzero(~data.real)
    # What the detector is sure of comes more often.
    weight = data.scores[others] + 0.1
    weight = weight / weight.sum()
    begun, total = time.monotonic(), 0.0
    for step in range(steps):
        rows = np.concatenate([rng.choice(faces, batch // 2), rng.choice(others, batch // 2, p=weight)])
        squares = torch.from_numpy(vary(data.squares[rows], rng))[:, None].float()
        target = torch.from_numpy(data.real[rows]).float()
        with torch.autocast("cpu", torch.bfloat16):
            logits = network(squares.to(memory_format=torch.channels_last))
        logits = logits.float()
        apart = (logits.sigmoid() - target).abs().detach()
        loss = (functional.binary_cross_entropy_with_logits(logits, target, reduction="none") * apart).mean()
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        schedule.step()
        total += float(loss.detach())
        if (step + 1) % 250 == 0:
            told(f"{step + 1} steps, {(time.monotonic() - begun) / 60:.1f} min, loss {total / 250:.4f}")
            total = 0.0
    return network.eval()
