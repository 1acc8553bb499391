"""A whole network: normalisation, one body, and a linear head for every label set it answers in."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import nn

FER2013_MEAN = 129.4
FER2013_STD = 65.1
"""Mean and standard deviation of all pixels of FER2013's Training rows, in grey values 0–255."""


class Normalize(nn.Module):
    """Zero mean, unit variance: the network's first layer, so that no caller has to know the figures.

    Args:
        mean, std: in grey values 0–255, one for all channels or one each.
    """

    mean: torch.Tensor
    std: torch.Tensor

    def __init__(self, mean: float | Sequence[float], std: float | Sequence[float]) -> None:
        super().__init__()
        for name, values in (("mean", mean), ("std", std)):
            given = torch.tensor(values)
            self.register_buffer(name, given.view(-1, 1, 1) if given.ndim else given)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Take pixels 0–255 of any shape, give (x - mean) / std."""
        return (x - self.mean) / self.std

    def _load_from_state_dict(self, state_dict: dict[str, Any], prefix: str, *others: Any) -> None:
        """Saved figures may be one for all channels where these are one each, or the reverse."""
        for name in ("mean", "std"):
            saved = state_dict.get(prefix + name)
            if saved is not None:
                # torch compares shapes when it loads.
                setattr(self, name, getattr(self, name).new_empty(saved.shape))
        super()._load_from_state_dict(state_dict, prefix, *others)


class Network(nn.Module):
    """Faces in, logits of every head out.

    Args:
        body: takes normalised faces (N, C, H, W), gives features (N, F).
        features: F.
        heads: name of each head and its number of classes.
        mean, std: of the pixels that it was trained on, in grey values 0–255.
    """

    def __init__(
        self,
        body: nn.Module,
        features: int,
        heads: dict[str, int],
        *,
        mean: float = FER2013_MEAN,
        std: float = FER2013_STD,
    ) -> None:
        super().__init__()
        self.normalize = Normalize(mean, std)
        self.body = body
        self.heads = nn.ModuleDict({name: nn.Linear(features, classes) for name, classes in heads.items()})

    def forward(self, faces: torch.Tensor) -> dict[str, torch.Tensor]:
        """Take faces (N, C, H, W) with values 0–255 of any dtype, give logits (N, K) of each head."""
        features = self.body(self.normalize(faces.float()))
        return {name: head(features) for name, head in self.heads.items()}


def count_parameters(module: nn.Module) -> int:
    """Number of trained values."""
    return sum(p.numel() for p in module.parameters())


def initialize(module: nn.Module) -> None:
    """Draw a convolution's weights again (He et al. 2015); other layers keep torch's."""
    if isinstance(module, nn.Conv2d):
        nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
        if module.bias is not None:
            nn.init.zeros_(module.bias)
