from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from mien.errors import ConfigError
from mien.workshop.evaluation.compare import Comparison, Contender, Speed, compare, main_comparisons
from mien.workshop.evaluation.evaluate import evaluate
from mien.workshop.evaluation.models import Duel
from mien.workshop.evaluation.scores import ModelIdentity
from mien.workshop.reports.comparison_report import class_plot, describe, differing, pick, report_comparison
from mien.workshop.reports.document import Gallery, to_html

NAMES = ("first 1.0", "second 1.0")


@pytest.fixture
def duel(make_dataset, perfect, constant):
    dataset = make_dataset(test=70)
    evaluations = [evaluate(predict, dataset, model=ModelIdentity("fake")) for predict in (constant, perfect)]
    speed = Speed(np.full(15, 2.0), np.full(15, 1.0))
    both = tuple(Contender(name, e, speed, 2_500_000, 1234) for name, e in zip(NAMES, evaluations, strict=True))
    return Duel(*both, compare(*evaluations), dataset)


def fer2013_test(found: list[Comparison]) -> Comparison:
    return next(row for row in found if row.faces.key == "fer2013-test")


def test_a_comparison_is_written_with_its_charts(duel, tmp_path: Path) -> None:
    files = report_comparison(duel, tmp_path / "out")
    charts = {f"{measure}-{key}.svg" for measure in ("recall", "f1") for key in ("fer2013-test", "crowd-test")}
    assert {file.name for file in files} == {"comparison.html", "comparison.md", "comparison.json"} | charts
    assert sorted(tmp_path.glob("out/*")) == sorted(files)
    page, text = files[0].read_text(), files[1].read_text()
    assert all(f"]({name})" in text for name in charts)
    assert page.count("<svg") == 4
    assert page.count("<img") == 16 + 16
    values = json.loads((tmp_path / "out" / "comparison.json").read_text())
    assert values["sets"]["fer2013-test"]["alone"] == [0, 60]
    assert values["sets"]["fer2013-test"]["classes"]["sad"]["gained"] == 10
    assert values["models"][1] == {
        "name": "second 1.0", "sha256": "", "ms_single": 2, "ms_batch": 1, "size_bytes": 2_500_000, "parameters": 1234,
    }  # fmt: skip


def test_faces_can_be_left_out(duel) -> None:
    assert "<img" not in to_html("Toy", describe(duel, faces=False))


def test_a_folder_that_cannot_be_made_is_an_error(duel, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(ConfigError, match="cannot be written"):
        report_comparison(duel, tmp_path / "file" / "out")


def test_the_gallery_shows_the_faces_that_differ(duel) -> None:
    row = fer2013_test(list(duel.found))
    marked = duel.dataset.images.copy()
    marked[...] = 255
    one, other = row.right
    marked[row.faces.rows[other & ~one]] = 40
    first, second = differing(row, marked)
    assert first == (0, [])
    assert second[0] == 60
    assert len(second[1]) == 16
    assert all((face.picture == 40).all() for face in second[1])
    assert [face.lines for face in second[1]] == [face.lines for face in differing(row, marked)[1][1]]


def test_models_that_agree_have_an_empty_gallery(make_dataset, constant, duel) -> None:
    dataset = make_dataset()
    evaluation = evaluate(constant, dataset, model=ModelIdentity("fake"))
    found = compare(evaluation, evaluation)
    same = Duel(duel.first, duel.second, found, dataset)
    assert not any(isinstance(block, Gallery) for block in describe(same))
    for row in main_comparisons(found):
        assert class_plot(row, NAMES, "Recall").svg().startswith("<svg")


def test_classes_take_turns_in_the_gallery() -> None:
    truth = np.repeat([0, 1, 2], [100, 5, 1])
    picked = pick(np.arange(106), truth, np.random.default_rng(0))
    assert np.bincount(truth[picked]).tolist() == [10, 5, 1]
    assert len(set(picked.tolist())) == 16
