"""Where a network looks, by its gradients: Grad-CAM (Selvaraju et al. 2017) for what has feature maps."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from torch import nn

from mien.arrays import Float32, Int64, UInt8
from mien.artifact.input import InputSpec, prepare
from mien.errors import ConfigError, DataError
from mien.images.pictures import resize
from mien.workshop.evaluation.saliency import normalize_maps
from mien.workshop.networks.checkpoint import load_network
from mien.workshop.networks.network import Network

BATCH = 64


def grad_cam_of_checkpoint(checkpoint: Path, crops: UInt8, head: str, targets: Int64) -> Float32:
    """`grad_cam_maps` of the network in a checkpoint such as `best.safetensors`.

    Raises:
        ArtifactError: it is no checkpoint.
        ConfigError, DataError: as `grad_cam_maps` does.
    """
    network, header = load_network(checkpoint)
    return grad_cam_maps(network, InputSpec(**header["spec"]), crops, head, targets)


def grad_cam_maps(network: Network, spec: InputSpec, crops: UInt8, head: str, targets: Int64) -> Float32:
    """Which parts of each face support a class, by the gradients at the last feature map, on the network's own device.

    Args:
        network: with a convolutional body; it is left in evaluation mode.
        spec: the pictures that it takes.
        crops: uint8 (N, H, W) or (N, H, W, 3).
        head: one of the network's heads.
        targets: the class that is explained for each crop, (N,), a column of the head.

    Returns:
        float32 (N, H, W) in 0–1, each map's highest value 1, as `evaluation.saliency.normalize_maps` gives them.

    Raises:
        ConfigError: the network has no such head, or no feature map to look at.
        DataError: targets that do not fit.
    """
    columns = _checked(network, crops, head, targets)
    height, width = crops.shape[1:3]
    layer = last_feature_layer(network, spec)
    maps = np.zeros((len(crops), height, width), np.float32)
    for start in range(0, len(crops), BATCH):
        rows = slice(start, start + BATCH)
        found = _explain(network, layer, prepare(crops[rows], spec), head, columns[rows])
        maps[rows] = [resize(one, height, width) for one in found]
    return normalize_maps(maps)


def last_feature_layer(network: Network, spec: InputSpec) -> nn.Module:
    """The last module that gives the last convolution's feature maps (N, C, H, W): with its activation and attention.

    Maps of one pixel or one channel do not count: they are gates. Pooling that follows makes the maps coarser and is
    left out.

    Raises:
        ConfigError: there is none, or tokens follow it, as in a transformer.
    """
    calls = _trace(network.eval(), spec)
    last = max((at for at, (module, shape) in enumerate(calls) if _is_feature_map(module, shape)), default=None)
    if last is None:
        raise ConfigError(
            "this network has no convolution that gives feature maps, which Grad-CAM looks at: use the occlusion maps, "
            "which take any model"
        )
    chosen = max(at for at, (_, shape) in enumerate(calls) if at >= last and shape == calls[last][1])
    if any(len(shape) == 3 for _, shape in calls[chosen + 1 :]):
        raise ConfigError(
            "this network turns its pictures into tokens and has no feature maps in front of its heads, which Grad-CAM "
            "looks at: use the occlusion maps, which take any model"
        )
    return calls[chosen][0]


@torch.no_grad()
def _trace(network: Network, spec: InputSpec) -> list[tuple[nn.Module, tuple[int, ...]]]:
    """Every module of the body with the shape that it gives, in the order in which they finish."""
    calls: list[tuple[nn.Module, tuple[int, ...]]] = []

    def note(module: nn.Module, _: object, output: object) -> None:
        if isinstance(output, torch.Tensor):
            calls.append((module, tuple(output.shape)))

    handles = [module.register_forward_hook(note) for module in network.body.modules()]
    try:
        device = next(network.parameters()).device
        # Shapes alone are wanted, so any picture will do.
        network(torch.zeros(1, spec.channels, spec.height, spec.width, device=device))
    finally:
        for handle in handles:
            handle.remove()
    return calls


def _is_feature_map(module: nn.Module, shape: tuple[int, ...]) -> bool:
    return isinstance(module, nn.Conv2d) and len(shape) == 4 and shape[1] > 1 and shape[2] * shape[3] > 1


def _explain(network: Network, layer: nn.Module, faces: UInt8, head: str, columns: Int64) -> Float32:
    """Maps (N, h, w): the feature maps of the layer, weighted by their mean gradients, where positive."""
    found: list[torch.Tensor] = []
    handle = layer.register_forward_hook(lambda module, inputs, output: found.append(output))
    try:
        device = next(network.parameters()).device
        logits = network(torch.from_numpy(faces).to(device).float().requires_grad_())[head]
    finally:
        handle.remove()
    score = logits[torch.arange(len(columns)), torch.from_numpy(columns)].sum()
    # A layer may run several times; the last output is the one that the heads see.
    (gradients,) = torch.autograd.grad(score, found[-1])
    maps = (gradients.mean((2, 3), keepdim=True) * found[-1]).sum(1).clamp(min=0)
    maps = maps - maps.amin((1, 2), keepdim=True)
    return np.asarray(maps.detach().cpu().numpy(), np.float32)


def _checked(network: Network, crops: UInt8, head: str, targets: Int64) -> Int64:
    if head not in network.heads:
        raise ConfigError(f"unknown head {head!r}: this network has {', '.join(network.heads)}")
    columns = np.asarray(targets)
    linear = network.heads[head]
    assert isinstance(linear, nn.Linear)
    if columns.shape != (len(crops),) or (len(columns) and columns.dtype.kind not in "iu"):
        raise DataError(
            f"{len(crops)} crops take as many whole numbers as targets, not {columns.dtype} {columns.shape}"
        )
    if len(columns) and not (columns.min() >= 0 and columns.max() < linear.out_features):
        raise DataError(
            f"head {head} has the classes 0–{linear.out_features - 1}, but targets {columns.min()}–{columns.max()} came"
        )
    return columns.astype(np.int64)
