"""Several bodies that look at the same face, each at its own size, with one set of heads on all their features."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import nn
from torch.nn import functional

from mien.workshop.networks.network import FER2013_MEAN, FER2013_STD, Network, Normalize


class Stream(nn.Module):
    """One body with the size and the normalisation that it is used to.

    Args:
        body: takes normalised faces (N, C, size, size), gives features (N, F).
        size: in pixels; faces of another size are resized linearly.
    """

    def __init__(self, body: nn.Module, *, size: int) -> None:
        super().__init__()
        self.normalize = Normalize(*getattr(body, "mean_std", (FER2013_MEAN, FER2013_STD)))
        self.body = body
        self.size = size

    @property
    def features(self) -> int:
        """F."""
        features = self.body.features
        assert isinstance(features, int)
        return features

    def forward(self, faces: torch.Tensor) -> torch.Tensor:
        """Take faces (N, C, H, W) with values 0–255, give features (N, F)."""
        if faces.shape[2] != self.size:
            faces = functional.interpolate(faces, size=(self.size, self.size), mode="bilinear")
        out: torch.Tensor = self.body(self.normalize(faces))
        return out


class Streams(nn.Module):
    """Late fusion: the features of several streams side by side (Simonyan & Zisserman 2014, "Two-stream networks").

    Args:
        streams: in the order in which their features stand.
    """

    mean_std = (0.0, 1.0)
    """Each stream normalises for itself."""

    def __init__(self, streams: Sequence[Stream]) -> None:
        super().__init__()
        if not streams:
            raise ValueError("there is no stream: expected one at least")
        self.streams = nn.ModuleList(streams)
        self.features = sum(stream.features for stream in streams)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Take faces (N, C, H, W) with values 0–255, give features (N, F of all streams)."""
        return torch.cat([stream(x) for stream in self.streams], dim=1)


@torch.no_grad()
def join(network: Network, parts: Sequence[Network]) -> None:
    """Have a network of streams answer with the mean of the logits of one network for each stream.

    Args:
        network: with `Streams` as its body.
        parts: in the order of the streams, with the bodies of those very streams.
    """
    body = network.body
    assert isinstance(body, Streams)
    for stream, part in zip(body.streams, parts, strict=True):
        assert isinstance(stream, Stream)
        stream.normalize = part.normalize
    for name, head in network.heads.items():
        assert isinstance(head, nn.Linear)
        states = [part.heads[name].state_dict() for part in parts]
        head.weight.copy_(torch.cat([state["weight"] for state in states], dim=1) / len(parts))
        head.bias.copy_(torch.stack([state["bias"] for state in states]).mean(0))
