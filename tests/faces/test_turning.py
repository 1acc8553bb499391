from __future__ import annotations

import pickle
from dataclasses import dataclass, field
from typing import Any

import cv2
import numpy as np
import pytest

from mien.faces.detection import crop_faces, height_of, lean_of
from mien.faces.haar import Haar
from mien.faces.turning import QUARTERS, SteadyTurn, TurnSearch, is_able, turn_back, turned
from mien.structures import Detections

FIVE = np.array([[20, 30], [40, 30], [30, 42], [23, 52], [37, 52]], np.float32)
BOX = np.array([12, 10, 48, 60], np.float32)


def _upright() -> np.ndarray[Any, np.dtype[np.uint8]]:
    image = np.full((90, 70, 3), 60, np.uint8)
    for x, y in FIVE.astype(int).tolist():
        cv2.circle(image, (x, y), 3, (255, 255, 255), -1)
    # Only upright faces have red above them.
    image[:6, :, :] = (255, 0, 0)
    return image


@dataclass
class UprightOnly:
    """Finds the face of `_upright` where the picture is upright, and doubts it where it is not."""

    doubt: float = 0.5
    sure_score: float = 0.9
    longest_px: int = 640
    name: str = "upright"
    crops_given: bool = False
    looks: list[tuple[int, ...]] = field(default_factory=list)

    def detect(self, image: np.ndarray[Any, np.dtype[np.uint8]], *, longest_px: int | None = None) -> Detections:
        self.looks.append(image.shape)
        score = 0.95 if image[2, 5, 0] == 255 and image.shape[0] > image.shape[1] and image[2, 5, 1] == 0 else 0.0
        score = score or self.doubt
        if score == 0:
            return Detections.empty()
        return Detections(BOX[None], np.float32([score]), FIVE[None])


@pytest.mark.parametrize("quarters", [0, *QUARTERS])
def test_places_in_a_turned_picture_are_led_back(quarters: int) -> None:
    image = _upright()
    given = turned(image, quarters)
    found, turn = TurnSearch(UprightOnly()).look(given)
    assert turn == (4 - quarters) % 4
    for x, y in found.landmarks[0]:
        assert given[int(y), int(x)].tolist() == [255, 255, 255]
    x1, y1, x2, y2 = found.boxes[0]
    assert x1 < x2
    assert y1 < y2
    lean = np.degrees(lean_of(found.landmarks[0]))
    assert abs((lean - 90 * quarters + 180) % 360 - 180) < 1e-3


@pytest.mark.parametrize("quarters", QUARTERS)
def test_a_face_in_a_turned_picture_is_cropped_upright(quarters: int) -> None:
    image = _upright()
    detector = TurnSearch(UprightOnly())
    (expected,) = crop_faces(image, detector.detect(image), scale=1.0)
    given = turned(image, quarters)
    (crop,) = crop_faces(given, detector.detect(given), scale=1.0)
    small = [cv2.resize(face, (24, 24), interpolation=cv2.INTER_AREA).astype(float) for face in (expected, crop)]
    assert np.corrcoef(small[0].ravel(), small[1].ravel())[0, 1] > 0.9


def test_only_pictures_without_a_sure_face_cost_more() -> None:
    detector = UprightOnly()
    TurnSearch(detector).detect(_upright())
    assert len(detector.looks) == 1
    TurnSearch(detector).detect(turned(_upright(), 1))
    assert len(detector.looks) == 5


def test_where_no_turn_is_sure_the_picture_is_read_as_it_is() -> None:
    found, turn = TurnSearch(UprightOnly(sure_score=0.99)).look(turned(_upright(), 1))
    assert turn == 0
    assert found.boxes[0].tolist() == BOX.tolist()


def test_a_film_is_decided_once() -> None:
    detector = UprightOnly(doubt=0.0)
    steady = SteadyTurn(TurnSearch(detector))
    frame = turned(_upright(), 3)
    for _ in range(11):
        steady.detect(frame)
    assert steady.quarters == 1
    before = len(detector.looks)
    found = steady.detect(frame)
    assert len(detector.looks) == before + 1
    assert len(found) == 1
    # Also where a later frame, as it is, would show a face.
    assert len(steady.detect(_upright())) == 0


def test_a_film_without_faces_stops_trying() -> None:
    detector = UprightOnly(doubt=0.0)
    steady = SteadyTurn(TurnSearch(detector))
    frame = np.zeros((40, 30, 3), np.uint8)
    for _ in range(150):
        steady.detect(frame)
    assert steady.quarters == 0
    assert len(detector.looks) == 150 + 3 * 30


def test_haar_cannot_and_the_search_travels() -> None:
    assert not is_able(Haar())
    assert is_able(UprightOnly())
    again = pickle.loads(pickle.dumps(TurnSearch(UprightOnly())))
    assert len(again.detect(turned(_upright(), 2))) == 1


def test_quarters_and_back_again_are_the_same() -> None:
    found = Detections(BOX[None], np.float32([1]), FIVE[None])
    moved = found
    height, width = 90, 70
    for _ in range(4):
        moved = turn_back(moved, 1, height, width)
        height, width = width, height
    assert np.allclose(moved.boxes, found.boxes)
    assert np.allclose(moved.landmarks, found.landmarks)


@pytest.mark.parametrize("degrees", [0, 30, 45, 60, 90, 180])
def test_the_height_of_a_leaning_face(degrees: int) -> None:
    turn = np.radians(degrees)
    high, wide = 50.0, 39.0
    half = [np.hypot(wide * np.cos(turn), high * np.sin(turn)), np.hypot(wide * np.sin(turn), high * np.cos(turn))]
    box = np.float32([100 - half[0] / 2, 100 - half[1] / 2, 100 + half[0] / 2, 100 + half[1] / 2])
    assert height_of(box, float(turn)) == pytest.approx(high, rel=0.01)


def test_the_eyes_of_a_profile_do_not_turn_it() -> None:
    five = np.float32([[30, 30], [31, 36], [22, 44], [26, 60], [27, 60]])
    assert abs(np.degrees(lean_of(five))) < 30
    crop = crop_faces(np.zeros((90, 70, 3), np.uint8), Detections(BOX[None], np.float32([1]), five[None]), scale=1.0)
    assert crop[0].shape == (50, 50, 3)
