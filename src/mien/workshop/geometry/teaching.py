"""The training loop of the geometry network: one process, random views, a running mean of the weights, resumable."""

from __future__ import annotations

import json
import math
import os
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from safetensors.torch import load_file, save_file
from torch import distributed
from torch.nn import functional

from mien.errors import ConfigError
from mien.faces.geometry import TOLD
from mien.workshop.geometry.student import CloseupNet, GeometryNet, to_rotation
from mien.workshop.geometry.views import CloseupViewer, CloseupViews, Viewer, Views

NEIGHBOURS = 8
LOSSES = {
    "points": 1.0,
    "mesh": 0.5,
    "local": 3.0,
    "visible": 0.02,
    "rotation": 0.5,
    "blendshapes": 0.5,
}
STAGES: dict[str, type[GeometryNet] | type[CloseupNet]] = {"face": GeometryNet, "closeups": CloseupNet}
CHECKPOINT = "checkpoint.safetensors"
LOG_EVERY = 50
LEAST_SD = 0.05
"""Blendshapes whose answers vary less count as if they varied so much: their weight would have no bound."""


@dataclass(frozen=True)
class TrainingConfig:
    """What `studies/geometry.toml` says.

    Args:
        steps: how many batches.
        batch_size: faces a batch.
        lr: highest learning rate of AdamW; it rises for `warmup` steps and falls to 0 along a cosine.
        weight_decay: of AdamW.
        ema: how much of the running mean of the weights each step keeps.
        checkpoint_every: steps between checkpoints.
        shares: how often each source is drawn, by name.
        losses: weights of the parts of the loss, by name.
        seed: of views and weights.
        stage: `face`, the network of the whole face, or `closeups`, that of eyes and mouth.
        weights: a safetensors file of earlier weights to begin with, none for random ones.
    """

    steps: int = 10_000
    batch_size: int = 64
    lr: float = 2e-3
    warmup: int = 200
    weight_decay: float = 1e-2
    ema: float = 0.998
    checkpoint_every: int = 500
    seed: int = 0
    stage: str = "face"
    weights: str = ""
    shares: dict[str, float] = field(default_factory=lambda: {"photographs": 0.5, "crops": 0.5})
    losses: dict[str, float] = field(default_factory=lambda: dict(LOSSES))


def read_config(path: Path) -> TrainingConfig:
    """Read a TOML file of `TrainingConfig`'s fields.

    Raises:
        ConfigError: the file cannot be read, or has an unknown key.
    """
    try:
        values = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ConfigError(f"{path} cannot be read as TOML: {error}") from error
    unknown = sorted(set(values) - set(TrainingConfig.__dataclass_fields__))
    if unknown:
        known = ", ".join(TrainingConfig.__dataclass_fields__)
        raise ConfigError(f"{path}: unknown key {unknown[0]!r}, expected one of {known}")
    return TrainingConfig(**values)


def train(
    config: TrainingConfig, viewers: Mapping[str, Viewer | CloseupViewer], folder: Path
) -> GeometryNet | CloseupNet:
    """Train, or go on from the folder's checkpoint; the result is the running mean of the weights.

    Started by torchrun, several processes share each batch; the first one keeps the log and the checkpoints.

    Args:
        config: what to do.
        viewers: a source of views for each name in `config.shares`.
        folder: where `checkpoint.safetensors` and `log.jsonl` are kept.
    """
    rank, world = _join()
    folder.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(config.seed)
    net, mean = create_network(config.stage), create_network(config.stage)
    if config.weights:
        _begin_with(net, Path(config.weights))
    mean.load_state_dict(net.state_dict())
    optimiser = torch.optim.AdamW(_groups(net, config.weight_decay), lr=config.lr)
    done = _resume(folder, net, mean, optimiser)
    weighing = Weighing.of(viewers)
    net.train().to(memory_format=torch.channels_last)
    totals: dict[str, float] = {}
    for step, views in _batches(config, viewers, done, rank, world):
        for group in optimiser.param_groups:
            group["lr"] = _rate(config, step)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            parts = _losses(net, views, weighing)
        loss = sum((config.losses.get(name, 0.0) * part for name, part in parts.items()), torch.zeros(()))
        optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        _share_gradients(net, world)
        torch.nn.utils.clip_grad_norm_(net.parameters(), 5.0)
        optimiser.step()
        if rank:
            continue
        _average(mean, net, min(config.ema, (1 + step) / (10 + step)))
        for name, part in parts.items():
            totals[name] = totals.get(name, 0.0) + part.item() / LOG_EVERY
        if (step + 1) % LOG_EVERY == 0:
            _log(folder, step + 1, totals, _rate(config, step))
            totals = {}
        if (step + 1) % config.checkpoint_every == 0 or step + 1 == config.steps:
            _save(folder, step + 1, net, mean, optimiser)
    return mean.eval()


def _join() -> tuple[int, int]:
    """This process's number and how many there are, as torchrun says; (0, 1) without it."""
    world = int(os.environ.get("WORLD_SIZE", "1"))
    if world > 1 and not distributed.is_initialized():
        distributed.init_process_group("gloo")
    return int(os.environ.get("RANK", "0")) if world > 1 else 0, world


def _share_gradients(net: torch.nn.Module, world: int) -> None:
    """The mean of all processes' gradients in each of them."""
    if world == 1:
        return
    gradients = [value.grad for value in net.parameters() if value.grad is not None]
    flat = torch.cat([gradient.reshape(-1) for gradient in gradients])
    distributed.all_reduce(flat)
    parts = torch.split(flat, [gradient.numel() for gradient in gradients])
    for gradient, part in zip(gradients, parts, strict=True):
        gradient.copy_(part.view_as(gradient) / world)


def create_network(stage: str) -> GeometryNet | CloseupNet:
    """The network of a stage, with random weights.

    Raises:
        ConfigError: there is no such stage.
    """
    if stage not in STAGES:
        raise ConfigError(f"unknown stage {stage!r}: expected {' or '.join(STAGES)}")
    return STAGES[stage]()


def _losses(net: GeometryNet | CloseupNet, views: Views | CloseupViews, weighing: Weighing) -> dict[str, torch.Tensor]:
    if isinstance(net, CloseupNet):
        assert isinstance(views, CloseupViews)
        return closeup_losses(net, views, weighing)
    assert isinstance(views, Views)
    return losses(net, views, weighing)


@dataclass(frozen=True)
class Weighing:
    """What the loss takes from the faces as a whole.

    Args:
        importance: one over the variance of each blendshape, (52,): what counts in the end is how far each follows.
        local: a matrix (216, 216) from points and mesh to their offsets from their eight nearest neighbours: whether
            an eye is open or where it looks is a matter of those, and small beside where the head is.
    """

    importance: torch.Tensor
    local: torch.Tensor

    @classmethod
    def of(cls, viewers: Mapping[str, Viewer | CloseupViewer]) -> Weighing:
        """From all faces."""
        sd = np.mean([viewer.faces.blendshapes.std(axis=0) for viewer in viewers.values()], axis=0)
        importance = np.where(sd >= LEAST_SD, 1.0, 0.3) / np.maximum(sd, LEAST_SD) ** 2
        shapes = [np.concatenate([viewer.points, viewer.mesh], axis=1) for viewer in viewers.values()]
        # Heads lie all ways: about its middle, and in its own size, their mean is a face.
        middle = np.mean([_normal(shape).mean(axis=0) for shape in shapes], axis=0)
        apart = np.linalg.norm(middle[:, None] - middle[None], axis=2)
        local = np.eye(len(middle))
        for place, near in enumerate(apart.argsort(axis=1)[:, 1 : NEIGHBOURS + 1]):
            local[place, near] -= 1 / NEIGHBOURS
        return cls(torch.from_numpy(importance.astype(np.float32)), torch.from_numpy(local.astype(np.float32)))


def _normal(shapes: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    centred = shapes - shapes.mean(axis=1, keepdims=True)
    normal: npt.NDArray[np.float32] = centred / np.linalg.norm(centred, axis=(1, 2), keepdims=True)
    return normal


def losses(net: GeometryNet, views: Views, weighing: Weighing) -> dict[str, torch.Tensor]:
    """The parts of the loss: distances in distances of the eyes, hidden points at half their weight."""
    faces = torch.from_numpy(views.pictures)[:, None].float().contiguous(memory_format=torch.channels_last)
    seen = net.features(faces)
    points = net.points(seen).float().unflatten(1, (-1, 2))
    mesh = net.mesh(seen).float().unflatten(1, (-1, 2))
    visible = torch.from_numpy(views.visible)
    # A profile's eyes are near one another: it would count for much more than a face from the front.
    unit = torch.from_numpy(views.unit).clamp(min=0.45)[:, None]
    wrong = torch.cat([points - torch.from_numpy(views.points), mesh - torch.from_numpy(views.mesh)], dim=1)
    off, mesh_off = (wrong.norm(dim=2) / unit).split([points.shape[1], mesh.shape[1]], dim=1)
    bent = (weighing.local @ wrong).norm(dim=2) / unit
    rotation = to_rotation(net.rotation(seen).float()) - torch.from_numpy(views.rotations)
    weights = torch.sigmoid(net.blendshapes(seen).float())
    return {
        "points": _pulled(off).mul(0.5 + 0.5 * visible).mean(),
        "mesh": _pulled(mesh_off).mean(),
        "local": bent.mean(),
        "visible": functional.binary_cross_entropy_with_logits(net.visible(seen).float(), visible),
        "rotation": rotation.pow(2).sum(dim=(1, 2)).add(1e-6).sqrt().mean(),
        "blendshapes": ((weights - torch.from_numpy(views.blendshapes)).pow(2) * weighing.importance).mean(),
    }


def closeup_losses(net: CloseupNet, views: CloseupViews, weighing: Weighing) -> dict[str, torch.Tensor]:
    """The parts of the loss of the close-ups: distances in half sides of the square."""
    squares = torch.from_numpy(views.pictures)[:, None].float().contiguous(memory_format=torch.channels_last)
    seen = net.features(squares)
    points = net.points(seen).float().unflatten(1, (-1, 2))
    mesh = net.mesh(seen).float().unflatten(1, (-1, 2))
    shown = torch.from_numpy(views.shown)
    off, mesh_wrong = points - torch.from_numpy(views.points), mesh - torch.from_numpy(views.mesh)
    # The matrix is that of all 70 points and the mesh: what a square does not show has no error there.
    wrong = torch.zeros(len(points), weighing.local.shape[0], 2)
    wrong[:, list(TOLD)] = off
    wrong[:, -mesh.shape[1] :] = mesh_wrong * shown[..., None]
    weights = torch.sigmoid(net.blendshapes(seen).float())
    return {
        "points": _pulled(off.norm(dim=2)).mean(),
        "mesh": (_pulled(mesh_wrong.norm(dim=2)) * shown).sum() / shown.sum().clamp(min=1),
        "local": (weighing.local @ wrong).norm(dim=2).mean(),
        "blendshapes": ((weights - torch.from_numpy(views.blendshapes)).pow(2) * weighing.importance).mean(),
    }


def _pulled(off: torch.Tensor) -> torch.Tensor:
    """Wing loss (Feng et al., 2018): small errors keep a pull that a square would lose."""
    width, bend = 0.15, 0.03
    shift = width - bend * math.log1p(width / bend) * 3
    return torch.where(off < width, 3 * bend * torch.log1p(off / bend), off - shift)


def _batches(
    config: TrainingConfig, viewers: Mapping[str, Viewer | CloseupViewer], start: int, rank: int, world: int
) -> Iterator[tuple[int, Any]]:
    """This process's share of each batch."""
    names = [name for name in config.shares if config.shares[name] > 0]
    chances = np.array([config.shares[name] for name in names])
    for step in range(start, config.steps):
        # Each step has its own generator, so that a resumed training draws what the whole one would have.
        rng = np.random.default_rng([config.seed, step, rank] if rank else [config.seed, step])
        chosen = rng.choice(len(names), max(2, config.batch_size // world), p=chances / chances.sum())
        parts = []
        for index, name in enumerate(names):
            count = int((chosen == index).sum())
            if count:
                parts.append(viewers[name].draw(rng.integers(len(viewers[name].faces), size=count), rng))
        yield step, _joined(parts)


def _joined(parts: list[Any]) -> Any:
    kind = type(parts[0])
    return kind(**{name: np.concatenate([getattr(part, name) for part in parts]) for name in kind.__dataclass_fields__})


def _rate(config: TrainingConfig, step: int) -> float:
    if step < config.warmup:
        return config.lr * (step + 1) / config.warmup
    done = (step - config.warmup) / max(1, config.steps - config.warmup)
    return config.lr * 0.5 * (1 + math.cos(math.pi * min(1.0, done)))


def _groups(net: torch.nn.Module, decay: float) -> list[dict[str, object]]:
    matrices = [value for value in net.parameters() if value.ndim > 1]
    vectors = [value for value in net.parameters() if value.ndim <= 1]
    return [{"params": matrices, "weight_decay": decay}, {"params": vectors, "weight_decay": 0.0}]


@torch.no_grad()
def _average(mean: torch.nn.Module, net: torch.nn.Module, keep: float) -> None:
    for ours, theirs in zip(mean.state_dict().values(), net.state_dict().values(), strict=True):
        if ours.dtype.is_floating_point:
            ours.lerp_(theirs, 1 - keep)
        else:
            ours.copy_(theirs)


def _save(
    folder: Path, step: int, net: torch.nn.Module, mean: torch.nn.Module, optimiser: torch.optim.Optimizer
) -> None:
    tensors = {"step": torch.tensor(step)}
    tensors |= {f"net.{name}": value for name, value in net.state_dict().items()}
    tensors |= {f"mean.{name}": value for name, value in mean.state_dict().items()}
    for place, state in optimiser.state_dict()["state"].items():
        tensors |= {f"optimiser.{place}.{name}": torch.as_tensor(value) for name, value in state.items()}
    unfinished = folder / "checkpoint.part"
    save_file({name: value.contiguous() for name, value in tensors.items()}, unfinished)
    unfinished.replace(folder / CHECKPOINT)


def _resume(folder: Path, net: torch.nn.Module, mean: torch.nn.Module, optimiser: torch.optim.Optimizer) -> int:
    if not (folder / CHECKPOINT).is_file():
        return 0
    tensors = load_file(folder / CHECKPOINT)
    net.load_state_dict(_part(tensors, "net."))
    mean.load_state_dict(_part(tensors, "mean."))
    states: dict[int, dict[str, torch.Tensor]] = {}
    for name, value in _part(tensors, "optimiser.").items():
        place, key = name.split(".")
        states.setdefault(int(place), {})[key] = value
    optimiser.load_state_dict(optimiser.state_dict() | {"state": states})
    return int(tensors["step"])


def _begin_with(net: torch.nn.Module, path: Path) -> None:
    if not path.is_file():
        raise ConfigError(f"weights to begin with: {path} is missing")
    saved = {name: value.float() if value.is_floating_point() else value for name, value in load_file(path).items()}
    # The mesh is learned beside the rest and may be left out of what is kept.
    missing = [name for name in net.load_state_dict(saved, strict=False).missing_keys if not name.startswith("mesh.")]
    if missing:
        raise ConfigError(f"{path} holds other weights than this network's: {missing[0]} is missing")


def _part(tensors: dict[str, torch.Tensor], prefix: str) -> dict[str, torch.Tensor]:
    return {name.removeprefix(prefix): value for name, value in tensors.items() if name.startswith(prefix)}


def load_mean(folder: Path, stage: str = "face") -> GeometryNet | CloseupNet:
    """The running mean of a training's weights, from its last checkpoint.

    Raises:
        ConfigError: the folder has none.
    """
    path = folder / CHECKPOINT
    if not path.is_file():
        raise ConfigError(f"{path} is missing: train first")
    net = create_network(stage)
    net.load_state_dict(_part(load_file(path), "mean."))
    return net.eval()


def _log(folder: Path, step: int, totals: dict[str, float], rate: float) -> None:
    entry = {"step": step, "lr": round(rate, 7), **{name: round(value, 5) for name, value in totals.items()}}
    with (folder / "log.jsonl").open("a", encoding="utf-8") as log:
        log.write(json.dumps(entry) + "\n")
