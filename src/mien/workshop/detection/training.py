"""Trains the detector: one loop, read from top to bottom."""

from __future__ import annotations

import csv
import json
import math
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor
from torch.utils.data import DataLoader, IterableDataset

from mien.faces.detection import overlaps, suppress
from mien.faces.mien_detector import MAX_OVERLAP, decode
from mien.structures import Detections
from mien.workshop.detection.canvas import Composed
from mien.workshop.detection.compose import Composer, Limits
from mien.workshop.detection.detector_network import (
    CANDIDATES,
    FaceNetwork,
    Shape,
    Truth,
    Weights,
    loss_of,
    make_points,
    prepare,
)
from mien.workshop.detection.report import Float32, UInt8, judge
from mien.workshop.detection.teacher_labels import Material

MOST_HARD = 4000
"""Places at most that look like faces and are none."""


@dataclass(frozen=True)
class Plan:
    """How to train.

    Args:
        steps: batches in all.
        warmup_steps: batches until the full learning rate.
        decay_steps: last batches, over which it falls to a hundredth along half a cosine; a run can be prolonged
            until they begin.
        batch: pictures of `side` px; smaller and larger ones come in proportion.
        side: side of most pictures; some batches are of 0.6 to 1.4 times that.
        learning_rate: of AdamW.
        weight_decay: of AdamW.
        average: share of the old weights in the running average that is kept, after the first steps.
        mine_steps: steps at which the network's mistakes in scenes are gathered, to be shown more often from then on.
        validate_steps: batches between two looks at the held-out crowds.
        save_steps: batches between two checkpoints.
        seed: of weights and pictures.
    """

    steps: int = 8000
    warmup_steps: int = 200
    decay_steps: int = 2500
    batch: int = 16
    side: int = 320
    learning_rate: float = 2e-3
    weight_decay: float = 1e-2
    average: float = 0.998
    mine_steps: tuple[int, ...] = (2500, 4000)
    validate_steps: int = 250
    save_steps: int = 250
    seed: int = 0
    weights: Weights = field(default_factory=Weights)

    def rate_at(self, step: int) -> float:
        """The learning rate of a step: up, level, down."""
        rise = min(1.0, (step + 1) / max(1, self.warmup_steps))
        left = min(1.0, max(0, self.steps - step) / max(1, self.decay_steps))
        return self.learning_rate * rise * max(0.01, (1 - math.cos(math.pi * left)) / 2)


class Batches(IterableDataset[Any]):
    """Batches without an end, each from its own seed: a run that goes on sees what it would have seen."""

    def __init__(self, composer: Composer, plan: Plan, first: int) -> None:
        self.composer, self.plan, self.first = composer, plan, first

    def __iter__(self) -> Iterator[Any]:
        worker = torch.utils.data.get_worker_info()
        start, step = (worker.id, worker.num_workers) if worker else (0, 1)
        torch.set_num_threads(1)
        number = self.first + start
        while True:
            rng = np.random.default_rng([self.plan.seed, number])
            share = rng.choice([1.0, 1.0, 1.0, 1.0, 0.6, 0.8, 1.4])
            side = int(self.plan.side * share) // 32 * 32
            count = max(2, round(self.plan.batch * (self.plan.side / side) ** 2))
            yield collate([self.composer.make(rng, side) for _ in range(count)])
            number += step


def collate(pictures: list[Composed]) -> tuple[Tensor, Truth]:
    """Pictures of one size as a batch: uint8 (N, H, W) and the truth."""
    height, width = pictures[0].picture.shape[:2]
    centres, strides = (part.numpy() for part in make_points(height, width))
    most = max(1, *(len(one.boxes) for one in pictures))
    boxes = torch.zeros(len(pictures), most, 4)
    landmarks = torch.full((len(pictures), most, 5, 2), float("nan"))
    candidates = torch.full((len(pictures), most, CANDIDATES), -1, dtype=torch.long)
    doubtful = torch.zeros(len(pictures), len(centres), dtype=torch.bool)
    for row, one in enumerate(pictures):
        count = len(one.boxes)
        if count:
            boxes[row, :count] = torch.from_numpy(one.boxes)
            landmarks[row, :count] = torch.from_numpy(one.landmarks)
            chosen, unclear = prepare(one.boxes, one.kinds, centres, strides)
            candidates[row, :count], doubtful[row] = torch.from_numpy(chosen), torch.from_numpy(unclear)
    images = torch.from_numpy(np.stack([one.picture for one in pictures]))
    return images, Truth(boxes, landmarks, candidates, doubtful)


def train(
    material: Material,
    out: Path,
    *,
    shape: Shape | None = None,
    plan: Plan | None = None,
    limits: Limits | None = None,
    start: Path | None = None,
    workers: int = 1,
    told: Callable[[str], None] = print,
) -> FaceNetwork:
    """Train, or go on where `out` holds a checkpoint; the averaged weights. `start` names weights to begin with.

    Writes `out/state.safetensors` (everything to go on from), `out/weights.safetensors` (the averaged weights) and
    `out/log.csv` (a row each validation).
    """
    plan = plan or Plan()
    torch.manual_seed(plan.seed)
    network = FaceNetwork(shape).to(memory_format=torch.channels_last)
    if start is not None:
        network.load_state_dict(load_file(start))
    average = FaceNetwork(shape).requires_grad_(False).eval()
    average.load_state_dict(network.state_dict())
    optimizer = _make_optimizer(network, plan)
    out.mkdir(parents=True, exist_ok=True)
    first = _resume(out, network, average, optimizer)
    validation = make_validation(material)
    composer = Composer(material, limits=limits)
    begun, sums, seen = time.monotonic(), {"score": 0.0, "box": 0.0, "landmarks": 0.0}, 0
    for step, (images, truth) in iter_batches(composer, plan, first, workers, average):
        for group in optimizer.param_groups:
            group["lr"] = plan.rate_at(step)
        network.train()
        pictures = images[:, None].float().to(memory_format=torch.channels_last)
        with torch.autocast("cpu", torch.bfloat16):
            outputs = network(pictures)
        loss, parts = loss_of(outputs.float(), *make_points(*images.shape[1:3]), truth, plan.weights)
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(network.parameters(), 10.0)
        optimizer.step()
        follow(average, network, min(plan.average, (step + 1) / (step + 10)))
        sums = {name: value + parts[name] for name, value in sums.items()}
        seen += 1
        if (step + 1) % plan.validate_steps == 0 or step + 1 == plan.steps:
            row = {"step": step + 1, "minutes": (time.monotonic() - begun) / 60, "rate": plan.rate_at(step)}
            row |= {f"loss_{name}": value / seen for name, value in sums.items()}
            row |= validate(average, validation)
            _write_row(out / "log.csv", row)
            told(json.dumps({name: round(value, 5) for name, value in row.items()}))
            sums, seen = dict.fromkeys(sums, 0.0), 0
        if (step + 1) % plan.save_steps == 0 or step + 1 == plan.steps:
            _save(out, network, average, optimizer, step + 1)
    return average


def iter_batches(
    composer: Composer, plan: Plan, first: int, workers: int, network: FaceNetwork
) -> Iterator[tuple[int, tuple[Tensor, Truth]]]:
    """Batches with their steps; from each of the plan's `mine_steps` on they hold what the network mistakes there."""
    ends = [*(step for step in plan.mine_steps if first < step < plan.steps), plan.steps]
    for begin, end in zip([first, *ends], ends, strict=False):
        if begin >= min(plan.mine_steps, default=plan.steps):
            composer.hard = mine(network, composer)
        loader = DataLoader(
            Batches(composer, plan, begin), batch_size=None, num_workers=workers, prefetch_factor=4 if workers else None
        )
        yield from zip(range(begin, end), loader, strict=False)


def _make_optimizer(network: FaceNetwork, plan: Plan) -> torch.optim.AdamW:
    decayed = [weight for weight in network.parameters() if weight.ndim > 1]
    others = [weight for weight in network.parameters() if weight.ndim <= 1]
    groups = [{"params": decayed, "weight_decay": plan.weight_decay}, {"params": others, "weight_decay": 0.0}]
    return torch.optim.AdamW(groups, lr=plan.learning_rate)


@torch.no_grad()
def follow(average: FaceNetwork, network: FaceNetwork, share: float) -> None:
    """Move the running average towards the network; its norms' statistics too."""
    theirs = network.state_dict()
    for name, value in average.state_dict().items():
        if value.is_floating_point():
            value.lerp_(theirs[name], 1 - share)
        else:
            value.copy_(theirs[name])


def make_validation(material: Material, count: int = 80, side: int = 320) -> list[Composed]:
    """Crowds of people and scenes that training never sees, always the same."""
    composer = Composer(material, held_out=True)
    return [composer.make(np.random.default_rng([99, number]), side) for number in range(count)]


@torch.no_grad()
def detect_with(network: FaceNetwork, picture: UInt8, min_score: float = 0.02) -> Detections:
    """The network's faces in a grey picture (H, W) whose sides are multiples of 32."""
    height, width = picture.shape[:2]
    outputs = network(torch.from_numpy(picture)[None, None].float())[0].numpy()
    return suppress(decode(outputs, height, width, min_score), MAX_OVERLAP)


def mine(
    network: FaceNetwork, composer: Composer, scales: Sequence[float] = (0.35, 0.6, 1.0)
) -> list[tuple[int, Float32]]:
    """Places in scenes that the network takes for faces and the teacher sees nothing at, the best first."""
    network.eval()
    places: list[tuple[float, int, Float32]] = []
    for number, source in enumerate(composer.scenes):
        for scale in scales:
            picture, level = source.levels[0], float(scale)
            height, width = (max(32, int(side * level) // 32 * 32) for side in picture.shape)
            small = cv2.resize(picture, (width, height), interpolation=cv2.INTER_AREA).astype(np.uint8, copy=False)
            found = detect_with(network, small, 0.1)
            boxes = found.boxes * np.array([picture.shape[1] / width, picture.shape[0] / height] * 2, np.float32)
            apart = overlaps(boxes, source.seen.boxes).max(axis=1, initial=0) < 0.1
            pairs = zip(found.scores[apart], boxes[apart], strict=True)
            places += [(float(score), number, box) for score, box in pairs]
    places.sort(key=lambda place: -place[0])
    return [(number, box) for _, number, box in places[:MOST_HARD]]


def validate(network: FaceNetwork, pictures: list[Composed]) -> dict[str, float]:
    """Recall at one false face in ten pictures, by size and angle, and the landmarks' error."""
    network.eval()
    outcome = judge(lambda picture: detect_with(network, picture), pictures)
    threshold = outcome.threshold_at(0.1)
    turned = np.abs(outcome.angles) > 45
    return {
        "threshold": threshold,
        "recall": outcome.recall(threshold),
        "recall_tiny": outcome.recall(threshold, outcome.heights < 16),
        "recall_small": outcome.recall(threshold, (outcome.heights >= 16) & (outcome.heights < 40)),
        "recall_large": outcome.recall(threshold, outcome.heights >= 40),
        "recall_turned": outcome.recall(threshold, turned),
        "landmark_error": float(np.nanmean(outcome.landmark_errors)) if len(outcome.found) else float("nan"),
    }


def _write_row(path: Path, row: dict[str, float]) -> None:
    new = not path.exists()
    with path.open("a", newline="") as file:
        writer = csv.DictWriter(file, list(row))
        if new:
            writer.writeheader()
        writer.writerow(row)


def _save(out: Path, network: FaceNetwork, average: FaceNetwork, optimizer: torch.optim.Optimizer, step: int) -> None:
    state = {f"network.{name}": value.contiguous() for name, value in network.state_dict().items()}
    state |= {f"average.{name}": value.contiguous() for name, value in average.state_dict().items()}
    for number, each in optimizer.state_dict()["state"].items():
        state |= {f"optimizer.{number}.{name}": value.contiguous() for name, value in each.items()}
    note = {"step": str(step), "shape": json.dumps(network.shape.to_dict())}
    for name, tensors in (("state", state), ("weights", {k: v.contiguous() for k, v in average.state_dict().items()})):
        part = out / f".{name}.part"
        save_file(tensors, part, note)
        part.replace(out / f"{name}.safetensors")


def _resume(out: Path, network: FaceNetwork, average: FaceNetwork, optimizer: torch.optim.Optimizer) -> int:
    """The step to go on from, 0 without a checkpoint."""
    path = out / "state.safetensors"
    if not path.is_file():
        return 0
    state = load_file(path)
    for model, prefix in ((network, "network."), (average, "average.")):
        model.load_state_dict({k.removeprefix(prefix): v for k, v in state.items() if k.startswith(prefix)})
    moments: dict[int, dict[str, Tensor]] = {}
    for name, value in state.items():
        if name.startswith("optimizer."):
            _, number, part = name.split(".", 2)
            moments.setdefault(int(number), {})[part] = value
    optimizer.load_state_dict({**optimizer.state_dict(), "state": moments})
    return int(max(float(each["step"]) for each in moments.values()))
