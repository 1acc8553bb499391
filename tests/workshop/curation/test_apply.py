"""From decisions and suggestions to a list, in the library and through the command."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from commands import invoke
from suspects import make_table

from mien.errors import ConfigError, DataError
from mien.workshop.curation.apply import (
    Choice,
    Verdict,
    labels_of,
    make_list,
    parse_min_scores,
    require_dataset,
    settle,
    suggested,
)
from mien.workshop.curation.decisions import Decisions, decisions_path
from mien.workshop.curation.issues import Issue, IssueTable
from mien.workshop.data.base import FaceDataset
from mien.workshop.data.lists import apply_lists, find_list, load_list, match_list

Made = tuple[Path, IssueTable, FaceDataset]


@pytest.fixture(scope="module")
def read_only(tmp_path_factory: pytest.TempPathFactory) -> Made:
    return make_table(tmp_path_factory.mktemp("issues"))


@pytest.fixture
def made(tmp_path: Path) -> Made:
    return make_table(tmp_path)


def run(*arguments: object) -> str:
    result = invoke("data apply", *arguments)
    if result.exception:
        raise result.exception
    return result.output


def small(*issues: Issue) -> IssueTable:
    nothing = np.zeros((0, 0))
    return IssueTable(
        issues, "", "", "", 100, {}, "", "", (), np.zeros(0, np.int64), nothing.astype(np.float32),
        nothing.astype(np.int64),
    )  # fmt: skip


def settled(*given: tuple[tuple[int, ...], str, str]) -> tuple[dict[int, str], dict[int, tuple[str, str]], object]:
    """Drops, relabels and disputed rows of verdicts (rows, action, label) on issues in this order."""
    issues = [Issue(n, "label", rows, 1.0, "keep") for n, (rows, _, _) in enumerate(given)]
    found = {n: Verdict(action, label, "alone", ()) for n, (_, action, label) in enumerate(given)}
    outcome = settle(small(*issues), found, dict.fromkeys(range(100), "sad"), Choice())
    return outcome.drops, outcome.relabels, outcome.disputed


def test_a_suspect_goes_and_of_a_group_one_stays() -> None:
    assert sorted(settled(((1,), "drop", ""), ((2, 3, 4), "drop", ""))[0]) == [1, 3, 4]


def test_groups_that_name_each_other_do_not_lose_their_last_row() -> None:
    assert sorted(settled(((1, 2), "drop", ""), ((2, 1), "drop", ""))[0]) == [2]
    assert sorted(settled(((1, 2, 3), "drop", ""), ((2, 3), "drop", ""), ((3, 4), "drop", ""))[0]) == [2, 3]


def test_of_a_group_whose_first_row_is_dropped_the_next_stays() -> None:
    assert sorted(settled(((1, 2, 3), "drop", ""), ((1,), "drop", ""))[0]) == [1, 3]


def test_a_group_is_relabelled_as_a_whole_and_dropped_rows_are_not() -> None:
    drops, relabels, _ = settled(((1, 2), "relabel", "happy"), ((2,), "drop", ""), ((3,), "relabel", "sad"))
    assert sorted(drops) == [2]
    assert relabels == {1: ("label", "happy")}


def test_a_row_that_gets_two_labels_keeps_its_own() -> None:
    _, relabels, disputed = settled(((1,), "relabel", "happy"), ((1, 2), "relabel", "fear"))
    assert (relabels, disputed) == ({2: ("label", "fear")}, (1,))


def test_keep_and_unsure_change_nothing() -> None:
    assert settled(((1,), "keep", ""), ((2, 3), "unsure", "")) == ({}, {}, ())


def test_suggestions_become_a_list_that_fits(read_only: Made) -> None:
    _, table, dataset = read_only
    choice = Choice(kinds=("label", "duplicate"), by_kind={"label": 0.95})
    outcome = settle(table, suggested(table), labels_of(table, dataset), choice)
    assert sorted(outcome.drops) == [31, 32, 33]
    assert sorted(outcome.relabels) == [0, 2, 4]
    rows = make_list("auto", 1, dataset, outcome, notes=(), reviewers=())
    curated = apply_lists(dataset, [match_list(dataset, rows)])
    assert len(curated) == 57
    assert curated.labels[curated.ids == "Training_00002"].tolist() == [5]


def test_another_data_set_is_refused(read_only: Made) -> None:
    _, table, dataset = read_only
    require_dataset(table, dataset)
    with pytest.raises(DataError, match="the issues are about FER2013 with 60 rows"):
        require_dataset(table, dataset[:50])


@pytest.mark.parametrize("value", ["x", "2", "label", "nothing=0.5", "label=", "=0.5", "nan"])
def test_what_is_no_score_is_refused(value: str) -> None:
    with pytest.raises(ConfigError, match="a lowest score is a number"):
        parse_min_scores([value])


def test_decisions_become_the_next_version_of_a_list(made: Made) -> None:
    path, table, _ = made
    log = Decisions(decisions_path(path), table)
    log.add(2, "drop", reviewer="Ada")
    log.add(3, "relabel", reviewer="Ada", label="happy")
    log.add(4, "drop", reviewer="Bo")
    log.add(4, "keep", reviewer="Ada")
    before = {file: file.read_bytes() for file in path.parent.glob("*.npz")}
    output = run(path, "--name", "toy", "--note", "a trial")
    assert "toy@1" in output
    rows = find_list("toy")
    assert [entry.id for entry in rows.drops] == [f"Training_000{row}" for row in (31, 32, 33)]
    assert [(entry.id, entry.old, entry.new) for entry in rows.relabels] == [("Training_00000", "angry", "happy")]
    assert rows.reviewers == ("Ada", "Bo")
    assert rows.notes[0] == "a trial"
    assert "3 of 22 issues" in rows.notes[1]
    run(path, "--name", "toy", "--reviewer", "Bo")
    assert [entry.id for entry in find_list("toy@2").drops] == ["Training_00001"]
    assert {file: file.read_bytes() for file in before} == before


def test_an_automatic_list_says_that_no_person_has_looked(made: Made, tmp_path: Path) -> None:
    out = tmp_path / "lists" / "auto.json"
    output = run(
        made[0], "--name", "auto", "--from", "suggestions", "--min-score", "0.9", "--min-score", "dark=0.97",
        "--out", out,
    )  # fmt: skip
    rows = load_list(out)
    assert any("no person has looked" in note for note in rows.notes)
    assert rows.notes[-1] == "Only scores from 0.9; dark from 0.97."
    assert rows.reviewers == ()
    assert "relabelled to it" in output
    assert sorted(entry.reason for entry in rows.drops) == ["conflict", "dark", "duplicate", "duplicate", "duplicate"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--name", "Toy"], "a list's name has small letters"),
        (["--name", "toy", "--kinds", "label,none"], "unknown kind 'none'"),
        (["--name", "toy"], "no decisions at"),
        (["--name", "toy", "--from", "suggestions", "--reviewer", "Ada"], "--reviewer chooses among decisions"),
        (["--name", "toy", "--from", "suggestions", "--kinds", "blur"], "nothing is to be dropped or relabelled"),
        (["--name", "toy", "--from", "suggestions", "--out", "list.txt"], r"ends in \.json"),
    ],
)
def test_what_cannot_be_applied_is_told(read_only: Made, arguments: list[str], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        run(read_only[0], *arguments)


def test_a_reviewer_who_decided_nothing_is_told(made: Made) -> None:
    Decisions(decisions_path(made[0]), made[1]).add(2, "drop", reviewer="Ada")
    with pytest.raises(ConfigError, match="'Bo' has made no decision: expected Ada"):
        run(made[0], "--name", "toy", "--reviewer", "Bo")
