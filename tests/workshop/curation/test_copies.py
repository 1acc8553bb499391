from __future__ import annotations

import numpy as np
import pytest

from mien.workshop.curation.copies import find_copies
from mien.workshop.curation.issues import Finding, by_group, number
from mien.workshop.curation.quality import find_poor, measure
from mien.workshop.data.base import FaceDataset, picture_groups

TRAIN, VALIDATION, TEST = 0, 1, 2


def find(groups: list[int], labels: list[int], split: list[int]) -> list[Finding]:
    return find_copies(np.int64(groups), np.int64(labels), np.int8(split))


def test_copies_in_train_are_dropped_but_for_one() -> None:
    (found,) = find([0, 1, 0, 0], [3, 3, 3, 3], [TRAIN] * 4)
    assert (found.kind, found.rows, found.suggestion, found.score) == ("duplicate", (0, 2, 3), "drop", 1.0)


def test_copies_in_test_stay() -> None:
    (found,) = find([0, 0], [3, 3], [TEST, TEST])
    assert (found.kind, found.suggestion) == ("duplicate", "keep")


def test_of_a_leak_the_training_side_goes() -> None:
    (found,) = find([0, 0, 2, 0], [1, 1, 5, 1], [TRAIN, TRAIN, TRAIN, TEST])
    assert (found.kind, found.rows, found.suggestion) == ("leak", (3, 0, 1), "drop")
    assert "train and test" in found.detail


def test_test_is_protected_before_validation_and_neither_is_dropped() -> None:
    (found,) = find([0, 0], [1, 1], [VALIDATION, TEST])
    assert (found.kind, found.rows, found.suggestion) == ("leak", (1, 0), "keep")


def test_no_test_row_is_among_those_a_leak_drops() -> None:
    found = {f.kind: f for f in find([0, 0, 0], [1, 1, 1], [TEST, TRAIN, TEST])}
    assert found["leak"].rows == (0, 1)
    assert (found["duplicate"].rows, found["duplicate"].suggestion) == ((0, 2), "keep")


def test_a_conflict_keeps_the_commonest_label() -> None:
    found = {f.kind: f for f in find([0, 0, 0], [4, 2, 2], [TRAIN] * 3)}
    assert found["conflict"].rows == found["duplicate"].rows == (1, 2, 0)
    assert "sad" in found["conflict"].detail
    assert "fear" in found["conflict"].detail


def test_a_missing_label_is_no_conflict() -> None:
    assert [f.kind for f in find([0, 0], [4, -1], [TRAIN] * 2)] == ["duplicate"]
    assert find([0, 0], [-1, 4], [TRAIN] * 2)[0].rows == (1, 0)


def test_nothing_is_found_where_nothing_is() -> None:
    assert find([], [], []) == []
    assert find([0], [1], [0]) == []
    assert by_group(np.zeros(0, np.int64)) == []


def test_issues_are_numbered_by_kind_then_by_score() -> None:
    findings = [
        Finding("blur", (1,), 0.9, "keep"), Finding("leak", (3, 1), 0.2, "drop"), Finding("leak", (2, 4), 0.7, "drop"),
    ]  # fmt: skip
    issues = number(findings)
    assert [(issue.number, issue.kind, issue.score) for issue in issues] == [
        (1, "leak", 0.7),
        (2, "leak", 0.2),
        (3, "blur", 0.9),
    ]


@pytest.mark.data
def test_fer2013s_copies_leaks_and_flat_pictures_are_all_found(fer2013: FaceDataset) -> None:
    groups = picture_groups(fer2013.images)
    found = find_copies(groups, fer2013.labels, fer2013.split)
    assert len({groups[f.rows[0]] for f in found}) == 1516
    named = {row for f in found if f.kind == "leak" for row in f.rows}
    leaks = {int(groups[row]) for row in named}
    in_train = set(groups[fer2013.split == TRAIN].tolist()) & leaks
    held_out = fer2013.split[np.isin(groups, list(in_train))]
    assert [(held_out == part).sum() for part in (VALIDATION, TEST)] == [280, 288]
    dropped = {row for f in found if f.kind == "leak" and f.suggestion == "drop" for row in f.rows[1:]}
    assert set(fer2013.split[list(dropped)].tolist()) == {TRAIN}
    assert dropped >= set(np.flatnonzero(np.isin(groups, list(in_train)) & (fer2013.split == TRAIN)).tolist())
    assert sum(f.kind == "conflict" for f in found) == 57
    assert sum(f.kind == "flat" for f in find_poor(measure(fer2013.images))) == 12
