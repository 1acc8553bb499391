from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason='needs pip install "mien[train]"')

from stripes import make_dataset

from mien.errors import ConfigError
from mien.workshop.data.base import FaceDataset
from mien.workshop.training.config import parse_config
from mien.workshop.training.objective import balanced_chances, make_batches


def uneven() -> FaceDataset:
    """1,000 training rows: 900, 80 and 20 of three classes."""
    return dataclasses.replace(
        make_dataset(1000), labels=np.repeat([0, 3, 5], [900, 80, 20]), split=np.zeros(1000, np.int8)
    )


def drawn(sampling: str, *, seed: int = 0, epochs: int = 1) -> Any:
    """FER2013 class of every row of some epochs."""
    config = parse_config({"fit": {"sampling": sampling, "batch_size": 96, "label_smoothing": 0}})
    batches = make_batches(uneven(), config, torch.device("cpu"))
    generator = torch.Generator().manual_seed(seed)
    classes = [batches.take(rows)[1]["fer2013"].argmax(1) for _ in range(epochs) for rows in batches.epoch(generator)]
    assert all(len(batch) == 96 for batch in classes)
    assert len(classes) == 10 * epochs
    return torch.cat(classes)


def test_shuffling_draws_every_row_at_most_once() -> None:
    counts = torch.bincount(drawn("shuffle"), minlength=7)
    assert (counts <= torch.tensor([900, 0, 0, 80, 0, 20, 0])).all()
    assert counts[0] >= 860


def test_balanced_sampling_draws_classes_equally_often() -> None:
    share = torch.bincount(drawn("balanced", epochs=4), minlength=7) / 3840
    assert share[[0, 3, 5]].tolist() == pytest.approx([1 / 3] * 3, abs=0.03)
    assert share.sum() == pytest.approx(1)


def test_the_generator_decides_the_balanced_rows() -> None:
    assert torch.equal(drawn("balanced", seed=1), drawn("balanced", seed=1))
    assert not torch.equal(drawn("balanced", seed=1), drawn("balanced", seed=2))


def test_rows_without_a_label_keep_their_share() -> None:
    chances = balanced_chances(np.array([-1, 0, 0, 0, 6]))
    assert chances.tolist() == pytest.approx([1, 2 / 3, 2 / 3, 2 / 3, 2])


def test_a_batch_above_the_rows_is_refused_with_both_numbers() -> None:
    config = parse_config({"fit": {"batch_size": 113}})
    with pytest.raises(ConfigError, match=r"fit\.batch_size = 113 is above the 112 training rows"):
        make_batches(make_dataset(), config, torch.device("cpu"))
    exact = parse_config({"fit": {"batch_size": 112}})
    assert len(make_batches(make_dataset(), exact, torch.device("cpu"))) == 1
