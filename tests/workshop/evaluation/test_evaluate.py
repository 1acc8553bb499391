"""Evaluation with predictors whose scores are known, on whole and on lame data sets."""

from __future__ import annotations

import numpy as np
import pytest

from mien.errors import ArtifactError, DataError, MienError
from mien.labels import CROWD, HEADS, SEVEN
from mien.workshop.data.base import FaceDataset
from mien.workshop.evaluation.evaluate import Predict, evaluate
from mien.workshop.evaluation.scores import ModelIdentity

MODEL = ModelIdentity("toy-model", "1")


def _by_key(evaluation):
    return {scores.faces.key: scores for scores in evaluation.sets}


def test_a_perfect_model_has_perfect_scores_on_every_set(make_dataset, perfect):
    sets = _by_key(evaluate(perfect, make_dataset(), model=MODEL))
    assert {key: scores.rows for key, scores in sets.items()} == {
        "fer2013-validation": 40,
        "fer2013-test": 50,
        "fer2013-both": 90,
        "fer2013-majority-validation": 40,
        "fer2013-majority-test": 50,
        "crowd-validation": 40,
        "crowd-test": 50,
        "crowd-votes-validation": 40,
        "crowd-votes-test": 50,
        "crowd-on-labels-both": 90,
        "crowd-on-labels-test": 50,
    }
    for scores in sets.values():
        assert scores.accuracy == scores.macro_f1 == scores.weighted_f1 == scores.balanced_accuracy == 1
        assert scores.accuracy_interval == scores.macro_f1_interval == (1, 1)
        assert scores.ece == scores.brier == 0
        assert scores.nll == pytest.approx(0, abs=1e-12)
        assert scores.confusion.trace() == scores.rows


def test_a_constant_model_gets_one_class(make_dataset, constant):
    dataset = make_dataset(test=70)
    scores = _by_key(evaluate(constant, dataset, model=MODEL))["fer2013-test"]
    happy = SEVEN.index("happy")
    assert scores.accuracy == pytest.approx(1 / 7)
    assert scores.balanced_accuracy == pytest.approx(1 / 7)
    assert scores.macro_f1 == pytest.approx((2 / 8) / 7)
    assert scores.recall[happy] == 1
    assert np.isnan(np.delete(scores.precision, happy)).all()
    assert scores.ece == pytest.approx(0.3 - 1 / 7, abs=1e-6)


def test_a_guessing_model_is_at_chance_within_its_interval(make_dataset, guessing):
    sets = _by_key(evaluate(guessing, make_dataset(test=3000), model=MODEL))
    low, high = sets["fer2013-test"].accuracy_interval
    assert low < 1 / 7 < high
    assert 0.01 < high - low < 0.04
    assert sets["crowd-test"].faces.classes == CROWD


def test_every_row_passes_once_a_head_in_batches(make_dataset, perfect):
    seen, heard = [], []

    def watched(crops, head):
        seen.append((head, crops[:, 0, 1:3].astype(int) @ [256, 1]))
        return perfect(crops, head)

    evaluate(watched, make_dataset(), model=MODEL, batch=32, on_progress=lambda *at: heard.append(at))
    for head in HEADS:
        rows = np.concatenate([part for name, part in seen if name == head])
        assert rows.tolist() == list(range(20, 110))
    assert max(len(part) for _, part in seen) == 32
    assert heard == [(32, 90), (64, 90), (90, 90)]


def test_faces_that_stand_in_train_are_left_out_of_a_set_of_their_own(make_dataset, perfect):
    dataset = make_dataset()
    dataset.images[60:63] = dataset.images[4:7]
    evaluation = evaluate(perfect, dataset, model=MODEL)
    sets = _by_key(evaluation)
    assert sets["fer2013-test-unseen"].rows == sets["crowd-test-unseen"].rows == 47
    assert "3 faces of test are also in train" in evaluation.notes[0]


def test_without_votes_the_majority_is_left_out_and_said_so(make_dataset, perfect):
    evaluation = evaluate(perfect, make_dataset(votes=False), model=MODEL)
    assert "crowd-test" not in _by_key(evaluation)
    assert _by_key(evaluation)["crowd-on-labels-both"].faces.classes == SEVEN
    assert any("without FER+ votes" in note for note in evaluation.notes)


def test_only_a_test_split_will_do(make_dataset, perfect):
    evaluation = evaluate(perfect, make_dataset(0, 0, 30, votes=False), model=MODEL)
    assert list(_by_key(evaluation)) == ["fer2013-test", "crowd-on-labels-test"]
    assert any("no train split" in note for note in evaluation.notes)


@pytest.mark.parametrize(
    ("sizes", "titles"),
    [
        ((7, 3589, 3589), ["PublicTest", "PrivateTest", "PublicTest + PrivateTest"]),
        ((7, 0, 7178), ["test (PublicTest + PrivateTest)"]),
        ((7, 14, 21), ["validation", "test", "validation + test"]),
        ((7, 14, 0), ["validation"]),
    ],
)
def test_sets_are_named_by_what_is_there(make_dataset, constant, sizes, titles):
    evaluation = evaluate(
        constant, make_dataset(*sizes, votes=False), model=MODEL, heads={"fer2013": SEVEN}, batch=4096
    )
    assert [scores.faces.title for scores in evaluation.sets] == titles


def test_one_face_is_enough(make_dataset, perfect):
    evaluation = evaluate(perfect, make_dataset(0, 0, 1), model=MODEL)
    scores = _by_key(evaluation)["fer2013-test"]
    assert scores.rows == 1
    assert scores.accuracy_interval == (1, 1)
    assert scores.absent == SEVEN[1:]
    assert np.isnan(scores.f1[1:]).all()


def test_rows_without_a_label_or_a_majority_are_not_asked(make_dataset, perfect):
    dataset = make_dataset()
    dataset.labels[20:25] = -1
    dataset.votes[20:22] = 1
    sets = _by_key(evaluate(perfect, dataset, model=MODEL))
    assert sets["fer2013-validation"].rows == 35
    assert sets["crowd-validation"].rows == 38


def test_heads_that_the_model_lacks_are_skipped(make_dataset, perfect):
    evaluation = evaluate(perfect, make_dataset(), model=MODEL, heads={"crowd": CROWD, "valence": ("low", "high")})
    assert {scores.faces.head for scores in evaluation.sets} == {"crowd"}
    assert "The model has no head fer2013." in evaluation.notes
    assert any("valence" in note for note in evaluation.notes)


def test_classes_may_come_in_the_models_own_order(make_dataset, perfect):
    turned = SEVEN[::-1]

    def predict(crops, head):
        return perfect(crops, head)[:, ::-1]

    evaluation = evaluate(predict, make_dataset(), model=MODEL, heads={"fer2013": turned})
    assert all(scores.accuracy == 1 for scores in evaluation.sets)


def test_other_classes_are_refused(make_dataset, perfect):
    with pytest.raises(ArtifactError, match="head fer2013 has the classes happy, sad"):
        evaluate(perfect, make_dataset(), model=MODEL, heads={"fer2013": ("happy", "sad")})


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda p: p * 0.9, r"head fer2013, row 20 \(row20\).*sum 0\.9"),
        (lambda p: np.where(np.arange(len(p))[:, None] == 3, np.nan, p), r"row 23 \(row23\).*nan"),
        (lambda p: p * 3 - 2 / 7, "row 20"),
        (lambda p: p[:, :5], r"expected probabilities \(90, 7\)"),
        (lambda p: p[:-1], r"expected probabilities \(90, 7\)"),
    ],
)
def test_what_are_no_probabilities_is_refused_with_head_and_row(make_dataset, perfect, change, message):
    with pytest.raises(MienError, match=message):
        evaluate(lambda crops, head: change(perfect(crops, head)), make_dataset(), model=MODEL)


def test_nothing_to_test_on_is_an_error(make_dataset, perfect):
    with pytest.raises(DataError, match="validation and test are empty"):
        evaluate(perfect, make_dataset(30, 0, 0), model=MODEL)
    with pytest.raises(DataError, match="validation and test are empty"):
        evaluate(perfect, make_dataset(0, 0, 0), model=MODEL)
    unlabelled = make_dataset(0, 0, 3, votes=False, labels=np.full(3, -1))
    with pytest.raises(DataError, match="no face to test on"):
        evaluate(perfect, unlabelled, model=MODEL)


@pytest.mark.data
def test_the_real_sets_have_their_known_sizes(fer2013: FaceDataset, constant: Predict) -> None:
    evaluation = evaluate(constant, fer2013, model=MODEL)
    assert {key: scores.rows for key, scores in _by_key(evaluation).items()} == {
        "fer2013-validation": 3589,
        "fer2013-test": 3589,
        "fer2013-both": 7178,
        "fer2013-test-unseen": 3589 - 288,
        "fer2013-majority-validation": 3186,
        "fer2013-majority-test": 3137,
        "fer2013-majority-test-unseen": 2880,
        "crowd-validation": 3199,
        "crowd-test": 3153,
        "crowd-test-unseen": 2894,
        "crowd-votes-validation": 3574,
        "crowd-votes-test": 3569,
        "crowd-on-labels-both": 7178,
        "crowd-on-labels-test": 3589,
    }
