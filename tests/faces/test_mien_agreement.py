"""Several looks at one picture agree on a face, or it is none."""

from __future__ import annotations

import numpy as np

from mien.faces.mien_detector import agree
from mien.structures import Detections

FACE = [100.0, 100.0, 180.0, 200.0]
SCALES = [1.0, 0.3]


def look(*scores: float, box: list[float] = FACE, eye: float = 0.0) -> Detections:
    found = Detections.from_boxes([box] * len(scores), list(scores))
    return Detections(found.boxes, found.scores, np.full((len(scores), 5, 2), eye, np.float32))


def test_one_look_is_taken_at_its_word() -> None:
    np.testing.assert_allclose(agree([look(0.8)], [1.0]).scores, [0.8], atol=1e-6)


def test_what_another_look_should_see_and_does_not_is_no_face() -> None:
    assert agree([look(0.9), look()], SCALES).scores.max() < 0.5
    # 100 px are 10 px at a tenth: that look is not asked.
    np.testing.assert_allclose(agree([look(0.9), look()], [1.0, 0.1]).scores, [0.9], atol=1e-6)


def test_looks_that_see_the_same_have_the_mean_of_their_logits_and_the_surer_ones_landmarks() -> None:
    for first, second in ((0.9, 0.99), (0.99, 0.9)):
        found = agree([look(first, eye=1.0), look(second, eye=2.0)], SCALES)
        expected = 1 / (1 + np.exp(-(np.log(9) + np.log(99)) / 2))
        np.testing.assert_allclose(found.scores, [expected] * 2, atol=1e-5)
        assert found.landmarks[0, 0, 0] == (1.0 if first > second else 2.0)


def test_a_low_face_needs_more() -> None:
    low = [10.0, 10.0, 26.0, 30.0]
    assert agree([look(0.8, box=low)], [1.0]).scores[0] < 0.5 < agree([look(0.9, box=low)], [1.0]).scores[0]


def test_nothing_found_stays_nothing() -> None:
    assert len(agree([look(), look()], SCALES)) == 0
