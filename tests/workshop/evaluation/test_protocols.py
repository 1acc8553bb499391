"""The sets that a data set's own protocol asks for."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from mien.errors import DataError
from mien.labels import HEADS
from mien.workshop.data.base import FaceDataset, Origin
from mien.workshop.evaluation.sets import labelled_sets

PROTOCOL = "CK+'s peak frames"


def make(split: list[int], measured: list[bool], labels: list[int], contempt: list[bool] | None = None) -> FaceDataset:
    rows = len(split)
    random = np.random.default_rng(0)
    return FaceDataset(
        "CK+", random.integers(0, 256, (rows, 48, 48), np.uint8), np.array(labels), np.array(split, np.int8),
        np.arange(rows).astype(np.str_), contempt=None if contempt is None else np.array(contempt),
        measured=np.array(measured), origin=Origin("ck_plus", "Recognised.", protocol=PROTOCOL),
    )  # fmt: skip


def test_rows_of_all_splits_are_a_set_of_their_own_and_the_first() -> None:
    dataset = make([0, 0, 1, 2], [True, False, True, True], [0, 1, 2, 3])
    sets, _ = labelled_sets(dataset, HEADS)
    assert [found.key for found in sets][:2] == ["fer2013-protocol", "fer2013-validation"]
    assert sets[0].title == PROTOCOL
    assert sets[0].rows.tolist() == [0, 2, 3]
    crowd = [found.key for found in sets if found.head == "crowd"]
    assert crowd == ["crowd-on-labels-protocol", "crowd-on-labels-both", "crowd-on-labels-test"]


def test_a_split_that_is_the_protocol_takes_its_name() -> None:
    dataset = make([0, 0, 2, 2], [False, False, True, True], [0, 1, 2, 3])
    sets, _ = labelled_sets(dataset, {"fer2013"})
    assert [(found.key, found.title) for found in sets] == [("fer2013-test", PROTOCOL)]


def test_contempt_is_asked_of_the_head_with_eight() -> None:
    dataset = make([2, 2, 2], [True] * 3, [3, -1, 6], [False, True, False])
    sets, _ = labelled_sets(dataset, HEADS)
    eight = next(found for found in sets if found.key == "crowd-eight-test")
    assert [eight.classes[truth] for truth in eight.truth] == ["happy", "contempt", "neutral"]
    own = next(found for found in sets if found.key == "fer2013-test")
    assert own.rows.tolist() == [0, 2]
    # A part of the rows keeps what belongs to them.
    part = dataset[np.array([1, 2])]
    assert part.contempt is not None
    assert part.contempt.tolist() == [True, False]


def test_all_train_with_a_protocol_can_be_scored() -> None:
    dataset = make([0, 0], [True, True], [0, 1])
    sets, _ = labelled_sets(dataset, {"fer2013"})
    assert [found.key for found in sets] == ["fer2013-protocol"]
    with pytest.raises(DataError, match="expected at least one face to test on"):
        labelled_sets(replace(dataset, measured=None), {"fer2013"})
