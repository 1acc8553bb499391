from __future__ import annotations

import numpy as np
import pytest
from desk_fakes import BACK, BOX, face
from PySide6.QtWidgets import QApplication

from mien.apps.desktop.picture import PicturePainter, caption, judge
from mien.apps.desktop.timeline import render_layers
from mien.reading.drawing import PALETTE, UNSURE


@pytest.mark.parametrize(
    ("threshold", "track", "told"),
    [(0.0, 1, "1 happy 70 %"), (0.7, 12, "12 happy 70 %"), (0.71, 1, "1 not sure"), (0.0, None, "happy 70 %")],
)
def test_the_caption_says_who_what_and_how_sure(threshold: float, track: int | None, told: str) -> None:
    (judged,) = judge([face("happy", 0.7, track=track)], threshold)
    assert caption(judged) == told


def drawn(*faces: object, size: tuple[int, int] = (480, 640)) -> np.ndarray:
    picture = np.full((*size, 3), BACK, np.uint8)
    kept = picture.copy()
    out = PicturePainter().draw(picture, faces)
    assert (picture == kept).all()
    return out


def count(picture: np.ndarray, colour: tuple[int, ...]) -> int:
    return int((np.abs(picture.astype(int) - colour).max(axis=2) <= 2).sum())


def test_box_tag_and_bars_are_where_they_belong(qt: QApplication) -> None:
    out = drawn(face("happy", 0.7, box=(200, 150, 300, 280)))
    happy = PALETTE["happy"]
    for x, y in ((200, 215), (300, 215), (250, 150), (250, 280)):
        assert tuple(out[y, x]) == happy, "a line of the box"
    assert tuple(out[215, 250]) == BACK, "the face itself stays free"
    assert count(out[115:148, 195:320], happy) > 500, "the tag stands over the box"
    beside = out[150:290, 306:460]
    assert (beside != BACK).any(axis=2).mean() > 0.5, "the bars stand beside it"
    lengths = {label: count(beside, PALETTE[label]) for label in ("happy", "sad")}
    assert lengths["happy"] > 5 * lengths["sad"] > 0


def test_a_face_that_is_not_sure_is_grey(qt: QApplication) -> None:
    out = drawn(*judge([face("happy", 0.4, box=(200, 150, 300, 280))], 0.5))
    assert tuple(out[215, 200]) == UNSURE


def test_a_small_face_gets_a_strip_and_faces_at_the_edge_are_no_trouble(qt: QApplication) -> None:
    out = drawn(face("sad", 0.6, box=(300, 200, 325, 230)))
    assert count(out[170:205, 290:420], PALETTE["sad"]) > 200
    assert count(out[170:240, 290:420], PALETTE["fear"]) > 0, "all probabilities are in the strip"
    drawn(face(box=(-50, -20, 30, 60)), face(box=(600, 440, 700, 520)), face(box=(700, 500, 800, 600)))


def test_texts_of_many_faces_do_not_cover_each_other(qt: QApplication) -> None:
    from PySide6.QtCore import QRectF
    from PySide6.QtGui import QImage, QPainter

    from mien.apps.desktop.picture import Marks

    marks = Marks(QRectF(0, 0, 640, 480), 1.0)
    canvas = QImage(640, 480, QImage.Format.Format_RGB888)
    painter = QPainter(canvas)
    marks.draw(painter, [face(track=i, box=(x, 200, x + 60, 280)) for i, x in enumerate((20, 180, 340, 500))])
    painter.end()
    places = marks._taken
    assert len(places) >= 8
    assert not [(a, b) for i, a in enumerate(places) for b in places[:i] if a.intersects(b)]


def test_layers_fill_the_height_by_their_shares() -> None:
    series = np.float32([[0.25, 0.75], [1, 0], [np.nan, np.nan]])
    colours = np.uint8([[200, 0, 0], [0, 0, 200]])
    picture = render_layers(series, 8, colours, (9, 9, 9))
    assert picture.shape == (8, 3, 3)
    assert (picture[:6, 0] == colours[1]).all()
    assert (picture[6:, 0] == colours[0]).all()
    assert (picture[:, 1] == colours[0]).all()
    assert (picture[:, 2] == 9).all()


def test_the_edge_of_a_layer_is_smooth() -> None:
    picture = render_layers(np.float32([[0.3125, 0.6875]]), 8, np.uint8([[200, 0, 0], [0, 0, 200]]), (0, 0, 0))
    assert tuple(picture[5, 0]) == (100, 0, 100)


def test_the_box_of_the_fakes_lies_in_their_frames() -> None:
    assert 0 < BOX[0] < BOX[2] < 160
    assert 0 < BOX[1] < BOX[3] < 120
