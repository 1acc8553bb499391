"""Reports: what stands in them, and that they are written whole."""

from __future__ import annotations

import builtins
import json
import struct
from dataclasses import replace

import pytest

from mien.errors import ConfigError, MissingExtraError
from mien.workshop.evaluation.evaluate import evaluate
from mien.workshop.evaluation.scores import ModelIdentity
from mien.workshop.reports.evaluation.pictures import confusion_png, reliability_png
from mien.workshop.reports.evaluation.report import to_dict, to_markdown, write_report


@pytest.fixture
def evaluation(make_dataset, constant):
    """Two sets, without a face of disgust in the test rows."""
    dataset = make_dataset(7, 0, 50)
    dataset.labels[dataset.labels == 1] = 0
    found = evaluate(constant, dataset, model=ModelIdentity("toy-model", "1.2", "cd" * 32))
    return replace(found, date="2025-03-09")


def test_the_folder_holds_text_numbers_and_pictures_of_the_main_sets(evaluation, tmp_path):
    files = write_report(evaluation, tmp_path / "new" / "report")
    keys = ["crowd-votes-test", "crowd-test", "fer2013-test"]
    names = {f"{kind}-{key}.png" for kind in ("confusion", "reliability") for key in keys}
    assert {path.name for path in files} == names | {"report.html", "report.md", "report.json"}
    assert sorted(files) == sorted((tmp_path / "new" / "report").iterdir())
    for name in names:
        header = (tmp_path / "new" / "report" / name).read_bytes()[:24]
        assert header[:8] == b"\x89PNG\r\n\x1a\n"
        assert min(struct.unpack(">II", header[16:24])) > 500
    assert [path.name for path in files[:2]] == ["report.html", "report.md"]
    assert all(f"({name})" in files[1].read_text() for name in names)


def test_the_json_holds_the_scores_in_plain_numbers(evaluation, tmp_path):
    write_report(evaluation, tmp_path, pictures=False)

    def refuse(name: str) -> None:
        raise AssertionError(f"{name} is no JSON")

    found = json.loads((tmp_path / "report.json").read_text(), parse_constant=refuse)
    assert found == to_dict(evaluation)
    assert found["model"] == {"name": "toy-model", "version": "1.2", "sha256": "cd" * 32}
    assert found["data"] == {"name": "toy", "sha256": "ab" * 32, "rows": 57}
    test = found["sets"]["fer2013-test"]
    assert test["rows"] == 50
    assert test["accuracy"] == evaluation.sets[0].accuracy
    assert sum(map(sum, test["confusion"])) == 50
    assert test["per_class"][1] == {
        "class": "disgust", "support": 0, "precision": None, "recall": None, "f1": None,
    }  # fmt: skip
    assert test["accuracy_at_coverage"]["1"] == pytest.approx(test["accuracy"])
    assert "validation" in found["selection"]


def test_the_markdown_says_what_was_measured_on_what(evaluation):
    text = to_markdown(evaluation, pictures=False)
    for part in (
        "# toy-model 1.2 on toy", "2025-03-09", "cd" * 32, "ab" * 32, "57 rows", "Selection:",
        "| fer2013 | test | toy labels | 50 |", "FER+ majority", "| disgust | 0 | – | – | – |",
        "No face of this set is labelled disgust.",
    ):  # fmt: skip
        assert part in text
    assert ".png" not in text
    tables = [line for line in text.splitlines() if line.startswith("|")]
    assert {line.count("|") for line in tables} <= {6, 10, 12}


def test_an_earlier_report_is_replaced_and_nothing_half_written_stays(evaluation, tmp_path):
    (tmp_path / "report.md").write_text("old")
    (tmp_path / "mine.txt").write_text("mine")
    write_report(evaluation, tmp_path, pictures=False)
    assert (tmp_path / "report.md").read_text() == to_markdown(evaluation, pictures=False)
    assert {path.name for path in tmp_path.iterdir()} == {"report.html", "report.md", "report.json", "mine.txt"}


def test_equal_scores_give_equal_pictures(evaluation):
    scores = evaluation.sets[0]
    for draw in (confusion_png, reliability_png):
        assert draw(scores) == draw(scores)


def test_a_folder_that_cannot_be_made_is_an_error(evaluation, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigError, match="cannot be written"):
        write_report(evaluation, tmp_path / "file", pictures=False)


def test_pictures_without_matplotlib_name_the_extra_and_write_nothing(evaluation, tmp_path, monkeypatch):
    original = builtins.__import__

    def lacking(name, *args, **kwargs):
        if name.startswith("matplotlib"):
            raise ImportError(name)
        return original(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", lacking)
    with pytest.raises(MissingExtraError, match=r"mien\[train\]"):
        write_report(evaluation, tmp_path / "out")
    assert not (tmp_path / "out").exists()
