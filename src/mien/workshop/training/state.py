"""Everything that a training needs to go on after a kill as if nothing had happened, in one file."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import nn

from mien.errors import ConfigError
from mien.workshop.networks.checkpoint import load_tensors, save_tensors
from mien.workshop.training.config import parse_config
from mien.workshop.training.optim import WeightAverage

History = list[dict[str, float]]


@dataclass
class TrainingState:
    """The moving parts of a run; `epoch` is the next one to train, `best_epoch` the one that was kept."""

    network: nn.Module
    optimizer: torch.optim.Optimizer
    average: WeightAverage
    generator: torch.Generator
    identity: dict[str, Any]
    epoch: int = 0
    best_epoch: int = -1
    history: History = field(default_factory=list)

    def add(self, row: dict[str, float]) -> None:
        """Note what an epoch measured; it is the best so far if its `score` is above all others."""
        self.history.append(row)
        self.epoch += 1
        self.best_epoch = best_epoch(self.history)

    def save(self, path: Path) -> None:
        """Write all of it, atomically."""
        tensors = {f"network.{key}": value for key, value in self.network.state_dict().items()}
        tensors |= {f"average.{key}": value for key, value in self.average.state.items()}
        tensors |= _optimizer_tensors(self.optimizer)
        tensors |= {f"random.{key}": value for key, value in self._random_states().items()}
        header = {
            "kind": "training state",
            "identity": self.identity,
            "epoch": self.epoch,
            "best_epoch": self.best_epoch,
            "average_steps": self.average.steps,
            "history": self.history,
        }
        save_tensors(path, tensors, header)

    def load(self, path: Path) -> None:
        """Go back to a saved state.

        Raises:
            ConfigError: the file belongs to another configuration or to other data.
            ArtifactError: the file is damaged.
        """
        tensors, header = load_tensors(path)
        check_identity(path, header.get("identity", {}), self.identity)
        device = next(self.network.parameters()).device
        self.network.load_state_dict(_under("network.", tensors))
        self.average.state = {key: value.to(device) for key, value in _under("average.", tensors).items()}
        self.average.steps = header["average_steps"]
        _load_optimizer(self.optimizer, _under("optimizer.", tensors))
        random = _under("random.", tensors)
        self._go_on_drawing(random["generator"], header["epoch"])
        torch.set_rng_state(random["cpu"])
        if "cuda" in random and torch.cuda.is_available():
            torch.cuda.set_rng_state(random["cuda"])
        self.epoch, self.best_epoch, self.history = header["epoch"], header["best_epoch"], header["history"]

    @property
    def seed(self) -> int:
        """See `draw_seed`."""
        return draw_seed(self.identity)

    def _go_on_drawing(self, saved: torch.Tensor, epoch: int) -> None:
        """Take up the random numbers; on another kind of device than before there are only others."""
        if saved.shape == self.generator.get_state().shape:
            self.generator.set_state(saved)
        else:
            self.generator.manual_seed(hash((self.seed, epoch)))

    def _random_states(self) -> dict[str, torch.Tensor]:
        states = {"generator": self.generator.get_state(), "cpu": torch.get_rng_state()}
        if self.generator.device.type == "cuda":
            states["cuda"] = torch.cuda.get_rng_state()
        return states


def draw_seed(identity: Mapping[str, Any]) -> int:
    """The seed of all random numbers of the run that is known by this, less than 2³².

    With first weights it is drawn from the configuration's seed and from them: a training that went on from another
    with the same seed would show the network the very rows, turns and erasures again that it has learned by heart.
    """
    given, weights = int(identity["config"]["fit"]["seed"]), identity.get("weights")
    return given if weights is None else int(hashlib.sha256(f"{given} {weights}".encode()).hexdigest()[:8], 16)


def best_epoch(history: History) -> int:
    """The first epoch with the highest `score`, -1 for no epoch.

    >>> best_epoch([{"score": 0.4}, {"score": 0.6}, {"score": 0.6}])
    1
    """
    return max(range(len(history)), key=lambda epoch: history[epoch]["score"], default=-1)


def check_identity(path: Path, found: dict[str, Any], wanted: dict[str, Any]) -> None:
    """Raise ConfigError where a saved run has another configuration or other data than the one that is to go on.

    Keys that the configuration did not have yet when the run was started have their defaults.
    """
    different = _differences(_with_defaults(found), wanted)
    if different:
        raise ConfigError(
            f"{path} belongs to another run ({'; '.join(different[:4])}): "
            "give the same configuration and data to go on, or another --out"
        )


def _with_defaults(identity: dict[str, Any]) -> dict[str, Any]:
    try:
        config = parse_config(identity["config"]).model_dump(mode="json")
    except (ConfigError, KeyError):
        # A key that is no longer known is a difference, which its name will tell.
        return identity
    return identity | {"config": config}


def _differences(found: Any, wanted: Any, key: str = "") -> list[str]:
    if isinstance(found, dict) and isinstance(wanted, dict):
        names = sorted(found.keys() | wanted.keys())
        return [line for n in names for line in _differences(found.get(n), wanted.get(n), f"{key}.{n}".lstrip("."))]
    return [] if found == wanted else [f"{key} was {found}, now {wanted}"]


def _under(prefix: str, tensors: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    return {key.removeprefix(prefix): value for key, value in tensors.items() if key.startswith(prefix)}


def _optimizer_tensors(optimizer: torch.optim.Optimizer) -> dict[str, torch.Tensor]:
    return {
        f"optimizer.{index}.{key}": value
        for index, values in optimizer.state_dict()["state"].items()
        for key, value in values.items()
        if isinstance(value, torch.Tensor)
    }


def _load_optimizer(optimizer: torch.optim.Optimizer, tensors: dict[str, torch.Tensor]) -> None:
    state: dict[int, dict[str, torch.Tensor]] = {}
    for name, value in tensors.items():
        index, key = name.split(".", 1)
        state.setdefault(int(index), {})[key] = value
    optimizer.load_state_dict({"state": state, "param_groups": optimizer.state_dict()["param_groups"]})
