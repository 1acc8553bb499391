"""Scores on corrupted pictures: their figures, and what the report makes of them."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

from mien.labels import HEADS, SEVEN
from mien.workshop.evaluation.corruptions import corruptions
from mien.workshop.evaluation.evaluate import evaluate, measured_sets, with_robustness
from mien.workshop.evaluation.scores import ModelIdentity
from mien.workshop.evaluation.stored import to_dict
from mien.workshop.reports.document import to_html, to_markdown
from mien.workshop.reports.evaluation_report import describe, write_report
from mien.workshop.reports.material import Material

IDENTITY = ModelIdentity("toy", "1.2")
TITLES = [kind.title for kind in corruptions()]


@pytest.fixture
def dataset(make_dataset):
    """Faces whose brightness, in steps of 30 grey levels from 40 on, is their label."""
    toy = make_dataset(10, 42, 70)
    images = np.broadcast_to((40 + 30 * toy.labels)[:, None, None], (len(toy), 48, 48)).astype(np.uint8)
    return replace(toy, images=np.ascontiguousarray(images))


def by_brightness(crops: np.ndarray, head: str) -> np.ndarray:
    """Says what label the mean grey level stands for, with 0.9."""
    levels = np.clip(np.rint((crops.reshape(len(crops), -1).mean(axis=1) - 40) / 30), 0, 6).astype(int)
    shares = np.full((len(crops), len(HEADS[head])), 0.1 / (len(HEADS[head]) - 1), np.float32)
    shares[np.arange(len(crops)), [HEADS[head].index(SEVEN[level]) for level in levels]] = 0.9
    return shares


@pytest.fixture
def found(dataset):
    return with_robustness(evaluate(by_brightness, dataset, model=IDENTITY), by_brightness, dataset)


def test_each_head_is_measured_on_its_own_faces(found):
    crowd, fer2013 = found.robustness
    assert (crowd.clean.faces.key, crowd.clean.rows) == ("crowd-test", 70)
    assert (fer2013.clean.faces.key, fer2013.clean.rows) == ("fer2013-both", 112)
    assert all([part.corruption.title for part in row.corrupted] == TITLES for row in found.robustness)


def test_what_the_model_reads_decides_what_costs(found):
    for row in found.robustness:
        parts = {part.corruption.key: part for part in row.corrupted}
        assert row.clean.accuracy == 1
        assert row.worst.corruption.group == "Light"
        assert row.worst.accuracy < 0.35
        for key in ("blur-2", "noise-20", "box-12px", "tilt-15", "scale-1.3", "shift-10-up"):
            assert (parts[key].accuracy, parts[key].change, parts[key].change_interval) == (1, 0, (0, 0))
            assert parts[key].nll == pytest.approx(row.clean.nll, abs=1e-6)
            assert parts[key].ece == pytest.approx(row.clean.ece, abs=1e-6)


def test_the_difference_is_that_of_the_same_faces(found):
    for row in found.robustness:
        for part in row.corrupted:
            low, high = part.change_interval
            assert part.change == pytest.approx(part.accuracy - row.clean.accuracy)
            assert low <= part.change <= high
            assert part.accuracy_interval.low <= part.accuracy <= part.accuracy_interval.high
    worst = found.robustness[0].worst
    error = np.sqrt(worst.accuracy * (1 - worst.accuracy) / found.robustness[0].clean.rows)
    assert worst.change_interval.high - worst.change == pytest.approx(1.96 * error, rel=1e-3)


def test_progress_is_heard_and_the_rest_of_the_evaluation_stays(dataset):
    before = evaluate(by_brightness, dataset, model=IDENTITY)
    heard: list[tuple[int, int]] = []
    after = with_robustness(before, by_brightness, dataset, on_progress=lambda done, total: heard.append((done, total)))
    assert heard == [(n, len(TITLES)) for n in range(1, len(TITLES) + 1)]
    assert replace(after, robustness=()) == before


@pytest.mark.parametrize(
    ("options", "keys"),
    [
        ({"votes": False}, ["fer2013-both"]),
        ({"validation": 0}, ["crowd-test", "fer2013-test"]),
        ({"test": 0}, ["crowd-validation", "fer2013-validation"]),
    ],
)
def test_whatever_sets_there_are_will_do(make_dataset, constant, options, keys):
    heads = {"fer2013": SEVEN} if "votes" in options else HEADS
    evaluation = evaluate(constant, make_dataset(**options), model=IDENTITY, heads=heads)
    assert [scores.faces.key for scores in measured_sets(evaluation)] == keys


def test_the_page_shows_figures_charts_and_a_face_in_each(found, dataset):
    page = to_html("Toy", describe(found, Material(dataset=dataset)))
    section = page[page.index('<h2 id="corrupted"') : page.index('<h2 id="calibration"')]
    assert section.count("<svg") == 2
    assert section.count("<img") == len(TITLES) + 1
    assert all(title in section for title in TITLES)
    assert "most points are lost by a quarter of the light" in section
    assert "repeated" in section
    hidden = to_html("Toy", describe(found, Material(dataset=dataset, faces=False)))
    assert "<img" not in hidden[hidden.index('<h2 id="corrupted"') : hidden.index('<h2 id="calibration"')]


def test_the_page_says_how_it_would_be_measured(dataset):
    page = to_html("Toy", describe(evaluate(by_brightness, dataset, model=IDENTITY), Material(dataset=dataset)))
    assert "--robustness" in page


def test_the_json_and_the_text_hold_the_same_figures(found, dataset, tmp_path):
    write_report(found, tmp_path)
    sets = json.loads((tmp_path / "report.json").read_text())["robustness"]["sets"]
    row = found.robustness[0]
    assert sets["crowd-test"]["untouched"]["accuracy"] == 1
    assert sets["crowd-test"]["spoilt"][row.worst.corruption.key]["accuracy"] == row.worst.accuracy
    text = (tmp_path / "report.md").read_text()
    assert f"| {100 * row.worst.accuracy:.1f} (" in text[text.index("## Corrupted pictures") :]
    bare = evaluate(by_brightness, dataset, model=IDENTITY)
    assert to_dict(bare)["robustness"] is None
    assert "Left out: `--robustness`" in to_markdown("Toy", describe(bare))
