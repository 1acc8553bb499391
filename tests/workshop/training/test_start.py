"""The first weights of a run, through `fit`, as a user gives them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch", reason='needs pip install "mien[train]"')

from mien.errors import ArtifactError, ConfigError, DownloadError
from mien.workshop.data.base import FaceDataset
from mien.workshop.networks.checkpoint import load_network, load_tensors
from mien.workshop.training.config import parse_config
from mien.workshop.training.fit import fit
from mien.workshop.training.objective import Batches
from mien.workshop.training.state import settle, start_network


def frozen(settings: dict[str, Any], **model: Any) -> Any:
    """One epoch that leaves the body as it was at first."""
    changes = {"model": settings["model"] | model, "optim": settings["optim"] | {"freeze_epochs": 1}}
    return parse_config(settings | changes | {"fit": settings["fit"] | {"epochs": 1}})


def body_of(path: Path) -> dict[str, Any]:
    return {key: value for key, value in load_tensors(path)[0].items() if key.startswith("body.")}


@pytest.fixture
def donor(dataset: FaceDataset, settings: dict[str, Any], tmp_path: Path) -> Path:
    config = parse_config(settings | {"fit": settings["fit"] | {"epochs": 1, "seed": 9}})
    return fit(config, dataset, tmp_path / "donor", device="cpu").checkpoint


def test_a_run_begins_with_the_weights_of_another(
    dataset: FaceDataset, settings: dict[str, Any], tmp_path: Path, donor: Path
) -> None:
    config = frozen(settings, weights=str(donor))
    run = fit(config, dataset, tmp_path / "run", device="cpu")
    assert all(torch.equal(value, body_of(donor)[key]) for key, value in body_of(run.checkpoint).items())
    assert load_network(run.checkpoint)[1]["training"]["config"]["model"]["weights"] == str(donor)


def test_a_run_does_not_go_on_with_other_weights(
    dataset: FaceDataset, settings: dict[str, Any], tmp_path: Path, donor: Path
) -> None:
    config = frozen(settings, weights=str(donor))
    fit(config, dataset, tmp_path / "run", device="cpu")
    fit(config, dataset, tmp_path / "run", device="cpu")
    donor.write_bytes(donor.read_bytes() + b" ")
    with pytest.raises(ConfigError, match=r"belongs to another run .*weights was"):
        fit(config, dataset, tmp_path / "run", device="cpu")


def test_a_run_that_goes_on_from_another_sees_its_rows_in_another_order(
    dataset: FaceDataset, settings: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, donor: Path
) -> None:
    orders: list[list[int]] = []
    take = Batches.take

    def spy(batches: Batches, rows: Any) -> Any:
        orders.append(rows.tolist())
        return take(batches, rows)

    monkeypatch.setattr(Batches, "take", spy)
    firsts = []
    for name, weights in (("bare", None), ("on", str(donor)), ("again", str(donor))):
        orders.clear()
        fit(frozen(settings, weights=weights), dataset, tmp_path / name, device="cpu")
        firsts.append(orders[0])
    bare, on, again = firsts
    assert bare != on
    assert on == again


@pytest.mark.parametrize(
    ("name", "error", "message"),
    [
        ("none.safetensors", ConfigError, r"none\.safetensors: no such file of weights"),
        ("net.pth", ConfigError, r"net\.pth: expected weights as \.safetensors"),
        ("text.safetensors", ArtifactError, "not a whole safetensors file"),
        ("faces.dat", ConfigError, r"faces\.dat: expected weights as \.safetensors"),
    ],
)
def test_weights_that_cannot_be_read_are_named(
    dataset: FaceDataset, settings: dict[str, Any], tmp_path: Path, name: str, error: type[Exception], message: str
) -> None:
    (tmp_path / "net.pth").write_bytes(b"\x80\x02}q\x00.")
    (tmp_path / "text.safetensors").write_text("hello")
    with pytest.raises(error, match=message):
        start_network(frozen(settings, weights=str(tmp_path / name)), dataset, fresh=True)


def test_pretrained_weights_are_fetched_once_and_never_to_go_on_or_load(
    dataset: FaceDataset, settings: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    timm = pytest.importorskip("timm")
    from safetensors.torch import save_file

    asked = []

    def hub(repository: str, file: str) -> str:
        asked.append((repository, file))
        return str(tmp_path / "hub.safetensors")

    small = {"channels": [8, 8, 8, 8], "layers": [1, 1, 1, 1]}
    save_file(timm.create_model("resnet18", **small).state_dict(), tmp_path / "hub.safetensors")
    monkeypatch.setattr("huggingface_hub.hf_hub_download", hub)
    config = frozen(settings, arch="timm:resnet18.tv_in1k", options=small, pretrained=True)
    run = fit(config, dataset, tmp_path / "run", device="cpu")
    assert asked == [("timm/resnet18.tv_in1k", "model.safetensors")]
    fit(config, dataset, tmp_path / "run", device="cpu")
    network, _ = load_network(run.checkpoint)
    assert len(asked) == 1
    assert network.normalize.mean.item() == pytest.approx(255 * (0.485 + 0.456 + 0.406) / 3)


def test_offline_the_way_by_a_file_is_told(
    dataset: FaceDataset, settings: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("timm")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    config = frozen(settings, arch="timm:resnet18", options={}, pretrained=True)
    with pytest.raises(DownloadError, match=r'give model\.weights = "file\.safetensors" instead'):
        fit(config, dataset, tmp_path / "run", device="cpu")


def test_a_models_name_alone_tells_the_architecture(dataset: FaceDataset, settings: dict[str, Any]) -> None:
    settled = settle(parse_config(settings | {"model": {"weights": "mien-s"}}))
    assert settled.model.arch == "se_resnet"
    assert start_network(settled, dataset, fresh=True)
    with pytest.raises(ArtifactError, match=r"give the \[model\] section"):
        start_network(
            parse_config(settings | {"model": settings["model"] | {"weights": "mien-s"}}), dataset, fresh=True
        )


def test_a_model_that_does_not_tell_its_architecture_needs_it(settings: dict[str, Any], toy_artifact: Path) -> None:
    with pytest.raises(ConfigError, match=r"give model\.arch and model\.options"):
        settle(parse_config(settings | {"model": {"weights": str(toy_artifact)}}))


def test_weights_of_another_kind_are_told_in_one_line(settings: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match=r"model\.weights: Input is not a valid path for [^;]*, not 3$"):
        parse_config(settings | {"model": settings["model"] | {"weights": 3}})
