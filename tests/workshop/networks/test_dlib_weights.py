"""Dlib's file is read into a body that computes what dlib's network does."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason='needs pip install "mien[train]"')

from torch.nn import functional

from mien.artifact.input import InputSpec
from mien.errors import ArtifactError, ConfigError
from mien.workshop.data.base import FaceDataset
from mien.workshop.networks.dlib_weights import take_dlib
from mien.workshop.networks.factory import create_network
from mien.workshop.training.config import parse_config
from mien.workshop.training.start import start_network

WIDTHS = [32] * 3 + [64] * 4 + [128] * 3 + [256] * 4
SHRINKS = [False] * 3 + [True, False, False, False] + [True, False, False] * 2 + [True]
SIZE = 110

Layers = list[tuple[Any, Any, Any, Any]]
"""Weight and bias of each convolution, scale and shift of the affine layer after it."""


def make_layers(seed: int = 0) -> Layers:
    rng = np.random.default_rng(seed)
    shapes = [(32, 3, 7, 7)]
    for width in WIDTHS:
        shapes += [(width, shapes[-1][0], 3, 3), (width, width, 3, 3)]
    return [
        (
            rng.normal(0, np.sqrt(2 / np.prod(shape[1:])), shape).astype(np.float32),
            *(rng.normal(mean, 0.2, shape[0]).astype(np.float32) for mean in (0, 1, 0)),
        )
        for shape in shapes
    ]  # fmt: skip


def integer(value: int) -> bytes:
    """As dlib writes it: the number of bytes, then the bytes, the lowest first."""
    size = max((value.bit_length() + 7) // 8, 1)
    return bytes([size]) + value.to_bytes(size, "little")


def tensor(values: Any, version: int = 2) -> bytes:
    sides = b"".join(map(integer, (len(values), 1, 1, 1)))
    return integer(version) + sides + struct.pack(f"<{len(values)}f", *values)


def write(path: Path, layers: Layers, version: int = 2) -> Path:
    parts = [b"\x01\x01\x01\x0dloss_metric_2"]
    for weight, bias, scale, shift in layers:
        parts.append(b"\x01\x05con_4" + tensor(np.concatenate((weight.ravel(), bias)), version) + b"\x01\x03\x01\x00")
        parts.append(b"\x01\x07affine_" + tensor(np.concatenate((scale, shift))) + b"\x01\x02")
    path.write_bytes(b"".join(parts))
    return path


def as_dlib(layers: Layers, faces: Any) -> Any:
    """Dlib's network written out: RGB faces uint8 (N, 3, H, W) to features (N, 256)."""
    rest = iter(layers)

    def layer(x: Any, stride: int, padding: int) -> Any:
        weight, bias, scale, shift = (torch.from_numpy(values) for values in next(rest))
        x = functional.conv2d(x, weight, bias, stride, padding)
        return x * scale.view(-1, 1, 1) + shift.view(-1, 1, 1)

    means = torch.tensor([122.782, 117.001, 104.298]).view(-1, 1, 1)
    x = functional.max_pool2d(layer((faces.float() - means) / 256, 2, 0).relu(), 3, 2)
    for shrink in SHRINKS:
        new = layer(layer(x, 2 if shrink else 1, 0 if shrink else 1).relu(), 1, 1)
        old = functional.avg_pool2d(x, 2) if shrink else x
        whole = new.new_zeros(len(x), *(max(a, b) for a, b in zip(new.shape[1:], old.shape[1:], strict=True)))
        whole[:, : new.shape[1], : new.shape[2], : new.shape[3]] += new
        whole[:, : old.shape[1], : old.shape[2], : old.shape[3]] += old
        x = whole.relu()
    return x.mean((2, 3))


def make_faces(count: int, channels: int) -> Any:
    return np.random.default_rng(1).integers(0, 256, (count, channels, SIZE, SIZE), dtype=np.uint8)


def create(channels: int) -> Any:
    return create_network("dlib_resnet", spec=InputSpec(SIZE, SIZE, channels)).eval()


@pytest.mark.parametrize("channels", [1, 3])
def test_the_body_computes_what_dlib_does(tmp_path: Path, channels: int) -> None:
    layers, network = make_layers(), create(channels)
    take_dlib(network, write(tmp_path / "faces.dat", layers), make_faces(8, channels))
    faces = torch.from_numpy(make_faces(12, channels)[8:])
    with torch.no_grad():
        found = network.body(network.normalize(faces.float()))
        wanted = as_dlib(layers, faces.expand(-1, 3, -1, -1))
    assert wanted.std() > 0.01
    assert torch.allclose(found, wanted, rtol=1e-3, atol=1e-3 * float(wanted.abs().max()))


def test_it_starts_to_learn_from_what_it_computes(tmp_path: Path) -> None:
    network, faces = create(1), make_faces(24, 1)
    take_dlib(network, write(tmp_path / "faces.dat", make_layers()), faces)
    x = network.normalize(torch.from_numpy(faces).float())
    with torch.no_grad():
        before, training = network.body(x), network.body.train()(x)
    # Dropout apart, a step sees the features that dlib's network has.
    assert np.corrcoef(before.mean(0), training.mean(0))[0, 1] > 0.9


def test_a_training_names_the_file_as_its_weights(tmp_path: Path) -> None:
    path = write(tmp_path / "faces.dat", make_layers())
    model = {"arch": "dlib_resnet", "weights": str(path), "size": 64}
    images, rows = make_faces(14, 1)[:, 0, :48, :48].copy(), np.arange(14)
    dataset = FaceDataset("noise", images, rows % 7, np.zeros(14, np.int8), rows.astype(np.str_))
    network = start_network(parse_config({"model": model}), dataset, fresh=True)
    stem = network.get_submodule("body.stem.0")
    assert torch.equal(stem.weight, torch.from_numpy(make_layers()[0][0]).sum(1, keepdim=True))


def test_bad_files_are_told(tmp_path: Path) -> None:
    layers, faces = make_layers(), make_faces(2, 1)
    good = write(tmp_path / "good.dat", layers)
    cut = tmp_path / "cut.dat"
    cut.write_bytes(good.read_bytes()[:5_000_000])
    longer = write(tmp_path / "longer.dat", layers)
    longer.write_bytes(longer.read_bytes() + b"\x01\x05con_4" + tensor(np.zeros(3)))
    empty = tmp_path / "empty.dat"
    empty.write_bytes(b"")
    for path, error, said in (
        (tmp_path / "none.dat", ConfigError, "no such file"),
        (tmp_path, ConfigError, "cannot read"),
        (cut, ArtifactError, "ends after 5,000,000 bytes"),
        (empty, ArtifactError, "0 of 0"),
        (write(tmp_path / "few.dat", layers[:-1]), ArtifactError, "expected 29 convolutions"),
        (write(tmp_path / "many.dat", [*layers, layers[-1]]), ArtifactError, "expected 29 convolutions"),
        (longer, ArtifactError, "expected 29 convolutions"),
        (write(tmp_path / "old.dat", layers, version=1), ArtifactError, "version 1"),
    ):
        with pytest.raises(error, match=said):
            take_dlib(create(1), path, faces)
    with pytest.raises(ConfigError, match="dlib_resnet"):
        take_dlib(create_network("resnet", widths=[8], depths=[1]), good, faces)
