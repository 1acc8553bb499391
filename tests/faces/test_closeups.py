from __future__ import annotations

import cv2
import numpy as np
import pytest

from mien.faces.geometry import SIDE_PX, TILE_OF, TILES, TOLD, cut_closeups, refine, tile_frames


def made_points(unit: float = 60.0, turn: float = 0.0, middle: tuple[float, float] = (300.0, 250.0)) -> np.ndarray:
    """70 points of a face that is level but for its turn: eyes, brows and mouth in their places, all else between."""
    points = np.zeros((70, 2))
    rng = np.random.default_rng(0)
    for first, last, x, y in ((17, 22, -0.5, -0.3), (22, 27, 0.5, -0.3), (36, 42, -0.5, 0), (42, 48, 0.5, 0)):
        points[first:last] = np.array([x, y]) + rng.uniform(-0.1, 0.1, (last - first, 2))
    points[48:68] = np.array([0, 1]) + rng.uniform(-0.2, 0.2, (20, 2))
    points[68], points[69] = points[36:42].mean(axis=0), points[42:48].mean(axis=0)
    cos, sin = np.cos(turn), np.sin(turn)
    turned = points @ np.array([[cos, sin], [-sin, cos]]) * unit + middle
    return turned.astype(np.float32)


def test_tiles_fill_the_square_and_tell_each_point_once() -> None:
    square = np.zeros((SIDE_PX, SIDE_PX), int)
    for tile in TILES:
        (x, y), (width, height) = tile.corner, tile.size
        square[y : y + height, x : x + width] += 1
    assert np.all(square == 1)
    assert len(set(TOLD)) == len(TOLD) == len(TILE_OF) == 44


@pytest.mark.parametrize("unit", [12.0, 60.0, 400.0])
@pytest.mark.parametrize("turn", [0.0, 0.5, -2.0])
def test_close_ups_show_eyes_and_mouth_level_and_of_one_size(unit: float, turn: float) -> None:
    points = made_points(unit, turn)
    frames = tile_frames(points)
    for tile, frame in zip(TILES, frames, strict=True):
        places = points[list(tile.tells)] @ frame[:, :2].T + frame[:, 2]
        assert np.all(places >= np.array(tile.corner) - 0.5)
        assert np.all(places <= np.array(tile.corner) + tile.size)
        assert np.sqrt(np.linalg.det(frame[:, :2])) * unit == pytest.approx(tile.scale, rel=0.2)


@pytest.mark.parametrize("turn", [0.0, 0.7])
def test_a_spot_on_an_eye_is_where_the_frame_says(turn: float) -> None:
    points = made_points(60, turn)
    picture = np.zeros((500, 600, 3), np.uint8)
    cv2.circle(picture, tuple(np.round(points[69]).astype(int).tolist()), 4, (255, 255, 255), -1)
    frames = tile_frames(points)
    square = cut_closeups(picture, frames).astype(float)
    rows, columns = np.mgrid[:SIDE_PX, :SIDE_PX]
    seen = np.array([(columns * square).sum(), (rows * square).sum()]) / square.sum()
    np.testing.assert_allclose(seen, np.round(points[69]) @ frames[1, :, :2].T + frames[1, :, 2], atol=0.6)
    assert not square[32:].any(), "the mouth has no spot"


def test_refined_points_are_placed_in_the_picture() -> None:
    points = made_points(45, 0.3)
    truth = points + np.random.default_rng(1).normal(0, 2, points.shape).astype(np.float32)
    frames = tile_frames(points)
    told = np.stack(
        [frames[tile, :, :2] @ truth[point] + frames[tile, :, 2] for point, tile in zip(TOLD, TILE_OF, strict=True)]
    )
    refined = refine(points, ((told + 0.5) * (2 / SIDE_PX) - 1).astype(np.float32), frames)
    np.testing.assert_allclose(refined[list(TOLD)], truth[list(TOLD)], atol=1e-2)
    others = [point for point in range(70) if point not in TOLD]
    np.testing.assert_array_equal(refined[others], points[others])
