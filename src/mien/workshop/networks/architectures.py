"""Every architecture by name: a new one is one file and one line here; those of timm need none."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

from torch import nn

from mien.artifact.input import InputSpec
from mien.errors import ConfigError
from mien.labels import AFFECT_HEADS, HEADS
from mien.workshop.networks.cnn import VGG, CustomCNN, ShallowCNN
from mien.workshop.networks.hog import HOG
from mien.workshop.networks.landmarks import FEATURES, LandmarkFeatures
from mien.workshop.networks.network import FER2013_MEAN, FER2013_STD, Network, initialize
from mien.workshop.networks.resnet import ResNet, SEResNet
from mien.workshop.networks.timm_body import PREFIX, TimmBody

ARCHITECTURES: dict[str, Callable[..., nn.Module]] = {
    "shallow_cnn": ShallowCNN,
    "custom_cnn": CustomCNN,
    "vgg": VGG,
    "resnet": ResNet,
    "se_resnet": SEResNet,
    "hog": HOG,
}

TIMM_ARCHITECTURES = tuple(
    PREFIX + name for name in ("resnet18", "resnet50", "mobilenetv2_100", "efficientnet_b0", "vit_tiny_patch16_224")
)
"""Those of timm that the tests try; any other name of timm will do as well."""


def create_network(
    arch: str, *, spec: InputSpec | None = None, heads: tuple[str, ...] = tuple(HEADS), landmarks: bool = False,
    **options: Any,
) -> Network:  # fmt: skip
    """A new network with random weights.

    Args:
        arch: name in `ARCHITECTURES`, or `timm:` and the name of a model in timm.
        spec: size and channels of its input; 48×48 grey if not given.
        heads: names in `labels.HEADS` or `labels.AFFECT_HEADS`.
        landmarks: let the heads see where landmarks are as well; see `networks.landmarks`.
        options: the architecture's own parameters, such as `widths` or `dropout`.

    Raises:
        ConfigError: an unknown architecture, head or option, or one that cannot be built.
    """
    outputs = HEADS | AFFECT_HEADS
    unknown_heads = [name for name in heads if name not in outputs]
    if unknown_heads or not heads:
        raise ConfigError(f"heads are taken from {', '.join(outputs)}, not {', '.join(unknown_heads) or 'none'}")
    body = _create_body(arch, spec or InputSpec(), options)
    features = body.features
    assert isinstance(features, int)
    # HOG has its own: it takes gradients of pixels as they are.
    mean, std = getattr(body, "mean_std", (FER2013_MEAN, FER2013_STD))
    second = LandmarkFeatures(spec or InputSpec()) if landmarks else None
    wide = features + (FEATURES if landmarks else 0)
    counts = {name: len(outputs[name]) for name in heads}
    network = Network(body, wide, counts, mean=mean, std=std, landmarks=second)
    # timm draws its own weights, some of them zero on purpose.
    return network if isinstance(body, TimmBody) else network.apply(initialize)


def _create_body(arch: str, spec: InputSpec, options: dict[str, Any]) -> nn.Module:
    if arch.startswith(PREFIX):
        return TimmBody(arch.removeprefix(PREFIX), channels=spec.channels, size=spec.height, options=options)
    if arch not in ARCHITECTURES:
        raise ConfigError(f"unknown architecture {arch!r}: expected one of {', '.join(ARCHITECTURES)}, or {PREFIX}NAME")
    build = ARCHITECTURES[arch]
    accepted = set(inspect.signature(build).parameters)
    unknown = sorted(set(options) - accepted)
    if unknown:
        raise ConfigError(f"{arch} has no option {unknown[0]!r}: its options are {', '.join(sorted(accepted))}")
    sizes = {"channels": spec.channels, "size": spec.height}
    try:
        return build(**{key: value for key, value in sizes.items() if key in accepted}, **options)
    # Options are the user's free values: whatever torch raises of them is a mistake in the configuration.
    except (TypeError, ValueError, RuntimeError, KeyError, IndexError) as error:
        raise ConfigError(f"{arch} cannot be built with {options}: {error}") from error
