from __future__ import annotations

import numpy as np
import pytest

from mien.faces.detection import crop_faces
from mien.structures import Detections


def one(*box: float) -> Detections:
    return Detections.from_boxes([box], [1])


@pytest.fixture
def picture() -> np.ndarray:
    """Each pixel tells its own row and column."""
    rows, columns = np.mgrid[:60, :80].astype(np.uint8)
    return np.dstack([rows, columns, rows])


@pytest.mark.parametrize(("scale", "side"), [(1.0, 20), (0.95, 19), (1.5, 30)])
def test_side_is_a_multiple_of_the_boxes_height(picture: np.ndarray, scale: float, side: int) -> None:
    (crop,) = crop_faces(picture, one(30, 20, 46, 40), scale=scale)
    assert crop.shape == (side, side, 3)
    assert crop.dtype == np.uint8
    assert crop[side // 2, side // 2, :2] == pytest.approx([30, 38], abs=1)


def test_a_crop_shows_the_picture_as_it_is(picture: np.ndarray) -> None:
    (crop,) = crop_faces(picture, one(30, 20, 50, 40), scale=1.0)
    np.testing.assert_array_equal(crop, picture[20:40, 30:50])


def test_beyond_the_picture_its_edge_goes_on(picture: np.ndarray) -> None:
    (crop,) = crop_faces(picture, one(-10, -10, 10, 10), scale=1.0)
    np.testing.assert_array_equal(crop[:11, :11], np.zeros((11, 11, 3), np.uint8))
    np.testing.assert_array_equal(crop[10:, 10:], picture[:10, :10])


def test_crops_keep_the_order_of_the_detections(picture: np.ndarray) -> None:
    both = Detections.from_boxes([[40, 20, 60, 40], [0, 0, 10, 10]], [0.5, 0.9])
    assert [crop.shape[0] for crop in crop_faces(picture, both, scale=1.0)] == [20, 10]


def test_no_detections_give_no_crops(picture: np.ndarray) -> None:
    assert crop_faces(picture, Detections.empty(), scale=1.0) == []


def test_a_given_crop_is_taken_whole(picture: np.ndarray) -> None:
    (square,) = crop_faces(picture[:60, :60], one(0, 0, 60, 60), scale=None)
    np.testing.assert_array_equal(square, picture[:60, :60])
    (wide,) = crop_faces(picture, one(0, 0, 80, 60), scale=None)
    assert wide.shape == (80, 80, 3)
    np.testing.assert_array_equal(wide[10:70], picture)


@pytest.mark.parametrize("box", [(5, 5, 5.2, 5.2), (-500, -500, -400, -400), (79, 59, 90, 300)])
def test_odd_boxes_still_give_a_square(picture: np.ndarray, box: tuple[float, ...]) -> None:
    (crop,) = crop_faces(picture, one(*box), scale=1.0)
    assert crop.shape[0] == crop.shape[1] >= 1
