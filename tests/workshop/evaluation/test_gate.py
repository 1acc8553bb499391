from __future__ import annotations

import numpy as np
import pytest

from mien.errors import DataError
from mien.workshop.evaluation.compare import Speed, compare, judge, measure_in_turns, ratio_interval
from mien.workshop.evaluation.evaluate import evaluate
from mien.workshop.evaluation.scores import ModelIdentity

HEADS = ("fer2013", "crowd")


def speed(ms: float, noise: float = 0.0) -> Speed:
    times = ms * (1 + noise * np.random.default_rng(0).normal(size=15))
    return Speed(times, times)


def asked(dataset, first, second, *, heads=(HEADS, HEADS), ms=(1.0, 1.0), noise=0.0):
    speeds = (speed(ms[0]), speed(ms[1], noise))
    evaluations = [evaluate(predict, dataset, model=ModelIdentity("fake")) for predict in (first, second)]
    return {check.question: check.worse for check in judge(compare(*evaluations), heads, speeds)}


def test_a_better_model_passes_and_a_worse_one_does_not(make_dataset, perfect, constant) -> None:
    dataset = make_dataset(test=70)
    up, down = asked(dataset, constant, perfect), asked(dataset, perfect, constant)
    assert set(up) == {
        "accuracy, fer2013, test, toy labels", "calibration error, fer2013, test, toy labels",
        "accuracy, crowd, test, FER+ majority", "calibration error, crowd, test, FER+ votes", "ms a face, one by one",
    }  # fmt: skip
    assert not any(up.values())
    assert down["accuracy, fer2013, test, toy labels"]
    assert down["accuracy, crowd, test, FER+ majority"]


def test_a_model_is_no_worse_than_itself(make_dataset, guessing, constant) -> None:
    assert not any(asked(make_dataset(), constant, constant).values())


def test_overconfidence_is_worse(make_dataset, constant) -> None:
    def certain(crops, head):
        return np.round(constant(crops, head) + 0.3).astype(np.float32)

    found = asked(make_dataset(test=70), constant, certain)
    assert found["calibration error, fer2013, test, toy labels"]
    assert not found["accuracy, fer2013, test, toy labels"]


def test_a_head_that_is_lacking_is_worse(make_dataset, constant) -> None:
    found = asked(make_dataset(), constant, constant, heads=(HEADS, ("fer2013",)))
    assert found["heads"]
    assert not any("crowd" in question for question in found)


@pytest.mark.parametrize(
    ("ms", "noise", "worse"), [(2.0, 0.0, True), (1.05, 0.0, False), (1.2, 1.0, False), (0.5, 0.0, False)]
)
def test_slower_is_worse_beyond_a_tenth_and_noise(make_dataset, constant, ms, noise, worse) -> None:
    found = asked(make_dataset(), constant, constant, ms=(1, ms), noise=noise)
    assert found["ms a face, one by one"] is worse


def test_without_test_faces_there_is_no_gate(make_dataset, constant) -> None:
    with pytest.raises(DataError, match="the gate needs labelled test faces"):
        asked(make_dataset(test=0, votes=False), constant, constant, heads=(("fer2013",), ("fer2013",)))


def test_models_are_timed_in_turns_on_the_same_faces() -> None:
    asked_of: list[tuple[str, int]] = []
    models = [lambda crops, name=name: asked_of.append((name, len(crops))) for name in "ab"]
    speeds = measure_in_turns(models, np.zeros((3, 48, 48), np.uint8), rounds=4, singles=2)
    assert [len(s.single_ms) for s in speeds] == [4, 4]
    assert all((s.single_ms > 0).all() and (s.batch_ms > 0).all() for s in speeds)
    turns = [name for name, rows in asked_of[4:] if rows == 64]
    assert turns == ["a", "b", "b", "a", "a", "b", "b", "a"]
    assert [rows for name, rows in asked_of[4:] if name == "a"] == [1, 1, 64] * 4


def test_the_ratio_of_times_has_its_interval() -> None:
    assert ratio_interval(speed(1), speed(3)) == pytest.approx((3, 3))
    with pytest.raises(DataError, match="at least one face"):
        measure_in_turns([len], np.zeros((0, 48, 48), np.uint8))
