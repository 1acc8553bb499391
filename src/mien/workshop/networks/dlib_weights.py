"""The weights of dlib's face-recognition network, read from its own file into our body of the same shape."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from mien.errors import ArtifactError, ConfigError
from mien.workshop.networks.dlib_resnet import MEANS, SCALE, DlibResNet
from mien.workshop.networks.network import Network
from mien.workshop.networks.norms import give_statistics

SUFFIX = ".dat"
_CONVOLUTION, _AFFINE = b"\x01\x05con_4", b"\x01\x07affine_"
"""What a layer's values come after: its name and version, and before that the length of the name."""
_NAMES = re.compile(_CONVOLUTION + b"|" + _AFFINE)
_TENSOR = 2
"""Version of dlib's format of tensors."""

Values = npt.NDArray[np.float32]


def take_dlib(network: Network, path: Path, faces: npt.NDArray[np.uint8]) -> None:
    """Put dlib's weights into the body, which then computes what dlib's network does up to its last layer.

    Of its batch norms dlib kept a scale and a shift of each channel. Ours are given the statistics of `faces`, and the
    scale and shift that undo them. A grey face is taken for a photograph of three equal colours.

    Args:
        network: with a `DlibResNet` as its body.
        path: dlib_face_recognition_resnet_model_v1.dat, as in the package face_recognition_models.
        faces: prepared crops (N, C, H, W), some hundreds at least, like those that it will be trained on.

    Raises:
        ConfigError: the body is another, or the file cannot be read.
        ArtifactError: the file is damaged, or another network of dlib's.
    """
    body = network.body
    if not isinstance(body, DlibResNet):
        raise ConfigError(f'{path}: weights of dlib fit model.arch = "dlib_resnet" alone')
    convolutions, affines = read_dlib(path)
    layers = [module for module in body.modules() if isinstance(module, nn.Conv2d)]
    norms = [module for module in body.modules() if isinstance(module, nn.BatchNorm2d)]
    shapes = [(layer.out_channels, layer.in_channels, *layer.kernel_size) for layer in layers]
    shapes[0] = (shapes[0][0], len(MEANS), *shapes[0][2:])
    wanted = [(int(np.prod(shape)) + shape[0], 2 * shape[0]) for shape in shapes]
    if [*map(len, convolutions)] != [a for a, _ in wanted] or [*map(len, affines)] != [b for _, b in wanted]:
        raise ArtifactError(
            f"{path}: another network than dlib_face_recognition_resnet_model_v1.dat: expected {len(wanted)} "
            f"convolutions of {sum(a for a, _ in wanted):,} values in all, {len(convolutions)} of "
            f"{sum(map(len, convolutions)):,} came"
        )
    scales: dict[nn.BatchNorm2d, tuple[torch.Tensor, torch.Tensor]] = {}
    with torch.no_grad():
        for layer, norm, shape, values, affine in zip(layers, norms, shapes, convolutions, affines, strict=True):
            weight, bias = torch.from_numpy(values[: -shape[0]]).reshape(shape), torch.from_numpy(values[-shape[0] :])
            if layer is layers[0]:
                bias = bias + _colour_shift(weight, network.normalize.mean)
                weight = weight if layer.in_channels == len(MEANS) else weight.sum(1, keepdim=True)
            scale, shift = torch.from_numpy(affine[: shape[0]]), torch.from_numpy(affine[shape[0] :])
            layer.weight.copy_(weight)
            scales[norm] = (scale, shift + scale * bias)
    give_statistics(network, scales, faces)


def read_dlib(path: Path) -> tuple[list[Values], list[Values]]:
    """The values of each convolution, weights and then biases, and of each affine layer, scales and then shifts.

    Raises:
        ConfigError: it cannot be read.
        ArtifactError: it is damaged, or not of this kind.
    """
    try:
        data = path.read_bytes()
    except FileNotFoundError as error:
        raise ConfigError(f"{path}: no such file of weights") from error
    except OSError as error:
        raise ConfigError(f"{path}: cannot read the weights: {error.strerror or error}") from error
    found: dict[bytes, list[Values]] = {_CONVOLUTION: [], _AFFINE: []}
    place = 0
    try:
        while name := _NAMES.search(data, place):
            values, place = _read_tensor(data, name.end())
            found[name.group()].append(values)
    except (ValueError, IndexError) as error:
        raise ArtifactError(f"{path}: not a whole network of dlib: {error}") from error
    return found[_CONVOLUTION], found[_AFFINE]


def _read_tensor(data: bytes, place: int) -> tuple[Values, int]:
    """A tensor of dlib's as one row of values, and where it ends."""
    version, place = _read_integer(data, place)
    if version != _TENSOR:
        raise ValueError(f"tensors of version {version}, expected {_TENSOR}")
    count = 1
    for _ in range(4):
        side, place = _read_integer(data, place)
        count *= side
    end = place + 4 * count
    if count < 0 or end > len(data):
        raise ValueError(f"it ends after {len(data):,} bytes, expected {end:,} or more")
    return np.frombuffer(data[place:end], "<f4").astype(np.float32), end


def _read_integer(data: bytes, place: int) -> tuple[int, int]:
    """A number of as many bytes as the first one says, the lowest first; its highest bit is the sign."""
    end = place + 1 + (data[place] & 0x0F)
    value = int.from_bytes(data[place + 1 : end], "little")
    return -value if data[place] & 0x80 else value, end


def _colour_shift(weight: torch.Tensor, mean: torch.Tensor) -> torch.Tensor:
    """What the first convolution gives for the network's mean, of which dlib has another in each colour."""
    difference = (mean.reshape(-1, 1, 1) - torch.tensor(MEANS).reshape(-1, 1, 1)) / SCALE
    return (weight * difference).sum((1, 2, 3))
