"""Valence, arousal and intensity in the page's cards and beside a video's chart."""

from __future__ import annotations

import re
from dataclasses import replace

import numpy as np
import pytest
from made_up import make_face, make_result

from mien.apps.web.circumplex import face_circumplex, track_circumplex
from mien.labels import SEVEN
from mien.reading.history import History
from mien.structures import Affect

AFFECT = Affect(0.5, -0.25, 0.9, 0.1, 0.2, 0.05)


def test_a_card_says_the_values_and_marks_the_place() -> None:
    html = face_circumplex(replace(make_face(), affect=AFFECT), 2)
    assert "valence +0.50 ± 0.10, arousal −0.25 ± 0.20, intensity 90 %" in html
    assert re.search(r'<em style="left:75\.0%;top:62\.5%', html)
    assert "width:10.0%;height:20.0%" in html
    assert 'aria-label="Face 2 on the circumplex' in html


def test_a_face_without_values_has_no_drawing() -> None:
    assert face_circumplex(make_face(), 1) == ""
    html = face_circumplex(replace(make_face(), affect=Affect(None, None, 0.5)), 1)
    assert "intensity 50 %" in html
    assert "mien-circumplex" not in html


@pytest.mark.parametrize("affect", [AFFECT, None])
def test_a_track_has_a_point_a_frame(affect: Affect | None) -> None:
    history = History(SEVEN)
    for index in range(5):
        history.add(make_result(index, [replace(make_face(), affect=affect)]))
    (track,) = history.tracks()
    html = track_circumplex(track, history.labels)
    assert html.count("<s ") == (0 if affect is None else 5)
    assert np.isnan(track.affect).all() == (affect is None)
