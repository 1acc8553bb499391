"""Figures and sets in words, the same in all reports."""

from __future__ import annotations

import math
from collections.abc import Sequence

from mien.workshop.evaluation.metrics import Interval
from mien.workshop.evaluation.scores import SetScores
from mien.workshop.reports.document import DASH


def percent(value: float, digits: int = 1) -> str:
    """`87.8 %`, a dash where it is undefined."""
    return DASH if math.isnan(value) else f"{100 * value:.{digits}f} %"


def decimal(value: float, digits: int = 3) -> str:
    """`0.878`, a dash where it is undefined."""
    return DASH if math.isnan(value) else f"{value:.{digits}f}"


def span(interval: Interval, *, scale: float = 100, digits: int = 1) -> str:
    """`86.9–89.2`."""
    return f"{scale * interval.low:.{digits}f}–{scale * interval.high:.{digits}f}"


def ranged(value: float, interval: Interval, *, scale: float = 100, digits: int = 1) -> str:
    """A table's cell: the value, and its interval beside it."""
    return f"{scale * value:.{digits}f} {{range|({span(interval, scale=scale, digits=digits)})}}"


def signed(value: float, digits: int) -> str:
    """`+1.2` or `−1.2`, with a true minus."""
    return f"{value:+.{digits}f}".replace("-", "−")


def change(interval: Interval, *, scale: float = 100, digits: int = 1) -> str:
    """`−1.2 to +0.4`."""
    return f"{signed(scale * interval.low, digits)} to {signed(scale * interval.high, digits)}"


def p_value(value: float) -> str:
    """A p value with three places, `< 0.001` under that.

    >>> p_value(0.0432), p_value(1e-9)
    ('0.043', '< 0.001')
    """
    return f"{value:.3f}" if value >= 0.001 else "< 0.001"


def name(scores: SetScores) -> str:
    """A set's full name: `crowd on PrivateTest, FER+ majority`."""
    return f"{scores.faces.head} on {scores.faces.title}, {scores.faces.labels_from}"


def plural(count: int, word: str) -> str:
    """`1 face`, `2 faces`.

    >>> plural(1, "face"), plural(1200, "face")
    ('1 face', '1,200 faces')
    """
    return f"{count:,} {word}{'' if count == 1 else 's'}"


def listed(words: Sequence[str]) -> str:
    """`a`, `a and b`, `a, b and c`."""
    return " and ".join([", ".join(words[:-1]), words[-1]]) if len(words) > 1 else "".join(words)
