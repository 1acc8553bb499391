from __future__ import annotations

import numpy as np

from mien.structures import Detections
from mien.workshop.detection.canvas import Composed
from mien.workshop.detection.report import judge, match


def picture_of(boxes: list[list[float]], kinds: list[int]) -> Composed:
    count = len(boxes)
    return Composed(
        np.zeros((100, 100), np.uint8), np.float32(boxes).reshape(-1, 4), np.zeros((count, 5, 2), np.float32),
        np.array(kinds, np.int64), np.zeros(count, np.float32),
    )  # fmt: skip


def test_each_face_is_found_once_and_the_rest_is_false() -> None:
    truth = picture_of([[0, 0, 20, 20], [50, 50, 70, 70]], [1, 1])
    found = Detections.from_boxes([[0, 0, 20, 20], [1, 1, 21, 21], [80, 0, 90, 10]], [0.9, 0.8, 0.7])
    scores, heights, _, false, _, _ = match(found, truth)
    np.testing.assert_allclose(scores, [0.9, 0])
    np.testing.assert_allclose(heights, [20, 20])
    np.testing.assert_allclose(sorted(false), [0.7, 0.8])


def test_what_is_doubtful_counts_neither_way() -> None:
    truth = picture_of([[0, 0, 20, 20]], [-1])
    scores, _, _, false, _, _ = match(Detections.from_boxes([[2, 2, 22, 22]], [0.9]), truth)
    assert len(scores) == len(false) == 0


def test_recall_is_taken_at_the_score_that_allows_so_many_false_faces() -> None:
    truth = picture_of([[0, 0, 20, 20], [50, 50, 70, 70]], [1, 1])
    found = Detections.from_boxes([[0, 0, 20, 20], [80, 0, 90, 10], [50, 50, 70, 70]], [0.9, 0.6, 0.5])
    outcome = judge(lambda _: found, [truth] * 10)
    # Ten false faces in ten pictures, all with 0.6.
    assert outcome.recall(outcome.threshold_at(0.1)) == 0.5
    assert outcome.recall(outcome.threshold_at(1.0)) == 1.0
    # None of them is as high as 15 px.
    assert outcome.recall(outcome.threshold_at(0.1, (15, 100))) == 1.0
    assert outcome.recall(0.0) == 1.0
