from __future__ import annotations

import json
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest

from mien.errors import ConfigError
from mien.workshop.evaluation.compare import Comparison, compare, main_comparisons
from mien.workshop.evaluation.evaluate import evaluate
from mien.workshop.evaluation.scores import ModelIdentity
from mien.workshop.evaluation.speed import Speed
from mien.workshop.reports.evaluation.compare_report import Contender, to_markdown, write_comparison
from mien.workshop.reports.evaluation.gallery import _pick, classes_png, gallery_png

NAMES = ("first 1.0", "second 1.0")


@pytest.fixture
def duel(make_dataset, perfect, constant):
    dataset = make_dataset(test=70)
    evaluations = [evaluate(predict, dataset, model=ModelIdentity("fake")) for predict in (constant, perfect)]
    speed = Speed(np.full(15, 2.0), np.full(15, 1.0))
    both = tuple(Contender(name, e, speed, 2_500_000, 1234) for name, e in zip(NAMES, evaluations, strict=True))
    return dataset, both, compare(*evaluations)


def fer2013_test(found: list[Comparison]) -> Comparison:
    return next(row for row in found if row.faces.key == "fer2013-test")


def test_a_comparison_is_written_with_its_pictures(duel, tmp_path: Path) -> None:
    dataset, both, found = duel
    files = write_comparison(*both, found, dataset, tmp_path / "out")
    assert {file.name for file in files} == {
        "comparison.md", "comparison.json", "classes-fer2013-test.png", "faces-fer2013-test.png",
        "classes-crowd-test.png", "faces-crowd-test.png",
    }  # fmt: skip
    assert sorted(tmp_path.glob("out/*")) == sorted(files)
    text = files[0].read_text()
    assert all(f"]({file.name})" in text for file in files[2:])
    values = json.loads(files[1].read_text())
    assert values["sets"]["fer2013-test"]["alone"] == [0, 60]
    assert values["sets"]["fer2013-test"]["classes"]["sad"]["gained"] == 10
    assert values["models"][1] == {
        "name": "second 1.0", "sha256": "", "ms_single": 2, "ms_batch": 1, "size_bytes": 2_500_000, "parameters": 1234,
    }  # fmt: skip


def test_without_matplotlib_the_text_shows_no_picture(duel) -> None:
    assert ".png" not in to_markdown(duel[1], duel[2], pictures=False)


def test_a_folder_that_cannot_be_made_is_told(duel, tmp_path: Path) -> None:
    dataset, both, found = duel
    (tmp_path / "file").touch()
    with pytest.raises(ConfigError, match="cannot be written"):
        write_comparison(*both, found, dataset, tmp_path / "file" / "out", pictures=False)


def test_the_gallery_shows_the_faces_that_differ(duel) -> None:
    from PIL import Image

    dataset, _, found = duel
    row = fer2013_test(found)
    marked = dataset.images.copy()
    marked[...] = 255
    one, other = row.right
    marked[row.faces.rows[other & ~one]] = 40
    picture = np.asarray(Image.open(BytesIO(gallery_png(row, marked, NAMES))).convert("RGB"))
    cells = (picture == 40).all(axis=2).sum()
    # 60 faces differ, 16 are shown, each 108 pixels wide; letters smooth a few pixels to the same grey.
    assert 16 * 108**2 <= cells < 16.1 * 108**2
    assert gallery_png(row, marked, NAMES) == gallery_png(row, marked, NAMES)


def test_models_that_agree_have_an_empty_gallery(make_dataset, constant) -> None:
    dataset = make_dataset()
    evaluation = evaluate(constant, dataset, model=ModelIdentity("fake"))
    for row in main_comparisons(compare(evaluation, evaluation)):
        assert gallery_png(row, dataset.images, NAMES).startswith(b"\x89PNG")
        assert classes_png(row, NAMES).startswith(b"\x89PNG")


def test_classes_take_turns_in_the_gallery() -> None:
    truth = np.repeat([0, 1, 2], [100, 5, 1])
    picked = _pick(np.arange(106), truth, np.random.default_rng(0))
    assert np.bincount(truth[picked]).tolist() == [10, 5, 1]
    assert len(set(picked.tolist())) == 16
