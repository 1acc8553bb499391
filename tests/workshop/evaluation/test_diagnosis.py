from __future__ import annotations

import math
from typing import Any

import pytest

from mien.workshop.evaluation.diagnosis import RULES, SHORTEST, diagnose, epochs_to


def curves(train: list[float], validation: list[float], score: list[float]) -> list[dict[str, float]]:
    rows = zip(train, validation, score, strict=True)
    return [{"train_loss": t, "loss": v, "score": s} for t, v, s in rows]


FALLING = [1.9 - 0.1 * epoch for epoch in range(9)]
FLAT = [0.5, 0.6, 0.6, 0.6, 0.6, 0.6, 0.6, 0.6, 0.6]
RISING = [0.3 + 0.03 * epoch for epoch in range(9)]
LATE = [0.3, 0.35, 0.4, 0.42, 0.44, 0.45, 0.5, 0.52, 0.53]


@pytest.mark.parametrize(
    ("history", "arguments", "words"),
    [
        (curves(FALLING, [loss + 0.2 for loss in FALLING], FLAT), {}, ("plateau",)),
        (curves(FALLING, [loss + 0.2 for loss in FALLING], RISING), {}, ("still improving",)),
        (curves(FALLING, [loss + 0.2 for loss in FALLING], LATE), {"stopped_early": True}, ("sound",)),
        (curves(FALLING, [loss - 0.05 for loss in FALLING], FLAT), {}, ("underfitting", "plateau")),
        (curves(FALLING, [1.8, 1.6, 1.5, 1.4, 1.4, 1.45, 1.5, 1.6, 1.7], FLAT), {}, ("overfitting", "plateau")),
        (curves(FALLING, [1.8, 1.6, 1.5, 1.4, 1.4, 1.4, 1.41, 1.42, 1.43], FLAT), {}, ("plateau",)),
        (curves(FALLING[::-1], FALLING, FLAT), {}, ("diverged",)),
        (curves(FALLING, FALLING, [*FLAT[:-1], 0.2]), {}, ("diverged",)),
        (curves(FALLING, [*FALLING[:-1], math.nan], FLAT), {}, ("diverged",)),
        (curves(FALLING, FALLING, FLAT)[:2], {"not_a_number": True}, ("diverged",)),
        (curves(FALLING, FALLING, FLAT)[: SHORTEST - 1], {}, ("too short",)),
        ([], {}, ("too short",)),
    ],
)
def test_curves_are_called_by_the_rules(
    history: list[dict[str, float]], arguments: dict[str, Any], words: tuple[str, ...]
) -> None:
    found = diagnose(history, **arguments)
    assert found.words == words
    assert found.reason
    assert set(words) <= {word for word, _ in RULES}


def test_the_reason_gives_the_figures() -> None:
    found = diagnose(curves(FALLING, [1.8, 1.6, 1.5, 1.4, 1.3, 1.45, 1.5, 1.6, 1.7], FLAT))
    assert "validation loss 1.30 in epoch 5, 1.70 at the end" in found.reason
    assert "+0.0 points in the last 3 epochs" in found.reason


def test_epochs_to_a_share_of_the_best() -> None:
    history = curves(FALLING, FALLING, RISING)
    assert epochs_to(history) == 9
    assert epochs_to(history, 0.9) == 8
    assert epochs_to([]) == 0
