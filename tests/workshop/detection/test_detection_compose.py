from __future__ import annotations

import numpy as np
import pytest
from toy_faces import BOX, EYES, face, make_material, seen

from mien.workshop.detection.canvas import LEAST_PX, Canvas, Source, make_matrix, map_faces, paste, turn_box
from mien.workshop.detection.compose import Composer, Kinds, Limits
from mien.workshop.detection.degrade import degrade, draw_body, hide
from mien.workshop.detection.teacher_labels import review_scene


@pytest.mark.parametrize("mirrored", [False, True])
@pytest.mark.parametrize("degrees", [0.0, 37.0, 90.0, 180.0])
def test_the_right_eye_is_where_its_label_says(degrees: float, mirrored: bool) -> None:
    canvas = np.full((300, 300), 255, np.uint8)
    source = Source.of(face(), seen())
    matrix = make_matrix(np.float32([100, 100]), np.float32([150, 150]), 0.5, degrees, mirrored)
    paste(canvas, source, np.float32([0, 0, 200, 200]), matrix, np.full((64, 64), 255, np.uint8), None)
    dark = np.argwhere(canvas < 100).mean(axis=0)[::-1] + 0.5
    _, landmarks = map_faces(seen(), matrix)
    # Mirrored, the eye that was the person's right one is the left one of whom one sees.
    np.testing.assert_allclose(landmarks[0, 1 if mirrored else 0], dark, atol=1.0)


def test_a_turned_box_is_that_of_the_ellipse_in_it() -> None:
    quarter = make_matrix(np.float32([100, 100]), np.float32([100, 100]), 1.0, 90.0, False)
    np.testing.assert_allclose(turn_box(BOX, quarter), [30, 40, 170, 160], atol=1e-3)
    same = make_matrix(np.float32([0, 0]), np.float32([0, 0]), 1.0, 0.0, False)
    np.testing.assert_allclose(turn_box(BOX, same), BOX, atol=1e-3)


def test_small_and_hardly_visible_faces_are_neither_face_nor_background() -> None:
    composer = Composer(make_material(), limits=Limits(strays=0), harm=False)
    made = composer.make_crowd(np.random.default_rng(1), (200, 200), heights=[40, 5])
    heights = made.boxes[:, 3] - made.boxes[:, 1]
    assert (made.kinds[heights < 7] == -1).all()
    assert (made.kinds == 1).sum() == 1


@pytest.mark.parametrize("kind", ["crowd", "grid", "photograph", "scene", "mosaic"])
def test_every_kind_of_picture_repeats_from_its_seed(kind: str) -> None:
    only = Kinds(**{name: float(name == kind) for name in ("crowd", "grid", "photograph", "scene", "mosaic")})
    composer = Composer(make_material(), kinds=only)
    first, again = (composer.make(np.random.default_rng(3), 160) for _ in range(2))
    assert first.picture.shape == (160, 160)
    assert first.picture.dtype == np.uint8
    np.testing.assert_array_equal(first.picture, again.picture)
    np.testing.assert_array_equal(first.boxes, again.boxes)
    assert len(first.boxes) == len(first.landmarks) == len(first.kinds) == len(first.angles)


def test_a_mosaic_teaches_whole_faces_and_parts_of_faces_as_none() -> None:
    composer = Composer(make_material(), harm=False)
    for seed in range(10):
        made = composer.make_mosaic(np.random.default_rng(seed), (256, 256))
        assert made.picture.any()
        inside = (made.boxes >= 0).all(axis=1) & (made.boxes <= 256).all(axis=1)
        # Faces come whole: nothing that a cell cuts is taught as one.
        assert ((made.kinds == -1) | (made.boxes[:, 3] - made.boxes[:, 1] >= LEAST_PX))[inside].all()
    part = Canvas(np.zeros((64, 64), np.uint8))
    source = composer.faces[0]
    composer._add_piece(part, np.random.default_rng(0), source, (np.float32([100, 100]), 40.0), (0, 0, 64), part=True)
    assert part.picture.any()
    assert part.kinds == []


def test_held_out_people_and_scenes_are_others() -> None:
    material = make_material()
    taught, held_out = Composer(material), Composer(material, held_out=True)
    assert (len(taught.faces), len(held_out.faces)) == (50, 250)
    assert (len(taught.scenes), len(held_out.scenes)) == (20, 100)


def test_what_cameras_do_keeps_shape_and_kind() -> None:
    picture = face()
    for seed in range(40):
        out = degrade(picture, np.random.default_rng(seed))
        assert (out.shape, out.dtype) == (picture.shape, np.uint8)


def test_a_hidden_face_and_a_body_change_the_picture() -> None:
    for seed in range(10):
        picture = np.full((200, 200), 128, np.uint8)
        hide(picture, EYES, np.random.default_rng(seed))
        assert (picture != 128).any()
    picture = np.full((200, 200), 128, np.uint8)
    same = make_matrix(np.float32([0, 0]), np.float32([0, 0]), 1.0, 0.0, False)
    draw_body(picture, BOX, same, face(), np.random.default_rng(0))
    assert (picture != 128).mean() > 0.1


def test_what_the_teacher_sees_in_an_animal_is_background() -> None:
    dog = seen(0.85)
    assert len(review_scene(200, dog)) == 0
    assert review_scene(200, seen(0.95)).scores.tolist() == pytest.approx([0.95])
    assert review_scene(600, dog).scores.tolist() == pytest.approx([0.85])
    assert review_scene(600, seen(0.75)).scores[0] < 0.7
