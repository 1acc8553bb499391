"""Conditions of pictures, and accuracy in their bins."""

from __future__ import annotations

import numpy as np
import pytest

from mien.errors import DataError
from mien.structures import Detections
from mien.workshop.evaluation.conditions import BINS, MINIMUM, accuracy_by_condition, find_landmarks, measure, pose
from mien.workshop.evaluation.metrics import wilson_interval


def test_brightness_contrast_and_side_light_are_those_of_the_pixels():
    left_lit = np.zeros((1, 6, 6), np.uint8)
    left_lit[:, :, :3] = 200
    found = measure(np.concatenate([left_lit, np.full((1, 6, 6), 50, np.uint8)]))
    np.testing.assert_allclose(found["brightness"], [100, 50])
    np.testing.assert_allclose(found["contrast"], [100, 0])
    np.testing.assert_allclose(found["side_light"], [200, 0])


def test_sharpness_is_the_variance_of_the_laplacian_and_falls_by_blurring():
    cv2 = pytest.importorskip("cv2")
    noise = np.random.default_rng(0).integers(0, 256, (40, 40), dtype=np.uint8)
    blurred = cv2.GaussianBlur(noise, (7, 7), 2)
    sharp, soft = measure(np.stack([noise, blurred]))["sharpness"]
    assert sharp == pytest.approx(cv2.Laplacian(noise, cv2.CV_64F)[1:-1, 1:-1].var(), rel=1e-5)
    assert soft < sharp / 20


def test_colours_count_by_their_weight_and_many_pictures_as_one_by_one():
    random = np.random.default_rng(1)
    colours = random.integers(0, 256, (600, 5, 5, 3), dtype=np.uint8)
    green = np.zeros((1, 4, 4, 3), np.uint8)
    green[..., 1] = 100
    assert measure(green)["brightness"] == pytest.approx([58.7], abs=0.01)
    whole = measure(colours)
    np.testing.assert_allclose(whole["contrast"][555], measure(colours[555:556])["contrast"][0], rtol=1e-6)


@pytest.mark.parametrize("shape", [(3, 2, 9), (4, 4), (1, 2, 3, 4, 5)])
def test_what_is_no_stack_of_pictures_is_refused(shape):
    with pytest.raises(DataError, match="expected pictures"):
        measure(np.zeros(shape, np.uint8))


def test_pose_does_not_depend_on_size_place_or_which_eye_comes_first():
    face = np.array([[10, 20], [30, 20], [25, 30], [12, 40], [28, 40]], np.float64)
    swapped = face[[1, 0, 2, 4, 3]]
    found = pose(np.stack([face, 3 * face + 7, swapped, np.zeros((5, 2))]))
    np.testing.assert_allclose(found["yaw"][:3], 0.25)
    np.testing.assert_allclose(found["roll"][:3], 0, atol=1e-9)
    assert np.isnan(found["yaw"][3])
    assert np.isnan(found["roll"][3])
    turn = np.radians(30)
    turned = face @ np.array([[np.cos(turn), np.sin(turn)], [-np.sin(turn), np.cos(turn)]])
    np.testing.assert_allclose([pose(turned)["roll"][0], pose(turned)["yaw"][0]], [30, 0.25])


def test_bins_hold_about_equal_numbers_and_say_where_the_errors_are():
    values = np.arange(1000, dtype=np.float64)
    right = values >= 200
    (found,) = accuracy_by_condition({"brightness": values, "no such thing": values}, right)
    assert len(found.bins) == BINS
    assert all(abs(part.rows - 200) <= 1 for part in found.bins)
    assert found.bins[0].accuracy == pytest.approx(0, abs=0.01)
    assert [part.accuracy for part in found.bins[1:]] == pytest.approx([1] * 4, abs=0.01)
    assert found.clear
    assert found.gap == pytest.approx(1, abs=0.01)
    assert found.bins[-1].high == 999
    for part in found.bins:
        assert part.interval.low <= part.accuracy <= part.interval.high


def test_equal_values_stay_together_and_unknown_ones_are_left_out():
    values = np.r_[np.zeros(70), np.full(30, 5.0), np.full(9, np.nan)]
    (found,) = accuracy_by_condition({"roll": values}, np.ones(109, bool))
    assert [(part.low, part.high, part.rows) for part in found.bins] == [(0, 0, 70), (5, 5, 30)]
    assert not found.clear


@pytest.mark.parametrize("values", [np.ones(100), np.arange(MINIMUM - 1.0), np.full(50, np.nan), np.ones(0)])
def test_what_cannot_be_divided_is_left_out(values):
    assert accuracy_by_condition({"contrast": values}, np.ones(len(values), bool)) == []


def test_another_number_of_values_is_an_error():
    with pytest.raises(DataError, match="a value a face"):
        accuracy_by_condition({"contrast": np.arange(30)}, np.ones(31, bool))


def test_wilsons_interval_is_the_textbook_one_and_holds_the_ends():
    assert wilson_interval(10, 20) == pytest.approx((0.2993, 0.7007), abs=1e-4)
    assert wilson_interval(0, 10) == pytest.approx((0, 0.2775), abs=1e-4)
    assert wilson_interval(10, 10).high == 1
    with pytest.raises(DataError, match="at least one row"):
        wilson_interval(0, 0)


class _TwoFaces:
    """Finds a small face and a large one in whatever is bright, nothing in the dark."""

    name = "two"

    def detect(self, image, *, longest_px=None):
        if image.mean() < 100:
            return Detections.empty()
        assert image.shape == (180, 180, 3)
        boxes = np.float32([[0, 0, 10, 10], [20, 20, 120, 120]])
        landmarks = np.stack([np.full((5, 2), 1), np.arange(10).reshape(5, 2)]).astype(np.float32)
        return Detections(boxes, np.float32([0.9, 0.8]), landmarks)


def test_landmarks_are_those_of_the_largest_face_and_unknown_without_one():
    crops = np.stack([np.full((48, 48), 200, np.uint8), np.zeros((48, 48), np.uint8)])
    found = find_landmarks(_TwoFaces(), crops)
    assert found.shape == (2, 5, 2)
    np.testing.assert_array_equal(found[0], np.arange(10).reshape(5, 2))
    assert np.isnan(found[1]).all()
    assert find_landmarks(_TwoFaces(), crops[:0]).shape == (0, 5, 2)
