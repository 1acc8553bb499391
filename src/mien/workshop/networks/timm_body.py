"""Any architecture of timm as a body: grey input, faces of our size, pooled features instead of its classifier."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from importlib.util import find_spec
from typing import Any

import torch
from torch import nn

from mien.errors import ConfigError, MissingExtraError

PREFIX = "timm:"

RESERVED = {
    "pretrained": "give [model] pretrained = true",
    "checkpoint_path": 'give [model] weights = "file.safetensors"',
    "in_chans": "give [model] channels",
    "img_size": "give [model] size",
    "num_classes": "it follows from the heads",
    "pretrained_cfg": "it is part of the name, as in timm:resnet18.a1_in1k",
    "pretrained_cfg_overlay": "it is part of the name, as in timm:resnet18.a1_in1k",
    "cache_dir": "timm has a setting of its own for it",
    "features_only": "a body gives pooled features",
    "scriptable": "Mien exports to ONNX by itself",
    "exportable": "Mien exports to ONNX by itself",
}
"""Parameters of `timm.create_model` that are no options, because Mien gives them or they would load foreign files."""

# timm has no error of its own: its models fail in all these ways at options that do not suit them.
BUILD_ERRORS = (
    TypeError, ValueError, RuntimeError, KeyError, IndexError, AssertionError, AttributeError, ZeroDivisionError,
)  # fmt: skip


class TimmBody(nn.Module):
    """A model of timm without its classifier, with random weights.

    Args:
        name: of the model in timm, such as `resnet18`; a tag (`resnet18.a1_in1k`) selects the pretrained weights.
        channels: input channels, 1 for grey.
        size: side of the input in pixels.
        options: passed on to timm, such as `drop_rate`, `drop_path_rate`, `patch_size`.

    Raises:
        MissingExtraError: timm is not installed.
        ConfigError: timm has no such model, or cannot build it so.
    """

    def __init__(self, name: str, *, channels: int, size: int, options: Mapping[str, Any]) -> None:
        super().__init__()
        need_timm()
        _require_known(name)
        refused = sorted(options.keys() & RESERVED.keys())
        if refused:
            raise ConfigError(f"{PREFIX}{name} takes no option {refused[0]!r}: {RESERVED[refused[0]]}")
        self.name, self.channels, self.size, self.options = name, channels, size, dict(options)
        try:
            self.net = self.build(num_classes=0)
            self.features = _count_features(self.net, channels, size)
        except BUILD_ERRORS as error:
            reason = str(error).splitlines()[0] if str(error) else type(error).__name__
            raise ConfigError(
                f"{PREFIX}{name} cannot be built for {size}×{size} pixels with {dict(options)}: {reason}"
            ) from error

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Take normalised faces (N, C, size, size), give features (N, `features`)."""
        out: torch.Tensor = self.net(x)
        return out

    def build(self, **arguments: Any) -> nn.Module:
        """A new timm model of this kind; nothing is fetched unless `arguments` ask for it."""
        import timm

        # Models with position embeddings are made for one size of picture; the others take any.
        sized: dict[str, Any] = {"img_size": self.size} if self.recipe["fixed_input_size"] else {}
        net: nn.Module = timm.create_model(self.name, in_chans=self.channels, **sized, **self.options, **arguments)
        return net

    @property
    def recipe(self) -> dict[str, Any]:
        """How timm's pretrained weights were made: `mean`, `std`, `hf_hub_id`, `classifier`, `first_conv` …"""
        import timm

        recipe: Any = timm.get_pretrained_cfg(self.name) or timm.models.PretrainedCfg()
        values: dict[str, Any] = recipe.to_dict()
        return values

    def layer_numbers(self) -> dict[str, int]:
        """Which layer each parameter belongs to, counted from the input, as timm groups them."""
        from timm.models import group_parameters

        matcher = getattr(self.net, "group_matcher", None)
        if matcher is None:
            return {f"net.{name}": number for number, (name, _) in enumerate(self.net.named_parameters())}
        numbers: dict[str, int] = group_parameters(self.net, matcher(coarse=False), reverse=True)
        return {f"net.{name}": number for name, number in numbers.items()}


def need_timm() -> None:
    """Raise MissingExtraError unless timm is installed."""
    if find_spec("timm") is None:
        raise MissingExtraError("timm", "train")


def _require_known(name: str) -> None:
    import timm

    if timm.is_model(name):
        return
    # Over a thousand names: only the nearest help.
    close = difflib.get_close_matches(name, timm.list_models(), n=5, cutoff=0.5)
    advice = f"did you mean {', '.join(PREFIX + match for match in close)}?" if close else "see timm.list_models()"
    raise ConfigError(f"timm has no model {name!r}: {advice}")


@torch.no_grad()
def _count_features(net: nn.Module, channels: int, size: int) -> int:
    """Looked at rather than asked for, because timm's `num_features` is not what every model gives."""
    # In evaluation mode: a batch norm in training would refuse a single picture, or learn from it.
    shape = net.eval()(torch.zeros(1, channels, size, size)).shape
    net.train()
    if len(shape) != 2:
        raise ValueError(f"it gives {tuple(shape)}, expected pooled features (N, F)")
    return int(shape[1])
