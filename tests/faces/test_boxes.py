from __future__ import annotations

import numpy as np

from mien.faces.detection import are_near, centres_and_sizes, corners, overlaps


def test_overlaps_of_boxes_by_hand() -> None:
    first = np.array([[0, 0, 10, 10], [0, 0, 0, 0]], np.float32)
    second = np.array([[0, 0, 10, 5], [10, 10, 20, 20]], np.float32)
    np.testing.assert_allclose(overlaps(first, second), [[0.5, 0], [0, 0]])


def test_centre_and_size_lead_back_to_the_box() -> None:
    boxes = np.array([[1, 2, 11, 32], [-5, 0, 5, 8]], np.float32)
    np.testing.assert_allclose(centres_and_sizes(boxes)[0], [6, 17, 10, 30])
    np.testing.assert_allclose(corners(centres_and_sizes(boxes)), boxes)


def test_near_is_close_and_of_like_size() -> None:
    face = np.array([[0, 0, 10, 10]], np.float32)
    others = np.array([[14, 0, 10, 10], [16, 0, 10, 10], [0, 0, 20, 20]], np.float32)
    assert are_near(face, others).tolist() == [[True, False, False]]
