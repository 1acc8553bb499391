"""The network that judges the detector's candidates one by one: what they are taken from, and how it is trained."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import torch
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.nn import functional

from mien.faces.detection import overlaps
from mien.faces.verification import CLOSE_UP_PX, SIDE_PX, SURROUNDINGS, Fusion, cut_candidates, to_features
from mien.structures import Detections
from mien.workshop.detection.canvas import Composed, Source
from mien.workshop.detection.compose import Composer, Kinds, Limits
from mien.workshop.detection.detector_network import FaceNetwork
from mien.workshop.detection.teacher_labels import HELD_OUT_SCENES, SURE, Material
from mien.workshop.detection.training import detect_with, mine

UInt8 = npt.NDArray[np.uint8]
Float32 = npt.NDArray[np.float32]
Rng = np.random.Generator

MARGIN = 1.4
"""Candidates are kept with so much more around them, for shifts and turns in training."""

KEPT_PX = math.ceil(SIDE_PX * MARGIN / 4) * 4

NATURAL = 6.0
"""So often a face of a scene is shown for one of a composed picture: whole heads, in their own surroundings."""

UNREDUCED = (640, 640)
"""The size of a picture that is no close-up."""

FITS, MISSES = 0.5, 0.25
"""A candidate that overlaps a face by more than the first is a face, and by less than the second it is not."""


class Refine(nn.Module):
    """A convolution, a norm, and its input added: features (N, C, H, W) → the same shape."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(width, width, 3, 1, 1, bias=False)
        self.norm = nn.BatchNorm2d(width)

    def forward(self, features: Tensor) -> Tensor:
        """See the class."""
        return torch.relu(features + self.norm(self.conv(features)))


class Verifier(nn.Module):
    """Squares (N, 1, 40, 40), grey 0–255, upright → logits (N,) of being a face."""

    def __init__(self, widths: tuple[int, int, int, int] = (24, 40, 56, 72)) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        before = 1
        for level, width in enumerate(widths):
            layers += [nn.Conv2d(before, width, 3, 2, 1, bias=False), nn.BatchNorm2d(width), nn.ReLU(inplace=True)]
            if level in (1, 2):
                layers.append(Refine(width))
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
        pasted: whether each is from a composed picture, not from a scene as it is (N,).
    """

    squares: UInt8
    real: npt.NDArray[np.bool_]
    scores: Float32
    heights: Float32
    pasted: npt.NDArray[np.bool_]

    def __len__(self) -> int:
        return len(self.real)

    @classmethod
    def join(cls, parts: list[Candidates]) -> Candidates:
        """All of them."""
        return cls(*(np.concatenate([getattr(one, name) for one in parts]) for name in cls.__dataclass_fields__))

    def to_detections(self) -> Detections:
        """Their scores and heights, at no place."""
        boxes = np.zeros((len(self), 4), np.float32)
        boxes[:, 3] = self.heights
        return Detections.from_boxes(boxes, self.scores)


def cut_from(composed: Composed, found: Detections, *, pasted: bool) -> Candidates:
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
    return Candidates(squares, fit[chosen] >= FITS, kept.scores, heights, np.full(len(chosen), pasted))


def gather_composed(
    network: FaceNetwork, composer: Composer, count: int, side: int, *, min_score: float, seed: int
) -> Candidates:
    """The network's candidates in so many composed pictures."""
    parts = []
    for number in range(count):
        composed = composer.make(np.random.default_rng([seed, number]), side)
        parts.append(cut_from(composed, detect_with(network, composed.picture, min_score), pasted=True))
    return Candidates.join(parts)


def gather_close_ups(
    network: FaceNetwork, composer: Composer, count: int, *, min_score: float, seed: int
) -> Candidates:
    """The network's candidates in so many pictures that a face fills, or that hold no face."""
    parts = []
    for number in range(count):
        composed = composer.make_close_up(np.random.default_rng([seed, 1, number]))
        height, width = composed.picture.shape
        padded = np.pad(composed.picture, ((0, -height % 32), (0, -width % 32)))
        found = detect_with(network, padded, min_score)
        parts.append(cut_from(composed, found, pasted=False))
    return Candidates.join(parts)


def gather_scenes(
    network: FaceNetwork, composer: Composer, scales: tuple[float, ...], *, min_score: float
) -> Candidates:
    """The network's candidates in whole scenes, at several sizes."""
    parts = []
    for source in composer.scenes:
        for scale in scales:
            truth = look_at(source, scale)
            parts.append(cut_from(truth, detect_with(network, truth.picture, min_score), pasted=False))
    return Candidates.join(parts)


def look_at(source: Source, scale: float) -> Composed:
    """A scene at another size, its sides multiples of 32, and what the teacher saw in it."""
    full, seen = source.levels[0], source.seen
    height, width = (max(32, round(side * scale / 32) * 32) for side in full.shape)
    way = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    picture = cv2.resize(full, (width, height), interpolation=way).astype(np.uint8, copy=False)
    ratio = np.array([width / full.shape[1], height / full.shape[0]], np.float32)
    kinds = np.where(seen.scores >= SURE, 1, -1)
    return Composed(
        picture, seen.boxes * np.tile(ratio, 2), seen.landmarks * ratio, kinds, np.zeros(len(seen), np.float32)
    )


def weigh_close_ups(
    network: FaceNetwork, verifier: Verifier, fusion: Fusion, composer: Composer, floor: float
) -> Fusion:
    """The fusion with what it counts that a face fills a close-up: as much as lets none of the scenes through.

    Half a logit less, because the scenes are few.
    """
    highest = []
    for source in composer.scenes:
        truth = look_at(source, CLOSE_UP_PX / max(source.levels[0].shape))
        found = detect_with(network, truth.picture, floor)
        apart = overlaps(found.boxes, truth.boxes).max(axis=1, initial=0) < MISSES
        tall = found.boxes[:, 3] - found.boxes[:, 1] >= min(truth.picture.shape) / 2
        found = found[apart & tall]
        if len(found):
            squares = torch.from_numpy(cut_candidates(truth.picture, found))[:, None].float()
            with torch.no_grad():
                seen = verifier.eval()(squares).numpy()
            features = to_features(found, seen, truth.picture.shape)[:, :3]
            highest.append(float((features @ np.array(fusion[:3])).max()))
    return (*fusion[:3], max(0.0, -max(highest, default=0.0) - 0.5))


_Y, _X = (np.mgrid[:SIDE_PX, :SIDE_PX] - SIDE_PX / 2) / (SIDE_PX / 2)


def vary(squares: UInt8, rng: Rng) -> UInt8:
    """Shifted, turned, scaled, mirrored, coarser, in other light: (N, 56, 56) → (N, 40, 40)."""
    result = np.empty((len(squares), SIDE_PX, SIDE_PX), np.uint8)
    for row, square in enumerate(squares):
        angle, scale = rng.normal(0, 8), np.exp(rng.normal(0, 0.07))
        cosine, sine = scale * math.cos(math.radians(angle)), scale * math.sin(math.radians(angle))
        turn = np.array([[cosine, -sine], [sine, cosine]]) @ np.diag([rng.choice([-1.0, 1.0]), 1.0])
        middle = np.array([KEPT_PX / 2 - 0.5] * 2) + rng.normal(0, 1.3, 2)
        matrix = np.hstack([turn, (SIDE_PX / 2 - 0.5 - turn @ middle)[:, None]])
        drawn = cv2.warpAffine(square, matrix, (SIDE_PX, SIDE_PX), borderMode=cv2.BORDER_REPLICATE)
        one: npt.NDArray[Any] = drawn
        chance = rng.random()
        if chance < 0.12:
            one = _end_at_the_face(drawn.astype(np.uint8, copy=False), rng)
        elif chance < 0.22:
            _draw_sunglasses(drawn.astype(np.uint8, copy=False), rng)
        if rng.random() < 0.35:
            small = int(rng.uniform(9, SIDE_PX))
            one = cv2.resize(cv2.resize(one, (small, small), interpolation=cv2.INTER_AREA), (SIDE_PX, SIDE_PX))
        if rng.random() < 0.5:
            table = 127.5 + (np.arange(256) - 127.5) * rng.uniform(0.6, 1.3) + rng.uniform(-30, 30)
            one = cv2.LUT(one, np.clip(table, 0, 255).astype(np.uint8))
        if rng.random() < 0.3:
            # Light from one side.
            slope, angle = rng.uniform(0.2, 0.75), rng.uniform(0, 2 * math.pi)
            ramp = 1 + slope * (math.cos(angle) * _X + math.sin(angle) * _Y)
            one = np.clip(one * ramp * rng.uniform(0.6, 1.1), 0, 255)
        if rng.random() < 0.2:
            one = np.clip(one * _cast_shadow(rng), 0, 255)
        result[row] = one
    return result


def _end_at_the_face(square: UInt8, rng: Rng) -> UInt8:
    """As if the picture ended around the face: what lies beyond is the edge repeated."""
    half = SIDE_PX / 2 / SURROUNDINGS
    x1, y1 = np.round(SIDE_PX / 2 - half * rng.uniform(0.9, 1.35, 2)).astype(int)
    x2, y2 = np.round(SIDE_PX / 2 + half * rng.uniform(0.9, 1.35, 2)).astype(int)
    part = square[y1:y2, x1:x2]
    ended = cv2.copyMakeBorder(part, y1, SIDE_PX - y2, x1, SIDE_PX - x2, cv2.BORDER_REPLICATE)
    return ended.astype(np.uint8, copy=False)


def _draw_sunglasses(square: UInt8, rng: Rng) -> None:
    """Dark ovals where an upright face's eyes are, in place; whatever is there, so that they tell nothing."""
    face = SIDE_PX / SURROUNDINGS
    middle = SIDE_PX / 2 + rng.normal(0, 0.04, 2) * face + (0, -0.08 * face)
    apart, dark = face * rng.uniform(0.2, 0.26), int(rng.integers(0, 70))
    axes = (max(1, round(face * rng.uniform(0.13, 0.2))), max(1, round(face * rng.uniform(0.09, 0.16))))
    for side in (-1, 1):
        at = (round(float(middle[0] + side * apart)), round(float(middle[1])))
        cv2.ellipse(square, at, axes, 0, 0, 360, dark, -1, cv2.LINE_AA)


def _cast_shadow(rng: Rng) -> Float32:
    """Factors (40, 40): one side of a line through the face lies in the dark."""
    angle, where = rng.uniform(0, 2 * math.pi), rng.uniform(-0.4, 0.4)
    depth, edge = rng.uniform(0.3, 0.8), rng.uniform(0.03, 0.3)
    along = (math.cos(angle) * _X + math.sin(angle) * _Y - where) / edge
    factors: Float32 = (1 - depth / (1 + np.exp(-np.clip(along, -30, 30)))).astype(np.float32)
    return factors


def centre(squares: UInt8) -> UInt8:
    """What the shipped graph sees of kept squares: their middle (N, 40, 40)."""
    low = (KEPT_PX - SIDE_PX) // 2
    return squares[:, low : low + SIDE_PX, low : low + SIDE_PX]


@dataclass(frozen=True)
class VerifierPlan:
    """How to train the verifier.

    Args:
        composed: composed pictures from which candidates are taken, beside all scenes; a quarter as many held out.
        close_ups: the same of small pictures that a face fills.
        scene_scales: sizes at which scenes are searched for candidates to train on.
        judged_scales: the same for those that choose the threshold.
        candidate_score: the detector's score from which a detection is a candidate.
        steps: batches.
        batch: candidates in a batch, half of them faces.
        learning_rate: the highest, of AdamW in one cycle.
        false_per_scene: wrong faces that a held-out scene without a face may have on average.
        seed: of weights and pictures.
    """

    composed: int = 2000
    close_ups: int = 6000
    scene_scales: tuple[float, ...] = (0.3, 0.42, 0.55, 0.7, 0.85, 1.0)
    judged_scales: tuple[float, ...] = (0.35, 0.65, 1.0)
    candidate_score: float = 0.25
    steps: int = 3000
    batch: int = 192
    learning_rate: float = 2e-3
    false_per_scene: float = 0.05
    seed: int = 0


@dataclass(frozen=True)
class Judgement:
    """How the verifier is used; see `DetectorManifest`."""

    verifier: Verifier
    fusion: Fusion
    candidate_score: float


def make_verifier(
    network: FaceNetwork,
    material: Material,
    plan: VerifierPlan,
    limits: Limits,
    path: Path,
    told: Callable[[str], None] = print,
    start: Verifier | None = None,
) -> Judgement:
    """Gather candidates, train on them, weigh what both networks say on held-out ones; written to `path`.

    `start` is trained on, instead of a new network.
    """
    network = network.to(memory_format=torch.channels_last)
    kinds = Kinds(crowd=0.25, grid=0.2, photograph=0.35, scene=0.15, mosaic=0.05)
    gathered = []
    for held_out in (False, True):
        composer = Composer(material, held_out=held_out, limits=limits, kinds=kinds)
        composer.hard = mine(network, composer)
        scales = plan.judged_scales if held_out else plan.scene_scales
        scenes = gather_scenes(network, composer, scales, min_score=plan.candidate_score)
        count = plan.composed // 4 if held_out else plan.composed
        composed = gather_composed(
            network, composer, count, 256, min_score=plan.candidate_score, seed=plan.seed + held_out
        )
        close_ups = gather_close_ups(
            network, composer, plan.close_ups // (4 if held_out else 1), min_score=plan.candidate_score,
            seed=plan.seed + held_out,
        )  # fmt: skip
        told(
            f"{len(scenes):,} candidates in scenes, {len(composed):,} in composed pictures, "
            f"{len(close_ups):,} in close-ups"
        )
        gathered.append((scenes, Candidates.join([composed, close_ups])))
    verifier = train_verifier(Candidates.join([*gathered[0]]), plan, told, start)
    fusion = fit_fusion(verifier, *gathered[1], allowed=plan.false_per_scene * HELD_OUT_SCENES)
    # The held-out composer is the last one.
    fusion = weigh_close_ups(network, verifier, fusion, composer, plan.candidate_score)
    judgement = Judgement(verifier, fusion, plan.candidate_score)
    note = json.dumps({"fusion": judgement.fusion, "candidate_score": judgement.candidate_score})
    save_file({k: v.contiguous() for k, v in verifier.state_dict().items()}, path, {"judgement": note})
    told(f"held-out candidates: {note}")
    return judgement


@torch.no_grad()
def see_candidates(verifier: Verifier, candidates: Candidates) -> Float32:
    """The verifier's logits (N,)."""
    verifier.eval()
    parts = [
        verifier(torch.from_numpy(np.ascontiguousarray(centre(part)))[:, None].float()).numpy()
        for part in np.array_split(candidates.squares, max(1, len(candidates) // 512))
    ]
    return np.concatenate(parts)


def fit_fusion(verifier: Verifier, scenes: Candidates, composed: Candidates, *, allowed: float) -> Fusion:
    """Weights for what both networks say: a logistic regression, then shifted, so that 0.5 is the threshold.

    Faces and others count alike. At 0.5 `allowed` candidates of the scenes are taken for faces and are none.
    """
    both = Candidates.join([scenes, composed])
    features = to_features(both.to_detections(), see_candidates(verifier, both), UNREDUCED)[:, :3]
    weights, share = np.zeros(3), np.where(both.real, 0.5 / both.real.sum(), 0.5 / (~both.real).sum())
    for _ in range(50):
        probability = 1 / (1 + np.exp(-np.clip(features @ weights, -30, 30)))
        slope = features.T @ (share * (probability - both.real)) + 1e-5 * weights
        curve = (features * (share * probability * (1 - probability))[:, None]).T @ features + 1e-5 * np.eye(3)
        weights -= np.linalg.solve(curve, slope)
    values = features[: len(scenes)] @ weights
    false = np.sort(values[~scenes.real])[::-1]
    weights[0] -= false[min(int(allowed), len(false) - 1)] if len(false) else 0.0
    constant, own, other = weights.tolist()
    return constant, own, other, 0.0


def train_verifier(
    data: Candidates, plan: VerifierPlan, told: Callable[[str], None] = print, start: Verifier | None = None
) -> Verifier:
    """Train on candidates, half of each batch faces; what is judged wrong counts most (focal loss)."""
    torch.manual_seed(plan.seed)
    rng = np.random.default_rng(plan.seed)
    network = (start or Verifier()).train().to(memory_format=torch.channels_last)
    optimizer = torch.optim.AdamW(network.parameters(), lr=plan.learning_rate, weight_decay=0.02)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, plan.learning_rate, plan.steps, pct_start=0.1)
    faces, others = np.flatnonzero(data.real), np.flatnonzero(~data.real)
    # What the detector is sure of comes more often, and so do faces that nobody pasted.
    weight, likely = data.scores[others] + 0.1, np.where(data.pasted[faces], 1.0, NATURAL)
    weight, likely = weight / weight.sum(), likely / likely.sum()
    begun, total = time.monotonic(), 0.0
    for step in range(plan.steps):
        rows = np.concatenate(
            [rng.choice(faces, plan.batch // 2, p=likely), rng.choice(others, plan.batch // 2, p=weight)]
        )
        squares = torch.from_numpy(vary(data.squares[rows], rng))[:, None].float()
        target = torch.from_numpy(data.real[rows]).float()
        with torch.autocast("cpu", torch.bfloat16):
            logits = network(squares.to(memory_format=torch.channels_last))
        logits = logits.float()
        apart = (logits.sigmoid() - target).abs().detach()
        loss = (functional.binary_cross_entropy_with_logits(logits, target, reduction="none") * apart).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
        total += float(loss.detach())
        if (step + 1) % 250 == 0:
            told(f"{step + 1} steps, {(time.monotonic() - begun) / 60:.1f} min, loss {total / 250:.4f}")
            total = 0.0
    return network.eval()
