"""Scores below chance: a sign that a data set's labels do not mean what they were read as."""

from __future__ import annotations

from collections.abc import Mapping

from mien.labels import SEVEN, percent
from mien.workshop.data.base import FaceDataset
from mien.workshop.data.layouts.codings import CODINGS
from mien.workshop.evaluation.metrics import wilson_interval
from mien.workshop.evaluation.scores import Evaluation, SetScores, main_sets


def below_chance(evaluation: Evaluation, dataset: FaceDataset) -> list[str]:
    """A sentence where even the upper end of the accuracy's interval is below chance; nothing otherwise.

    If the labels were read as numbers, it names the coding by which more answers would be right. It is a hint for a
    person to check, and nothing is read by it: a coding chosen by a model's answers would flatter that model.
    """
    own = [scores for scores in main_sets(evaluation) if scores.faces.classes == SEVEN]
    # Not the bootstrap's interval, which has no width where all answers are wrong.
    scores = next((scores for scores in own if _highest(scores) < 1 / len(SEVEN)), None)
    if scores is None:
        return []
    text = (
        f"Warning: an accuracy of {percent(scores.accuracy, 1)} on {scores.faces.title} is below chance "
        f"({percent(1 / len(SEVEN), 1)}): the labels may not mean what they were read as."
    )
    coding = dataset.origin.coding if dataset.origin else ""
    others = {key: _accuracy(scores, CODINGS[coding], CODINGS[key]) for key in CODINGS if coding and key != coding}
    best = max(others, key=lambda key: others[key], default="")
    if best and others[best] > 1 / len(SEVEN):
        given = ",".join(f"{number}={label}" for number, label in CODINGS[best].items())
        text += f" As {best}'s numbers they would give {percent(others[best], 1)}: --classes {given}"
    return [text]


def _highest(scores: SetScores) -> float:
    right = int((scores.predicted == scores.faces.truth).sum())
    return wilson_interval(right, scores.rows).high


def _accuracy(scores: SetScores, read: Mapping[str, str], other: Mapping[str, str]) -> float:
    """Which share would be right if the numbers had the other meaning."""
    numbers = {label: number for number, label in read.items()}
    meant = [other.get(numbers[SEVEN[truth]]) for truth in scores.faces.truth.tolist()]
    answers = [SEVEN[answer] for answer in scores.predicted.tolist()]
    return sum(one == two for one, two in zip(meant, answers, strict=True)) / max(len(meant), 1)
