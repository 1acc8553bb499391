from __future__ import annotations

import numpy as np
import pytest

from mien.workshop.curation.mislabelled import Evidence, find_mislabelled, neighbour_shares, predict_out_of_fold

pytest.importorskip("sklearn")
pytest.importorskip("cleanlab")


def clusters(count: int, *, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Vectors around one point a class, and the classes 0, 3 and 5."""
    random = np.random.default_rng(seed)
    labels = np.array([0, 3, 5])[np.arange(count) % 3]
    return (random.normal(0, 1, (count, 8)) + 6 * np.eye(8)[labels]).astype(np.float32), labels


def evidence(out_of_fold: np.ndarray, labels: np.ndarray, predicted: np.ndarray) -> Evidence:
    alike = [
        [other for other in range(len(labels)) if predicted[other] == predicted[row] and other != row][:8]
        for row in range(len(labels))
    ]
    return Evidence(out_of_fold, np.int64([row + [-1] * (9 - len(row)) for row in alike]), predicted)


def test_swapped_labels_are_found_and_put_right() -> None:
    vectors, truth = clusters(240)
    labels = truth.copy()
    labels[[0, 1, 2]] = [3, 5, 0]
    out_of_fold = predict_out_of_fold(vectors, labels, np.arange(240), classes=7)
    assert out_of_fold.sum(axis=1) == pytest.approx(np.ones(240), abs=1e-5)
    found = {f.rows[0]: f for f in find_mislabelled(labels, evidence(out_of_fold, labels, truth))}
    assert {0, 1, 2} <= set(found)
    assert [found[row].suggestion for row in range(3)] == ["relabel"] * 3
    assert [found[row].label for row in range(3)] == ["angry", "happy", "surprise"]
    assert all(0.5 <= found[row].score <= 1 for row in range(3))


def test_without_agreement_nothing_is_relabelled() -> None:
    vectors, truth = clusters(240)
    labels = truth.copy()
    labels[0] = 3
    out_of_fold = predict_out_of_fold(vectors, labels, np.arange(240), classes=7)
    split_prediction = truth.copy()
    split_prediction[0] = 5
    found = {f.rows[0]: f for f in find_mislabelled(labels, evidence(out_of_fold, labels, split_prediction))}
    assert found[0].suggestion == "drop"
    assert found[0].label == ""


def test_copies_do_not_predict_one_another() -> None:
    vectors, labels = clusters(60)
    odd = np.float32([[0, 0, 0, 0, 0, 0, 0, 40]])
    vectors, labels = np.concatenate([vectors, odd, odd]), np.append(labels, [5, 5])
    alone = predict_out_of_fold(vectors, labels, np.append(np.arange(60), [60, 60]), classes=7)
    apart = [predict_out_of_fold(vectors, labels, np.arange(62), classes=7, seed=seed)[60, 5] for seed in range(4)]
    assert max(apart) > alone[60, 5]


def test_rows_without_a_label_are_foretold_and_not_doubted() -> None:
    vectors, truth = clusters(90)
    labels = truth.copy()
    labels[:9] = -1
    out_of_fold = predict_out_of_fold(vectors, labels, np.arange(90), classes=7)
    assert (out_of_fold[:9].argmax(axis=1) == truth[:9]).all()
    assert not {f.rows[0] for f in find_mislabelled(labels, evidence(out_of_fold, labels, truth))} & set(range(9))


@pytest.mark.parametrize("labels", [np.zeros(30, np.int64), np.full(30, -1), np.zeros(0, np.int64)])
def test_one_class_or_none_gives_nothing(labels: np.ndarray) -> None:
    vectors = np.random.default_rng(0).normal(size=(len(labels), 4)).astype(np.float32)
    out_of_fold = predict_out_of_fold(vectors, labels, np.arange(len(labels)), classes=7)
    assert not out_of_fold.any()
    assert find_mislabelled(labels, Evidence(out_of_fold, np.zeros((len(labels), 2), np.int64), labels)) == []


def test_shares_of_neighbours() -> None:
    shares = neighbour_shares(np.int64([3, 3, 5, -1]), np.int64([[1, 2, -1], [3, -1, -1]]))
    assert shares[0, [3, 5]].tolist() == [0.5, 0.5]
    assert not shares[1].any()
