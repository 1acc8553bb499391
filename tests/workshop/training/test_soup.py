"""The mean of several trainings' weights: what it is, what it refuses, and that it becomes a model."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason='needs pip install "mien[train]"')

from mien.errors import ArtifactError, ConfigError, DataError
from mien.workshop.data.base import FaceDataset
from mien.workshop.networks.checkpoint import load_network, load_tensors, save_tensors
from mien.workshop.training.config import parse_config
from mien.workshop.training.fit import fit
from mien.workshop.training.soup import mix


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Two trainings that went on from the same weights."""
    from stripes import make_dataset

    folder = tmp_path_factory.mktemp("runs")
    model = {"arch": "se_resnet", "options": {"widths": [8, 16], "depths": [1, 1], "stem_stride": 2}}
    start = fit(parse_config(_settings(model, epochs=8)), make_dataset(), folder / "start").checkpoint
    model = model | {"weights": str(start)}
    first, second = (
        fit(parse_config(_settings(model, epochs=2, seed=seed)), make_dataset(), folder / f"seed-{seed}").checkpoint
        for seed in (1, 2)
    )
    return first, second


def _settings(model: dict[str, Any], *, epochs: int, seed: int = 3) -> dict[str, Any]:
    return {
        "name": "tiny",
        "model": model,
        "optim": {"lr": 0.05, "warmup_epochs": 1},
        "fit": {"epochs": epochs, "batch_size": 16, "ema": 0.9, "seed": seed},
    }


def test_every_weight_is_the_mean_and_the_norms_are_those_that_score_higher(
    runs: tuple[Path, Path], dataset: FaceDataset
) -> None:
    soup = mix(runs, dataset)
    first, second = (load_tensors(path)[0] for path in runs)
    moved = []
    for key, value in soup.network.state_dict().items():
        if "num_batches" in key:
            continue
        mean = (first[key].double() + second[key].double()) / 2
        if "running" in key:
            moved.append(not torch.allclose(value.double(), mean, atol=1e-6))
        else:
            torch.testing.assert_close(value.double(), mean, atol=1e-6, rtol=1e-5)
    assert soup.recomputed is not None
    assert soup.measured["score"] == max(soup.plain["score"], soup.recomputed["score"])
    assert any(moved) == (soup.recomputed["score"] > soup.plain["score"])
    assert mix(runs, dataset, norms="mean").measured == soup.plain
    assert mix(runs, dataset, norms="recomputed").measured == soup.recomputed


def test_it_says_what_each_of_them_measures(runs: tuple[Path, Path], dataset: FaceDataset) -> None:
    progress: list[tuple[int, int]] = []
    soup = mix(runs, dataset, on_progress=lambda *given: progress.append(given))
    assert progress == [(1, 3), (2, 3), (3, 3)]
    assert [name for name, _ in soup.members] == [str(path) for path in runs]
    for path, measured in soup.members:
        kept = load_network(Path(path))[1]["training"]["validation"]
        assert measured["fer2013"] == pytest.approx(kept["fer2013"])
        assert measured["loss"] == pytest.approx(kept["loss"], abs=1e-3)
    assert soup.measured["fer2013"] > 0.5, "chance is a seventh"
    assert soup.is_best == all(soup.measured["loss"] < measured["loss"] for _, measured in soup.members)


def test_it_is_saved_as_a_training_that_knows_its_members(
    runs: tuple[Path, Path], dataset: FaceDataset, tmp_path: Path
) -> None:
    soup = mix(runs, dataset)
    soup.save(tmp_path)
    network, header = load_network(tmp_path / "best.safetensors")
    faces = torch.from_numpy(np.repeat(dataset.images[:4, None], 1, axis=1))
    with torch.no_grad():
        torch.testing.assert_close(network(faces), soup.network(faces))
    assert [member["config"]["fit"]["seed"] for member in header["training"]["mean_of"]] == [1, 2]
    assert header["training"]["validation"] == soup.measured
    assert "epoch" not in header["training"]
    told = json.loads((tmp_path / "members.json").read_text())
    assert [member["run"] for member in told["members"]] == [str(path) for path in runs]
    assert [len(member["history"]) for member in told["members"]] == [2, 2]


def test_what_has_no_mean_is_refused(runs: tuple[Path, Path], dataset: FaceDataset, tmp_path: Path) -> None:
    first, second = runs
    with pytest.raises(ConfigError, match="two or more trainings to average, got 1"):
        mix([first], dataset)
    with pytest.raises(ConfigError, match="the same weights as another checkpoint"):
        mix([first, second, first], dataset)
    with pytest.raises(ArtifactError, match="no such checkpoint"):
        mix([first, tmp_path / "none"], dataset)
    state, header = load_tensors(second)
    save_tensors(tmp_path / "other", state, header | {"options": header["options"] | {"dropout": 0.1}})
    with pytest.raises(ConfigError, match=r"has options .* only trainings of the same network"):
        mix([first, tmp_path / "other"], dataset)
    rows = dataset.part("train")
    with pytest.raises(DataError, match="needs rows of validation"):
        mix(runs, rows)
