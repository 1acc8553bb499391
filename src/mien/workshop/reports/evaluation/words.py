"""Numbers and sets in words, for all sections of the page alike."""

from __future__ import annotations

import math
from html import escape

from mien.workshop.evaluation.intervals import Interval
from mien.workshop.evaluation.scores import SetScores

DASH = "–"


def percent(value: float, digits: int = 1) -> str:
    """`87.8 %`, a dash where it is not defined."""
    return DASH if math.isnan(value) else f"{100 * value:.{digits}f} %"


def decimal(value: float, digits: int = 3) -> str:
    """`0.878`, a dash where it is not defined."""
    return DASH if math.isnan(value) else f"{value:.{digits}f}"


def span(interval: Interval, *, scale: float = 100, digits: int = 1) -> str:
    """`86.9–89.2`."""
    return f"{scale * interval.low:.{digits}f}–{scale * interval.high:.{digits}f}"


def ranged(value: float, interval: Interval, *, scale: float = 100, digits: int = 1) -> str:
    """A table's cell: the value, and its interval beside it."""
    return f'{scale * value:.{digits}f} <span class="range">{span(interval, scale=scale, digits=digits)}</span>'


def signed(value: float, digits: int) -> str:
    """`+1.2` or `−1.2`, with a true minus."""
    return f"{value:+.{digits}f}".replace("-", "−")


def name(scores: SetScores) -> str:
    """What a set is called alone: `crowd on PrivateTest, FER+ majority`."""
    return f"{scores.faces.head} on {scores.faces.title}, {scores.faces.labels_from}"


def anchor(scores: SetScores) -> str:
    """Where its section stands in the page."""
    return escape(f"set-{scores.faces.key}")


def plural(count: int, word: str) -> str:
    """`1 face`, `2 faces`.

    >>> plural(1, "face"), plural(1200, "face")
    ('1 face', '1,200 faces')
    """
    return f"{count:,} {word}{'' if count == 1 else 's'}"


def listed(words: list[str]) -> str:
    """`a`, `a and b`, `a, b and c`."""
    return " and ".join([", ".join(words[:-1]), words[-1]]) if len(words) > 1 else "".join(words)
