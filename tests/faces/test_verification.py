from __future__ import annotations

import numpy as np

from mien.faces.verification import SIDE_PX, SURROUNDINGS, cut_candidates, to_features
from mien.structures import Detections


def draw_face(turned: int) -> tuple[np.ndarray, Detections]:
    """A dark forehead over a bright chin in the middle of a picture, turned by quarters counter-clockwise."""
    picture = np.full((200, 200), 128, np.uint8)
    picture[60:100, 70:130], picture[100:140, 70:130] = 20, 230
    points = np.float32([[85, 85], [115, 85], [100, 100], [88, 120], [112, 120]])
    for _ in range(turned):
        picture, points = np.rot90(picture), np.stack([points[:, 1], 200 - points[:, 0]], axis=1)
    box = [70, 60, 130, 140] if turned % 2 == 0 else [60, 70, 140, 130]
    return np.ascontiguousarray(picture), Detections(np.float32([box]), np.float32([0.5]), points[None])


def test_candidates_are_turned_upright_whatever_way_they_lie() -> None:
    upright = cut_candidates(*draw_face(0))[0].astype(int)
    assert upright.shape == (SIDE_PX, SIDE_PX)
    middle = SIDE_PX // 2
    assert upright[middle - 6, middle] < 60 < 200 < upright[middle + 6, middle]
    for turned in (1, 2, 3):
        assert np.abs(cut_candidates(*draw_face(turned))[0].astype(int) - upright).mean() < 6


def test_a_square_holds_the_surroundings_at_any_size() -> None:
    for side in (8, 40, 900):
        picture = np.zeros((1200, 1200), np.uint8)
        low = 600 - side // 2
        picture[low : low + side, low : low + side] = 255
        found = Detections.from_boxes([[low, low, low + side, low + side]], [0.5])
        share = (cut_candidates(picture, found)[0] / 255).mean()
        assert abs(share - 1 / SURROUNDINGS**2) < 0.03


def test_candidates_at_the_edge_and_without_landmarks_are_cut_as_well() -> None:
    picture = np.random.default_rng(0).integers(0, 256, (30, 40), np.uint8)
    boxes = [[-20, -20, 10, 10], [35, 25, 60, 60], [5, 5, 5, 5], [-500, -500, 900, 900]]
    assert cut_candidates(picture, Detections.from_boxes(boxes, np.ones(4))).shape == (4, SIDE_PX, SIDE_PX)


def test_both_scores_count_and_that_a_face_fills_a_close_up() -> None:
    found = Detections.from_boxes([[0, 0, 40, 50], [0, 0, 40, 70]], [0.5, 0.9])
    seen = np.float32([1, 2])
    large, small = (to_features(found, seen, shape) for shape in ((640, 480), (128, 128)))
    np.testing.assert_allclose(large, [[1, 0, 1, 0], [1, np.log(9), 2, 0]], atol=1e-5)
    np.testing.assert_allclose(small[:, 3], [0, 1])
