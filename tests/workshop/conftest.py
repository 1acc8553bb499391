"""Small data sets and predictors whose scores are known."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from mien.labels import CROWD, HEADS, SEVEN
from mien.workshop.data.base import FaceDataset
from mien.workshop.evaluation.evaluate import Predict

TRAIN, VALIDATION, TEST = range(3)


def _votes(labels: np.ndarray) -> np.ndarray:
    """Eight of ten votes for each label, two for unknown."""
    votes = np.zeros((len(labels), 10), np.uint8)
    votes[np.arange(len(labels)), [CROWD.index(SEVEN[label]) for label in labels]] = 8
    votes[:, 8] = 2
    return votes


@pytest.fixture
def make_dataset() -> Callable[..., FaceDataset]:
    """Faces whose first pixel is their label, and whose next two are their row."""

    def build(
        train: int = 20, validation: int = 40, test: int = 50, *, votes: bool = True, **changes: Any
    ) -> FaceDataset:
        rows = train + validation + test
        labels = np.arange(rows, dtype=np.int64) % 7
        images = np.zeros((rows, 4, 4), np.uint8)
        images[:, 0, 0] = labels
        images[:, 0, 1], images[:, 0, 2] = np.divmod(np.arange(rows), 256)
        parts: dict[str, Any] = {
            "name": "toy",
            "images": images,
            "labels": labels,
            "split": np.repeat(np.int8([TRAIN, VALIDATION, TEST]), [train, validation, test]),
            "ids": np.array([f"row{row}" for row in range(rows)], dtype=np.str_),
            "votes": _votes(labels) if votes else None,
            "sha256": "ab" * 32,
        }
        return FaceDataset(**(parts | changes))

    return build


@pytest.fixture
def perfect() -> Predict:
    """Certain of the label that stands in the first pixel."""

    def predict(crops: np.ndarray, head: str) -> np.ndarray:
        names = [SEVEN[value] for value in crops.reshape(len(crops), -1)[:, 0]]
        return np.float32([[name == label for label in HEADS[head]] for name in names])

    return predict


@pytest.fixture
def constant() -> Predict:
    """Calls everything happy, with 0.3 against 0.7 shared by the others."""

    def predict(crops: np.ndarray, head: str) -> np.ndarray:
        others = 0.7 / (len(HEADS[head]) - 1)
        row = [0.3 if label == "happy" else others for label in HEADS[head]]
        return np.tile(np.float32(row), (len(crops), 1))

    return predict


@pytest.fixture
def guessing() -> Predict:
    """Random probabilities that know nothing of the face."""
    draw = np.random.default_rng(0)

    def predict(crops: np.ndarray, head: str) -> np.ndarray:
        return draw.dirichlet(np.ones(len(HEADS[head])), len(crops)).astype(np.float32)

    return predict
