"""Reports: what stands in them, and that they are written whole."""

from __future__ import annotations

import json
import xml.etree.ElementTree as ElementTree
from dataclasses import replace

import pytest

from mien.errors import ConfigError
from mien.workshop.evaluation.evaluate import evaluate
from mien.workshop.evaluation.scores import ModelIdentity
from mien.workshop.evaluation.stored import to_dict
from mien.workshop.reports.document import to_markdown
from mien.workshop.reports.evaluation_report import describe, lead, report_title, write_report


@pytest.fixture
def evaluation(make_dataset, constant):
    """Two sets, without a face of disgust in the test rows."""
    dataset = make_dataset(7, 0, 50)
    dataset.labels[dataset.labels == 1] = 0
    found = evaluate(constant, dataset, model=ModelIdentity("toy-model", "1.2", "cd" * 32))
    return replace(found, date="2025-03-09")


def as_markdown(evaluation) -> str:
    return to_markdown(report_title(evaluation), describe(evaluation), lead=lead(evaluation))


def test_the_folder_holds_text_numbers_and_the_charts_that_the_text_shows(evaluation, tmp_path):
    files = write_report(evaluation, tmp_path / "new" / "report")
    keys = ["crowd-votes-test", "crowd-test", "fer2013-test"]
    names = {f"reliability-{key}.svg" for key in keys} | {f"coverage-{key}.svg" for key in keys[1:]}
    assert {path.name for path in files} == names | {"report.html", "report.md", "report.json"}
    assert sorted(files) == sorted((tmp_path / "new" / "report").iterdir())
    for name in names:
        chart = ElementTree.fromstring((tmp_path / "new" / "report" / name).read_text())
        assert chart.tag == "{http://www.w3.org/2000/svg}svg"
        assert float(chart.attrib["width"]) > 300
    assert [path.name for path in files[:2]] == ["report.html", "report.md"]
    assert all(f"({name})" in files[1].read_text() for name in names)


def test_the_json_holds_the_scores_in_plain_numbers(evaluation, tmp_path):
    write_report(evaluation, tmp_path)

    def refuse(name: str) -> None:
        raise AssertionError(f"{name} is no JSON")

    found = json.loads((tmp_path / "report.json").read_text(), parse_constant=refuse)
    assert found == to_dict(evaluation)
    assert found["model"] == {"name": "toy-model", "version": "1.2", "sha256": "cd" * 32, "trained_on": ""}
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
    text = as_markdown(evaluation)
    for part in (
        "# toy-model 1.2 on toy", "2025-03-09", "cd" * 32, "ab" * 32, "57 rows", "Selection:",
        "| fer2013 | test | toy labels | 50 |", "FER+ majority", "| disgust | 0 | – | – | – |",
        "No face of this set is labelled disgust.",
    ):  # fmt: skip
        assert part in text
    tables = [block.splitlines() for block in text.split("\n\n") if block.startswith("|")]
    assert len(tables) > 8
    assert all(len({line.count("|") for line in table}) == 1 for table in tables)
    assert "{" not in text


@pytest.mark.parametrize(
    ("trained_on", "said"),
    [("made up", "faces that its training left out"), ("FER2013", "trained on FER2013; no test has shown whether"),
     ("", "Nothing says what it was trained on")],
)  # fmt: skip
def test_only_of_its_own_data_set_does_it_say_what_training_left_out(evaluation, tmp_path, trained_on, said):
    model = replace(evaluation.model, trained_on=trained_on)
    write_report(replace(evaluation, model=model, dataset="made up"), tmp_path)
    for name in ("report.html", "report.md"):
        text = (tmp_path / name).read_text()
        assert said in text
        assert ("training left out" in text) == (trained_on == "made up")


def test_an_earlier_report_is_replaced_and_nothing_half_written_stays(evaluation, tmp_path):
    (tmp_path / "report.md").write_text("old")
    (tmp_path / "mine.txt").write_text("mine")
    write_report(evaluation, tmp_path)
    assert (tmp_path / "report.md").read_text() == as_markdown(evaluation)
    assert {"report.html", "report.md", "report.json", "mine.txt"} < {path.name for path in tmp_path.iterdir()}


def test_equal_scores_give_equal_reports(evaluation, tmp_path):
    for folder in ("one", "other"):
        write_report(evaluation, tmp_path / folder)
    for path in (tmp_path / "one").iterdir():
        assert path.read_bytes() == (tmp_path / "other" / path.name).read_bytes()


def test_a_folder_that_cannot_be_made_is_an_error(evaluation, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigError, match="cannot be written"):
        write_report(evaluation, tmp_path / "file")
