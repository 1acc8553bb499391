"""Every architecture by name: a new one is one file and one line here."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

from torch import nn

from mien.errors import ConfigError
from mien.labels import HEADS
from mien.models.custom_cnn import CustomCNN
from mien.models.network import Network
from mien.models.resnet import ResNet
from mien.models.se_resnet import SEResNet
from mien.models.shallow_cnn import ShallowCNN
from mien.models.vgg import VGG
from mien.preprocessing import InputSpec

ARCHITECTURES: dict[str, Callable[..., nn.Module]] = {
    "shallow_cnn": ShallowCNN,
    "custom_cnn": CustomCNN,
    "vgg": VGG,
    "resnet": ResNet,
    "se_resnet": SEResNet,
}


def create_network(
    arch: str, *, spec: InputSpec | None = None, heads: tuple[str, ...] = tuple(HEADS), **options: Any
) -> Network:
    """A new network with random weights.

    Args:
        arch: name in `ARCHITECTURES`.
        spec: size and channels of its input; 48×48 grey if not given.
        heads: names in `labels.HEADS`.
        options: the architecture's own parameters, such as `widths` or `dropout`.

    Raises:
        ConfigError: an unknown architecture, head or option, or one that cannot be built.
    """
    spec = spec or InputSpec()
    if arch not in ARCHITECTURES:
        raise ConfigError(f"unknown architecture {arch!r}: expected one of {', '.join(ARCHITECTURES)}")
    unknown_heads = [name for name in heads if name not in HEADS]
    if unknown_heads or not heads:
        raise ConfigError(f"heads are taken from {', '.join(HEADS)}, not {', '.join(unknown_heads) or 'none'}")
    build = ARCHITECTURES[arch]
    accepted = set(inspect.signature(build).parameters)
    unknown = sorted(set(options) - accepted)
    if unknown:
        raise ConfigError(f"{arch} has no option {unknown[0]!r}: its options are {', '.join(sorted(accepted))}")
    sizes = {"channels": spec.channels, "size": spec.height}
    try:
        body = build(**{key: value for key, value in sizes.items() if key in accepted}, **options)
    except (TypeError, ValueError, RuntimeError, KeyError, IndexError) as error:
        raise ConfigError(f"{arch} cannot be built with {options}: {error}") from error
    features = body.features
    assert isinstance(features, int)
    return Network(body, features, {name: len(HEADS[name]) for name in heads})
