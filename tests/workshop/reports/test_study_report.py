from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest

pytest.importorskip("torch", reason='needs pip install "mien[train]"')
pytest.importorskip("matplotlib")

from stripes import make_dataset
from toy_study import BROKEN, TOML, run, stripes, write_study

from mien.errors import ArtifactError, ConfigError, DataError
from mien.workshop.evaluation.diagnosis import RULES
from mien.workshop.experiments.study_plan import Study, StudyOptions
from mien.workshop.experiments.study_results import load_results
from mien.workshop.experiments.study_run import run_study
from mien.workshop.reports.document import Bullets, Code, Grid, Text, to_html, to_markdown
from mien.workshop.reports.study_report import write_report
from mien.workshop.training.fit import fit

PRETRAINED = """
[[entries]]
name = "pretrained"
or_from_scratch = true
[entries.model]
weights = "gone.safetensors"
"""


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> tuple[Study, Path]:
    """A study with two seeds of two entries, one that failed, one without its weights, and one stopped run."""
    folder = tmp_path_factory.mktemp("study")
    study = write_study(folder, TOML + BROKEN + PRETRAINED)
    run_study(
        study,
        stripes(),
        folder,
        StudyOptions(only=("plain", "wider", "broken"), device="cpu"),
    )
    run(study, folder, only=("pretrained",), seeds=(0,))
    stopped = folder / "toy" / "pretrained" / "seed-1"
    fit(study.config(study.entries[3], 1, from_scratch=True), stripes(), stopped, device="cpu", stop_after=2)
    return study, folder


@pytest.fixture(scope="module")
def report(finished: tuple[Study, Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("report")
    study, runs = finished
    write_report(load_results(study, runs, timed=False), folder, commands=["mien study run toy.toml DATA --out RUNS"])
    return folder


def rows(markdown: str, heading: str) -> dict[tuple[str, ...], list[str]]:
    """Cells of the first table below a heading by entry, or by entry and seed."""
    table = markdown.split(f"{heading}\n", 1)[1].split("\n\n")
    lines = next(part for part in table if part.lstrip().startswith("|")).strip().splitlines()
    head, _, *cells = [[cell.strip(" *") for cell in line.strip("|").split(" | ")] for line in lines]
    return {(row[0], row[1]) if head[1] == "seed" else (row[0],): row for row in cells}


def test_scores_are_means_over_seeds_beside_the_published_figures(finished: tuple[Study, Path], report: Path) -> None:
    results = load_results(*finished, timed=False)
    markdown = (report / "report.md").read_text()
    table = rows(markdown, "## Scores")
    plain = next(entry for entry in results.measured if entry.name == "plain")
    mean = sum(run.main.accuracy for run in plain.measured) / 2
    row = table["plain",]
    assert row[1] == "2"
    assert row[2].startswith(f"{100 * mean:.2f} ± ")
    assert row[6:8] == ["50.0", "0.4 macro"]
    assert table["pretrained",][1] == "1"
    assert "as <others> found" in markdown
    assert "as &lt;others&gt; found" in (report / "report.html").read_text()
    assert "With two seeds or more the interval is Student's t over seeds; with one seed" in markdown
    order = [float(row[2].split()[0]) for row in table.values()]
    assert order == sorted(order, reverse=True)


def test_failed_and_stopped_runs_stay_with_their_reason(report: Path) -> None:
    table = rows((report / "report.md").read_text(), "## Failed and stopped runs")
    assert "the loss became" in table["broken", "0"][3]
    assert table["broken", "0"][2] == "failed"
    assert table["pretrained", "1"][2:4] == ["unfinished", "2 of 5 epochs"]
    assert rows((report / "report.md").read_text(), "### What the curves say")["broken", "1"][2] == "diverged"


def test_random_weights_in_place_of_others_are_told(report: Path) -> None:
    said = re.search(r"- \*\*pretrained\*\*: (.*)", (report / "report.md").read_text())
    assert said is not None
    assert "trained from random weights" in said[1]
    assert "no such file of weights" in said[1]


def test_costs_curves_classes_and_rules_are_there(report: Path) -> None:
    markdown = (report / "report.md").read_text()
    costs = rows(markdown, "## Cost, convergence, stability")
    assert costs["plain",][1].replace(",", "").isdigit()
    assert costs["plain",][2].endswith(" M")
    assert all(rule in markdown for _, rule in RULES)
    assert "McNemar" in markdown
    assert "the rows of test decided nothing" in markdown
    named = set(re.findall(r"!\[[^]]*\]\(([^)]+)\)", markdown))
    there = {path.name for path in report.iterdir()} - {"report.md", "report.html"}
    assert named == there
    assert {"accuracy.png", "losses.png", "accuracy-by-epoch.png"} == named
    assert "### wider" in markdown
    assert all((report / name).read_bytes().startswith(b"\x89PNG") for name in named)


def test_the_page_needs_nothing_else(report: Path) -> None:
    html = (report / "report.html").read_text()
    assert len(html) < 1_000_000
    assert "http" not in html
    assert not re.findall(r"<script|<link|url\(", html)
    assert html.count("<img ") == len(list(report.glob("*.png")))
    assert "mien study run toy.toml DATA --out RUNS" in html


def test_a_study_without_runs_is_named(finished: tuple[Study, Path], tmp_path: Path) -> None:
    study, _ = finished
    with pytest.raises(ConfigError, match=r"holds no run of the study toy.*mien study run makes it"):
        load_results(study, tmp_path)
    run(write_study(tmp_path, TOML + BROKEN), tmp_path, only=("broken",), seeds=(0,))
    with pytest.raises(ConfigError, match=r"no run of the study toy .* is finished .*broken seed 0: failed"):
        load_results(study, tmp_path)


def test_runs_on_different_data_are_not_compared(tmp_path: Path) -> None:
    study = write_study(tmp_path)
    dataset = stripes()
    run(study, tmp_path, only=("plain",), seeds=(0,))
    run(study, tmp_path, only=("wider",), seeds=(0,), dataset=dataset[4:])
    with pytest.raises(DataError, match="different data"):
        load_results(study, tmp_path, timed=False)


def test_scores_of_other_weights_do_not_count(tmp_path: Path) -> None:
    study = write_study(tmp_path)
    run(study, tmp_path, seeds=(0,))
    plain, wider = (tmp_path / "toy" / name / "seed-0" / "best.safetensors" for name in ("plain", "wider"))
    plain.write_bytes(wider.read_bytes())
    results = load_results(study, tmp_path, timed=False)
    assert [entry.name for entry in results.measured] == ["wider"]
    assert results.entries[0].runs[0].state == "not measured"


def test_damaged_scores_are_named(tmp_path: Path) -> None:
    study = write_study(tmp_path)
    run(study, tmp_path, only=("plain",), seeds=(0,))
    (tmp_path / "toy/plain/seed-0/scores.json").write_text("{")
    with pytest.raises(ArtifactError, match=r"seed-0: scores\.json or probabilities\.npz cannot be read"):
        load_results(study, tmp_path, timed=False)


def test_a_report_that_cannot_be_written_is_named(finished: tuple[Study, Path], tmp_path: Path) -> None:
    (tmp_path / "file").write_text("precious")
    with pytest.raises(ConfigError, match="cannot be written"):
        write_report(load_results(*finished, timed=False), tmp_path / "file")


def test_a_document_escapes_what_it_is_given() -> None:
    blocks = [Text("a < b & **c**"), Bullets(["`x|y`"]), Grid(("n", "v"), [("p|q", "<i>")]), Code(["a > b"])]
    html = to_html("T & U", blocks)
    assert "a &lt; b &amp; <b>c</b>" in html
    assert "<i>" not in html
    assert "a &gt; b" in html
    assert "| p\\|q | <i> |" in to_markdown("T", blocks)


HEADS = """
[[entries]]
name = "votes"
[entries.heads]
fer2013 = 0
crowd = 1
[entries.fit]
selection = "crowd"
[[entries]]
name = "both"
[entries.heads]
crowd = 1
"""


def test_entries_with_other_heads_are_ranked_by_one_that_all_have(tmp_path: Path) -> None:
    study = write_study(tmp_path, TOML + HEADS)
    voted = replace(make_dataset(), split=stripes().split)
    run(study, tmp_path, dataset=voted, only=("votes", "both"), seeds=(0,))
    results = load_results(study, tmp_path, timed=False)
    assert {entry.name: entry.first.main.faces.key for entry in results.measured} == {
        "votes": "crowd-test",
        "both": "crowd-test",
    }
    write_report(results, tmp_path / "report", commands=[])
    assert set(rows((tmp_path / "report" / "report.md").read_text(), "## Scores")) == {("votes",), ("both",)}

    run(study, tmp_path, dataset=voted, only=("plain",), seeds=(0,))
    with pytest.raises(DataError, match=r"no head in common \(both crowd and fer2013, plain fer2013, votes crowd\)"):
        load_results(study, tmp_path, timed=False)
