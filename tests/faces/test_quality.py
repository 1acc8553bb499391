from __future__ import annotations

from typing import Any

import cv2
import numpy as np
import pytest

from mien.faces.geometry import Geometry, from_angles
from mien.faces.quality import GOOD, Ramp, judge, yaw_by_five
from mien.labels import BLENDSHAPES
from mien.structures import Detections

FIVE = np.array([[20, 30], [40, 30], [30, 42], [23, 52], [37, 52]], np.float32)


def _found(height: float = 60, five: Any = FIVE) -> Detections:
    return Detections(np.float32([[0, 0, 0.8 * height, height]]), np.float32([1]), np.float32(five)[None])


def _crop(sigma: float = 1.2) -> np.ndarray[Any, np.dtype[np.uint8]]:
    rng = np.random.default_rng(0)
    noise = cv2.GaussianBlur(rng.uniform(0, 255, (64, 64)).astype(np.float32), (0, 0), sigma)
    noise = 120 + 50 * (noise - noise.mean()) / noise.std()
    return np.clip(noise, 0, 255).astype(np.uint8)[None, None]


def _geometry(yaw: float = 0, hidden: slice = slice(0, 0)) -> Geometry:
    visible = np.ones((1, 70), np.float32)
    visible[:, hidden] = 0.1
    shapes = np.zeros((1, 70, 2), np.float32), visible, from_angles((yaw, 0, 0))[None]
    return Geometry(*shapes, np.zeros((1, len(BLENDSHAPES)), np.float32))


def test_a_face_without_trouble_is_good() -> None:
    assert judge(_found(), _crop()) == [(GOOD, 1.0)]
    assert judge(_found(), _crop(), _geometry()) == [(GOOD, 1.0)]
    assert judge(Detections.empty(), _crop()[:0]) == []


@pytest.mark.parametrize(
    ("word", "found", "crop"),
    [
        ("small", _found(20), _crop()),
        ("faint", _found(), (_crop() // 20).astype(np.uint8)),
        ("blurred", _found(), _crop(sigma=5)),
        ("profile", _found(five=[[30, 30], [36, 30], [40, 42], [31, 52], [34, 52]]), _crop()),
    ],
)
def test_trouble_by_its_word(word: str, found: Detections, crop: Any) -> None:
    (quality,) = judge(found, crop)
    assert quality.word == word
    assert quality.score < 0.5


@pytest.mark.parametrize(
    ("yaw", "hidden", "word"),
    [
        (0, slice(36, 42), "eyes covered"), (0, slice(42, 48), "eyes covered"), (0, slice(48, 68), "mouth covered"),
        # The far eye of a face that turns to the person's left is the left one.
        (35, slice(42, 48), GOOD), (35, slice(36, 42), "eyes covered"), (-35, slice(36, 42), GOOD),
        (0, slice(0, 17), GOOD),
    ],
)  # fmt: skip
def test_what_covers_a_face_is_named(yaw: float, hidden: slice, word: str) -> None:
    assert judge(_found(), _crop(), _geometry(yaw, hidden))[0].word == word


def test_a_profile_is_told_by_the_pose_where_that_is_known() -> None:
    assert judge(_found(), _crop(), _geometry(yaw=-70))[0].word == "profile"
    assert judge(_found(), _crop(), _geometry(yaw=45))[0] == (GOOD, pytest.approx(0.75, abs=1e-3))


def test_without_landmarks_the_yaw_is_not_held_against_a_face() -> None:
    assert yaw_by_five(np.full((1, 5, 2), np.nan, np.float32)).tolist() == [0]


def test_a_ramp_runs_either_way() -> None:
    values = np.float32([0, 45, 60, 75, 120])
    assert Ramp("profile", 90, 30).score(values).tolist() == [1, 0.75, 0.5, 0.25, 0]


def test_faces_below_a_quality_are_not_sure() -> None:
    from mien import Pipeline
    from mien.errors import ConfigError

    faint = np.full((60, 60, 3), 90, np.uint8)
    (face,) = Pipeline("mien-xs", detector="none", min_quality=0.5).analyze(faint)
    assert (face.quality, face.verdict) == ("faint", "not sure")
    assert face.to_dict()["quality"] == "faint"
    (shown,) = Pipeline("mien-xs", detector="none").analyze(faint)
    assert not shown.abstained
    with pytest.raises(ConfigError, match="min_quality is a score from 0 to 1"):
        Pipeline("mien-xs", detector="none", min_quality=2)
