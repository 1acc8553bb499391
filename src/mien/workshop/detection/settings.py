"""A study's file for a detector: the network, the training, the crowds."""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, TypeVar

from mien.errors import ConfigError
from mien.workshop.detection.compose import Limits
from mien.workshop.detection.detector_network import Shape
from mien.workshop.detection.losses import Weights
from mien.workshop.detection.training import Plan
from mien.workshop.toml_sections import read_toml

Part = TypeVar("Part")


@dataclass(frozen=True)
class Settings:
    """What `studies/detector.toml` says.

    Args:
        network: how large it is.
        training: how it is trained.
        crowds: what composed pictures are like.
        version: of the weights.
        min_score: the score from which a detection is taken for a face.
    """

    network: Shape = field(default_factory=Shape)
    training: Plan = field(default_factory=Plan)
    crowds: Limits = field(default_factory=Limits)
    version: str = "0.1.0"
    min_score: float = 0.5


def read_settings(path: Path) -> Settings:
    """The settings of a TOML file; what it leaves out keeps its default.

    Raises:
        ConfigError: it cannot be read, or a key is unknown.
    """
    values = read_toml(path)
    training = dict(values.pop("training", {}))
    if "weights" in training:
        training["weights"] = _fill(Weights, training["weights"], f"{path}: training.weights")
    parts = {
        "network": _fill(Shape, values.pop("network", {}), f"{path}: network"),
        "training": _fill(Plan, training, f"{path}: training"),
        "crowds": _fill(Limits, values.pop("crowds", {}), f"{path}: crowds"),
    }
    return _fill(Settings, {**values, **parts}, str(path))


def _fill(kind: type[Part], values: dict[str, Any], where: str) -> Part:
    known = [each.name for each in fields(kind)]  # type: ignore[arg-type]
    if unknown := sorted(values.keys() - set(known)):
        raise ConfigError(f"{where}: unknown key {unknown[0]}: expected one of {', '.join(known)}")
    return kind(**{name: tuple(value) if isinstance(value, list) else value for name, value in values.items()})
