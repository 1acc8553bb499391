"""Two models on the same faces, against SciPy and cases that are known beforehand."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import binomtest

from mien.errors import DataError
from mien.labels import HEADS
from mien.workshop.evaluation.calibration import bin_of
from mien.workshop.evaluation.compare import calibration_difference, compare, main_comparisons, mcnemar, verdict
from mien.workshop.evaluation.evaluate import evaluate
from mien.workshop.evaluation.scores import ModelIdentity

MODEL = ModelIdentity("fake")


@pytest.mark.parametrize("counts", [(0, 0), (5, 5), (1, 9), (0, 7), (130, 171), (900, 700)])
def test_mcnemar_is_scipys_exact_binomial_test(counts: tuple[int, int]) -> None:
    expected = binomtest(counts[0], sum(counts)).pvalue if sum(counts) else 1.0
    assert mcnemar(*counts) == pytest.approx(expected, rel=1e-9)
    assert mcnemar(*counts) == mcnemar(*counts[::-1])


def test_a_perfect_model_against_a_constant_one(make_dataset, perfect, constant):
    dataset = make_dataset(test=70)
    evaluations = [evaluate(predict, dataset, model=MODEL) for predict in (constant, perfect)]
    row = next(found for found in compare(*evaluations) if found.faces.key == "fer2013-test")
    assert row.second == 1
    assert row.first == pytest.approx(1 / 7)
    assert (row.only_first, row.only_second) == (0, 60)
    assert row.difference.low < 6 / 7 < row.difference.high
    assert row.p_value < 1e-9


def test_a_model_against_itself_differs_by_nothing(make_dataset, constant):
    evaluation = evaluate(constant, make_dataset(), model=MODEL)
    for row in compare(evaluation, evaluation):
        assert (row.only_first, row.only_second, row.p_value) == (0, 0, 1)
        assert row.difference == (0, 0)


def test_a_sentence_says_which_is_better(make_dataset, perfect, constant):
    one, other = (evaluate(predict, make_dataset(test=70), model=MODEL) for predict in (constant, perfect))
    (better,) = (verdict(row, ("a", "b")) for row in compare(one, other) if row.faces.key == "fer2013-test")
    assert "b is more accurate than a; 100.0 % against 14.3 %" in better
    assert "p < 0.001" in better
    (same,) = (verdict(row, ("a", "b")) for row in compare(one, one) if row.faces.key == "fer2013-test")
    assert "no clear difference between b and a" in same


def test_other_data_is_refused(make_dataset, constant):
    first, second = (evaluate(constant, make_dataset(test=n), model=MODEL) for n in (50, 70))
    with pytest.raises(DataError, match="different data"):
        compare(first, second)


def test_classes_count_what_is_lost_and_gained(make_dataset, perfect, constant):
    evaluations = [evaluate(predict, make_dataset(test=70), model=MODEL) for predict in (constant, perfect)]
    row = next(found for found in compare(*evaluations) if found.faces.key == "fer2013-test")
    changes = {change.name: change for change in row.classes}
    assert {name: (c.faces, c.lost, c.gained) for name, c in changes.items()} == {
        name: (10, 0, 0 if name == "happy" else 10) for name in row.faces.classes
    }
    assert changes["sad"].recall == (0, 1)
    assert changes["happy"].f1 == (pytest.approx(0.25), 1)


def test_each_head_has_one_main_set(make_dataset, constant):
    evaluation = evaluate(constant, make_dataset(), model=MODEL)
    keys = [row.faces.key for row in main_comparisons(compare(evaluation, evaluation))]
    assert keys == ["fer2013-test", "crowd-test"]


def test_the_difference_of_calibration_errors_has_its_interval(make_dataset, perfect, constant):
    evaluations = [evaluate(predict, make_dataset(test=70), model=MODEL) for predict in (constant, perfect)]
    row = next(found for found in compare(*evaluations) if found.faces.key == "fer2013-test")
    low, high = calibration_difference(row)
    assert low < row.scores[1].ece - row.scores[0].ece < high < 0


@pytest.mark.parametrize("bins", [5, 10, 15, 25])
def test_a_confidence_on_an_edge_counts_in_the_bin_below_it(bins: int) -> None:
    edges = np.linspace(0, 1, bins + 1)
    assert bin_of(edges, bins).tolist() == [0, *range(bins)]
    assert bin_of(np.nextafter(edges[:-1], 1), bins).tolist() == list(range(bins))
    assert bin_of(edges[1:] - 1e-9, bins).tolist() == list(range(bins))


def test_models_without_a_common_head_are_refused(make_dataset, constant):
    evaluations = [evaluate(constant, make_dataset(), model=MODEL, heads={h: HEADS[h]}) for h in HEADS]
    with pytest.raises(DataError, match="none in common"):
        compare(*evaluations)
