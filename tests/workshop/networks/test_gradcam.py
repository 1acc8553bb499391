"""Grad-CAM finds the feature that a network was built to see, in every architecture that has feature maps."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from mien.artifact.input import InputSpec
from mien.errors import ArtifactError, ConfigError, DataError
from mien.workshop.networks.architectures import ARCHITECTURES, create_network
from mien.workshop.networks.checkpoint import save_network
from mien.workshop.networks.gradcam import grad_cam_maps, grad_cam_of_checkpoint, last_feature_layer
from mien.workshop.networks.network import Network

SMALL = {
    "shallow_cnn": {"widths": (4, 8), "dense": 8},
    "custom_cnn": {"widths": (4, 8), "dense": 8, "reduction": 2},
    "vgg": {"widths": (4, 8), "depths": (1, 1), "dense": (8,)},
    "resnet": {"widths": (4, 8), "depths": (1, 1)},
    "se_resnet": {"widths": (4, 8), "depths": (1, 1), "reduction": 2},
    "timm:resnet18": {},
    "timm:mobilenetv2_100": {},
}


class _Eye(nn.Module):
    """One feature map that answers to brightness, averaged over the picture: class 1 is `it is bright somewhere`."""

    def __init__(self) -> None:
        super().__init__()
        self.convolution = nn.Conv2d(1, 2, 3, padding=1)
        self.activation = nn.ReLU(inplace=True)
        with torch.no_grad():
            self.convolution.weight.fill_(1 / 9)
            self.convolution.bias.zero_()  # type: ignore[union-attr]

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        out: torch.Tensor = self.activation(self.convolution(x)).mean(dim=(2, 3))
        return out


@pytest.fixture(name="seeing")
def _seeing() -> Network:
    network = Network(_Eye(), 2, {"crowd": 2}, mean=128.0, std=64.0)
    head = network.heads["crowd"]
    with torch.no_grad():
        head.weight.copy_(torch.tensor([[-1.0, -1.0], [1.0, 1.0]]))
        head.bias.zero_()
    return network


@pytest.fixture(name="crops")
def _crops() -> np.ndarray:
    crops = np.random.default_rng(0).integers(0, 80, (2, 48, 48), dtype=np.uint8)
    crops[:, 30:40, 6:20] = 250
    return crops


@pytest.mark.parametrize("colours", [1, 3])
def test_the_planted_feature_is_found(seeing, crops, colours):
    given = crops if colours == 1 else np.repeat(crops[..., None], 3, axis=-1)
    maps = grad_cam_maps(seeing, InputSpec(), given, "crowd", np.array([1, 0]))
    assert maps.shape == (2, 48, 48)
    assert maps.dtype == np.float32
    assert maps[0, 31:39, 7:19].min() > 0.8
    rest = maps[0].copy()
    rest[28:42, 4:22] = 0
    assert rest.max() < 0.05
    assert (maps[1] == 0).all(), "nothing speaks for the other class"


def test_maps_come_in_the_size_of_the_crops(seeing, crops):
    large = np.repeat(np.repeat(crops, 2, axis=1), 3, axis=2)
    assert grad_cam_maps(seeing, InputSpec(), large, "crowd", np.array([1, 1])).shape == (2, 96, 144)


@pytest.mark.parametrize("arch", SMALL)
def test_every_convolutional_architecture_has_maps(arch, crops):
    if arch.startswith("timm:"):
        pytest.importorskip("timm")
    torch.manual_seed(0)
    network = create_network(arch, **SMALL[arch])
    before = {key: value.clone() for key, value in network.state_dict().items()}
    maps = grad_cam_maps(network, InputSpec(), crops, "fer2013", np.array([0, 6]))
    assert np.isfinite(maps).all()
    assert maps.min() >= 0
    assert maps.max() in (0, 1)
    assert all(torch.equal(value, before[key]) for key, value in network.state_dict().items())
    assert all(parameter.grad is None for parameter in network.parameters())
    assert not any(module._forward_hooks for module in network.modules())


def test_every_architecture_is_asked():
    assert set(ARCHITECTURES) - set(SMALL) == {"hog"}


def test_pooling_and_gates_are_not_taken_for_feature_maps():
    assert type(last_feature_layer(create_network("vgg", **SMALL["vgg"]), InputSpec())) is nn.ReLU
    chosen = last_feature_layer(create_network("custom_cnn", **SMALL["custom_cnn"]), InputSpec())
    assert type(chosen).__name__ == "CBAM"


def test_what_has_no_feature_maps_says_so(crops):
    with pytest.raises(ConfigError, match="no convolution"):
        grad_cam_maps(create_network("hog"), InputSpec(), crops, "crowd", np.array([0, 1]))
    pytest.importorskip("timm")
    vit = create_network("timm:vit_tiny_patch16_224", depth=1, embed_dim=12)
    with pytest.raises(ConfigError, match="tokens"):
        grad_cam_maps(vit, InputSpec(), crops, "crowd", np.array([0, 1]))


def test_a_checkpoint_is_explained_by_its_own_network(tmp_path: Path, crops):
    network = create_network("shallow_cnn", **SMALL["shallow_cnn"])
    path, spec = tmp_path / "best.safetensors", InputSpec()
    options = {key: list(value) if isinstance(value, tuple) else value for key, value in SMALL["shallow_cnn"].items()}
    save_network(
        path, network.state_dict(), arch="shallow_cnn", options=options, spec=spec, heads=("fer2013", "crowd"),
        training={},
    )  # fmt: skip
    found = grad_cam_of_checkpoint(path, crops, "crowd", np.array([1, 2]))
    np.testing.assert_allclose(found, grad_cam_maps(network, spec, crops, "crowd", np.array([1, 2])), atol=1e-6)
    with pytest.raises(ArtifactError, match="no such checkpoint"):
        grad_cam_of_checkpoint(tmp_path / "none.safetensors", crops, "crowd", np.array([1, 2]))


@pytest.mark.parametrize(
    ("head", "targets", "error", "message"),
    [
        ("mood", [0, 1], ConfigError, "unknown head 'mood': this network has crowd"),
        ("crowd", [0], DataError, "2 crops take as many"),
        ("crowd", [0, 2], DataError, "the classes 0–1, but targets 0–2"),
        ("crowd", [-1, 0], DataError, "0–1"),
        ("crowd", [0.0, 1.0], DataError, "whole numbers"),
    ],
)
def test_what_does_not_fit_is_refused(seeing, crops, head, targets, error, message):
    with pytest.raises(error, match=message):
        grad_cam_maps(seeing, InputSpec(), crops, head, np.array(targets))
