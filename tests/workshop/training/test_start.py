"""The first weights of a run, through `fit`, as a user gives them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch", reason='needs pip install "mien[train]"')

from mien.errors import ArtifactError, ConfigError, DownloadError
from mien.workshop.data.base import FaceDataset
from mien.workshop.networks.checkpoint import load_network, load_tensors
from mien.workshop.networks.depth import parameter_depths
from mien.workshop.networks.factory import create_network
from mien.workshop.training.config import parse_config
from mien.workshop.training.fit import fit
from mien.workshop.training.loaders import Batches
from mien.workshop.training.start import settle, start_network


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
        ("faces.dat", ConfigError, r'faces\.dat: weights of dlib fit model\.arch = "dlib_resnet" alone'),
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


def test_a_run_widens_the_network_of_another_run_or_of_a_model(
    dataset: FaceDataset, settings: dict[str, Any], tmp_path: Path, donor: Path
) -> None:
    narrow, _ = load_network(donor)
    options = settings["model"]["options"]
    wider = options | {"widths": [2 * width for width in options["widths"]]}
    network = start_network(frozen(settings, weights=str(donor), widen=True, options=wider), dataset, fresh=True)
    faces = torch.from_numpy(dataset.images[:9, None, ..., 0] if dataset.images.ndim == 4 else dataset.images[:9, None])
    with torch.no_grad():
        wanted, found = narrow.eval()(faces), network.eval()(faces)
    assert all(torch.allclose(found[head], wanted[head], atol=1e-4) for head in found)
    model = {"arch": "se_resnet", "size": 64, "weights": "mien-s", "widen": True}
    options = {"widths": [56, 96, 160, 224], "depths": [2, 2, 2, 2], "stem_stride": 2}
    config = parse_config(settings | {"model": model | {"options": options}})
    assert start_network(config, dataset, fresh=True)


def test_widening_needs_a_trained_network_of_the_same_kind(
    dataset: FaceDataset, settings: dict[str, Any], tmp_path: Path, toy_artifact: Path
) -> None:
    from safetensors.torch import save_file

    with pytest.raises(ConfigError, match="give them as weights"):
        frozen(settings, widen=True)
    with pytest.raises(ConfigError, match=r"is a se_resnet: it cannot be widened to a vgg"):
        start_network(
            frozen(settings, weights="mien-s", widen=True, arch="vgg", options={"widths": [8], "depths": [1]}),
            dataset, fresh=True,
        )  # fmt: skip
    with pytest.raises(ConfigError, match=r"reads 1 channels, and model\.channels = 3"):
        start_network(frozen(settings, weights="mien-s", widen=True, channels=3), dataset, fresh=True)
    with pytest.raises(ConfigError, match=r"leave out model\.widen"):
        start_network(frozen(settings, weights="dlib.dat", widen=True), dataset, fresh=True)
    save_file({"conv.weight": torch.zeros(8, 1, 3, 3)}, tmp_path / "foreign.safetensors")
    for source in (toy_artifact, tmp_path / "foreign.safetensors"):
        with pytest.raises(ConfigError, match="does not tell its architecture"):
            start_network(frozen(settings, weights=str(source), widen=True), dataset, fresh=True)


def test_streams_begin_with_the_mean_of_what_their_sources_say(
    dataset: FaceDataset, settings: dict[str, Any], tmp_path: Path, donor: Path
) -> None:
    single, _ = load_network(donor)
    body = {"arch": settings["model"]["arch"], "options": settings["model"]["options"]}
    other = parse_config(settings | {"fit": settings["fit"] | {"epochs": 1, "seed": 8}})
    second = fit(other, dataset, tmp_path / "second", device="cpu").checkpoint
    streams = {"arch": "streams", "options": {"streams": [body, body]}}
    config = frozen(settings, **streams, weights=[str(donor), str(second)])
    network = start_network(config, dataset, fresh=True)
    faces = torch.from_numpy(dataset.images[:9, None])
    with torch.no_grad():
        one, two, both = single.eval()(faces), load_network(second)[0](faces), network.eval()(faces)
    assert all(torch.allclose(both[head], (one[head] + two[head]) / 2, atol=1e-4) for head in both)
    run = fit(config, dataset, tmp_path / "run", device="cpu")
    fit(config, dataset, tmp_path / "run", device="cpu")
    assert load_network(run.checkpoint)[1]["training"]["config"]["model"]["weights"] == [str(donor), str(second)]
    second.write_bytes(second.read_bytes() + b" ")
    with pytest.raises(ConfigError, match=r"belongs to another run .*weights was"):
        fit(config, dataset, tmp_path / "run", device="cpu")


def test_streams_take_models_too_each_at_its_size(dataset: FaceDataset, settings: dict[str, Any]) -> None:
    small = settle(parse_config(settings | {"model": {"weights": "mien-xs"}})).model
    stream = {"arch": small.arch, "options": small.options, "size": small.size}
    model = {"arch": "streams", "size": 64, "options": {"streams": [stream, stream]}, "weights": ["mien-xs", "mien-xs"]}
    assert start_network(parse_config(settings | {"model": model}), dataset, fresh=True)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"arch": "vgg", "weights": ["a", "b"]}, "a list of weights is for the streams"),
        ({"weights": ["a", "b"], "widen": True}, "a list of weights is for the streams"),
        ({"weights": ["a"]}, "1 weights came for 2 streams"),
        ({"weights": ["a", "b"], "options": {}}, r"give them as model\.options\.streams"),
        ({"weights": ["a", "b"], "options": {"streams": 2}}, r"give them as model\.options\.streams"),
    ],
)
def test_a_list_of_weights_is_for_as_many_streams(settings: dict[str, Any], changes: dict[str, Any], said: str) -> None:
    model = {"arch": "streams", "options": {"streams": [{"arch": "vgg"}, {"arch": "vgg"}]}} | changes
    with pytest.raises(ConfigError, match=said):
        parse_config(settings | {"model": model})


def test_weights_of_another_kind_are_told_in_one_line(settings: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match=r"model\.weights: Input is not a valid path for [^;]*, not 3$"):
        parse_config(settings | {"model": settings["model"] | {"weights": 3}})


@pytest.mark.parametrize(
    ("stream", "said"),
    [
        ({"arch": "vgg", "width": 3}, r"a table with arch, .*, not {'arch': 'vgg', 'width': 3}"),
        ({"size": 64}, r"a table with arch, .*, not {'size': 64}"),
        ("vgg", "a table with arch, .*, not 'vgg'"),
        ({"arch": "streams"}, "not streams"),
        ({"arch": "vgg", "size": 8}, "16 to 512 pixels, not 8"),
        ({"arch": "vgg", "size": "big"}, "16 to 512 pixels, not 'big'"),
        ({"arch": "timm:resnet18"}, "not timm:resnet18"),
        ({"arch": "vgg", "options": {"widht": 3}}, "vgg has no option 'widht'"),
    ],
)
def test_a_stream_that_cannot_be_built_is_named(stream: Any, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        create_network("streams", streams=[stream])


def test_layers_of_streams_lie_beside_one_another() -> None:
    network = create_network("streams", streams=[{"arch": "vgg"}, {"arch": "resnet"}])
    alone = {arch: parameter_depths(create_network(arch)) for arch in ("vgg", "resnet")}
    for number, arch in enumerate(alone):
        prefix = f"body.streams.{number}."
        depths = parameter_depths(network).items()
        found = {key.removeprefix(prefix): depth for key, depth in depths if key.startswith(prefix)}
        assert found == {key: depth for key, depth in alone[arch].items() if key.startswith("body.")}
