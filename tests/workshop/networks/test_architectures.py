"""Contract of every registered architecture: a new one is tested without a new test."""

from __future__ import annotations

import functools
import inspect
from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason='needs pip install "mien[train]"')

from mien.artifact.input import InputSpec
from mien.artifact.runtime import Session
from mien.errors import ArtifactError, ConfigError
from mien.labels import HEADS
from mien.workshop.export.graph import build_graph
from mien.workshop.networks.architectures import ARCHITECTURES, TIMM_ARCHITECTURES, create_network
from mien.workshop.networks.checkpoint import load_network, save_network
from mien.workshop.networks.layers import CBAM, SqueezeExcitation, StochasticDepth, attention_layer, blur
from mien.workshop.networks.network import Network, count_parameters

SMALL: dict[str, dict[str, Any]] = {
    "shallow_cnn": {"widths": [8, 16], "dense": 32},
    "custom_cnn": {"widths": [8, 16, 32], "dense": 32, "attention": "cbam"},
    "vgg": {"widths": [8, 16, 16], "depths": [1, 1, 1], "dense": [32]},
    "resnet": {"widths": [8, 16, 32], "depths": [1, 1, 1], "stem_stride": 2},
    "se_resnet": {"widths": [8, 16, 32], "depths": [1, 1, 1], "stem_stride": 2},
    "hog": {},
    # Timm starts every residual at zero, through which no gradient passes.
    "timm:resnet18": {"channels": [8, 16, 32, 64], "zero_init_last": False},
    "timm:resnet50": {"channels": [8, 16, 32, 64], "layers": [1, 1, 1, 1], "zero_init_last": False},
    "timm:mobilenetv2_100": {"depth_multiplier": 0.3},
    "timm:efficientnet_b0": {},
    "timm:vit_tiny_patch16_224": {"depth": 2, "patch_size": 8},
}

RATES = {"hog": 0.1, "timm:vit_tiny_patch16_224": 1e-3}
"""At which Adam overfits, where it is not 3e-3."""


def small(arch: str, **options: Any) -> Network:
    torch.manual_seed(0)
    return create_network(arch, **(SMALL.get(arch, {}) | options))


def faces(count: int, *, size: int = 48, channels: int = 1) -> Any:
    generator = torch.Generator().manual_seed(1)
    return torch.randint(0, 256, (count, channels, size, size), dtype=torch.uint8, generator=generator)


def without_dropout(arch: str) -> Network:
    return small(arch, **({"dropout": 0.0} if takes(arch, "dropout") else {})).train()


def takes(arch: str, option: str) -> bool:
    return arch in ARCHITECTURES and option in inspect.signature(ARCHITECTURES[arch]).parameters


@pytest.fixture(params=[*ARCHITECTURES, *TIMM_ARCHITECTURES])
def arch(request: pytest.FixtureRequest) -> str:
    if request.param in TIMM_ARCHITECTURES:
        pytest.importorskip("timm")
    return str(request.param)


def test_gives_logits_of_every_head(arch: str) -> None:
    logits = small(arch)(faces(3))
    assert {head: tuple(values.shape) for head, values in logits.items()} == {
        "fer2013": (3, 7),
        "crowd": (3, 8),
    }
    assert all(values.isfinite().all() for values in logits.values())


def test_a_single_head_and_rgb_input(arch: str) -> None:
    network = small(arch)
    assert set(network.heads) == set(HEADS)
    torch.manual_seed(0)
    rgb = create_network(arch, spec=InputSpec(64, 64, 3), heads=("crowd",), **SMALL[arch])
    assert rgb(faces(2, size=64, channels=3))["crowd"].shape == (2, 8)


def test_gradient_reaches_every_parameter(arch: str) -> None:
    network = without_dropout(arch)
    sum(values.square().sum() for values in network(faces(8)).values()).backward()
    silent = [name for name, p in network.named_parameters() if p.grad is None or not p.grad.any()]
    assert not silent


def test_overfits_64_faces(arch: str) -> None:
    network = without_dropout(arch)
    pictures, labels = faces(64), torch.arange(64) % 7
    optimizer = torch.optim.Adam(network.parameters(), lr=RATES.get(arch, 3e-3))
    for _ in range(100):
        loss = torch.nn.functional.cross_entropy(network(pictures)["fer2013"], labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        if loss < 0.05:
            break
    accuracy = (network.train()(pictures)["fer2013"].argmax(1) == labels).float().mean()
    assert accuracy > 0.95


@functools.cache
def graph_of(arch: str) -> bytes:
    return build_graph(small(arch).eval(), InputSpec())


def test_onnx_computes_the_same_for_any_batch(arch: str) -> None:
    network = small(arch).eval()
    session = Session(graph_of(arch))
    for count in (1, 5):
        found = session.run({"faces": faces(count).numpy()})
        with torch.no_grad():
            wanted = network(faces(count))
        for head, values in wanted.items():
            np.testing.assert_allclose(found[head], values.numpy(), atol=1e-4)


def test_graph_says_nothing_of_the_machine(arch: str) -> None:
    graph = graph_of(arch)
    assert str(Path(__file__).parents[3]).encode() not in graph
    assert b".py" not in graph


def test_checkpoint_round_trip(arch: str, tmp_path: Path) -> None:
    network = small(arch).eval()
    path = tmp_path / "net.safetensors"
    save_network(
        path,
        network.state_dict(),
        arch=arch,
        options=SMALL[arch],
        spec=InputSpec(),
        heads=("fer2013", "crowd"),
        training={"epoch": 3},
    )
    again, header = load_network(path)
    assert header["training"] == {"epoch": 3}
    assert list(tmp_path.iterdir()) == [path]
    with torch.no_grad():
        assert torch.equal(again(faces(2))["crowd"], network(faces(2))["crowd"])


@pytest.mark.parametrize("arch", [arch for arch in ARCHITECTURES if takes(arch, "activation")])
def test_every_activation_can_be_chosen(arch: str) -> None:
    for activation in ("leaky_relu", "relu", "gelu", "silu"):
        assert small(arch, activation=activation)(faces(2))["crowd"].shape == (2, 8)


def test_se_resnet_family_spans_0_3_to_12_million() -> None:
    smallest = create_network("se_resnet", widths=[16, 32, 64, 80], depths=[1, 1, 2, 1], stem_stride=2)
    largest = create_network("se_resnet", widths=[64, 128, 256, 512], depths=[2, 2, 2, 2])
    assert count_parameters(smallest) <= 300_000
    assert 10e6 < count_parameters(largest) <= 12e6


def test_resnet_18_has_11_million_parameters_and_no_gates() -> None:
    resnet, se_resnet = create_network("resnet"), create_network("se_resnet")
    assert 11e6 < count_parameters(resnet) < 11.3e6
    assert count_parameters(resnet) < count_parameters(se_resnet)
    gates = set(se_resnet.state_dict()) - set(resnet.state_dict())
    assert gates
    assert all(".squeeze." in key or ".excite." in key for key in gates)


def test_vgg_has_the_layers_its_options_say() -> None:
    network = create_network("vgg", widths=[8, 16], depths=[1, 3], dense=[24, 12])
    kinds = [type(module) for module in network.modules()]
    assert kinds.count(torch.nn.Conv2d) == kinds.count(torch.nn.BatchNorm2d) == 4
    assert kinds.count(torch.nn.Dropout) == 2
    assert network.heads["fer2013"].in_features == 12


@pytest.mark.parametrize(("attention", "kind"), [("none", None), ("se", SqueezeExcitation), ("cbam", CBAM)])
def test_attention_of_the_custom_cnn_can_be_switched(attention: str, kind: type | None) -> None:
    network = small("custom_cnn", attention=attention, dropout=0.0).train()
    found = [type(module) for module in network.modules() if isinstance(module, (SqueezeExcitation, CBAM))]
    assert found == ([kind] * 3 if kind else [])
    sum(values.square().sum() for values in network(faces(8)).values()).backward()
    assert all(p.grad is not None and p.grad.any() for p in network.parameters())


def test_cbam_gates_by_mean_and_maximum_of_channels_and_places() -> None:
    torch.manual_seed(0)
    layer, x = attention_layer("cbam", 8, 2), torch.randn(2, 8, 5, 5)
    (w1, b1, w2, b2, w3, b3) = [p.detach().double().numpy() for p in layer.parameters()]
    maps = x.double().numpy()

    def perceptron(pooled: Any) -> Any:
        return np.maximum(pooled @ w1[:, :, 0, 0].T + b1, 0) @ w2[:, :, 0, 0].T + b2

    def sigmoid(scores: Any) -> Any:
        return 1 / (1 + np.exp(-scores))

    gated = maps * sigmoid(perceptron(maps.mean((2, 3))) + perceptron(maps.max((2, 3))))[:, :, None, None]
    padded = np.pad(np.stack((gated.mean(1), gated.max(1)), 1), ((0, 0), (0, 0), (3, 3), (3, 3)))
    windows = np.lib.stride_tricks.sliding_window_view(padded, (7, 7), (2, 3))
    places = np.einsum("nchwij,cij->nhw", windows, w3[0]) + b3[0]
    np.testing.assert_allclose(layer(x).detach().numpy(), gated * sigmoid(places)[:, None], atol=1e-5)


def test_pixels_are_normalised_inside() -> None:
    network = small("se_resnet")
    out = network.normalize(torch.tensor([network.normalize.mean, network.normalize.mean + network.normalize.std]))
    assert out.tolist() == pytest.approx([0, 1])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            {"arch": "resnext"},
            "expected one of shallow_cnn, custom_cnn, vgg, resnet, se_resnet, hog, or timm:NAME",
        ),
        ({"arch": "se_resnet", "width": 3}, "its options are"),
        ({"arch": "se_resnet", "widths": [8, 8], "depths": [1]}, "cannot be built"),
        ({"arch": "se_resnet", "activation": "tanhh"}, "expected one of leaky_relu, relu, gelu, silu"),
        ({"arch": "custom_cnn", "attention": "self"}, "expected one of none, se, cbam"),
        ({"arch": "vgg", "widths": [8] * 6, "depths": [1] * 6}, "6 blocks halve 48 pixels to nothing"),
        ({"arch": "se_resnet", "heads": ("age",)}, "heads are taken from"),
    ],
)
def test_bad_networks_are_refused_in_words(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        create_network(**arguments)


@pytest.mark.parametrize("damage", ["missing", "text", "cut", "foreign"])
def test_bad_checkpoints_are_refused_in_words(tmp_path: Path, damage: str) -> None:
    path = tmp_path / "net.safetensors"
    network = small("shallow_cnn")
    description: dict[str, Any] = {"arch": "shallow_cnn", "options": SMALL["shallow_cnn"]}
    save_network(path, network.state_dict(), **description, spec=InputSpec(), heads=("fer2013", "crowd"), training={})
    if damage == "missing":
        path.unlink()
    elif damage == "text":
        path.write_text("hello")
    elif damage == "cut":
        path.write_bytes(path.read_bytes()[:-100])
    else:
        from safetensors.torch import save_file

        save_file({"a": torch.zeros(1)}, path)
    with pytest.raises(ArtifactError, match=r"net\.safetensors"):
        load_network(path)


def test_stochastic_depth_leaves_faces_out_while_training_alone() -> None:
    torch.manual_seed(0)
    layer, maps = StochasticDepth(0.25), torch.ones(4000, 2, 3, 3)
    assert layer.eval()(maps) is maps
    passed = layer.train()(maps)
    kept = passed[:, 0, 0, 0] > 0
    assert 0.72 < kept.float().mean() < 0.78
    torch.testing.assert_close(passed[kept], maps[kept] / 0.75)
    assert not passed[~kept].any()
    with pytest.raises(ValueError, match="less than 1"):
        StochasticDepth(1.0)


def test_blur_spreads_a_point_and_keeps_the_shape() -> None:
    point = torch.zeros(1, 1, 5, 5)
    point[0, 0, 2, 2] = 16
    weights = torch.tensor([0.0, 1.0, 2.0, 1.0, 0.0])
    torch.testing.assert_close(blur()(point)[0, 0], torch.outer(weights, weights))


def test_se_resnet_without_gates_with_blur_and_stochastic_depth() -> None:
    network = small("se_resnet", attention="none", antialias=True, stochastic_depth=0.5).eval()
    assert not any(isinstance(module, SqueezeExcitation) for module in network.modules())
    chances = [module.chance for module in network.modules() if isinstance(module, StochasticDepth)]
    assert chances == [0.25, 0.5], "the first of three blocks is always there"
    plain = small("se_resnet", attention="none").eval()
    assert count_parameters(network) == count_parameters(plain)
    session = Session(build_graph(network, InputSpec()))
    with torch.no_grad():
        wanted = network(faces(3))
        assert not torch.allclose(wanted["crowd"], plain(faces(3))["crowd"])
    found = session.run({"faces": faces(3).numpy()})
    for head, values in wanted.items():
        np.testing.assert_allclose(found[head], values.numpy(), atol=1e-4)
