"""The classical reference: heads fitted as linear support vector machines on features that are not trained."""

from __future__ import annotations

import time
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import torch
from lightning_fabric import Fabric
from torch import nn

from mien.arrays import Float32, Int64
from mien.artifact.input import prepare
from mien.errors import DataError, MissingExtraError
from mien.workshop.data.base import FaceDataset
from mien.workshop.data.fer2013 import majority
from mien.workshop.networks.network import Network
from mien.workshop.training.config import TrainingConfig
from mien.workshop.training.display import Display
from mien.workshop.training.objective import Judge, class_weights, make_targets, require_votes, total_loss
from mien.workshop.training.optim import WeightAverage
from mien.workshop.training.run_folder import LAST, hold, mend, save_epoch
from mien.workshop.training.state import Start, TrainingState, start_network

NEVER = -100.0
"""Logit of a class that no training row has."""


def fit_svm(
    config: TrainingConfig, start: Start, folder: Path, fabric: Fabric, display: Display
) -> Iterator[dict[str, float]]:
    """Fit every head as one LinearSVC (Fan et al. 2008) a class against the rest; the run's only epoch.

    The penalty is the one of `optim.svm_c` with the best accuracy on the validation split. The `crowd` head learns
    the class that most annotators chose, on the rows that have one. The margins become the logits, and losses are
    cross-entropies of these. The folder is that of any training; a finished one stays as it is.

    Raises:
        MissingExtraError: scikit-learn is not installed.
        DataError: a head has rows of fewer than two classes, or no votes.
    """
    if find_spec("sklearn") is None:
        raise MissingExtraError("scikit-learn", "train")
    with hold(folder):
        network = start_network(config, start.dataset, fresh=True)
        dataset, data = start.dataset, start.data
        # No step is taken; with it the folder is that of any training, to resume, report and export from.
        unused = torch.optim.SGD(network.parameters(), lr=0.0)
        state = TrainingState(network, unused, WeightAverage(network, 0.0), torch.Generator(), start.identity)
        display.begin(len(config.heads.weights) * len(config.optim.svm_c), 0)
        if (folder / LAST).exists():
            state.load(folder / LAST)
            mend(folder, state, config, data)
            return
        started = time.perf_counter()
        penalties = _fit_heads(network, config, dataset, display)
        state.average.update(network)
        row = {"epoch": 0, "train_loss": _training_loss(network, config, dataset), "lr": 0.0}
        row["train_seconds"] = time.perf_counter() - started
        row |= Judge(network, dataset, config, fabric).measure(state.average.state)
        row |= {f"c_{name}": c for name, c in penalties.items()} | {"seconds": time.perf_counter() - started}
        state.add(row)
        save_epoch(folder, state, config, data)
        display.epoch(row, 1, True)
        yield row


def _fit_heads(network: Network, config: TrainingConfig, dataset: FaceDataset, display: Display) -> dict[str, float]:
    """Set the weights of each head; the penalty that was best for it."""
    parts = {split: dataset.part(split) for split in ("train", "validation")}
    features = {split: _features(network, rows, config).numpy() for split, rows in parts.items()}
    chosen = {}
    for name, head in network.heads.items():
        assert isinstance(head, nn.Linear)
        labels = {split: _labels(rows, name) for split, rows in parts.items()}
        weights = class_weights(labels["train"], config.heads).numpy() if name == "fer2013" else None
        best = -1.0
        for penalty in config.optim.svm_c:
            weight, bias = _fit(features["train"], labels["train"], weights, head.out_features, penalty, name)
            known = labels["validation"] >= 0
            margins = features["validation"][known] @ weight.T + bias
            accuracy = float(np.mean(margins.argmax(1) == labels["validation"][known])) if known.any() else 0.0
            if accuracy > best:
                best, chosen[name] = accuracy, penalty
                head.load_state_dict({"weight": torch.from_numpy(weight), "bias": torch.from_numpy(bias)})
            display.step()
    return chosen


def _fit(
    features: Float32, labels: Int64, weights: Float32 | None, classes: int, penalty: float, head: str
) -> tuple[Float32, Float32]:
    """Weight (K, F) and bias (K,) of a linear layer that gives a LinearSVC's margins."""
    from sklearn.svm import LinearSVC

    known = labels >= 0
    present = np.unique(labels[known])
    if len(present) < 2:
        raise DataError(
            f"head {head}: a support vector machine needs rows of two classes, and there are {len(present)}"
        )
    # The primal problem: there are more rows than features, and its solver draws nothing at random.
    machine = LinearSVC(C=penalty, dual=False)
    machine.fit(features[known], labels[known], None if weights is None else weights[labels[known]])
    # Of two classes scikit-learn keeps one row, the second's.
    sign = np.array([[-1.0], [1.0]]) if len(present) == 2 else np.ones((1, 1))
    weight, bias = np.zeros((classes, features.shape[1]), np.float32), np.full(classes, NEVER, np.float32)
    weight[present], bias[present] = sign * machine.coef_, sign[:, 0] * machine.intercept_
    return weight, bias


@torch.no_grad()
def _training_loss(network: Network, config: TrainingConfig, dataset: FaceDataset) -> float:
    rows = dataset.part("train")
    features = _features(network, rows, config)
    logits = {name: head(features) for name, head in network.heads.items()}
    return float(total_loss(logits, make_targets(rows, config), config.heads))


def _labels(rows: FaceDataset, head: str) -> Int64:
    """Class of each row for a head, -1 for none."""
    return rows.labels if head == "fer2013" else majority(require_votes(rows))


@torch.no_grad()
def _features(network: Network, rows: FaceDataset, config: TrainingConfig) -> torch.Tensor:
    """What the heads see of each row, float32 (N, F)."""
    faces = torch.from_numpy(prepare(rows.images, config.model.spec))
    return torch.cat([network.body(network.normalize(part.float())) for part in torch.split(faces, 256)])
