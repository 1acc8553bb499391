"""The circumplex of the window: a trail in its place, only of the last seconds."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from desk_fakes import face

from mien.apps.desktop.circumplex import SIDE_PX, TRAIL_S, Circumplex
from mien.apps.desktop.history import History
from mien.apps.desktop.theme import DARK, LIGHT, Theme, label_colour
from mien.structures import Affect

if TYPE_CHECKING:
    from PySide6.QtWidgets import QApplication


def _add(history: History, time_s: float, valence: float, arousal: float) -> None:
    history.add(time_s, [replace(face("happy"), affect=Affect(valence, arousal, 1.0))])


@pytest.mark.parametrize("theme", [LIGHT, DARK])
def test_the_face_is_a_dot_in_its_place_and_colour(qt: QApplication, theme: Theme) -> None:
    history = History()
    _add(history, 0.0, 0.5, 0.5)
    drawing = Circumplex(history)
    drawing.resize(SIDE_PX, SIDE_PX)
    drawing.set_theme(theme)
    drawing.show_track(1)
    at = drawing.place((0.5, 0.5)).toPoint()
    assert drawing.grab().toImage().pixelColor(at) == label_colour("happy")
    assert drawing.accessibleDescription() == "valence +0.50, arousal +0.50"
    drawing.show_track(None)
    assert drawing.grab().toImage().pixelColor(at) != label_colour("happy")
    assert drawing.accessibleDescription() == "no face"


def test_the_trail_is_of_the_last_seconds(qt: QApplication) -> None:
    history = History()
    for step in range(11):
        _add(history, step, step / 10, 0.0)
    recent = history.recent(1, TRAIL_S)
    assert [moment.time_s for moment in recent] == [5, 6, 7, 8, 9, 10]
    assert recent[-1].affect == (1.0, 0.0)
    assert history.recent(2, TRAIL_S) == []
