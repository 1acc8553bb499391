"""Two models on the same faces: is the better one better, or is it chance?"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from mien.arrays import Bool, Float32, Float64, UInt8
from mien.errors import DataError
from mien.workshop.evaluation.calibration import bin_of
from mien.workshop.evaluation.metrics import Interval
from mien.workshop.evaluation.scores import Evaluation, SetScores
from mien.workshop.evaluation.sets import LabelledSet

RESAMPLES = 2000


@dataclass(frozen=True)
class ClassChange:
    """What changes for the faces of one class from the first model to the second.

    Args:
        name: the class.
        faces: how many there are.
        recall, f1: of the first and of the second, NaN where not defined.
        lost: faces of the class that only the first has right.
        gained: faces that only the second has right.
    """

    name: str
    faces: int
    recall: tuple[float, float]
    f1: tuple[float, float]
    lost: int
    gained: int


@dataclass(frozen=True)
class Comparison:
    """Two models on one set of faces.

    Args:
        faces: the set.
        first, second: accuracies, 0–1.
        only_first, only_second: faces that only one of them has right.
        difference: second - first with its 95 % paired bootstrap interval.
        p_value: of McNemar's exact test, two-sided: how often chance alone gives so uneven a division or a more
            uneven one.
        scores: all scores of the first and of the second.
    """

    faces: LabelledSet
    first: float
    second: float
    only_first: int
    only_second: int
    difference: Interval
    p_value: float
    scores: tuple[SetScores, SetScores]

    @property
    def right(self) -> tuple[Bool, Bool]:
        """Which faces the first has right, and which the second, (N,) each."""
        one, other = (scores.predicted == self.faces.truth for scores in self.scores)
        return one, other

    @property
    def classes(self) -> list[ClassChange]:
        """The change of each class that has faces."""
        one, other = self.right
        first, second = self.scores
        return [
            ClassChange(
                name=name,
                faces=int((self.faces.truth == k).sum()),
                recall=(float(first.recall[k]), float(second.recall[k])),
                f1=(float(first.f1[k]), float(second.f1[k])),
                lost=int((one & ~other)[self.faces.truth == k].sum()),
                gained=int((other & ~one)[self.faces.truth == k].sum()),
            )
            for k, name in enumerate(self.faces.classes)
            if (self.faces.truth == k).any()
        ]


def compare(first: Evaluation, second: Evaluation) -> list[Comparison]:
    """Compare two evaluations set by set; sets that only one of them has are left out.

    Raises:
        DataError: they are of different data, or have no set in common.
    """
    if first.dataset_sha256 != second.dataset_sha256 or first.dataset_rows != second.dataset_rows:
        raise DataError(f"{first.dataset} and {second.dataset} are different data: evaluate both models on the same")
    others = {scores.faces.key: scores for scores in second.sets}
    found = []
    for scores in first.sets:
        other = others.get(scores.faces.key)
        if other is not None:
            found.append(_compare(scores, other))
    if not found:
        heads = [sorted({scores.faces.head for scores in found.sets}) for found in (first, second)]
        raise DataError(
            f"{first.model.name} answers with the heads {', '.join(heads[0])}, {second.model.name} with "
            f"{', '.join(heads[1])}: they have none in common to compare"
        )
    return found


def main_comparisons(found: Iterable[Comparison]) -> list[Comparison]:
    """One set a head: the test faces, else those of validation; of head crowd those with a majority, if there are."""
    best: dict[str, Comparison] = {}
    for row in found:
        head = row.faces.head
        if head not in best or _rank(row.faces) < _rank(best[head].faces):
            best[head] = row
    return list(best.values())


def verdict(row: Comparison, names: Sequence[str]) -> str:
    """What a comparison says, in one sentence; `names` are the models'."""
    low, high = (100 * end for end in row.difference)
    points = 100 * (row.second - row.first)
    p = f"p = {row.p_value:.3f}" if row.p_value >= 0.001 else "p < 0.001"
    figures = f"{100 * row.second:.1f} % against {100 * row.first:.1f} %"
    bounds = f"95 % interval {low:+.1f} to {high:+.1f} points, {p}".replace("-", "−")
    place = f"{row.faces.title}, {row.faces.labels_from} (head {row.faces.head}, {len(row.faces.rows):,} faces)"
    if row.p_value >= P_LIMIT:
        return f"{place}: no clear difference between {names[1]} and {names[0]}; {figures}; {bounds}."
    worth = "more" if points > 0 else "less"
    return f"{place}: {names[1]} is {worth} accurate than {names[0]}; {figures}; {bounds}."


def calibration_difference(row: Comparison) -> Interval:
    """95 % paired bootstrap interval of the expected calibration errors' difference, second - first."""
    n = len(row.faces.rows)
    # How often each face is drawn, the same for both models: that is what pairs them. float32 halves the memory.
    drawn = np.random.default_rng(0).multinomial(n, np.full(n, 1 / n), RESAMPLES).astype(np.float32)
    errors = [np.abs(drawn @ _gaps(scores)).sum(axis=1) / n for scores in row.scores]
    low, high = np.quantile(errors[1] - errors[0], [0.025, 0.975])
    return Interval(float(low), float(high))


def mcnemar(only_first: int, only_second: int) -> float:
    """Two-sided p value of McNemar's exact test, in 0–1 (McNemar 1947).

    Under chance each face that only one model has right is as likely the one's as the other's.

    >>> mcnemar(1, 9)
    0.021484375
    """
    n = only_first + only_second
    # Whole numbers throughout: from 1,024 differing faces on, 2 ** n is too large for a float.
    tail = sum(math.comb(n, i) for i in range(min(only_first, only_second) + 1))
    return min(1.0, 2 * tail / (1 << n))


def _compare(first: SetScores, second: SetScores) -> Comparison:
    faces = first.faces
    one, other = first.predicted == faces.truth, second.predicted == faces.truth
    n, only_first, only_second = len(one), int((one & ~other).sum()), int((other & ~one).sum())
    # Faces on which both agree do not move the difference: three counts stand for all the rows of a resample.
    shares = np.array([only_first, only_second, n - only_first - only_second]) / n
    drawn = np.random.default_rng(0).multinomial(n, shares, RESAMPLES)
    low, high = np.quantile((drawn[:, 1] - drawn[:, 0]) / n, [0.025, 0.975])
    return Comparison(
        faces=faces,
        first=float(one.mean()),
        second=float(other.mean()),
        only_first=only_first,
        only_second=only_second,
        difference=Interval(float(low), float(high)),
        p_value=mcnemar(only_first, only_second),
        scores=(first, second),
    )


def _rank(faces: LabelledSet) -> int:
    order = [f"{faces.head}-protocol", "crowd-on-labels-protocol", f"{faces.head}-test", f"{faces.head}-validation"]
    order += ["crowd-on-labels-both", "crowd-on-labels-test"]
    return order.index(faces.key) if faces.key in order else len(order)


def _gaps(scores: SetScores, *, bins: int = 15) -> Float32:
    """Confidence less rightness of each face in the column of its bin, (N, bins)."""
    faces, rows = scores.faces, np.arange(scores.rows)
    right = faces.shares[rows, scores.predicted] if faces.shares is not None else scores.predicted == faces.truth
    gaps = np.zeros((scores.rows, bins), np.float32)
    gaps[rows, bin_of(scores.confidence, bins)] = scores.confidence - right
    return gaps


@dataclass(frozen=True)
class Contender:
    """One of two models: what it is called here, its evaluation, its speed, its size on disk and its parameters."""

    name: str
    evaluation: Evaluation
    speed: Speed
    size_bytes: int
    parameters: int


Answer = Callable[[UInt8], object]

ROUNDS, SINGLES, BATCH = 15, 16, 64


@dataclass(frozen=True)
class Speed:
    """Milliseconds a face in each round, float64 (rounds,): one by one, and in batches."""

    single_ms: Float64
    batch_ms: Float64

    @property
    def single(self) -> float:
        """Median of one by one."""
        return float(np.median(self.single_ms))

    @property
    def batch(self) -> float:
        """Median of batches."""
        return float(np.median(self.batch_ms))


def measure_in_turns(
    models: Sequence[Answer], crops: UInt8, *, rounds: int = ROUNDS, singles: int = SINGLES
) -> list[Speed]:
    """Time models on the same faces, in every round in another order.

    Args:
        models: each takes crops uint8 (N, H, W) or (N, H, W, 3).
        crops: at least one; a batch is of 64, repeated where there are fewer.
        rounds: how often each is timed.
        singles: faces a round that are read one by one.

    Raises:
        DataError: there is no face.
    """
    if not len(crops):
        raise DataError("to measure the speed takes at least one face, and none came")
    batch = crops[np.arange(BATCH) % len(crops)]
    alone = [batch[n : n + 1] for n in range(singles)]
    single_ms, batch_ms = np.empty((2, len(models), rounds))
    for model in models:
        # Untimed: the first run of each shape also plans and allocates.
        model(batch)
        model(alone[0])
    for number in range(rounds):
        # Each round begins with another model, so that a processor that warms up or throttles favours none.
        for which in np.roll(np.arange(len(models)), number).tolist():
            single_ms[which, number] = _ms(models[which], alone)
            batch_ms[which, number] = _ms(models[which], [batch])
    return [Speed(one, many) for one, many in zip(single_ms, batch_ms, strict=True)]


def ratio_interval(first: Speed, second: Speed) -> Interval:
    """95 % bootstrap interval of how often the first's time the second takes, one by one: the median over rounds."""
    # Round by round: what else the machine did then slowed both.
    ratios = second.single_ms / first.single_ms
    drawn = np.random.default_rng(0).choice(ratios, (RESAMPLES, len(ratios)))
    low, high = np.quantile(np.median(drawn, axis=1), [0.025, 0.975])
    return Interval(float(low), float(high))


def _ms(model: Answer, parts: Sequence[UInt8]) -> float:
    """Milliseconds a face."""
    started = time.perf_counter()
    for part in parts:
        model(part)
    return 1e3 * (time.perf_counter() - started) / sum(map(len, parts))


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
    worse when its difference's 95 % interval is above 0, for head crowd against the votes where there are any. Time
    is worse when a face takes over 1.1 times as long, its ratio's whole interval. A head of the first that the second
    lacks is worse too.

    Raises:
        DataError: there are no test faces.
    """
    by_key = {row.faces.key: row for row in found}
    # A lost head fails the gate; a new one is no reason to.
    checks = [_lacking(*heads)] if set(heads[0]) - set(heads[1]) else []
    tested = 0
    for head in (head for head in heads[0] if head in heads[1]):
        graded = _first_of(by_key, f"{head}-test", f"{head}-on-labels-both", f"{head}-on-labels-test")
        if graded is None:
            continue
        tested += 1
        checks += [_accuracy(graded), _calibration(by_key.get(f"{head}-votes-test", graded))]
    if not tested:
        raise DataError("the gate needs labelled test faces (PrivateTest), and this data has none")
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
