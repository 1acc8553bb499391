"""The published figures, and where a model stands among them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from mien.workshop.evaluation.evaluate import evaluate
from mien.workshop.evaluation.published import (
    FER2013,
    FERPLUS,
    FERPLUS_ROWS,
    NOT_REPRODUCED,
    OWN_TEST,
    PEOPLE,
    STATUSES,
    standings,
)
from mien.workshop.evaluation.scores import ModelIdentity
from mien.workshop.reports.document import to_html
from mien.workshop.reports.evaluation_report import published_blocks
from mien.workshop.reports.material import NOTHING


@pytest.fixture
def challenge(make_dataset, guessing):
    """An evaluation whose sets have the challenge's titles and numbers of rows, by tiling the faces of a small one."""
    found = evaluate(guessing, make_dataset(0, 40, 50), model=ModelIdentity("mine", "3"))

    def grown(scores):
        rows = {"fer2013-test": 3_589, "crowd-test": FERPLUS_ROWS}.get(scores.faces.key)
        if rows is None:
            return scores
        return replace(scores, faces=replace(scores.faces, title="PrivateTest", rows=np.zeros(rows, np.int64)))

    return replace(found, sets=tuple(grown(scores) for scores in found.sets))


@pytest.mark.parametrize("row", [*FER2013, *FERPLUS], ids=lambda row: f"{row.name}-{row.accuracy}")
def test_every_figure_has_a_source_a_year_and_a_known_mark(row):
    assert 50 < row.accuracy < 95
    assert 2013 <= row.year <= 2026
    assert row.source
    assert row.status in STATUSES


def test_what_cannot_be_trusted_is_marked():
    marks = {row.name: row.status for row in FER2013}
    assert marks["People"] == PEOPLE
    assert marks["ResEmoteNet"] == NOT_REPRODUCED
    assert marks["VGG-19"] == OWN_TEST
    assert {row.name: row.status for row in FERPLUS}["DDAMFN"] == OWN_TEST


def test_a_model_stands_between_the_better_and_the_worse(challenge):
    first, second = standings(challenge)
    assert (first.title, second.title) == ("FER2013, PrivateTest", "FER+, PrivateTest")
    for standing in (first, second):
        place = standing.lines.index(None)
        figures = [row.accuracy for row in standing.lines if row is not None]
        assert figures == sorted(figures, reverse=True)
        own = 100 * standing.scores.accuracy
        assert all(value > own for value in figures[:place])
        assert all(value <= own for value in figures[place:])


def test_the_table_shows_the_models_own_line_apart(challenge):
    text = to_html("Toy", published_blocks(challenge, NOTHING))
    assert text.count('<tr class="own">') == 2
    assert "mine 3, this report" in text
    assert "@own@" not in text
    for row in (*FER2013, *FERPLUS):
        assert row.source.replace("&", "&amp;") in text
    assert text.count("not reproduced</span>") >= 1


def test_other_faces_are_not_set_beside_published_figures(make_dataset, guessing):
    found = evaluate(guessing, make_dataset(), model=ModelIdentity("mine"))
    assert standings(found) == []
    text = to_html("Toy", published_blocks(found, NOTHING))
    assert "Not shown" in text
    assert "<table" not in text
