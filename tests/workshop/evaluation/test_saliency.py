"""Occlusion maps find what a predictor was made to look at; overlays show it."""

from __future__ import annotations

import numpy as np
import pytest

from mien.errors import ConfigError, DataError
from mien.workshop.evaluation.saliency import COLOURS, normalize_maps, occlusion_maps, overlay

MOUTH = np.s_[:, 16:22, 8:16]
"""The region by whose brightness the predictor below decides."""


def _looks_at_the_mouth(crops: np.ndarray, head: str) -> np.ndarray:
    """Probability of class 1 is the region's brightness, 0–1."""
    bright = crops.reshape(*crops.shape[:3], -1)[MOUTH].mean(axis=(1, 2, 3)) / 255
    return np.stack([1 - bright, bright], axis=1).astype(np.float32)


@pytest.fixture(name="faces")
def _faces() -> np.ndarray:
    """Three dark faces with bright mouths (3, 24, 24)."""
    faces = np.random.default_rng(0).integers(0, 60, (3, 24, 24), dtype=np.uint8)
    faces[MOUTH] = 255
    return faces


def _targets(classes: list[int]) -> np.ndarray:
    return np.array(classes, np.int64)


@pytest.mark.parametrize("colours", [1, 3])
def test_the_region_that_decides_is_found(faces, colours):
    crops = faces if colours == 1 else np.repeat(faces[..., None], 3, axis=-1)
    maps = occlusion_maps(_looks_at_the_mouth, crops, "crowd", _targets([1, 1, 1]))
    assert maps.shape == (3, 24, 24)
    assert maps.dtype == np.float32
    inside = maps[MOUTH].mean(axis=(1, 2))
    rest = maps.copy()
    rest[MOUTH] = 0
    assert (inside > 10 * rest.sum(axis=(1, 2)) / (24 * 24 - 48)).all()
    for found in maps:
        row, column = np.unravel_index(found.argmax(), found.shape)
        assert 16 <= row < 22
        assert 8 <= column < 16


def test_what_is_hidden_against_a_class_counts_below_zero(faces):
    maps = occlusion_maps(_looks_at_the_mouth, faces, "crowd", _targets([0, 0, 1]))
    assert maps[:2].max() <= 0
    assert maps[:2].min() < -0.3
    assert (normalize_maps(maps)[:2] == 0).all()
    assert normalize_maps(maps)[2].max() == 1


def test_a_map_is_of_its_face_alone_and_the_same_each_time(faces):
    together = occlusion_maps(_looks_at_the_mouth, faces, "crowd", _targets([1, 0, 1]), patch=5, stride=2)
    alone = occlusion_maps(_looks_at_the_mouth, faces[1:2], "crowd", _targets([0]), patch=5, stride=2)
    np.testing.assert_array_equal(together[1:2], alone)


def test_every_pixel_is_covered_whatever_the_stride(faces):
    def bright(crops: np.ndarray, head: str) -> np.ndarray:
        share = crops.mean(axis=(1, 2)) / 255
        return np.stack([1 - share, share], axis=1)

    flat = np.zeros((1, 10, 13), np.uint8)
    flat[:, ::2] = 200
    for patch, stride in ((3, 3), (4, 3), (10, 7), (1, 1)):
        maps = occlusion_maps(bright, flat, "crowd", _targets([1]), patch=patch, stride=stride)
        assert np.isfinite(maps).all()
    heard: list[tuple[int, int]] = []
    occlusion_maps(bright, flat, "crowd", _targets([1]), patch=10, stride=3, on_progress=lambda *at: heard.append(at))
    assert heard == [(1, 2), (2, 2)]


def test_no_face_gives_no_map():
    empty = np.zeros((0, 24, 24), np.uint8)
    assert occlusion_maps(_looks_at_the_mouth, empty, "crowd", _targets([])).shape == (0, 24, 24)
    assert normalize_maps(np.zeros((0, 4, 4))).shape == (0, 4, 4)
    assert overlay(empty, np.zeros((0, 24, 24), np.float32)).shape == (0, 24, 24, 3)


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"patch": 25}, ConfigError, "1 to 24"),
        ({"patch": 4, "stride": 5}, ConfigError, "pixels are left out"),
        ({"targets": _targets([1])}, DataError, "3 crops take as many"),
        ({"targets": np.array([0.0, 1.0, 1.0])}, DataError, "whole numbers"),
        ({"targets": _targets([0, 1, 2])}, DataError, "2 classes, but a target is 2"),
        ({"targets": _targets([0, -1, 1])}, DataError, "columns from 0"),
        ({"crops": np.zeros((3, 24, 24))}, DataError, "uint8"),
    ],
)
def test_what_does_not_fit_is_refused(faces, changes, error, message):
    given = {"crops": faces, "head": "crowd", "targets": _targets([1, 1, 1])} | changes
    crops, head, targets = given.pop("crops"), given.pop("head"), given.pop("targets")
    with pytest.raises(error, match=message):
        occlusion_maps(_looks_at_the_mouth, crops, head, targets, **given)


def test_an_overlay_leaves_the_face_where_the_map_is_empty_and_glows_where_it_is_full(faces):
    maps = np.zeros((3, 24, 24), np.float32)
    maps[MOUTH] = 1
    shown = overlay(faces, maps)
    assert shown.shape == (3, 24, 24, 3)
    assert shown.dtype == np.uint8
    np.testing.assert_array_equal(shown[:, :16], np.repeat(faces[:, :16, :, None], 3, axis=-1))
    red, blue = shown[MOUTH][..., 0].astype(int), shown[MOUTH][..., 2].astype(int)
    assert (red - blue > 100).all()
    with pytest.raises(DataError, match="take maps"):
        overlay(faces, maps[:2])


def test_the_colours_rise_evenly_in_lightness():
    lightness = COLOURS @ [0.299, 0.587, 0.114]
    steps = np.diff(lightness)
    assert (steps > 0).all()
    assert steps.max() < 1.6 * steps.mean()
