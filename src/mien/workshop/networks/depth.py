"""How deep below the heads each parameter lies, by which its learning rate can fall."""

from __future__ import annotations

from torch import nn

from mien.workshop.networks.layers import CBAM, SqueezeExcitation
from mien.workshop.networks.streams import Streams
from mien.workshop.networks.timm_body import TimmBody


def parameter_depths(network: nn.Module) -> dict[str, int]:
    """Layers between each parameter of a `Network` and its outputs: 0 for the heads, 1 for the body's last layer.

    A layer is a convolution or dense layer with the normalisation and attention that follow it, or a whole residual
    block; in a body of timm what timm takes for one. Streams lie beside one another.
    """
    depths = _depths(network.get_submodule("body"), "body.")
    return {name: depths.get(name, 0) for name, _ in network.named_parameters()}


def _depths(body: nn.Module, prefix: str) -> dict[str, int]:
    if isinstance(body, Streams):
        names = [f"streams.{number}.body" for number in range(len(body.streams))]
        parts = [_depths(body.get_submodule(name), f"{prefix}{name}.") for name in names]
        return {name: depth for part in parts for name, depth in part.items()}
    layers = body.layer_numbers() if isinstance(body, TimmBody) else _layer_numbers(body)
    above = {number: depth for depth, number in enumerate(sorted(set(layers.values()), reverse=True), 1)}
    return {f"{prefix}{name}": above[number] for name, number in layers.items()}


def _layer_numbers(body: nn.Module) -> dict[str, int]:
    """Our own bodies are rows of layers, one below the other: `stem.0`, `stages.3`, `neck.2`."""
    numbers: dict[str, int] = {}
    number = -1
    for row_name, row in body.named_children():
        for name, layer in row.named_children():
            number += _starts_a_layer(layer)
            numbers |= {f"{row_name}.{name}.{key}": number for key, _ in layer.named_parameters()}
    return numbers


def _starts_a_layer(layer: nn.Module) -> bool:
    if isinstance(layer, SqueezeExcitation | CBAM):
        return False
    return any(isinstance(module, nn.Conv2d | nn.Linear) for module in layer.modules())
