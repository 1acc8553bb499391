"""Every figure of an evaluation against scikit-learn, SciPy or plain Python, on random and on degenerate input."""

from __future__ import annotations

import math
import warnings

import numpy as np
import pytest
from scipy.spatial.distance import jensenshannon
from scipy.stats import binomtest
from scipy.stats import entropy as scipy_entropy
from sklearn import metrics as reference

from mien.errors import DataError
from mien.workshop.evaluation import calibration, metrics
from mien.workshop.evaluation.agreement import agreement, entropy_bits, jensen_shannon
from mien.workshop.evaluation.compare import mcnemar
from mien.workshop.evaluation.metrics import bootstrap_interval, wilson_interval

EXACT = 1e-9
CLASSES = 7


def _random(rows: int, seed: int, alpha: float = 0.5) -> tuple[np.ndarray, np.ndarray]:
    """Probabilities (rows, 7) and truth that they often predict."""
    draw = np.random.default_rng(seed)
    probabilities = draw.dirichlet(np.full(CLASSES, alpha), rows)
    guess = probabilities.argmax(axis=1)
    return probabilities, np.where(draw.random(rows) < 0.6, guess, draw.integers(0, CLASSES, rows))


def _without_class(k: int) -> tuple[np.ndarray, np.ndarray]:
    probabilities, truth = _random(300, 11)
    return probabilities, np.where(truth == k, (k + 1) % CLASSES, truth)


def _never_predicted(k: int) -> tuple[np.ndarray, np.ndarray]:
    probabilities, truth = _random(300, 12)
    probabilities[:, k] = 0
    return probabilities / probabilities.sum(axis=1, keepdims=True), truth


def _ties() -> tuple[np.ndarray, np.ndarray]:
    """Rows whose highest probability stands in two or in all classes."""
    rows = [[0.4, 0.4, 0.2, 0, 0, 0, 0], [0, 0.5, 0, 0.5, 0, 0, 0], [1 / 7] * 7]
    return np.array(rows * 20), np.arange(60) % CLASSES


def _certain(right: bool) -> tuple[np.ndarray, np.ndarray]:
    truth = np.arange(50) % CLASSES
    return np.eye(CLASSES)[truth if right else (truth + 1) % CLASSES], truth


def _at_edges() -> tuple[np.ndarray, np.ndarray]:
    """Confidences that are ends of the 15 bins."""
    tops = np.repeat(np.linspace(0, 1, 16)[3:], 4)
    rest = np.repeat((1 - tops)[:, None] / 6, 6, axis=1)
    return np.hstack([tops[:, None], rest]), np.arange(len(tops)) % CLASSES


CASES = {
    "random": _random(500, 0),
    "many rows": _random(4000, 1),
    "confident": _random(300, 2, 0.05),
    "unsure": _random(300, 3, 50.0),
    "few rows": _random(9, 4),
    "one row": _random(1, 5),
    "one row, wrong": (np.eye(CLASSES)[[2]] * 0.9 + 0.1 / CLASSES, np.array([3])),
    "class absent from the truth": _without_class(3),
    "class never predicted": _never_predicted(5),
    "one class alone": (_random(40, 6)[0], np.full(40, 2)),
    "all right, certain": _certain(right=True),
    "all wrong, certain": _certain(right=False),
    "ties": _ties(),
    "ends of bins": _at_edges(),
    "float32": (_random(200, 7)[0].astype(np.float32), _random(200, 7)[1]),
}


@pytest.fixture(params=CASES, name="case")
def _case(request: pytest.FixtureRequest) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Probabilities, truth, and the class predicted."""
    probabilities, truth = CASES[request.param]
    return probabilities, truth, probabilities.argmax(axis=1)


def _close(found: object, expected: object) -> None:
    np.testing.assert_allclose(np.asarray(found, float), np.asarray(expected, float), rtol=0, atol=EXACT)


def test_confusion_matrix(case):
    _, truth, guess = case
    found = metrics.confusion_matrix(truth, guess, CLASSES)
    np.testing.assert_array_equal(found, reference.confusion_matrix(truth, guess, labels=range(CLASSES)))


def test_accuracy_and_balanced_accuracy(case):
    _, truth, guess = case
    confusion = metrics.confusion_matrix(truth, guess, CLASSES)
    _close(metrics.accuracy(confusion), reference.accuracy_score(truth, guess))
    with warnings.catch_warnings():
        # scikit-learn warns of classes that are predicted but not in the truth, and leaves them out as Mien does.
        warnings.simplefilter("ignore", UserWarning)
        _close(metrics.balanced_accuracy(confusion), reference.balanced_accuracy_score(truth, guess))


def test_precision_recall_f1_of_each_class_are_nan_where_undefined(case):
    _, truth, guess = case
    confusion = metrics.confusion_matrix(truth, guess, CLASSES)
    expected = reference.precision_recall_fscore_support(truth, guess, labels=range(CLASSES), zero_division=np.nan)
    for metric, values in zip((metrics.precision, metrics.recall, metrics.f1, metrics.support), expected, strict=True):
        _close(metric(confusion), values)


def test_macro_and_weighted_f1_are_those_of_zero_division_0(case):
    _, truth, guess = case
    confusion = metrics.confusion_matrix(truth, guess, CLASSES)
    for metric, average in ((metrics.macro_f1, "macro"), (metrics.weighted_f1, "weighted")):
        _close(metric(confusion), reference.f1_score(truth, guess, average=average, zero_division=0))


@pytest.mark.parametrize("zero_division", [0.0, 1.0])
def test_other_conventions_follow_from_the_cells(case, zero_division):
    """Macro and weighted precision and recall over all classes, whatever an undefined cell shall count as."""
    _, truth, guess = case
    confusion = metrics.confusion_matrix(truth, guess, CLASSES)
    support = metrics.support(confusion)
    scores = {metrics.precision: reference.precision_score, metrics.recall: reference.recall_score}
    for metric, expected in scores.items():
        cells = np.nan_to_num(metric(confusion), nan=zero_division)
        options = {"labels": range(CLASSES), "zero_division": zero_division}
        _close(cells.mean(), expected(truth, guess, average="macro", **options))
        _close((cells * support).sum() / support.sum(), expected(truth, guess, average="weighted", **options))


def test_brier_score(case):
    probabilities, truth, _ = case
    # scikit-learn would add up float32 in float32.
    exact = probabilities.astype(np.float64)
    each = [reference.brier_score_loss(truth == k, exact[:, k], pos_label=True) for k in range(CLASSES)]
    _close(calibration.brier_score(probabilities, truth), sum(each))


def test_log_loss(case):
    probabilities, truth, _ = case
    with warnings.catch_warnings():
        # Its tolerance for rows that sum to 1 is that of float64, also where they are float32.
        warnings.simplefilter("ignore", UserWarning)
        expected = reference.log_loss(truth, probabilities.astype(np.float64), labels=range(CLASSES))
    _close(calibration.negative_log_likelihood(probabilities, truth), expected)


def _ece_in_plain_python(probabilities: np.ndarray, truth: np.ndarray, bins: int) -> float:
    """Guo et al. 2017, one row after the other; a bin holds its upper end."""
    ends = [float(end) for end in np.linspace(0, 1, bins + 1)]
    inside: dict[int, list[tuple[float, float]]] = {}
    for row, true in zip(probabilities.tolist(), truth.tolist(), strict=True):
        confidence = max(row)
        place = next((b for b in range(bins) if ends[b] < confidence <= ends[b + 1]), bins - 1)
        inside.setdefault(place, []).append((confidence, float(row.index(confidence) == true)))
    total = 0.0
    for members in inside.values():
        confidence = math.fsum(member[0] for member in members) / len(members)
        accuracy = math.fsum(member[1] for member in members) / len(members)
        total += len(members) / len(truth) * abs(accuracy - confidence)
    return total


@pytest.mark.parametrize("bins", [1, 10, 15])
def test_expected_calibration_error(case, bins):
    probabilities, truth, _ = case
    found = calibration.expected_calibration_error(probabilities, truth, bins=bins)
    _close(found, _ece_in_plain_python(probabilities, truth, bins))


def test_accuracy_against_coverage(case):
    probabilities, truth, guess = case
    curve = calibration.accuracy_against_coverage(probabilities, truth)
    confidence = probabilities.max(axis=1)
    assert curve.coverage[-1] == 1
    assert len(curve.threshold) == len(np.unique(confidence))
    for threshold, coverage, accuracy in zip(curve.threshold, curve.coverage, curve.accuracy, strict=True):
        answered = confidence >= threshold
        _close(coverage, answered.mean())
        _close(accuracy, reference.accuracy_score(truth[answered], guess[answered]))


def test_soft_targets_are_means_over_the_votes():
    """Scores against shares are those of every vote as a row of its own."""
    draw = np.random.default_rng(8)
    probabilities = draw.dirichlet(np.ones(CLASSES), 60)
    votes = draw.multinomial(10, draw.dirichlet(np.full(CLASSES, 0.4), 60))
    rows = np.repeat(np.arange(60), 10)
    single = np.concatenate([np.repeat(np.arange(CLASSES), counts) for counts in votes])
    _close(
        calibration.negative_log_likelihood(probabilities, votes / 10),
        reference.log_loss(single, probabilities[rows], labels=range(CLASSES)),
    )
    _close(
        calibration.expected_calibration_error(probabilities, votes / 10),
        _ece_in_plain_python(probabilities[rows], single, 15),
    )
    found = agreement(probabilities, votes)
    _close(found.model_log_likelihood, -reference.log_loss(single, probabilities[rows], labels=range(CLASSES)))
    _close(found.model_top1, reference.accuracy_score(single, probabilities[rows].argmax(axis=1)))
    _close(found.ceiling_log_likelihood, -np.mean([scipy_entropy(counts) for counts in votes]))


@pytest.mark.parametrize(
    ("first", "second"), [(0, 0), (0, 1), (1, 0), (3, 3), (0, 12), (5, 17), (40, 41), (200, 260), (1, 900), (700, 650)]
)
def test_mcnemar_is_the_exact_binomial_test(first, second):
    expected = binomtest(first, first + second, 0.5).pvalue if first + second else 1.0
    _close(mcnemar(first, second), expected)


@pytest.mark.parametrize("metric", [metrics.accuracy, metrics.macro_f1, metrics.balanced_accuracy])
def test_bootstrap_interval_is_the_percentiles_of_its_resamples(case, metric):
    _, truth, guess = case
    confusion = metrics.confusion_matrix(truth, guess, CLASSES)
    drawn = np.random.default_rng(9).multinomial(len(truth), confusion.ravel() / len(truth), size=100)
    scores = [float(metric(one.reshape(CLASSES, CLASSES))) for one in drawn]
    for level in (0.5, 0.9, 0.95):
        found = bootstrap_interval(confusion, metric, level=level, resamples=100, seed=9)
        _close(found, np.percentile(scores, [50 * (1 - level), 100 - 50 * (1 - level)]))


def test_bootstrap_by_cells_is_the_bootstrap_by_rows():
    _, truth, guess = (*_random(400, 10), _random(400, 10)[0].argmax(axis=1))
    draw = np.random.default_rng(0)
    picked = draw.integers(0, 400, (4000, 400))
    expected = np.percentile((truth == guess)[picked].mean(axis=1), [2.5, 97.5])
    found = bootstrap_interval(metrics.confusion_matrix(truth, guess, CLASSES), metrics.accuracy, resamples=4000)
    np.testing.assert_allclose(found, expected, atol=5e-3)


@pytest.mark.parametrize(("hits", "rows"), [(0, 1), (1, 1), (0, 30), (30, 30), (9, 10), (333, 1000)])
def test_wilson_interval_is_scipys(hits, rows):
    expected = binomtest(hits, rows).proportion_ci(method="wilson")
    np.testing.assert_allclose(wilson_interval(hits, rows), [expected.low, expected.high], atol=1e-6)


DISTRIBUTIONS = {
    "random": (np.random.default_rng(1).dirichlet(np.ones(8), 40), np.random.default_rng(2).dirichlet(np.ones(8), 40)),
    "sparse": tuple(np.random.default_rng(3).multinomial(10, np.full(8, 1 / 8), (2, 40)) / 10),
    "equal": (np.full((3, 8), 1 / 8), np.full((3, 8), 1 / 8)),
    "disjoint": (np.eye(8)[:4], np.eye(8)[4:]),
    "counts": tuple(np.random.default_rng(4).multinomial(10, np.full(8, 1 / 8), (2, 9))),
    "one row": (np.array([[0.2, 0.8]]), np.array([[0.0, 1.0]])),
}


@pytest.mark.parametrize("name", DISTRIBUTIONS)
def test_jensen_shannon_distance(name):
    first, second = DISTRIBUTIONS[name]
    # SciPy takes the root of rounding errors where two rows are equal.
    expected = np.nan_to_num(jensenshannon(first, second, base=2, axis=1))
    np.testing.assert_allclose(jensen_shannon(first, second), expected, rtol=0, atol=5e-8)
    np.testing.assert_allclose(jensen_shannon(first, second) ** 2, expected**2, rtol=0, atol=EXACT)
    _close(entropy_bits(first / first.sum(axis=1, keepdims=True)), scipy_entropy(first, base=2, axis=1))


def test_nothing_is_nan_or_refused_and_never_0():
    empty = metrics.confusion_matrix([], [], CLASSES)
    for metric in (metrics.accuracy, metrics.balanced_accuracy, metrics.macro_f1, metrics.weighted_f1):
        assert np.isnan(metric(empty))
    for metric in (metrics.precision, metrics.recall, metrics.f1):
        assert np.isnan(metric(empty)).all()
    nothing, none = np.zeros((0, CLASSES)), np.zeros(0, np.int64)
    for score in (
        calibration.brier_score, calibration.negative_log_likelihood, calibration.expected_calibration_error,
        calibration.reliability, calibration.accuracy_against_coverage,
    ):  # fmt: skip
        with pytest.raises(DataError, match="at least one row"):
            score(nothing, none)
    with pytest.raises(DataError, match="at least one row"):
        bootstrap_interval(empty, metrics.accuracy)
    with pytest.raises(DataError, match="at least one row"):
        wilson_interval(0, 0)
    assert mcnemar(0, 0) == 1
