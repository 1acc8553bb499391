from __future__ import annotations

import multiprocessing
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason='needs pip install "mien[train]"')

import workers
from runs import run, small_config
from stripes import make_dataset

from mien.errors import ConfigError, DataError, TrainingError
from mien.workshop.networks.checkpoint import load_tensors
from mien.workshop.training.fit import LAST, fit
from mien.workshop.training.processes import run_processes


def test_two_processes_train_like_one_with_the_double_batch(tmp_path: Path) -> None:
    data = make_dataset()
    assert data.votes is not None
    data.labels[::9] = -1
    data.votes[1::4] = 0
    # A concordance is no sum over the processes' shares.
    affect = np.random.default_rng(0).uniform(0, 1, (len(data), 3)).astype(np.float32)
    affect[::3, 1:] = np.nan
    data = replace(data, affect=affect)
    config = small_config(
        model={"options": {"widths": [4, 8], "dense": 8, "dropout": 0}},
        heads={"class_weights": "inverse", "focal": 1.0, "valence_arousal": 1.0, "intensity": 0.5},
        fit={"batch_size": 15},
    )
    one = fit(config, data, tmp_path / "one", device="cpu")
    fit(config, data, tmp_path / "two", device="cpu", devices=2, stop_after=3)
    two = fit(config, data, tmp_path / "two", device="cpu")
    for key in ("train_loss", "loss", "score"):
        expected = [row[key] for row in one.history]
        assert [row[key] for row in two.history] == pytest.approx(expected, abs=1e-5), key
    assert len({row["train_loss"] for row in one.history}) == 4
    expected, found = load_tensors(tmp_path / "one" / LAST)[0], load_tensors(tmp_path / "two" / LAST)[0]
    assert expected.keys() == found.keys()
    for key in expected:
        np.testing.assert_allclose(found[key].numpy(), expected[key].numpy(), atol=1e-4, err_msg=key)
    assert {path.name for path in (tmp_path / "two").iterdir()} == {path.name for path in (tmp_path / "one").iterdir()}


def test_what_goes_wrong_in_a_process_is_told_once(tmp_path: Path) -> None:
    config = small_config(optim={"lr": 1e30, "warmup_epochs": 0, "clip": 0})
    with pytest.raises(TrainingError, match=r"the loss became nan at step \d of 7 of epoch 1, on the training rows"):
        run(tmp_path, config, devices=2)
    assert [path.name for path in tmp_path.iterdir()] == ["not-finite.json"]
    assert not multiprocessing.active_children()


@pytest.mark.parametrize(
    ("how", "error", "message"),
    [
        ("error", DataError, "^no such row$"),
        ("kill", TrainingError, "rank 1 of the training was ended by SIGKILL.*start it again"),
    ],
)
def test_a_process_that_fails_ends_the_others(how: str, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        list(run_processes(workers.fail, 2, how, cuda=False))
    assert not multiprocessing.active_children()


def test_devices_that_cannot_be_are_refused(tmp_path: Path) -> None:
    for device, devices, message in (
        ("cpu", 0, "at least 1 device"),
        ("cpu", 17, "17 devices share each batch"),
        ("mps", 2, "an Apple GPU trains alone"),
    ):
        with pytest.raises(ConfigError, match=message):
            fit(small_config(), make_dataset(), tmp_path, device=device, devices=devices)
