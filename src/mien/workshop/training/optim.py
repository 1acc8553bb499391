"""Optimisers, the learning-rate schedule, and the running average of the weights."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import nn

from mien.errors import ConfigError
from mien.workshop.networks.layers import CBAM, SqueezeExcitation
from mien.workshop.networks.timm_body import TimmBody
from mien.workshop.training.config import OptimConfig


def create_optimizer(network: nn.Module, config: OptimConfig) -> torch.optim.Optimizer:
    """Adam, AdamW or SGD with Nesterov momentum; weight decay on weight matrices only, not on biases and norms.

    Raises:
        ConfigError: the optimiser is not one of gradient descent.
    """
    groups = _groups(network, config)
    # torch refuses Nesterov without momentum.
    if config.name == "sgd":
        return torch.optim.SGD(groups, lr=config.lr, momentum=config.momentum, nesterov=config.momentum > 0)
    if config.name == "svm":
        raise ConfigError('optim.name = "svm" takes no steps: expected adam, adamw or sgd')
    kind = torch.optim.AdamW if config.name == "adamw" else torch.optim.Adam
    return kind(groups, lr=config.lr, betas=config.betas)


def _groups(network: nn.Module, config: OptimConfig) -> list[dict[str, Any]]:
    """Parameters with and without weight decay; with layer decay also by depth, each with its scale of the rate."""
    if config.layer_decay == 1:
        decayed = [p for p in network.parameters() if p.ndim > 1]
        plain = [p for p in network.parameters() if p.ndim <= 1]
        return [{"params": decayed, "weight_decay": config.weight_decay}, {"params": plain, "weight_decay": 0.0}]
    depths = parameter_depths(network)
    grouped: dict[tuple[int, bool], list[nn.Parameter]] = {}
    for name, parameter in network.named_parameters():
        grouped.setdefault((depths[name], parameter.ndim > 1), []).append(parameter)
    # Sorted, because a saved state knows parameters by their place alone.
    return [
        {"params": members, "weight_decay": config.weight_decay * matrix, "scale": config.layer_decay**depth}
        for (depth, matrix), members in sorted(grouped.items(), key=lambda item: item[0])
    ]


def freeze_body(network: nn.Module, *, frozen: bool) -> None:
    """Whether the body learns: frozen, only the heads have gradients, and its batch-norm statistics stay."""
    body = network.get_submodule("body")
    body.requires_grad_(not frozen)
    for module in body.modules():
        # The base class of all batch norms, the synchronised one included.
        if frozen and isinstance(module, nn.modules.batchnorm._BatchNorm):
            module.eval()


def learning_rate(
    config: OptimConfig, *, step: int, steps_an_epoch: int, epochs: int, scores: Sequence[float] = ()
) -> float:
    """The rate at a step counted from 0. A warm-up leads from lr / 25 to lr, then it depends on the schedule.

    `cosine`: linear warm-up, half a cosine to lr × final_lr (Loshchilov & Hutter 2017).
    `one_cycle`: half a cosine up, half a cosine to lr × final_lr (Smith & Topin 2019, without their cycle of momentum).
    `plateau`: linear warm-up, then lr × plateau_factor for every plateau so far, but not below lr × final_lr.
    `constant`: linear warm-up, then lr.

    A pure function of the step and of the past epochs' `scores`, so that resuming needs no state.
    """
    warmup = round(config.warmup_epochs * steps_an_epoch)
    if step < warmup:
        rise = step / warmup
        # From lr / 25, as torch's OneCycleLR has it (its div_factor).
        return config.lr * (1 + 24 * (_half_cosine(1 - rise) if config.schedule == "one_cycle" else rise)) / 25
    if config.schedule == "constant":
        return config.lr
    if config.schedule == "plateau":
        plateaus = count_plateaus(scores, config.plateau_patience)
        return config.lr * max(config.plateau_factor**plateaus, config.final_lr)
    progress = (step - warmup) / max(1, epochs * steps_an_epoch - warmup)
    return config.lr * (config.final_lr + (1 - config.final_lr) * _half_cosine(min(1.0, progress)))


def count_plateaus(scores: Sequence[float], patience: int) -> int:
    """How often `patience` epochs in a row had no score above all before them.

    >>> count_plateaus([0.3, 0.5, 0.4, 0.5, 0.6, 0.6, 0.6, 0.6, 0.6], patience=2)
    3
    """
    best, waited, plateaus = -math.inf, 0, 0
    for score in scores:
        waited = 0 if score > best else waited + 1
        best = max(best, score)
        if waited == patience:
            plateaus, waited = plateaus + 1, 0
    return plateaus


def _half_cosine(progress: float) -> float:
    """From 1 at 0 to 0 at 1."""
    return (1 + math.cos(math.pi * progress)) / 2


def set_learning_rate(optimizer: torch.optim.Optimizer, rate: float) -> None:
    """Give every parameter group the rate, times the group's `scale` if it has one."""
    for group in optimizer.param_groups:
        group["lr"] = rate * group.get("scale", 1.0)


class WeightAverage:
    """Exponential moving average of weights and batch-norm statistics, the network that is kept in the end.

    The decay rises as (1 + step) / (10 + step) up to `decay`, so that the first weights are soon forgotten. A decay
    of 0 follows the network without averaging.
    """

    def __init__(self, network: nn.Module, decay: float) -> None:
        self.decay = decay
        self.steps = 0
        self.state = {key: value.detach().clone() for key, value in network.state_dict().items()}

    @property
    def state(self) -> dict[str, torch.Tensor]:
        """The averaged weights, by the network's names."""
        return self._state

    @state.setter
    def state(self, state: dict[str, torch.Tensor]) -> None:
        self._state = state
        # `update` holds the tensors of the state before, and has to look again.
        self._followed: nn.Module | None = None

    @torch.no_grad()
    def update(self, network: nn.Module) -> None:
        """Move the average towards the network's present weights, which stay the tensors that they are."""
        decay = min(self.decay, (1 + self.steps) / (10 + self.steps)) if self.decay else 0.0
        self.steps += 1
        if self._followed is not network:
            self._follow(network)
        # One call for all tensors instead of one each: on an accelerator the calls are what takes time.
        torch._foreach_lerp_(*self._floats, 1 - decay)
        # Integers, such as the batches that a norm has seen, have no average.
        if self._counts[0]:
            torch._foreach_copy_(*self._counts)

    def _follow(self, network: nn.Module) -> None:
        """Find the tensors of both once: to ask a network for them takes as long as some of its layers."""
        current = network.state_dict()
        floats = [key for key, value in self._state.items() if value.is_floating_point()]
        counts = [key for key in self._state if key not in set(floats)]
        self._floats = ([self._state[key] for key in floats], [current[key] for key in floats])
        self._counts = ([self._state[key] for key in counts], [current[key] for key in counts])
        self._followed = network


def parameter_depths(network: nn.Module) -> dict[str, int]:
    """Layers between each parameter of a `Network` and its outputs: 0 for the heads, 1 for the body's last layer.

    A layer is a convolution or dense layer with the normalisation and attention that follow it, or a whole residual
    block; in a body of timm what timm takes for one.
    """
    depths = _depths(network.get_submodule("body"), "body.")
    return {name: depths.get(name, 0) for name, _ in network.named_parameters()}


def _depths(body: nn.Module, prefix: str) -> dict[str, int]:
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
