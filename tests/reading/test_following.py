from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest

from mien.faces.detection import shrink
from mien.reading.following import NEAR_PX, Follower, _cut
from mien.reading.stages import Profile
from mien.structures import Detections, Frame

UInt8 = npt.NDArray[np.uint8]


class Bright:
    """A detector that takes each bright block of one colour for a face; it knows two."""

    name = "bright"
    crops_given = False
    longest_px = 640

    def __init__(self) -> None:
        self.whole = self.near = 0

    def detect(self, image: UInt8, *, longest_px: int | None = None) -> Detections:
        if image.shape == (NEAR_PX, NEAR_PX, 3):
            self.near += 1
        else:
            self.whole += 1
        small, back = shrink(image, longest_px or self.longest_px)
        boxes = []
        for channel in (0, 1):
            rows, columns = np.nonzero(small[..., channel] > 200)
            if len(rows):
                box = np.float32([columns.min(), rows.min(), columns.max() + 1, rows.max() + 1])
                boxes.append(box * np.tile(back, 2))
        return Detections.from_boxes(np.float32(boxes).reshape(-1, 4), np.full(len(boxes), 0.9))


def draw(*boxes: tuple[float, float, float, float], size: tuple[int, int] = (360, 640)) -> UInt8:
    picture = np.full((*size, 3), 40, np.uint8)
    for channel, box in enumerate(boxes):
        x1, y1, x2, y2 = (max(0, round(value)) for value in box)
        picture[y1:y2, x1:x2, channel] = 255
    return picture


def follow(frames: list[UInt8], search_s: float) -> tuple[list[Detections], Bright]:
    detector = Bright()
    follower = Follower(detector, Profile(), every=None, search_s=search_s, live=False)
    return [
        follower.find(Frame(picture, "film", number, number / 25)).detections for number, picture in enumerate(frames)
    ], detector


@pytest.mark.parametrize("height", [30, 90, 250])
def test_a_followed_face_lies_where_a_search_finds_it(height: int) -> None:
    boxes = [(20.0 + 3 * n, 10.0 + n, 20 + 3 * n + 0.8 * height, 10.0 + n + height) for n in range(20)]
    frames = [draw(box) for box in boxes]
    found, detector = follow(frames, 0.25)
    assert detector.near > detector.whole
    for one, box in zip(found, boxes, strict=True):
        np.testing.assert_allclose(one.boxes, [box], atol=2 + height / 30)


def test_a_face_that_jumps_or_comes_is_found() -> None:
    still, far = (40.0, 40.0, 100.0, 120.0), (400.0, 200.0, 460.0, 280.0)
    found, _ = follow([draw(still)] * 5 + [draw(far)] * 5, 10.0)
    # Not where it was expected: the whole frame is searched for it at once.
    assert [len(one) for one in found] == [1] * 10
    np.testing.assert_allclose(found[5].boxes, [far], atol=3)
    found, _ = follow([draw(still)] * 5 + [draw(still, far)] * 10, 0.25)
    assert len(found[-1]) == 2


def test_many_faces_are_looked_for_in_the_whole_frame() -> None:
    boxes = [(10.0, 10.0, 40.0, 50.0), (60.0, 10.0, 90.0, 50.0)]
    _, detector = follow([draw(*boxes, size=(120, 160))] * 10, 0.25)
    assert detector.near == 0


def test_a_square_reaches_beyond_the_picture_and_not_far_from_it() -> None:
    picture = np.zeros((100, 200, 3), np.uint8)
    picture[:, :, 0] = np.arange(200)
    for side in (20, 64, 300, 900):
        square = _cut(picture, -side // 2, -side // 4, side)
        assert square is not None
        assert square.shape == (NEAR_PX, NEAR_PX, 3)
        # The left half repeats the edge, which is dark; the right end shows what lies there.
        assert square[:, : NEAR_PX // 2 - 2, 0].max() <= 2
        assert abs(int(square[NEAR_PX // 2, -1, 0]) - min(side / 2, 199)) <= side / NEAR_PX + 2
    assert _cut(picture, 300, 0, 50) is None
    edge = _cut(picture, 199, 99, 5000)
    assert edge is not None
    assert edge.shape == (NEAR_PX, NEAR_PX, 3)
