"""What learning curves show, in words and by stated rules."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

SHORTEST = 4
"""With fewer epochs there is no diagnosis."""
GAIN = 0.005
RISE = 0.05
SHARE = 0.95

RULES = (
    (
        "diverged",
        "the loss became NaN or infinite, or ended above its first epoch, or the last score is below half of the best",
    ),
    (
        "overfitting",
        f"from its lowest epoch to the last, validation loss rose by {RISE:.0%} or more while training loss fell",
    ),
    (
        "underfitting",
        "at the end training loss is not below validation loss: the network fits the faces it learns from, as "
        "augmentation and dropout leave them, no better than faces it has not seen",
    ),
    (
        "still improving",
        f"the best score of the last third of the epochs is {100 * GAIN:g} points or more above the best before, and "
        "the run ended because its epochs were over, not by patience",
    ),
    ("plateau", f"the last third of the epochs brought less than {100 * GAIN:g} points over the best before"),
    ("sound", "none of these: training loss below validation loss, which did not rise, and the score settled late"),
    ("too short", f"fewer than {SHORTEST} epochs, so there is no diagnosis"),
)
"""Each word with its rule. A run that diverged is called nothing else; other words may come together."""

History = Sequence[Mapping[str, float]]


@dataclass(frozen=True)
class Diagnosis:
    """Words of `RULES` and the figures that they rest on."""

    words: tuple[str, ...]
    reason: str


def diagnose(history: History, *, stopped_early: bool = False, not_a_number: bool = False) -> Diagnosis:
    """Name what the curves of a run show, by `RULES`.

    Args:
        history: an epoch each, with `train_loss`, `loss` (validation) and `score` (validation, 0–1).
        stopped_early: the run ended by its patience.
        not_a_number: the run ended because its loss became NaN or infinite.

    >>> diagnose([{"train_loss": 2 / (e + 1), "loss": 1 + e / 5, "score": 0.5} for e in range(6)]).words
    ('overfitting', 'plateau')
    """
    losses = [value for row in history for value in (row["train_loss"], row["loss"])]
    # Before the count of epochs: a training may diverge in its first.
    if not_a_number or not all(map(math.isfinite, losses)):
        return Diagnosis(("diverged",), "the loss became NaN or infinite")
    if len(history) < SHORTEST:
        return Diagnosis(("too short",), f"{len(history)} of at least {SHORTEST} epochs")
    diverged = _diverged(history)
    if diverged:
        return Diagnosis(("diverged",), diverged)
    found = dict(filter(None, (_overfitting(history), _underfitting(history), _late_gain(history, stopped_early))))
    if not found:
        last = history[-1]
        found = {"sound": f"training loss {last['train_loss']:.2f}, validation loss {last['loss']:.2f} at the end"}
    return Diagnosis(tuple(found), "; ".join(found.values()))


def epochs_to(history: History, share: float = SHARE) -> int:
    """The first epoch, from 1 on, whose score is at least this share of the best; 0 without an epoch.

    >>> epochs_to([{"score": 0.3}, {"score": 0.58}, {"score": 0.6}])
    2
    """
    wanted = share * max((row["score"] for row in history), default=0.0)
    return next((epoch for epoch, row in enumerate(history, 1) if row["score"] >= wanted), 0)


def _diverged(history: History) -> str:
    first, last = history[0], history[-1]
    best = max(row["score"] for row in history)
    if last["train_loss"] > first["train_loss"]:
        return f"training loss {first['train_loss']:.2f} in the first epoch, {last['train_loss']:.2f} in the last"
    if last["score"] < best / 2:
        return f"score {100 * last['score']:.1f} % in the last epoch, {100 * best:.1f} % at best"
    return ""


def _overfitting(history: History) -> tuple[str, str] | None:
    low = min(range(len(history)), key=lambda epoch: history[epoch]["loss"])
    lowest, last = history[low], history[-1]
    # Both losses up from there is no overfitting: the training itself got worse.
    if last["loss"] < (1 + RISE) * lowest["loss"] or last["train_loss"] >= lowest["train_loss"]:
        return None
    return "overfitting", (
        f"validation loss {lowest['loss']:.2f} in epoch {low + 1}, {last['loss']:.2f} at the end, "
        f"training loss {lowest['train_loss']:.2f} and {last['train_loss']:.2f}"
    )


def _underfitting(history: History) -> tuple[str, str] | None:
    last = history[-1]
    if last["train_loss"] < last["loss"]:
        return None
    return "underfitting", f"training loss {last['train_loss']:.2f}, validation loss {last['loss']:.2f} at the end"


def _late_gain(history: History, stopped_early: bool) -> tuple[str, str] | None:
    scores = [row["score"] for row in history]
    late = max(1, len(scores) // 3)
    gain = max(scores[-late:]) - max(scores[:-late])
    said = f"{100 * gain:+.1f} points in the last {late} epochs"
    if gain < GAIN:
        return "plateau", said
    return None if stopped_early else ("still improving", said)
