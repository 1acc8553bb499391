from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch", reason='needs pip install "mien[train]"')
timm = pytest.importorskip("timm", reason='needs pip install "mien[train]"')

from safetensors.torch import save_file

from mien.artifact.input import InputSpec
from mien.errors import ArtifactError, ConfigError, DownloadError
from mien.workshop.networks.architectures import create_network
from mien.workshop.networks.checkpoint import save_network, save_tensors
from mien.workshop.networks.network import Network
from mien.workshop.networks.transfer import fetch_weights, take_weights

RESNET: dict[str, Any] = {"channels": [8, 8, 8, 8], "layers": [1, 1, 1, 1]}
VIT: dict[str, Any] = {"depth": 1, "embed_dim": 24, "num_heads": 3}
OWN: dict[str, Any] = {"widths": [4, 8], "depths": [1, 1]}
IMAGENET_MEAN = [255 * value for value in (0.485, 0.456, 0.406)]
IMAGENET_STD = [255 * value for value in (0.229, 0.224, 0.225)]


def save_timm(path: Path, name: str, **arguments: Any) -> dict[str, Any]:
    """What timm saves of a network for RGB with a classifier."""
    torch.manual_seed(1)
    state = timm.create_model(name, **arguments).state_dict()
    save_file(state, path)
    return dict(state)


def save_own(path: Path, network: Network, arch: str, options: dict[str, Any], spec: InputSpec) -> None:
    save_network(
        path, network.state_dict(), arch=arch, options=options, spec=spec, heads=tuple(network.heads), training={}
    )


def body_of(network: Network) -> dict[str, Any]:
    return dict(network.body.state_dict())


def test_timm_weights_for_rgb_are_adapted_to_grey(tmp_path: Path) -> None:
    state = save_timm(tmp_path / "net.safetensors", "resnet18", **RESNET)
    network = create_network("timm:resnet18", **RESNET)
    head = network.heads["crowd"].weight.clone()
    take_weights(network, tmp_path / "net.safetensors")
    found = body_of(network)
    torch.testing.assert_close(found["net.conv1.weight"], state["conv1.weight"].sum(1, keepdim=True))
    assert torch.equal(found["net.layer4.0.conv2.weight"], state["layer4.0.conv2.weight"])
    assert torch.equal(network.heads["crowd"].weight, head)
    assert network.normalize.mean.item() == pytest.approx(sum(IMAGENET_MEAN) / 3)
    assert network.normalize.std.item() == pytest.approx(sum(IMAGENET_STD) / 3)


def test_rgb_takes_the_mean_of_each_colour_and_a_checkpoint_keeps_it(tmp_path: Path) -> None:
    from mien.workshop.networks.checkpoint import load_network

    save_timm(tmp_path / "net.safetensors", "resnet18", **RESNET)
    spec = InputSpec(channels=3)
    network = create_network("timm:resnet18", spec=spec, **RESNET).eval()
    take_weights(network, tmp_path / "net.safetensors")
    assert network.normalize.mean.flatten().tolist() == pytest.approx(IMAGENET_MEAN)
    save_own(tmp_path / "own.safetensors", network, "timm:resnet18", RESNET, spec)
    again, _ = load_network(tmp_path / "own.safetensors")
    faces = torch.randint(0, 256, (2, 3, 48, 48), dtype=torch.uint8)
    assert torch.equal(again(faces)["crowd"], network(faces)["crowd"])


def test_weights_without_a_classifier_and_of_another_number_of_classes_fit(tmp_path: Path) -> None:
    for classes in (0, 5):
        state = save_timm(tmp_path / "net.safetensors", "resnet18", num_classes=classes, **RESNET)
        network = create_network("timm:resnet18", spec=InputSpec(channels=3), **RESNET)
        take_weights(network, tmp_path / "net.safetensors")
        assert torch.equal(body_of(network)["net.conv1.weight"], state["conv1.weight"])


def test_position_embeddings_are_resized(tmp_path: Path) -> None:
    state = save_timm(tmp_path / "net.safetensors", "vit_tiny_patch16_224", **VIT)
    assert state["pos_embed"].shape == (1, 1 + 14 * 14, 24)
    network = create_network("timm:vit_tiny_patch16_224", spec=InputSpec(96, 96), **VIT)
    take_weights(network, tmp_path / "net.safetensors")
    found = body_of(network)
    assert found["net.pos_embed"].shape == (1, 1 + 6 * 6, 24)
    assert torch.equal(found["net.blocks.0.attn.qkv.weight"], state["blocks.0.attn.qkv.weight"])
    torch.testing.assert_close(found["net.pos_embed"].mean(), state["pos_embed"].mean(), atol=1e-2, rtol=0)


@pytest.mark.parametrize(
    ("arch", "options", "first"), [("se_resnet", OWN, "stem.0"), ("timm:resnet18", RESNET, "net.conv1")]
)
def test_a_checkpoint_brings_body_normalisation_and_the_heads_that_fit(
    tmp_path: Path, arch: str, options: dict[str, Any], first: str
) -> None:
    spec = InputSpec(64, 64, 3)
    torch.manual_seed(1)
    donor = create_network(arch, spec=spec, heads=("crowd",), **options)
    donor.normalize.mean.fill_(100.0)
    save_own(tmp_path / "best.safetensors", donor, arch, options, spec)
    network = create_network(arch, **options)
    fresh = network.heads["fer2013"].weight.clone()
    take_weights(network, tmp_path / "best.safetensors")
    assert torch.equal(network.heads["crowd"].weight, donor.heads["crowd"].weight)
    assert torch.equal(network.heads["fer2013"].weight, fresh)
    assert network.normalize.mean.item() == 100
    wanted = body_of(donor)[f"{first}.weight"].sum(1, keepdim=True)
    torch.testing.assert_close(body_of(network)[f"{first}.weight"], wanted)
    same = [key for key, value in body_of(network).items() if torch.equal(value, body_of(donor)[key])]
    assert len(same) == len(body_of(donor)) - 1


def test_files_from_before_batches_were_counted_fit(tmp_path: Path) -> None:
    for arch, options in (("timm:resnet18", RESNET), ("se_resnet", OWN)):
        donor, network = (create_network(arch, **options) for _ in range(2))
        state = {key.removeprefix("net."): value for key, value in body_of(donor).items() if "num_batches" not in key}
        save_file(state, tmp_path / "net.safetensors")
        take_weights(network, tmp_path / "net.safetensors")
        assert all(torch.equal(value, body_of(network)[key]) for key, value in body_of(donor).items())


def test_a_bare_state_fits_our_own_bodies(tmp_path: Path) -> None:
    donor, network = (create_network("se_resnet", **OWN) for _ in range(2))
    save_file(body_of(donor), tmp_path / "body.safetensors")
    before = network.normalize.mean.clone()
    take_weights(network, tmp_path / "body.safetensors")
    assert all(torch.equal(value, body_of(network)[key]) for key, value in body_of(donor).items())
    assert torch.equal(network.normalize.mean, before)


@pytest.mark.parametrize(
    ("file", "error", "message"),
    [
        ("none.safetensors", ConfigError, r"none\.safetensors: no such file of weights"),
        ("net.pth", ConfigError, r"net\.pth: expected weights as \.safetensors; other formats can run code"),
        ("net.bin", ConfigError, r"expected weights as \.safetensors"),
        ("text.safetensors", ArtifactError, r"text\.safetensors: not a whole safetensors file"),
        ("state.safetensors", ArtifactError, r"holds a training state, expected a network such as best"),
        ("deeper.safetensors", ArtifactError, r"options; 12 unexpected: layer1\.1\.bn1\.bias \(8,\), .* …$"),
        ("other.safetensors", ArtifactError, r"missing: conv1\.weight \(64, 1, 7, 7\), .*unexpected: "),
        (
            "wider.safetensors",
            ArtifactError,
            r"of another shape: layer4.* is \(16, 8, 3, 3\), expected \(8, 8, 3, 3\)",
        ),
    ],
)
def test_what_does_not_fit_is_refused_in_words(tmp_path: Path, file: str, error: type[Exception], message: str) -> None:
    path = tmp_path / file
    if path.suffix != ".safetensors":
        path.write_bytes(b"\x80\x02}q\x00.")
    (tmp_path / "text.safetensors").write_text("hello")
    save_tensors(tmp_path / "state.safetensors", {"a": torch.zeros(1)}, {"kind": "training state"})
    save_timm(tmp_path / "deeper.safetensors", "resnet18", **RESNET | {"layers": [2, 1, 1, 1]})
    save_file(body_of(create_network("se_resnet", **OWN)), tmp_path / "other.safetensors")
    save_timm(tmp_path / "wider.safetensors", "resnet18", **RESNET | {"channels": [8, 8, 8, 16]})
    network = create_network("timm:resnet18", **RESNET)
    before = {key: value.clone() for key, value in network.state_dict().items()}
    with pytest.raises(error, match=message):
        take_weights(network, path)
    assert all(torch.equal(value, before[key]) for key, value in network.state_dict().items())


def test_a_checkpoint_of_another_architecture_is_refused_with_its_keys(tmp_path: Path) -> None:
    donor = create_network("shallow_cnn", widths=[4], dense=8)
    save_own(tmp_path / "best.safetensors", donor, "shallow_cnn", {"widths": [4], "dense": 8}, InputSpec())
    with pytest.raises(ArtifactError, match=r"missing: stem\.0\.weight \(4, 1, 3, 3\).* unexpected: layers\.0\.bias"):
        take_weights(create_network("se_resnet", **OWN), tmp_path / "best.safetensors")


def test_without_a_connection_the_way_by_a_file_is_told(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(DownloadError, match=r"weights of timm:resnet18 could not be fetched .* model\.weights = "):
        fetch_weights("timm:resnet18")


@pytest.mark.parametrize("arch", ["se_resnet", "timm:resnet18.nobody", "timm:resnet1818"])
def test_an_architecture_without_pretrained_weights_is_named(arch: str) -> None:
    with pytest.raises(ConfigError, match=arch):
        fetch_weights(arch)
