"""Batch norms for weights that were stored without them."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

Affine = tuple[torch.Tensor, torch.Tensor]
"""Scale and shift of each channel."""


def give_statistics(network: nn.Module, affines: Mapping[nn.BatchNorm2d, Affine], faces: npt.NDArray[np.uint8]) -> None:
    """Give each batch norm the statistics of what reaches it, and undo them in its own scale and shift.

    Then it computes scale · x + shift for what it is told to, and can be trained like any other.

    Args:
        network: all of its other weights are there.
        affines: what each of its batch norms shall compute.
        faces: prepared crops (N, C, H, W), some hundreds at least.
    """

    def measure(module: nn.Module, given: tuple[torch.Tensor, ...]) -> None:
        assert isinstance(module, nn.BatchNorm2d)
        assert module.running_mean is not None
        assert module.running_var is not None
        values = given[0].float()
        mean, variance = values.mean((0, 2, 3)), values.var((0, 2, 3), unbiased=False)
        scale, shift = affines[module]
        module.running_mean.copy_(mean)
        module.running_var.copy_(variance)
        module.weight.copy_(scale * torch.sqrt(variance + module.eps))
        module.bias.copy_(shift + scale * mean)

    hooks = [module.register_forward_pre_hook(measure) for module in affines]
    was_training = network.training
    try:
        with torch.no_grad():
            network.eval()(torch.from_numpy(faces))
    finally:
        network.train(was_training)
        for hook in hooks:
            hook.remove()
