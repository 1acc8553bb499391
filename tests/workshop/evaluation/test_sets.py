"""Which faces stand in which set, and what counts as right for them."""

from __future__ import annotations

import numpy as np
import pytest

from mien.errors import ConfigError, DataError
from mien.labels import CROWD, HEADS, SEVEN
from mien.workshop.data.base import leaked
from mien.workshop.evaluation.sets import labelled_sets


def _by_key(dataset, heads=tuple(HEADS), **options):
    sets, notes = labelled_sets(dataset, heads, **options)
    return {found.key: found for found in sets}, notes


def _vote(dataset, row, **votes):
    dataset.votes[row] = 0
    for name, count in votes.items():
        dataset.votes[row, CROWD.index(name) if name in CROWD else 8] = count


def test_the_challenges_head_is_judged_by_the_crowd_in_seven_classes(make_dataset):
    dataset = make_dataset()
    _vote(dataset, 60, neutral=9, sad=1)
    _vote(dataset, 61, contempt=9, sad=1)
    _vote(dataset, 62, happy=5, sad=5)
    _vote(dataset, 63, unknown=10)
    sets, _ = _by_key(dataset)
    seven, eight = sets["fer2013-majority-test"], sets["crowd-test"]
    assert (seven.head, seven.classes, eight.classes) == ("fer2013", SEVEN, CROWD)
    assert sorted({*range(60, 110)} - {*seven.rows.tolist()}) == [61, 62, 63]
    assert sorted({*range(60, 110)} - {*eight.rows.tolist()}) == [62, 63]
    assert seven.truth[0] == SEVEN.index("neutral")
    common = np.isin(eight.rows, seven.rows)
    named = [[found.classes[k] for k in truth] for found, truth in ((seven, seven.truth), (eight, eight.truth[common]))]
    assert named[0] == named[1]


def test_the_crowd_is_asked_for_a_built_sets_own_labels_on_test(make_dataset):
    sets, _ = _by_key(make_dataset(votes=False), ("crowd",))
    assert list(sets) == ["crowd-on-labels-both", "crowd-on-labels-test"]
    assert sets["crowd-on-labels-test"].rows.tolist() == list(range(60, 110))
    only_test, _ = _by_key(make_dataset(0, 0, 30, votes=False), ("crowd",))
    assert list(only_test) == ["crowd-on-labels-test"]
    only_validation, _ = _by_key(make_dataset(5, 30, 0, votes=False), ("crowd",))
    assert list(only_validation) == ["crowd-on-labels-validation"]


def test_unseen_sets_leave_out_the_faces_of_train(make_dataset):
    dataset = make_dataset()
    dataset.images[60:63] = dataset.images[4:7]
    sets, _ = _by_key(dataset)
    for key in ("fer2013-test-unseen", "fer2013-majority-test-unseen", "crowd-test-unseen"):
        assert len(sets[key].rows) == 47
        assert not leaked(dataset)[sets[key].rows].any()


def test_a_true_class_can_be_left_out_of_every_set(make_dataset):
    dataset = make_dataset()
    sets, notes = _by_key(dataset, without=("Disgusted",))
    whole, _ = _by_key(dataset)
    assert set(sets) == {f"{key}-without-disgust" for key in whole}
    for key, found in whole.items():
        less, place = sets[f"{key}-without-disgust"], found.classes.index("disgust")
        assert less.classes == found.classes, "the model may still answer it"
        np.testing.assert_array_equal(less.rows, found.rows[found.truth != place])
        np.testing.assert_array_equal(less.truth, found.truth[found.truth != place])
        assert less.shares is None or less.shares.shape == (len(less.rows), 8)
        assert "without disgust" in less.title
    assert any("true class is disgust" in note for note in notes)


def test_several_classes_are_left_out_in_the_vocabularys_order(make_dataset):
    sets, _ = _by_key(make_dataset(), without=("contempt", "fear", "fear"))
    found = sets["fer2013-test-without-fear-contempt"]
    assert SEVEN.index("fear") not in found.truth


@pytest.mark.parametrize(
    ("names", "message"),
    [(("boredom",), "'boredom' is no class to leave out: expected some of angry"), (SEVEN, "all seven")],
)
def test_what_cannot_be_left_out_is_refused(make_dataset, names, message):
    with pytest.raises(ConfigError, match=message):
        labelled_sets(make_dataset(), tuple(HEADS), without=names)


def test_votes_for_nothing_leave_the_sets_by_votes_out(make_dataset):
    dataset = make_dataset()
    dataset.votes[:] = 0
    sets, notes = _by_key(dataset)
    assert [key for key in sets if key.startswith("crowd")] == ["crowd-on-labels-both", "crowd-on-labels-test"]
    assert sum("no row has one, left out" in note for note in notes) == 4


def test_a_class_without_a_face_is_no_error(make_dataset):
    dataset = make_dataset()
    dataset.labels[dataset.labels == 1] = 0
    sets, _ = _by_key(dataset, ("fer2013",))
    assert 1 not in sets["fer2013-test"].truth


def test_no_known_head_is_nothing_to_test(make_dataset):
    with pytest.raises(DataError, match="no face to test on"):
        labelled_sets(make_dataset(), ())
