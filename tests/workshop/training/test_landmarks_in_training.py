"""`[model] landmarks = true`: the heads see Mien's own landmarks, through training, export and reading."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from runs import run, small_config

torch = pytest.importorskip("torch", reason='needs pip install "mien[train]"')

from stripes import make_dataset

from mien.artifact.artifact import write_artifact
from mien.artifact.input import InputSpec
from mien.faces.geometry import bundled_reader
from mien.images.pictures import resize
from mien.reading.classifier import load_model
from mien.workshop.export.artifact import Naming, build_artifact
from mien.workshop.networks.architectures import create_network
from mien.workshop.networks.checkpoint import load_network
from mien.workshop.networks.landmarks import FEATURES, LandmarkFeatures
from mien.workshop.networks.network import count_macs, count_parameters

TINY = {"widths": [4, 8], "dense": 8, "dropout": 0.2}


def test_it_finds_what_the_bundled_graph_finds() -> None:
    data = pytest.importorskip("skimage.data")
    crop = resize(np.asarray(data.astronaut())[64:170, 173:279].mean(axis=2).astype(np.uint8), 48, 48)
    layer = LandmarkFeatures(InputSpec())
    with torch.no_grad():
        found = layer.find(torch.from_numpy(crop)[None, None].float())[0].numpy()
    wide = np.pad(crop, layer.pad, mode="edge")
    square = torch.nn.functional.interpolate(
        torch.from_numpy(wide)[None, None].float(), (64, 64), mode="bilinear", align_corners=False
    )
    told = bundled_reader().run(square[0].round().byte().numpy())["points"][0]
    eyes = np.linalg.norm(told[45] - told[36])
    assert eyes > 0.5
    assert np.linalg.norm(found - told, axis=1).mean() / eyes < 0.03


def test_place_and_size_do_not_count() -> None:
    layer = LandmarkFeatures(InputSpec()).eval()
    points = torch.rand(1, 70, 2)
    layer.find = lambda faces: points + faces.mean()
    with torch.no_grad():
        here, there = (layer(torch.full((1, 1, 48, 48), value)) for value in (0.0, 0.5))
    torch.testing.assert_close(here, there, atol=1e-4, rtol=1e-3)
    assert here.shape == (1, FEATURES)


def test_the_landmarks_stay_while_the_rest_is_trained(tmp_path: Path) -> None:
    config = small_config(model={"landmarks": True, "size": 48})
    run(tmp_path / "run", config)
    network, header = load_network(tmp_path / "run" / "best.safetensors")
    assert header["options"]["landmarks"] is True
    fresh = LandmarkFeatures(InputSpec())
    for name, value in fresh.state_dict().items():
        if not name.startswith("layer."):
            torch.testing.assert_close(network.landmarks.state_dict()[name], value)
    assert not torch.equal(network.landmarks.layer.weight, fresh.layer.weight)


def test_it_is_exported_and_read_like_any_other(tmp_path: Path) -> None:
    config = small_config(model={"landmarks": True, "size": 48}, fit={"epochs": 1}, optim={"warmup_epochs": 0})
    run(tmp_path / "run", config)
    dataset = make_dataset()
    built = build_artifact(tmp_path / "run" / "best.safetensors", dataset, Naming("seen"))
    assert built.manifest.training["model"]["landmarks"] is True
    model = load_model(str(write_artifact(tmp_path / "artifact", built.graph, built.manifest)))
    network, _ = load_network(tmp_path / "run" / "best.safetensors")
    crops = np.stack([resize(crop, 48, 48) for crop in dataset.images[:32]])
    with torch.no_grad():
        logits = network(torch.from_numpy(crops[:, None]))
    for head, values in model.run(crops[:, None]).items():
        np.testing.assert_allclose(values, logits[head].numpy(), atol=1e-3)


def test_what_it_costs_is_counted() -> None:
    plain, seeing = (create_network("shallow_cnn", landmarks=on, **TINY) for on in (False, True))
    heads = sum(count * FEATURES for count in (7, 8))
    assert count_parameters(seeing) - count_parameters(plain) >= 140 * FEATURES + heads
    assert count_parameters(seeing) - count_parameters(plain) < 20_000
    assert count_macs(seeing, InputSpec()) > count_macs(plain, InputSpec()) + 5_000_000
