from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
import pytest

from mien.labels import EIGHT, SEVEN
from mien.reading.drawing import PALETTE, Rect, draw_faces, text_size
from mien.reading.lettering import text_mask
from mien.structures import Affect, Face


def make_face(box: tuple[float, float, float, float], top: str = "happy", *, abstained: bool = False) -> Face:
    probabilities = {label: 0.7 if label == top else 0.05 for label in SEVEN}
    return Face(box, 0.9, probabilities, abstained=abstained)


@pytest.mark.parametrize("shade", [0, 128, 255])
def test_a_face_is_marked_in_its_colour(shade: int) -> None:
    image = np.full((400, 600, 3), shade, np.uint8)
    out = draw_faces(image, [make_face((200, 150, 300, 270), "sad")])
    assert out.shape == image.shape
    assert (image == shade).all()
    assert (out == PALETTE["sad"]).all(axis=2).sum() > 300
    # The face itself stays visible.
    assert (out[170:250, 220:280] == shade).all()


def test_no_face_leaves_the_picture_as_it_is() -> None:
    image = np.random.default_rng(0).integers(0, 256, (400, 500, 3), np.uint8)
    out = draw_faces(image, [])
    np.testing.assert_array_equal(out, image)
    assert out is not image


def test_a_face_that_abstained_is_not_in_the_expressions_colour() -> None:
    image = np.zeros((400, 600, 3), np.uint8)
    out = draw_faces(image, [make_face((200, 150, 300, 270), abstained=True)])
    border = out[150:270, 195:206].reshape(-1, 3)
    assert not (border == PALETTE["happy"]).all(axis=1).any()


def test_every_label_has_a_colour_of_its_own() -> None:
    assert set(PALETTE) == set(EIGHT)
    assert len(set(PALETTE.values())) == len(EIGHT)


@pytest.mark.parametrize(
    "box",
    [
        (-50, -50, 60, 60),
        (580, 380, 700, 500),
        (0, 0, 600, 400),
        (10, 10, 10, 10),
        (700, 700, 800, 800),
        (5, 5, 6.4, 7.1),
        (-1e4, -1e4, 1e4, 1e4),
        (0, 100, 3, 300),
    ],
)
def test_faces_anywhere_and_of_any_size(box: tuple[float, float, float, float]) -> None:
    assert draw_faces(np.zeros((400, 600, 3), np.uint8), [make_face(box)]).shape == (400, 600, 3)


@pytest.mark.parametrize("shape", [(1, 1), (48, 48), (2000, 20), (20, 2000), (321, 321)])
def test_pictures_of_any_shape(shape: tuple[int, int]) -> None:
    height, width = shape
    out = draw_faces(np.zeros((height, width, 3), np.uint8), [make_face((0, 0, width, height))])
    factor = out.shape[0] // height
    assert out.shape == (height * factor, width * factor, 3)
    assert max(out.shape) >= 320


def test_forty_faces_stay_visible() -> None:
    boxes = [(x, y, x + 60, y + 75) for y in range(20, 520, 100) for x in range(20, 820, 100)]
    image = np.full((540, 840, 3), 90, np.uint8)
    out = draw_faces(image, [make_face(box) for box in boxes])
    for x1, y1, x2, _ in boxes:
        centre = out[y1 + 20 : y1 + 55, x1 + 15 : x2 - 15]
        assert (centre == 90).all(), "something covers a face"


def test_rectangles() -> None:
    assert Rect(0, 0, 10, 10).overlap(Rect(5, 5, 20, 20)) == 25
    assert Rect(0, 0, 10, 10).overlap(Rect(10, 0, 20, 10)) == 0
    assert Rect(2, 2, 5, 5).within(Rect(0, 0, 5, 5))
    assert not Rect(2, 2, 6, 5).within(Rect(0, 0, 5, 5))


def test_a_face_that_fills_the_picture_has_its_tag_inside() -> None:
    out = draw_faces(np.zeros((400, 400, 3), np.uint8), [make_face((0, 0, 400, 400))])
    assert (out[5:60, 40:60] == PALETTE["happy"]).all(axis=2).sum() > 200


def test_a_face_that_is_followed_shows_its_number() -> None:
    image = np.zeros((400, 600, 3), np.uint8)
    face = make_face((200, 150, 300, 270))
    plain, numbered = (draw_faces(image, [entry]) for entry in (face, replace(face, track_id=2)))
    width = [(out[110:150] == PALETTE["happy"]).all(axis=2).any(axis=0).sum() for out in (plain, numbered)]
    assert width[1] > width[0]


def test_letters_are_those_of_a_font() -> None:
    regular, bold = text_mask("happy 99 %", 20), text_mask("happy 99 %", 20, bold=True)
    assert regular.max() == pytest.approx(1, abs=0.02)
    assert bold.sum() > 1.15 * regular.sum()
    # In the strokes of OpenCV a stop is as wide as the stem of an l; here it has the size of the font's.
    stem = (text_mask("l", 72) > 0.5).any(axis=1).sum()
    assert stem == pytest.approx(0.72 * 72, abs=4)
    # Their widths differ, and what is no ASCII has a place as well.
    assert text_size("iiii", 20) < 0.6 * text_size("mmmm", 20)
    assert text_size("ä…", 20) == text_size("??", 20)


@pytest.mark.parametrize("gap", [20, 60, *range(130, 190, 4), 300])
def test_no_panel_covers_a_neighbours_head(gap: int) -> None:
    image = np.full((400, 700, 3), 128, np.uint8)
    boxes = [(60.0, 120.0, 160.0, 250.0), (160.0 + gap, 130.0, 260.0 + gap, 260.0)]
    faces = [make_face(box) for box in boxes]
    changed = (draw_faces(image, faces, panels=False) != draw_faces(image, faces)).any(axis=2)
    assert changed.any()
    _, _, areas, _ = cv2.connectedComponentsWithStats(changed.astype(np.uint8))
    for x, y, width, height, pixels in areas[1:]:
        # A strip is inside of its box; a panel is close to its own and off the other.
        if pixels > 2000:
            apart = [max(x1 - x - width, x - x2, y1 - y - height, y - y2) for x1, y1, x2, y2 in boxes]
            assert max(apart) >= 10


def test_values_stand_under_the_face_where_the_model_tells_them() -> None:
    image = np.full((400, 600, 3), 128, np.uint8)
    face = make_face((200, 150, 300, 270))
    plain = draw_faces(image, [face], panels=False)
    np.testing.assert_array_equal(draw_faces(image, [face], panels=False, geometry=["values"]), plain)
    known = replace(face, affect=Affect(0.49, -0.05, 0.99))
    changed = (draw_faces(image, [known], panels=False, geometry=["values"]) != plain).any(axis=2)
    rows, columns = np.nonzero(changed)
    assert rows.min() > 265
    assert 200 <= columns.min() < columns.max() < 330
