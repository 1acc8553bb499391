"""What the tests of training share."""

from __future__ import annotations

from typing import Any

import pytest
from stripes import make_dataset

from mien.workshop.data.base import FaceDataset


@pytest.fixture
def dataset() -> FaceDataset:
    return make_dataset()


@pytest.fixture
def settings() -> dict[str, Any]:
    """Plain values of a configuration that trains in a second an epoch."""
    return {
        "name": "tiny",
        "model": {"arch": "se_resnet", "options": {"widths": [8, 16], "depths": [1, 1], "stem_stride": 2}},
        "optim": {"lr": 0.05, "warmup_epochs": 1},
        "augment": {"flip": 0, "rotation": 5, "shift": 0.02},
        "fit": {"epochs": 4, "batch_size": 16, "ema": 0.9, "seed": 3},
    }
