"""What each corruption does to a picture."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from mien.errors import DataError
from mien.workshop.evaluation.conditions import measure
from mien.workshop.evaluation.corruptions import EYES, MOUTH, corruptions

KINDS = {kind.key: kind for kind in corruptions()}


def square(count: int = 40, side: int = 48) -> np.ndarray:
    """A bright square around the middle, a little to the right and below, on grey with texture."""
    pictures = np.random.default_rng(0).integers(60, 80, (count, side, side), dtype=np.uint8)
    pictures[:, side // 2 : side // 2 + side // 4, side // 2 : side // 2 + side // 4] = 220
    return pictures


def centre(pictures: np.ndarray) -> np.ndarray:
    """Middle of the bright square, (N, 2) as x, y in shares of the side, from the picture's middle."""
    mask = pictures > 150
    axis = (np.arange(pictures.shape[1]) + 0.5) / pictures.shape[1] - 0.5
    mass = mask.sum(axis=(1, 2))
    return (
        np.stack([(mask.sum(axis=1) * axis).sum(axis=1), (mask.sum(axis=2) * axis).sum(axis=1)], axis=1) / mass[:, None]
    )


@pytest.mark.parametrize("key", KINDS)
@pytest.mark.parametrize("shape", [(3, 48, 48), (3, 48, 48, 3), (2, 31, 40), (0, 48, 48), (1, 1, 1)])
def test_every_one_takes_any_crops_and_repeats_itself(key, shape):
    crops = np.random.default_rng(1).integers(0, 256, shape, dtype=np.uint8)
    before = crops.copy()
    found = KINDS[key].apply(crops)
    assert found.dtype == np.uint8
    assert found.ndim == crops.ndim
    assert len(found) == len(crops)
    assert (found == KINDS[key].apply(crops)).all()
    assert (crops == before).all()


@pytest.mark.parametrize("key", KINDS)
def test_every_one_changes_faces_and_grey_colours_alike(key):
    crops = square(3)
    found = KINDS[key].apply(crops)
    assert found.shape != crops.shape or (found != crops).any(axis=(1, 2)).all()
    coloured = KINDS[key].apply(np.repeat(crops[..., None], 3, axis=3))
    assert np.abs(coloured.astype(int) - found[..., None]).max() <= (12 if key == "jpeg-30" else 1)


def test_another_seed_draws_other_noise_and_the_same_blur():
    crops = square(4)
    assert (KINDS["noise-10"].apply(crops) != KINDS["noise-10"].apply(crops, seed=1)).any()
    assert (KINDS["blur-1"].apply(crops) == KINDS["blur-1"].apply(crops, seed=1)).all()


@pytest.mark.parametrize("crops", [np.zeros((2, 4, 4)), np.zeros((4, 4), np.uint8), np.zeros((2, 0, 4), np.uint8)])
def test_what_is_no_crop_is_refused(crops):
    with pytest.raises(DataError, match="expected crops"):
        KINDS["blur-1"].apply(crops)


def test_blur_is_that_of_its_sigma_at_any_size():
    crops = np.random.default_rng(2).integers(0, 256, (2, 96, 96), dtype=np.uint8)
    expected = cv2.GaussianBlur(crops[0], (0, 0), 2.0, borderType=cv2.BORDER_REPLICATE)
    assert (KINDS["blur-1"].apply(crops)[0] == expected).all()


def test_little_light_follows_the_curve_of_grey_levels():
    crops = np.full((50, 8, 8), 200, np.uint8)
    for key, light in (("light-quarter", 1 / 4), ("light-sixteenth", 1 / 16)):
        assert KINDS[key].apply(crops).mean() == pytest.approx(200 * light ** (1 / 2.2), abs=0.5)


def test_noise_has_its_standard_deviation():
    assert KINDS["noise-20"].apply(np.full((50, 20, 20), 128, np.uint8)).std() == pytest.approx(20, rel=0.03)


def test_half_are_tilted_left_and_half_right():
    offset = centre(KINDS["tilt-15"].apply(square()))
    turns = np.degrees(np.arctan2(offset[:, 1], offset[:, 0])) - 45
    np.testing.assert_allclose(np.abs(turns), 15, atol=3)
    assert 8 < (turns > 0).sum() < 32


@pytest.mark.parametrize(
    ("key", "moves"),
    [
        ("shift-5", {(0.05, 0), (-0.05, 0), (0, 0.05), (0, -0.05)}),
        ("shift-10-sideways", {(0.1, 0), (-0.1, 0)}),
        # A box that lies too low shows the face too high.
        ("shift-10-down", {(0, -0.1)}),
        ("shift-10-up", {(0, 0.1)}),
    ],
)
def test_a_box_that_lies_off_shows_the_face_elsewhere(key, moves):
    crops = square()
    found = centre(KINDS[key].apply(crops)) - centre(crops)
    assert {tuple(0.05 * np.round(move / 0.05) + 0.0) for move in found} == moves


@pytest.mark.parametrize("scale", [0.8, 0.9, 1.1, 1.2, 1.3])
def test_a_loose_box_shows_the_face_smaller(scale):
    area = (KINDS[f"scale-{scale:g}"].apply(square()) > 150).sum(axis=(1, 2)) / 144
    np.testing.assert_allclose(area, scale**-2, rtol=0.12)


def test_few_pixels_are_those_of_the_models_crop_and_leave_nothing_sharp():
    crops = square(2)
    assert KINDS["box-12px"].apply(crops).shape == (2, 11, 11)
    wide = next(kind for kind in corruptions(1.5) if kind.key == "box-12px")
    assert wide.apply(crops).shape == (2, 18, 18)
    tiny = square(2, 10)
    assert (KINDS["box-24px"].apply(tiny) == tiny).all()
    assert KINDS["box-24px"].apply(crops).mean() == pytest.approx(crops.mean(), abs=1)


def test_jpeg_leaves_blocks_and_the_mean():
    crops = np.random.default_rng(2).integers(80, 176, (5, 48, 48), dtype=np.uint8)
    found = KINDS["jpeg-30"].apply(crops)
    assert found.mean() == pytest.approx(crops.mean(), abs=1)
    assert measure(found)["sharpness"].max() < 0.8 * measure(crops)["sharpness"].min()


@pytest.mark.parametrize(("key", "place"), [("eyes", EYES), ("mouth", MOUTH)])
def test_covers_lie_over_their_place_and_nowhere_else(key, place):
    crops = square(2, 100)
    changed = (KINDS[key].apply(crops) != crops).any(axis=0)
    top, bottom, left, right = (round(100 * at) for at in place)
    assert changed[top:bottom, left:right].all()
    assert changed.sum() == (bottom - top) * (right - left)


def test_keys_and_titles_are_each_its_own():
    assert len(KINDS) == len({kind.title for kind in KINDS.values()}) == len(corruptions())
