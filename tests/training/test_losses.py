from __future__ import annotations

from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason='needs pip install "mien[train]"')

from stripes import make_dataset

from mien.training.config import parse_config
from mien.training.losses import make_targets, soft_cross_entropy
from mien.training.optim import WeightAverage, create_optimizer, learning_rate


def test_soft_cross_entropy_of_sharp_targets_is_the_usual_one() -> None:
    logits, labels = torch.randn(9, 7), torch.arange(9) % 7
    sharp = torch.nn.functional.one_hot(labels, 7).float()
    expected = torch.nn.functional.cross_entropy(logits, labels)
    torch.testing.assert_close(soft_cross_entropy(logits, sharp), expected)


def test_label_smoothing_is_torchs_own() -> None:
    data = make_dataset(14)
    targets = make_targets(data, parse_config({"fit": {"label_smoothing": 0.1}}))["fer2013"]
    logits = torch.randn(14, 7)
    expected = torch.nn.functional.cross_entropy(logits, torch.from_numpy(data.labels), label_smoothing=0.1)
    torch.testing.assert_close(soft_cross_entropy(logits, targets), expected)


def test_rows_without_a_target_weigh_nothing() -> None:
    logits, targets = torch.randn(4, 7), torch.zeros(4, 7)
    targets[0, 2] = 1
    torch.testing.assert_close(soft_cross_entropy(logits, targets), soft_cross_entropy(logits[:1], targets[:1]))
    assert soft_cross_entropy(logits, torch.zeros(4, 7)) == 0


def test_votes_become_shares_and_too_few_are_left_out() -> None:
    data = make_dataset(4)
    votes = np.zeros((4, 10), np.uint8)
    votes[0, [0, 1]] = [6, 4]
    votes[1, 9] = 10
    votes[2, 3] = 4
    votes[3, [3, 8]] = [5, 5]
    data = type(data)(data.name, data.images, data.labels, data.split, data.ids, votes)
    crowd = make_targets(data, parse_config({}))["crowd"]
    torch.testing.assert_close(crowd[0, :2], torch.tensor([0.6, 0.4]))
    assert crowd.sum(1).tolist() == pytest.approx([1, 0, 0, 1])


def rates(**values: Any) -> list[float]:
    config = parse_config({"optim": {"lr": 1.0, "warmup_epochs": 2, **values}}).optim
    return [learning_rate(config, step=step, steps_an_epoch=10, epochs=10) for step in range(100)]


def test_cosine_warms_up_peaks_and_falls_to_its_end() -> None:
    found = rates(final_lr=0.1)
    assert found[0] == pytest.approx(1 / 25)
    assert found[20] == pytest.approx(1.0)
    assert found[60] == pytest.approx(0.55)
    assert found[:21] == sorted(found[:21])
    assert found[20:] == sorted(found[20:], reverse=True)
    assert 0.1 < found[-1] < 0.11
    assert rates(schedule="constant")[-1] == 1.0


@pytest.mark.parametrize("name", ["sgd", "adam", "adamw"])
def test_only_weight_matrices_decay(name: str) -> None:
    network = torch.nn.Sequential(torch.nn.Linear(3, 3), torch.nn.BatchNorm1d(3))
    groups = create_optimizer(network, parse_config({"optim": {"name": name}}).optim).param_groups
    decay = {p.ndim: group["weight_decay"] for group in groups for p in group["params"]}
    assert decay == {2: 5e-4, 1: 0.0}


def test_weight_average_lags_behind_and_follows_with_decay_zero() -> None:
    network = torch.nn.Linear(1, 1, bias=False)
    torch.nn.init.zeros_(network.weight)
    slow, none = WeightAverage(network, 0.9), WeightAverage(network, 0.0)
    torch.nn.init.ones_(network.weight)
    for average in (slow, none):
        average.update(network)
    assert slow.state["weight"].item() == pytest.approx(0.9)
    slow.steps = 10_000
    slow.update(network)
    assert slow.state["weight"].item() == pytest.approx(0.91)
    assert none.state["weight"].item() == 1.0
