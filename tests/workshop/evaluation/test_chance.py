"""A warning where labels cannot mean what they were read as, and what they may mean instead."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from mien.labels import SEVEN
from mien.workshop.data.base import FaceDataset, Origin
from mien.workshop.data.layouts.codings import CODINGS
from mien.workshop.evaluation.chance import below_chance
from mien.workshop.evaluation.evaluate import evaluate
from mien.workshop.evaluation.scores import Evaluation, ModelIdentity


def run(labels: Sequence[int], answers: Sequence[int], coding: str = "FER2013") -> tuple[Evaluation, FaceDataset]:
    """A data set with these labels, scored by a model that gives these answers."""
    rows = len(labels)
    images = np.broadcast_to(np.array(answers, np.uint8)[:, None, None], (rows, 48, 48)).copy()
    images[:, 0, 0] = np.arange(rows) % 250
    dataset = FaceDataset(
        "faces", images, np.array(labels, np.int64), np.full(rows, 2, np.int8), np.arange(rows).astype(np.str_),
        origin=Origin("folders", "Recognised.", coding=coding),
    )  # fmt: skip

    def predict(crops: np.ndarray, head: str) -> np.ndarray:
        return np.eye(7, dtype=np.float32)[crops[:, 5, 5]]

    evaluation = evaluate(predict, dataset, model=ModelIdentity("made up", "1", ""), heads={"fer2013": SEVEN})
    return evaluation, dataset


def in_fer2013(words: Sequence[str], coding: str) -> list[int]:
    """Labels as FER2013's numbers make them of folders that are numbered by another coding."""
    numbers = {label: number for number, label in CODINGS[coding].items()}
    return [SEVEN.index(CODINGS["FER2013"][numbers[word]]) for word in words]


def test_another_coding_is_named_with_the_mapping_to_give() -> None:
    words = [name for name in SEVEN for _ in range(10)]
    evaluation, dataset = run(in_fer2013(words, "AffectNet"), [SEVEN.index(word) for word in words])
    (warning,) = below_chance(evaluation, dataset)
    assert "below chance (14.3 %)" in warning
    assert "As AffectNet's numbers they would give 100.0 %: --classes 0=neutral,1=happy,2=sad" in warning


def test_words_give_no_hint_at_numbers() -> None:
    labels = [number % 7 for number in range(70)]
    evaluation, dataset = run(labels, [(number + 1) % 7 for number in range(70)], coding="")
    (warning,) = below_chance(evaluation, dataset)
    assert warning.endswith("read as.")


def test_nothing_is_said_at_chance_or_about_a_handful() -> None:
    labels = [number % 7 for number in range(70)]
    assert below_chance(*run(labels, [0] * 70)) == []
    assert below_chance(*run(labels[:7], [(label + 1) % 7 for label in labels[:7]])) == []
