from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch", reason='needs pip install "mien[train]"')

from mien.errors import ConfigError
from mien.workshop.data.base import FaceDataset
from mien.workshop.networks.architectures import create_network
from mien.workshop.networks.checkpoint import load_tensors
from mien.workshop.training.config import OptimConfig, parse_config
from mien.workshop.training.fit import fit
from mien.workshop.training.optim import create_optimizer, freeze_body, parameter_depths, set_learning_rate

SMALL: dict[str, dict[str, Any]] = {
    "se_resnet": {"widths": [4, 8], "depths": [2, 1], "dense": 8},
    "custom_cnn": {"widths": [4, 8], "dense": 8, "attention": "cbam"},
    "vgg": {"widths": [4, 8], "depths": [1, 2], "dense": [8]},
    "timm:resnet18": {"channels": [8, 8, 8, 8], "layers": [2, 1, 1, 1]},
    "timm:vit_tiny_patch16_224": {"depth": 2, "embed_dim": 24, "num_heads": 3},
}

DEPTHS = {
    "se_resnet": {"stem.0": 5, "stem.1": 5, "stages.0": 4, "stages.1": 3, "stages.2": 2, "neck.2": 1, "neck.3": 1},
    "custom_cnn": {"blocks.0": 3, "blocks.1": 3, "blocks.3": 3, "blocks.5": 2, "neck.2": 1},
    "vgg": {"blocks.0": 4, "blocks.1": 4, "blocks.4": 3, "blocks.7": 2, "dense.1": 1},
    "timm:resnet18": {"net.conv1": 6, "net.bn1": 6, "net.layer1.0": 5, "net.layer1.1": 4, "net.layer4.0": 1},
    "timm:vit_tiny_patch16_224": {"net.pos_embed": 3, "net.blocks.0": 2, "net.blocks.1": 1, "net.norm": 1},
}


def small(arch: str) -> Any:
    if arch.startswith("timm:"):
        pytest.importorskip("timm")
    torch.manual_seed(0)
    return create_network(arch, **SMALL[arch])


@pytest.mark.parametrize("arch", SMALL)
def test_depth_counts_layers_below_the_heads(arch: str) -> None:
    depths = parameter_depths(small(arch))
    assert {depth for name, depth in depths.items() if name.startswith("heads.")} == {0}
    for layer, depth in DEPTHS[arch].items():
        found = {value for name, value in depths.items() if f"{name}.".startswith(f"body.{layer}.")}
        assert found == {depth}, layer
    assert set(depths.values()) == set(range(max(depths.values()) + 1))


@pytest.mark.parametrize("arch", SMALL)
def test_the_rate_falls_with_each_layer_of_depth(arch: str) -> None:
    network = small(arch)
    optimizer = create_optimizer(network, OptimConfig(layer_decay=0.5, weight_decay=0.01))
    set_learning_rate(optimizer, 0.8)
    names = {parameter: name for name, parameter in network.named_parameters()}
    depths = parameter_depths(network)
    seen = []
    for group in optimizer.param_groups:
        for parameter in group["params"]:
            seen.append(names[parameter])
            assert group["lr"] == pytest.approx(0.8 * 0.5 ** depths[names[parameter]])
            assert group["weight_decay"] == (0.01 if parameter.ndim > 1 else 0)
    assert sorted(seen) == sorted(depths)


def test_without_layer_decay_there_are_two_groups_at_the_very_rate() -> None:
    network = small("se_resnet")
    optimizer = create_optimizer(network, OptimConfig())
    set_learning_rate(optimizer, 0.3)
    matrices, others = optimizer.param_groups
    assert [p.ndim > 1 for p in network.parameters()].count(True) == len(matrices["params"])
    assert all(p.ndim > 1 for p in matrices["params"])
    assert not any("scale" in group for group in (matrices, others))
    assert [group["lr"] for group in (matrices, others)] == [0.3, 0.3]


def test_a_frozen_body_keeps_weights_and_statistics_and_a_thawed_one_learns() -> None:
    network, faces = small("se_resnet"), torch.randint(0, 256, (8, 1, 48, 48)).float()
    optimizer = create_optimizer(network, OptimConfig(name="adamw", lr=0.1))
    for frozen in (True, False):
        before = {key: value.clone() for key, value in network.state_dict().items()}
        network.train()
        freeze_body(network, frozen=frozen)
        network(faces)["crowd"].square().sum().backward()
        optimizer.step()
        optimizer.zero_grad()
        changed = {key for key, value in network.state_dict().items() if not torch.equal(value, before[key])}
        assert {"heads.crowd.weight", "heads.crowd.bias"} <= changed
        assert ("body.stem.0.weight" in changed) is not frozen
        assert ("body.stem.1.running_mean" in changed) is not frozen
        assert not frozen or not [key for key in changed if key.startswith("body.")]


def test_the_svm_takes_no_steps() -> None:
    with pytest.raises(ConfigError, match="takes no steps: expected adam, adamw or sgd"):
        create_optimizer(small("vgg"), OptimConfig(name="svm"))


def changed_by(settings: dict[str, Any], dataset: FaceDataset, folder: Path, epochs: int) -> set[str]:
    """Parts of the network that so many epochs moved from where the run began."""
    config = parse_config(settings)
    fit(config, dataset, folder, device="cpu", stop_after=epochs)
    state = load_tensors(folder / "last.safetensors")[0]
    torch.manual_seed(0)
    from lightning_fabric import Fabric

    Fabric(accelerator="cpu").seed_everything(config.fit.seed, verbose=False)
    first = create_network(config.model.arch, **config.model.options).state_dict()
    return {key.split(".")[0] for key, value in first.items() if not torch.equal(value, state[f"network.{key}"])}


def test_a_run_trains_its_heads_first_and_then_everything(
    dataset: FaceDataset, settings: dict[str, Any], tmp_path: Path
) -> None:
    settings["optim"] |= {"freeze_epochs": 1}
    settings["fit"] |= {"epochs": 2}
    assert changed_by(settings, dataset, tmp_path, 1) == {"heads"}
    assert changed_by(settings, dataset, tmp_path, 1) == {"heads", "body"}


@pytest.mark.parametrize("name", ["sgd", "adamw"])
def test_frozen_decayed_and_resumed_is_bit_equal_to_uninterrupted(
    dataset: FaceDataset, settings: dict[str, Any], tmp_path: Path, name: str
) -> None:
    settings["optim"] |= {"name": name, "lr": 0.01, "freeze_epochs": 2, "layer_decay": 0.75, "clip": 1.0}
    config = parse_config(settings)
    fit(config, dataset, tmp_path / "whole", device="cpu")
    for _ in range(4):
        fit(config, dataset, tmp_path / "parts", device="cpu", stop_after=1)
    one, other = (load_tensors(tmp_path / run / "last.safetensors")[0] for run in ("whole", "parts"))
    assert one.keys() == other.keys()
    assert all(torch.equal(one[key], other[key]) for key in one)


def test_layer_decay_changes_a_run(dataset: FaceDataset, settings: dict[str, Any], tmp_path: Path) -> None:
    settings["fit"] |= {"epochs": 1}
    losses = []
    for layer_decay in (1.0, 0.5):
        settings["optim"] |= {"layer_decay": layer_decay}
        losses.append(fit(parse_config(settings), dataset, tmp_path / str(layer_decay), device="cpu").history[0])
    assert losses[0]["train_loss"] != losses[1]["train_loss"]
    assert losses[0]["lr"] == losses[1]["lr"]


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"optim": {"layer_decay": 0}}, r"optim\.layer_decay: .*greater than 0, not 0"),
        ({"optim": {"layer_decay": 1.2}}, r"optim\.layer_decay: .*less than or equal to 1, not 1\.2"),
        ({"optim": {"freeze_epochs": -1}}, r"optim\.freeze_epochs: .*greater than or equal to 0, not -1"),
        ({"optim": {"freeze_epochs": 9}, "fit": {"epochs": 8}}, r"freeze_epochs = 9 is above fit\.epochs = 8: give at"),
        ({"optim": {"name": "svm"}}, r'optim\.name = "svm" needs model\.arch = "hog", not \'se_resnet\''),
        ({"optim": {"svm_c": [0.1, 0]}}, r"optim\.svm_c\.1: .*greater than 0, not 0"),
        (
            {"model": {"pretrained": True, "weights": "a"}},
            r"model: weights come from timm's hub .* give one of the two",
        ),
    ],
)
def test_bad_values_are_refused_in_words(values: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        parse_config(values)
