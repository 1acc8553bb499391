from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason='needs pip install "mien[train]"')

from stripes import make_dataset

from mien.workshop.data.base import FaceDataset
from mien.workshop.training.config import parse_config
from mien.workshop.training.objective import class_weights, make_targets, soft_cross_entropy
from mien.workshop.training.optim import WeightAverage, count_plateaus, create_optimizer, learning_rate


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


def test_one_cycle_is_torchs_own() -> None:
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=1.0)
    # torch counts its two phases up to their last step, and Mien up to the step after it.
    peer = torch.optim.lr_scheduler.OneCycleLR(
        optimizer,
        max_lr=1.0,
        total_steps=101,
        pct_start=21 / 101,
        div_factor=25,
        final_div_factor=4,
        cycle_momentum=False,
    )
    expected = []
    for _ in range(100):
        expected.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        peer.step()
    assert rates(schedule="one_cycle", final_lr=0.01) == pytest.approx(expected)


def test_plateau_lowers_the_rate_after_patience() -> None:
    config = parse_config(
        {"optim": {"lr": 1.0, "warmup_epochs": 2, "schedule": "plateau", "plateau_factor": 0.5, "plateau_patience": 2,
                   "final_lr": 0.2}}
    ).optim  # fmt: skip
    scores = [0.3, 0.5, 0.6, 0.6, 0.5, 0.7, 0.1, 0.7, 0.7, 0.7, 0.7, 0.7]

    def rate(epoch: int) -> float:
        return learning_rate(config, step=10 * epoch, steps_an_epoch=10, epochs=20, scores=scores[:epoch])

    found = [rate(epoch) for epoch in range(13)]
    assert found[0] == pytest.approx(1 / 25)
    assert found[2:] == [1, 1, 1, 0.5, 0.5, 0.5, 0.25, 0.25, 0.2, 0.2, 0.2]
    assert count_plateaus(scores, 2) == 4


@pytest.mark.parametrize("patience", [1, 3])
def test_plateaus_are_torchs_own(patience: int) -> None:
    scores = np.random.default_rng(0).integers(0, 60, 80).tolist()
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=1.0)
    peer = torch.optim.lr_scheduler.ReduceLROnPlateau(
        optimizer, mode="max", factor=0.5, patience=patience - 1, threshold=0, eps=0
    )
    for epoch, score in enumerate(scores):
        peer.step(score)
        assert optimizer.param_groups[0]["lr"] == 0.5 ** count_plateaus(scores[: epoch + 1], patience)


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


def with_counts(*counts: int) -> FaceDataset:
    data = make_dataset(sum(counts))
    labels = np.repeat(np.arange(len(counts)), counts)
    return dataclasses.replace(data, labels=labels)


def test_inverse_weights_let_every_class_weigh_the_same() -> None:
    targets = make_targets(with_counts(6, 3, 1), parse_config({"heads": {"class_weights": "inverse"}}))["fer2013"]
    weight = targets.sum(1)
    assert weight.mean().item() == pytest.approx(1)
    assert [part.sum().item() for part in weight.split([6, 3, 1])] == pytest.approx([10 / 3] * 3)


def test_effective_weights_lie_between_none_and_inverse() -> None:
    labels = with_counts(600, 30, 1).labels

    def weights(**values: Any) -> list[float]:
        return class_weights(labels, parse_config({"heads": values}).heads)[:3].tolist()

    found = weights(class_weights="effective", beta=0.99)
    assert found[1] / found[0] == pytest.approx((1 - 0.99**600) / (1 - 0.99**30), rel=1e-4)
    assert weights(class_weights="effective", beta=0) == pytest.approx([1, 1, 1])
    assert weights(class_weights="effective", beta=1 - 1e-9) == pytest.approx(
        weights(class_weights="inverse"), rel=1e-3
    )
    assert weights() == [1, 1, 1]


def test_a_class_without_rows_and_rows_without_a_class_weigh_nothing() -> None:
    data = dataclasses.replace(make_dataset(4), labels=np.array([0, 0, 2, -1]))
    targets = make_targets(data, parse_config({"heads": {"class_weights": "inverse"}}))
    assert targets["fer2013"].sum(1).tolist() == pytest.approx([0.75, 0.75, 1.5, 0])
    assert targets["crowd"].sum(1).tolist() == pytest.approx([1] * 4)


def test_focal_loss_is_lins_on_sharp_targets() -> None:
    logits, labels = torch.randn(9, 7), torch.arange(9) % 7
    sharp = torch.nn.functional.one_hot(labels, 7).float()
    chance = logits.softmax(1)[torch.arange(9), labels]
    expected = (-((1 - chance) ** 2) * chance.log()).mean()
    torch.testing.assert_close(soft_cross_entropy(logits, sharp, focal=2.0), expected)
    assert torch.equal(soft_cross_entropy(logits, sharp, focal=0.0), soft_cross_entropy(logits, sharp))


@pytest.mark.parametrize("focal", [0.5, 2.0])
def test_focal_loss_has_a_gradient_where_the_network_is_certain(focal: float) -> None:
    logits = torch.tensor([[200.0, 0.0, 0.0]], requires_grad=True)
    soft_cross_entropy(logits, torch.tensor([[0.8, 0.1, 0.1]]), focal=focal).backward()
    assert torch.isfinite(logits.grad).all()
