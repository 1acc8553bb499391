"""The region whose covering changes an answer most is the one that a predictor was made to look at."""

from __future__ import annotations

import numpy as np
import pytest

from mien.faces.geometry import bundled_reader
from mien.workshop.evaluation.regions import REGIONS, find_points, mark_regions, region_falls

NAMES = tuple(REGIONS)


@pytest.fixture(scope="module", name="points")
def _points() -> np.ndarray:
    """The landmarks of a portrait's crop of 96 pixels, (1, 68, 2), found as a report finds them."""
    data = pytest.importorskip("skimage.data")
    crop = np.asarray(data.astronaut())[56:175, 167:286]
    points = find_points(bundled_reader(), crop[None])
    assert points.shape == (1, 68, 2)
    return points


def test_regions_lie_below_one_another_and_apart(points: np.ndarray) -> None:
    masks = mark_regions(points[0], 119, 119)
    assert masks.shape == (4, 119, 119)
    middles = [np.argwhere(mask).mean(axis=0) for mask in masks]
    rows = [middle[0] for middle in middles]
    assert rows == sorted(rows)
    assert not (masks[NAMES.index("mouth")] & masks[NAMES.index("eyes")]).any()
    # Two eyes, with the bridge of the nose between them.
    columns = np.flatnonzero(masks[NAMES.index("eyes")].any(axis=0))
    assert (np.diff(columns) > 1).any()


@pytest.mark.parametrize("region", NAMES)
@pytest.mark.parametrize("colours", [1, 3])
def test_the_region_that_decides_is_named(points: np.ndarray, region: str, colours: int) -> None:
    masks = mark_regions(points[0], 119, 119)
    place = NAMES.index(region)
    only = masks[place] & ~np.delete(masks, place, axis=0).any(axis=0)
    crops = np.full((1, 119, 119), 40, np.uint8)
    crops[0][only] = 255
    if colours == 3:
        crops = np.repeat(crops[..., None], 3, axis=-1)

    def predict(faces: np.ndarray, head: str) -> np.ndarray:
        bright = faces.reshape(*faces.shape[:3], -1)[:, only].mean(axis=(1, 2)) / 255
        return np.stack([1 - bright, bright], axis=1)

    falls = region_falls(predict, crops, "crowd", np.array([1]), points)
    assert falls.shape == (1, 4)
    assert NAMES[int(falls[0].argmax())] == region
    assert falls[0, place] > 0.5
    against = region_falls(predict, crops, "crowd", np.array([0]), points)
    assert against[0, place] < -0.5


def test_no_faces_have_no_regions() -> None:
    none = np.zeros((0, 48, 48), np.uint8)
    assert find_points(bundled_reader(), none).shape == (0, 68, 2)
    assert region_falls(lambda *_: np.zeros((0, 2)), none, "crowd", np.zeros(0, int), np.zeros((0, 68, 2))).size == 0
