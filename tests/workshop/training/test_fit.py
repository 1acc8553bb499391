from __future__ import annotations

import json
import logging
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason='needs pip install "mien[train]"')

from stripes import make_dataset

from mien.errors import ArtifactError, ConfigError, DataError, TrainingError
from mien.workshop.data.base import FaceDataset
from mien.workshop.networks.checkpoint import load_network, load_tensors, save_tensors
from mien.workshop.training.config import parse_config
from mien.workshop.training.display import draw_curves
from mien.workshop.training.fit import FitOptions, fit
from mien.workshop.training.optim import count_plateaus


def config(settings: dict[str, Any], **fit_values: Any) -> Any:
    return parse_config(settings | {"fit": settings["fit"] | fit_values})


def weights(path: Path) -> dict[str, Any]:
    return load_tensors(path)[0]


def same(first: Path, second: Path) -> bool:
    one, other = weights(first), weights(second)
    return one.keys() == other.keys() and all(torch.equal(one[key], other[key]) for key in one)


def test_learns_and_leaves_what_belongs_to_a_run(
    dataset: FaceDataset, settings: dict[str, Any], tmp_path: Path
) -> None:
    result = fit(config(settings, epochs=12), dataset, tmp_path / "run", device="cpu")
    assert {p.name for p in (tmp_path / "run").iterdir()} == {
        "last.safetensors",
        "best.safetensors",
        "history.json",
    }
    assert len(result.history) == 12
    assert result.history[-1]["train_loss"] < result.history[0]["train_loss"]
    scores = [row["score"] for row in result.history]
    assert result.best_epoch == scores.index(max(scores))
    assert max(scores) > 0.6
    saved = json.loads((tmp_path / "run" / "history.json").read_text())
    assert saved["history"] == result.history
    network, header = load_network(result.checkpoint)
    assert header["training"]["epoch"] == result.best_epoch
    assert not network.training


def test_the_same_seed_gives_the_same_weights(dataset: FaceDataset, settings: dict[str, Any], tmp_path: Path) -> None:
    for name, seed in (("a", 3), ("b", 3), ("c", 4)):
        fit(config(settings, epochs=2, seed=seed), dataset, tmp_path / name, device="cpu")
    assert same(tmp_path / "a/last.safetensors", tmp_path / "b/last.safetensors")
    assert not same(tmp_path / "a/last.safetensors", tmp_path / "c/last.safetensors")


@pytest.mark.parametrize(
    ("optim", "augment", "sampling"),
    [
        ({"name": "sgd"}, {"mixup": 0.4}, "shuffle"),
        ({"name": "adamw", "schedule": "one_cycle"}, {"mixup": 0.4, "cutmix": 1.0}, "balanced"),
        ({"name": "sgd", "schedule": "plateau", "plateau_patience": 1, "lr": 1e-6}, {"cutmix": 1.0}, "shuffle"),
    ],
    ids=["sgd", "adamw", "plateau"],
)
def test_stopped_and_resumed_is_bit_equal_to_uninterrupted(
    dataset: FaceDataset,
    settings: dict[str, Any],
    tmp_path: Path,
    optim: dict[str, Any],
    augment: dict[str, Any],
    sampling: str,
) -> None:
    settings["optim"] |= {"lr": 0.01, "clip": 1.0} | optim
    settings["augment"] |= augment
    settings["fit"] |= {"sampling": sampling}
    whole = fit(config(settings), dataset, tmp_path / "whole", device="cpu")
    for _ in range(4):
        parts = fit(config(settings), dataset, tmp_path / "parts", device="cpu", stop_after=1)
    assert same(tmp_path / "whole/last.safetensors", tmp_path / "parts/last.safetensors")
    assert same(whole.checkpoint, parts.checkpoint)
    for key in ("train_loss", "lr"):
        assert [row[key] for row in whole.history] == [row[key] for row in parts.history]


def test_a_plateau_lowers_the_rate_of_a_run(dataset: FaceDataset, settings: dict[str, Any], tmp_path: Path) -> None:
    settings["optim"] = {"lr": 1e-12, "warmup_epochs": 0, "schedule": "plateau", "plateau_patience": 2}
    for _ in range(2):
        history = fit(config(settings, epochs=10), dataset, tmp_path, device="cpu", stop_after=5).history
    scores = [row["score"] for row in history]
    plateaus = [count_plateaus(scores[:epoch], 2) for epoch in range(10)]
    assert plateaus[-1] > 0
    assert [row["lr"] for row in history] == [1e-12 * 0.1**count for count in plateaus]


def test_goes_on_after_kill_9(settings: dict[str, Any], tmp_path: Path) -> None:
    values = config(settings, epochs=6)
    (tmp_path / "config.json").write_text(values.model_dump_json())
    script = (
        "import json, sys, torch; from pathlib import Path; sys.path.insert(0, sys.argv[2])\n"
        "torch.set_num_threads(1)\n"
        "from stripes import make_dataset\n"
        "from mien.workshop.training.config import parse_config; from mien.workshop.training.fit import fit\n"
        "folder = Path(sys.argv[1])\n"
        "config = parse_config(json.loads((folder / 'config.json').read_text()))\n"
        "fit(config, make_dataset(), folder / 'killed', device='cpu')\n"
    )
    arguments = [sys.executable, "-c", script, str(tmp_path), str(Path(__file__).parents[2])]
    with subprocess.Popen(arguments, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL) as process:
        deadline = time.monotonic() + 300
        while not (tmp_path / "killed/history.json").exists() and time.monotonic() < deadline:
            time.sleep(0.01)
        process.send_signal(signal.SIGKILL)
    done = len(json.loads((tmp_path / "killed/history.json").read_text())["history"])
    assert done >= 1
    fit(values, make_dataset(), tmp_path / "killed", device="cpu")
    fit(values, make_dataset(), tmp_path / "whole", device="cpu")
    assert same(tmp_path / "killed/best.safetensors", tmp_path / "whole/best.safetensors")


def test_another_configuration_or_data_is_not_taken_up(
    dataset: FaceDataset, settings: dict[str, Any], tmp_path: Path
) -> None:
    fit(config(settings, epochs=1), dataset, tmp_path, device="cpu")
    with pytest.raises(ConfigError, match=r"config\.fit\.batch_size was 16, now 32"):
        fit(config(settings, epochs=1, batch_size=32), dataset, tmp_path, device="cpu")
    with pytest.raises(ConfigError, match="data was"):
        fit(config(settings, epochs=1), make_dataset(seed=9), tmp_path, device="cpu")


def test_early_stopping_keeps_the_best_epoch(dataset: FaceDataset, settings: dict[str, Any], tmp_path: Path) -> None:
    settings["optim"] |= {"lr": 1e-12}
    result = fit(config(settings, epochs=9, patience=2, ema=0), dataset, tmp_path, device="cpu")
    assert len(result.history) == result.best_epoch + 3 < 9


def test_a_loss_that_is_no_number_stops_the_run(dataset: FaceDataset, settings: dict[str, Any], tmp_path: Path) -> None:
    settings["optim"] |= {"lr": 1e30, "warmup_epochs": 0}
    message = r"the loss became nan at step [2-7] of 7 of epoch 1, on .*: try a lower optim\.lr .*no epoch was finished"
    with pytest.raises(TrainingError, match=message):
        fit(config(settings), dataset, tmp_path, device="cpu")
    assert [path.name for path in tmp_path.iterdir()] == ["not-finite.json"]


def test_the_last_good_state_stays_when_the_loss_is_no_longer_a_number(
    dataset: FaceDataset, settings: dict[str, Any], tmp_path: Path
) -> None:
    settings["optim"] |= {"lr": 1e30, "warmup_epochs": 0, "schedule": "constant"}
    values = config(settings)
    tame = values.model_copy(update={"optim": values.optim.model_copy(update={"lr": 0.01})})
    fit(tame, dataset, tmp_path, device="cpu", stop_after=1)
    tensors, header = load_tensors(tmp_path / "last.safetensors")
    header["identity"]["config"] = values.model_dump(mode="json")
    save_tensors(tmp_path / "last.safetensors", tensors, header)
    before = {path.name: path.read_bytes() for path in tmp_path.glob("*.safetensors")}
    with pytest.raises(TrainingError, match=r"of epoch 2, .*the state before epoch 2 is in .*last\.safetensors"):
        fit(values, dataset, tmp_path, device="cpu")
    assert {path.name: path.read_bytes() for path in tmp_path.glob("*.safetensors")} == before


def test_one_head_alone(settings: dict[str, Any], tmp_path: Path) -> None:
    settings["heads"] = {"crowd": 0}
    result = fit(config(settings, epochs=1), make_dataset(votes=False), tmp_path, device="cpu")
    assert "crowd" not in result.history[0]
    assert result.history[0]["score"] == result.history[0]["fer2013"]


def test_bfloat16_trains_without_a_word_of_the_library(
    dataset: FaceDataset, settings: dict[str, Any], tmp_path: Path
) -> None:
    said: list[str] = []
    listener = logging.Handler()
    listener.emit = lambda record: said.append(record.getMessage())  # type: ignore[method-assign]
    library = logging.getLogger("lightning_fabric")
    library.addHandler(listener)
    try:
        result = fit(config(settings, epochs=1, precision="bf16-mixed"), dataset, tmp_path, device="cpu")
    finally:
        library.removeHandler(listener)
    assert not said
    assert np.isfinite(result.history[0]["train_loss"])
    assert load_network(result.checkpoint)[0].heads["crowd"].weight.dtype == torch.float32


def test_missing_votes_splits_and_devices_are_named(
    dataset: FaceDataset, settings: dict[str, Any], tmp_path: Path
) -> None:
    with pytest.raises(DataError, match="no FER"):
        fit(config(settings), make_dataset(votes=False), tmp_path, device="cpu")
    with pytest.raises(DataError, match="'validation'"):
        fit(config(settings), dataset.part("train"), tmp_path, device="cpu")
    with pytest.raises(ConfigError, match="'tpuu'"):
        fit(config(settings), dataset, tmp_path, device="tpuu")


def test_a_folder_that_cannot_be_made_is_named(dataset: FaceDataset, settings: dict[str, Any], tmp_path: Path) -> None:
    (tmp_path / "file").write_text("precious")
    with pytest.raises(ConfigError, match=r"cannot write to the run's folder .*file: File exists"):
        fit(config(settings), dataset, tmp_path / "file", device="cpu")
    assert (tmp_path / "file").read_text() == "precious"


def test_a_damaged_state_is_not_taken_up_and_not_lost(
    dataset: FaceDataset, settings: dict[str, Any], tmp_path: Path
) -> None:
    (tmp_path / "last.safetensors").write_text("garbage")
    with pytest.raises(ArtifactError, match=r"last\.safetensors: not a complete checkpoint"):
        fit(config(settings), dataset, tmp_path, device="cpu")
    assert (tmp_path / "last.safetensors").read_text() == "garbage"


def test_curves_are_a_picture(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    history = [
        {"epoch": e, "train_loss": 3 - e / 4, "loss": 3 - e / 5, "fer2013": e / 9, "crowd": e / 8} for e in range(8)
    ]
    path = draw_curves(history, tmp_path / "curves.png", best_epoch=7)
    assert path.read_bytes().startswith(b"\x89PNG")
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize(
    ("section", "values"),
    [("heads", {"focal": 2.0}), ("heads", {"class_weights": "inverse"}), ("fit", {"sampling": "balanced"})],
)
def test_options_against_imbalance_change_the_training(
    settings: dict[str, Any], tmp_path: Path, section: str, values: dict[str, Any]
) -> None:
    data = make_dataset()
    data = data[(data.labels != 2) | (np.arange(len(data)) < 30)]
    plain = fit(config(settings, epochs=1), data, tmp_path / "plain", device="cpu")
    settings[section] = settings.get(section, {}) | values
    other = fit(config(settings, epochs=1), data, tmp_path / "other", device="cpu")
    assert np.isfinite(other.history[0]["train_loss"])
    assert other.history[0]["train_loss"] != plain.history[0]["train_loss"]
    assert not same(plain.checkpoint, other.checkpoint)


def test_a_time_limit_stops_before_an_epoch_that_would_end_too_late(
    dataset: FaceDataset, settings: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trained, whole = config(settings, epochs=4), tmp_path / "whole"
    fit(trained, dataset, whole, device="cpu")
    clock = iter([0.0, 0.0, 1e9])
    monkeypatch.setattr("mien.workshop.training.fit.time.time", lambda: next(clock))
    run = fit(trained, dataset, tmp_path / "run", device="cpu", options=FitOptions(deadline=1e6))
    assert len(run.history) == 2
    monkeypatch.undo()
    assert len(fit(trained, dataset, tmp_path / "run", device="cpu").history) == 4
    assert same(tmp_path / "run" / "last.safetensors", whole / "last.safetensors")
    with pytest.raises(TrainingError, match="the time limit was over before the first epoch"):
        fit(trained, dataset, tmp_path / "late", device="cpu", options=FitOptions(deadline=time.time() - 1))
