from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import pytest

from mien.faces.tracking import Tracker
from mien.structures import Detections

Float32 = npt.NDArray[np.float32]
Path = Callable[[float], tuple[float, float]]

SIZE = (240, 640)
FACES = np.random.default_rng(8).integers(0, 256, (4, 6, 6, 3), np.uint8).repeat(10, axis=1).repeat(10, axis=2)
RATE_HZ = 30


def scene(centres: list[tuple[float, float] | None]) -> tuple[npt.NDArray[np.uint8], Detections]:
    """A grey picture with the faces (60 px) that have a centre, and their boxes."""
    image = np.full((*SIZE, 3), 128, np.uint8)
    boxes = []
    for face, centre in zip(FACES, centres, strict=False):
        if centre is None:
            continue
        left, top = (round(value) - 30 for value in centre)
        rows, columns = slice(max(0, top), top + 60), slice(max(0, left), left + 60)
        image[rows, columns] = face[max(0, -top) :, max(0, -left) :][: SIZE[0] - max(0, top), : SIZE[1] - max(0, left)]
        boxes.append((left, top, left + 60, top + 60))
    return image, Detections.from_boxes(boxes, np.ones(len(boxes)))


def follow(
    tracker: Tracker, *paths: Path, seconds: float, hidden: tuple[int, float, float] | None = None
) -> list[dict[int, int]]:
    """Which number each face has in each frame."""
    told = []
    for frame in range(round(seconds * RATE_HZ)):
        time_s = frame / RATE_HZ
        away = {hidden[0]} if hidden and hidden[1] <= time_s < hidden[2] else set()
        shown = [number for number in range(len(paths)) if number not in away]
        image, found = scene([None if n in away else path(time_s) for n, path in enumerate(paths)])
        told.append(dict(zip(shown, tracker.update(found, image, time_s).tolist(), strict=True)))
    return told


def numbers(told: list[dict[int, int]], face: int) -> set[int]:
    return {frame[face] for frame in told if face in frame}


def test_a_moving_face_keeps_its_number() -> None:
    told = follow(Tracker(), lambda t: (60 + 200 * t, 120 + 40 * np.sin(6 * t)), seconds=2.5)
    assert numbers(told, 0) == {1}


def test_neighbours_that_cross_keep_their_numbers() -> None:
    told = follow(Tracker(), lambda t: (60 + 200 * t, 110), lambda t: (560 - 200 * t, 130), seconds=2.5)
    assert (numbers(told, 0), numbers(told, 1)) == ({1}, {2})


@pytest.mark.parametrize("gap_s", [0.3, 0.6, 0.95])
def test_a_face_that_is_hidden_for_up_to_a_second_keeps_its_number(gap_s: float) -> None:
    tracker = Tracker()
    told = follow(tracker, lambda t: (100 + 40 * t, 120), lambda t: (500, 120), seconds=3, hidden=(0, 1, 1 + gap_s))
    assert (numbers(told, 0), numbers(told, 1)) == ({1}, {2})


def test_after_a_longer_time_it_is_a_new_one() -> None:
    tracker = Tracker()
    told = follow(tracker, lambda t: (100, 120), seconds=4, hidden=(0, 1, 2.5))
    assert numbers(told, 0) == {1, 2}


def test_a_neighbour_does_not_inherit_the_number_of_one_who_left() -> None:
    tracker = Tracker()
    image, found = scene([(100, 120)])
    tracker.update(found, image, 0.0)
    image, found = scene([None, (150, 120)])
    assert tracker.update(found, image, 0.2).tolist() == [2]


def test_entry_and_exit_are_told_once() -> None:
    tracker = Tracker()
    image, found = scene([(100, 120)])
    nobody, none = scene([])
    events = []
    for frame in range(60):
        seen = frame < 20
        tracker.update(found if seen else none, image if seen else nobody, frame / RATE_HZ)
        events += [(frame, "in", n) for n in tracker.entered] + [(frame, "out", n) for n in tracker.left]
    assert events == [(0, "in", 1), (49, "out", 1)]
    assert not tracker.waiting


def test_between_two_looks_the_motion_goes_on() -> None:
    tracker = Tracker()
    for frame in range(30):
        image, found = scene([(60 + 4 * frame, 120)])
        tracker.update(found, image, frame / RATE_HZ)
    foretold, ids = tracker.predict(31 / RATE_HZ)
    assert ids.tolist() == [1]
    np.testing.assert_allclose(foretold.boxes[0], [60 + 4 * 31 - 30, 90, 60 + 4 * 31 + 30, 150], atol=3)


def test_nobody_is_foretold_where_nobody_was_seen() -> None:
    tracker = Tracker()
    foretold, ids = tracker.predict(0.0)
    assert len(foretold) == len(ids) == 0
    image, found = scene([(100, 120)])
    tracker.update(found, image, 0.1)
    tracker.update(Detections.empty(), image, 0.2)
    assert tracker.waiting
