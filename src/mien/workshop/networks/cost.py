"""What a network costs: multiply-accumulates and measured milliseconds for one face."""

from __future__ import annotations

import statistics
import time
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import nn

from mien.artifact.input import InputSpec
from mien.workshop.networks.network import Network


def count_macs(network: nn.Module, spec: InputSpec) -> int:
    """Multiply-accumulates of one face in all `Conv2d` and `Linear` layers; biases and other layers are left out.

    Args:
        network: takes faces (N, C, H, W).
        spec: size and channels of the face.
    """
    total = 0

    def add(layer: nn.Module, inputs: tuple[torch.Tensor, ...], out: torch.Tensor) -> None:
        nonlocal total
        assert isinstance(layer, nn.Conv2d | nn.Linear)
        # Each output value is the product with one filter, in grouped convolutions too.
        total += out.numel() * layer.weight[0].numel()

    layers = [module for module in network.modules() if isinstance(module, nn.Conv2d | nn.Linear)]
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
