"""A whole network: normalisation, one body, and a linear head for every label set it answers in."""

from __future__ import annotations

import statistics
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn

from mien.artifact.input import InputSpec
from mien.labels import AFFECT, AFFECT_HEADS
from mien.workshop.networks.landmarks import FrozenConv

WEIGHTED = (nn.Conv2d, nn.Linear, FrozenConv)
"""Layers whose work is counted."""

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


class BoundedLinear(nn.Linear):
    """A linear layer whose outputs are kept within a range: by tanh from -1 to 1, by the sigmoid from 0 to 1."""

    def __init__(self, features: int, outputs: int, *, low: float) -> None:
        super().__init__(features, outputs)
        self.bound = torch.sigmoid if low == 0 else torch.tanh

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        """Take features (N, F), give values (N, K)."""
        return self.bound(super().forward(features))


class Network(nn.Module):
    """Faces in, logits of every head out, or values of those of `labels.AFFECT_HEADS`.

    Args:
        body: takes normalised faces (N, C, H, W), gives features (N, F).
        features: F.
        heads: name of each head and its number of classes or values.
        mean, std: of the pixels that it was trained on, in grey values 0–255.
        landmarks: gives further features of faces with values 0–255; see `landmarks.LandmarkFeatures`.
    """

    def __init__(
        self,
        body: nn.Module,
        features: int,
        heads: dict[str, int],
        *,
        mean: float = FER2013_MEAN,
        std: float = FER2013_STD,
        landmarks: nn.Module | None = None,
    ) -> None:
        super().__init__()
        self.normalize = Normalize(mean, std)
        self.body = body
        self.landmarks = landmarks
        self.heads = nn.ModuleDict({name: _create_head(name, features, count) for name, count in heads.items()})

    def forward(self, faces: torch.Tensor) -> dict[str, torch.Tensor]:
        """Take faces (N, C, H, W) with values 0–255 of any dtype, give logits (N, K) of each head."""
        features = self.body(self.normalize(faces.float()))
        if self.landmarks is not None:
            features = torch.cat([features, self.landmarks(faces)], dim=1)
        return {name: head(features) for name, head in self.heads.items()}


def _create_head(name: str, features: int, outputs: int) -> nn.Linear:
    if name not in AFFECT_HEADS:
        return nn.Linear(features, outputs)
    return BoundedLinear(features, outputs, low=AFFECT[AFFECT_HEADS[name][0]][0])


def count_parameters(module: nn.Module) -> int:
    """Number of trained values."""
    return sum(p.numel() for p in module.parameters())


def initialize(module: nn.Module) -> None:
    """Draw a convolution's weights again (He et al. 2015); other layers keep torch's."""
    if isinstance(module, nn.Conv2d):
        nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
        if module.bias is not None:
            nn.init.zeros_(module.bias)


def count_macs(network: nn.Module, spec: InputSpec) -> int:
    """Multiply-accumulates of one face in all `Conv2d` and `Linear` layers; biases and other layers are left out.

    Args:
        network: takes faces (N, C, H, W).
        spec: size and channels of the face.
    """
    total = 0

    def add(layer: nn.Module, inputs: tuple[torch.Tensor, ...], out: torch.Tensor) -> None:
        nonlocal total
        assert isinstance(layer, WEIGHTED)
        # Each output value is the product with one filter, in grouped convolutions too.
        total += out.numel() * layer.weight[0].numel()

    layers = [module for module in network.modules() if isinstance(module, WEIGHTED)]
    handles = [layer.register_forward_hook(add) for layer in layers]
    try:
        with _evaluating(network):
            network(_face(spec))
    finally:
        for handle in handles:
            handle.remove()
    return total


def measure_ms(network: Network, spec: InputSpec, *, runs: int = 20) -> float:
    """Median milliseconds of torch for one face on one CPU thread, after three runs to warm up."""
    threads = torch.get_num_threads()
    # One thread, so that figures of machines with more cores compare.
    torch.set_num_threads(1)
    try:
        with _evaluating(network):
            return statistics.median([_timed_ms(network, _face(spec)) for _ in range(3 + runs)][3:])
    finally:
        torch.set_num_threads(threads)


def _timed_ms(network: nn.Module, face: torch.Tensor) -> float:
    started = time.perf_counter()
    network(face)
    return 1000 * (time.perf_counter() - started)


def _face(spec: InputSpec) -> torch.Tensor:
    return torch.full((1, spec.channels, spec.height, spec.width), 128.0)


@contextmanager
def _evaluating(network: nn.Module) -> Iterator[None]:
    """Evaluation mode without gradients, and the mode before it again at the end."""
    training = network.training
    network.eval()
    try:
        with torch.inference_mode():
            yield
    finally:
        network.train(training)
