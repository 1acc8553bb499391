"""Whether a model may take another's place: not worse in accuracy, calibration and speed beyond noise."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from mien.errors import DataError
from mien.workshop.evaluation.compare import Comparison, calibration_difference
from mien.workshop.evaluation.speed import Speed, ratio_interval

P_LIMIT = 0.05
SLOWER_LIMIT = 1.1
"""How much more time a face may take."""


@dataclass(frozen=True)
class Check:
    """One question of the gate.

    Args:
        question: what was measured, on which faces.
        first, second, difference: the figures in words.
        worse: whether the second is worse beyond noise.
    """

    question: str
    first: str
    second: str
    difference: str
    worse: bool


def judge(
    found: Sequence[Comparison], heads: tuple[Collection[str], Collection[str]], speeds: tuple[Speed, Speed]
) -> list[Check]:
    """The questions that decide whether the second model may take the first one's place.

    On the test faces of each head in common: accuracy is worse when McNemar's p is below 0.05; the calibration error is
    worse when its difference's 95 % interval lies above 0, for head crowd against the votes where there are any. Time
    is worse when a face takes over 1.1 times as long, its ratio's whole interval. A head of the first that the second
    lacks is worse too.

    Args:
        found: from `compare`.
        heads: names of the heads of the first and of the second.
        speeds: from `measure_in_turns`.

    Raises:
        DataError: there are no test faces.
    """
    by_key = {row.faces.key: row for row in found}
    checks = [_lacking(*heads)] if set(heads[0]) - set(heads[1]) else []
    tested = 0
    for head in (head for head in heads[0] if head in heads[1]):
        graded = _first_of(by_key, f"{head}-test", f"{head}-on-labels-both", f"{head}-on-labels-test")
        if graded is None:
            continue
        tested += 1
        checks += [_accuracy(graded), _calibration(by_key.get(f"{head}-votes-test", graded))]
    if not tested:
        raise DataError("the gate asks the test faces (PrivateTest), and this data has none with a label")
    return [*checks, _speed(*speeds)]


def _first_of(by_key: dict[str, Comparison], *keys: str) -> Comparison | None:
    return next((by_key[key] for key in keys if key in by_key), None)


def _lacking(first: Collection[str], second: Collection[str]) -> Check:
    lacks = ", ".join(head for head in first if head not in second)
    return Check("heads", ", ".join(first), ", ".join(second), f"lacks {lacks}", worse=True)


def _accuracy(row: Comparison) -> Check:
    low, high = (100 * end for end in row.difference)
    p = f"p {row.p_value:.3f}" if row.p_value >= 0.001 else "p < 0.001"
    return Check(
        f"accuracy, {_faces(row)}",
        f"{100 * row.first:.2f} %",
        f"{100 * row.second:.2f} %",
        f"{100 * (row.second - row.first):+.2f} ({low:+.1f} to {high:+.1f}), {p}",
        worse=row.second < row.first and row.p_value < P_LIMIT,
    )


def _calibration(row: Comparison) -> Check:
    first, second = (scores.ece for scores in row.scores)
    interval = calibration_difference(row)
    return Check(
        f"calibration error, {_faces(row)}",
        f"{first:.3f}",
        f"{second:.3f}",
        f"{second - first:+.3f} ({interval.low:+.3f} to {interval.high:+.3f})",
        worse=second > first and interval.low > 0,
    )


def _speed(first: Speed, second: Speed) -> Check:
    interval = ratio_interval(first, second)
    return Check(
        "ms a face, one by one",
        f"{first.single:.2f}",
        f"{second.single:.2f}",
        f"× {second.single / first.single:.2f} ({interval.low:.2f} to {interval.high:.2f})",
        worse=interval.low > SLOWER_LIMIT,
    )


def _faces(row: Comparison) -> str:
    return f"{row.faces.head}, {row.faces.title}, {row.faces.labels_from}"
