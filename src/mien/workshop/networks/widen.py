"""A wider network that begins where a narrower one of the same architecture ended, and computes the same."""

from __future__ import annotations

import torch

from mien.errors import ConfigError
from mien.workshop.networks.network import Network

TOLERANCE = 1e-3
"""Largest difference of a logit between the two networks."""


@torch.no_grad()
def widen(network: Network, narrow: Network, faces: torch.Tensor) -> None:
    """Put the weights of a narrower network into the first channels of a wide one, so that both compute the same.

    The channels that are too many keep the random weights by which they see, and nothing looks at them yet: the weights
    from them into the old channels are 0, and receive a gradient at the first step. So the wide network starts with all
    that the narrow one knows and learns the rest. Net2Net (Chen et al. 2016) splits channels into copies instead, which
    have to be torn apart before they learn anything new.

    Args:
        network: new, of the same architecture and heads; its widths may be larger.
        narrow: trained.
        faces: some prepared crops (N, C, H, W), on which the two are compared.

    Raises:
        ConfigError: another architecture, or a narrower one, or one that does not compute the same.
    """
    theirs, ours = narrow.state_dict(), network.state_dict()
    odd = [
        key
        for key in ours
        if key not in theirs or theirs[key].ndim != ours[key].ndim or _too_large(theirs[key], ours[key])
    ]
    odd += [key for key in theirs if key not in ours]
    if odd:
        raise ConfigError(
            "only a network of the same architecture, heads and depths can be widened, and none of its layers may "
            f"become narrower: the first that does not fit is {_describe(odd[0], theirs, ours)}"
        )
    network.load_state_dict({key: _grown(value, ours[key]) for key, value in theirs.items()})
    modes = network.training, narrow.training
    wide_logits, narrow_logits = network.eval()(faces), narrow.eval()(faces)
    network.train(modes[0])
    narrow.train(modes[1])
    difference = max(float((wide_logits[head] - narrow_logits[head]).abs().max()) for head in narrow_logits)
    if not difference <= TOLERANCE:
        raise ConfigError(
            f"the widened network computes something else (its logits differ by {difference:.2g}): "
            "give it all options of the trained one but widths; what takes means over channels cannot be widened"
        )


def _grown(old: torch.Tensor, new: torch.Tensor) -> torch.Tensor:
    """The old values in the first places of every dimension, and 0 from what is new into what is old."""
    grown = new.clone()
    if old.ndim > 1:
        grown[: old.shape[0]] = 0
    grown[tuple(slice(size) for size in old.shape)] = old
    return grown


def _too_large(old: torch.Tensor, new: torch.Tensor) -> bool:
    return any(before > after for before, after in zip(old.shape, new.shape, strict=True))


def _describe(key: str, theirs: dict[str, torch.Tensor], ours: dict[str, torch.Tensor]) -> str:
    shapes = [str(tuple(state[key].shape)) if key in state else "missing" for state in (theirs, ours)]
    return f"{key} ({shapes[0]} in the trained network, {shapes[1]} in the new one)"
