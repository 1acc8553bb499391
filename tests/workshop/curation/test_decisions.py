from __future__ import annotations

import os
import random
import signal
import sqlite3
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from suspects import make_issues, make_table

from mien.errors import ConfigError, DataError
from mien.workshop.curation.apply import agreement, cohen_kappa, consensus, verdicts
from mien.workshop.curation.decisions import Decision, Decisions, Standing, decisions_path, pace, reviewer_name
from mien.workshop.curation.issues import IssueTable


@pytest.fixture
def table() -> IssueTable:
    return IssueTable(
        make_issues(), "faces.npz", "faces", "abc", 60, {row: str(row) for row in range(60)}, "", "2026-01-01", (),
        np.zeros(0, np.int64), np.zeros((0, 0), np.float32), np.zeros((0, 0), np.int64),
    )  # fmt: skip


@pytest.fixture
def log(tmp_path: Path, table: IssueTable) -> Decisions:
    return Decisions(tmp_path / "issues.decisions.sqlite", table)


def counting(log: Decisions) -> dict[int, dict[str, str]]:
    standing = Standing(log.log())
    return {issue: {name: found.choice for name, found in given.items()} for issue, given in standing.by_issue.items()}


def test_the_log_lies_beside_the_table() -> None:
    assert decisions_path(Path("a/issues.parquet")) == Path("a/issues.decisions.sqlite")


def test_a_decision_is_kept_with_rows_reviewer_time_and_note(log: Decisions, table: IssueTable) -> None:
    made = log.add(2, "drop", reviewer=" Ada ", note="four times")
    assert made is not None
    again = Decisions(log.path, table, create=False).log()
    assert again == [made]
    assert (made.issue, made.rows, made.action, made.label, made.reviewer, made.note) == (
        2, (30, 31, 32, 33), "drop", "", "Ada", "four times",
    )  # fmt: skip
    assert made.time.endswith("+00:00")


def test_the_last_decision_of_each_reviewer_counts_and_undo_goes_back_one(log: Decisions) -> None:
    log.add(3, "relabel", reviewer="Ada", label="happy")
    log.add(3, "drop", reviewer="Bo")
    log.add(3, "keep", reviewer="Ada")
    assert counting(log) == {3: {"Ada": "keep", "Bo": "drop"}}
    undone = log.undo(reviewer="Ada")
    assert undone is not None
    assert undone.action == "keep"
    assert counting(log) == {3: {"Ada": "relabel:happy", "Bo": "drop"}}
    log.undo(reviewer="Ada")
    assert log.undo(reviewer="Ada") is None
    assert counting(log) == {3: {"Bo": "drop"}}
    assert [line.action for line in log.log()] == ["relabel", "drop", "keep", "undo", "undo"]


def test_undo_can_be_of_one_issue(log: Decisions) -> None:
    log.add(3, "drop", reviewer="Ada")
    log.add(4, "keep", reviewer="Ada")
    log.undo(reviewer="Ada", issue=3)
    assert counting(log) == {4: {"Ada": "keep"}}


def test_what_is_sent_twice_is_written_once(log: Decisions) -> None:
    assert log.add(3, "drop", reviewer="Ada", token="one") is not None
    assert log.add(3, "drop", reviewer="Ada", token="one") is None
    log.undo(reviewer="Ada", token="two")
    assert log.undo(reviewer="Ada", token="two") is None
    assert len(log.log()) == 2


def test_later_lines_can_be_added_to_what_counts(log: Decisions) -> None:
    log.add(3, "drop", reviewer="Ada")
    standing = Standing(log.log())
    log.undo(reviewer="Ada")
    log.add(4, "drop", reviewer="Ada")
    standing.add(log.log(after=standing.seen))
    assert list(standing.by_issue) == [4]
    assert standing.seen == 3


@pytest.mark.parametrize(
    ("issue", "action", "label"),
    [(3, "delete", ""), (3, "relabel", ""), (3, "relabel", "contempt"), (3, "drop", "happy"), (99, "drop", "")],
)
def test_what_is_no_decision_is_refused(log: Decisions, issue: int, action: str, label: str) -> None:
    with pytest.raises(ConfigError, match=r"a decision is|no issue 99"):
        log.add(issue, action, reviewer="Ada", label=label)
    assert log.log() == []


@pytest.mark.parametrize("name", ["", "  ", "x" * 61, "a\nb"])
def test_a_reviewer_has_a_name(name: str) -> None:
    with pytest.raises(ConfigError, match="a reviewer needs a name"):
        reviewer_name(name)


def test_another_table_is_refused(log: Decisions, table: IssueTable) -> None:
    changed = replace(table, issues=(replace(table.issues[0], rows=(1, 2)), *table.issues[1:]))
    with pytest.raises(DataError, match="decisions on another table"):
        Decisions(log.path, changed)
    with pytest.raises(DataError, match="decisions on another table"):
        Decisions(log.path, replace(table, sha256="other"), create=False)
    Decisions(log.path, replace(table, notes=("more",), issues=table.issues))


def test_without_a_log_there_is_nothing_to_apply(tmp_path: Path, table: IssueTable) -> None:
    with pytest.raises(ConfigError, match="no decisions at"):
        Decisions(tmp_path / "none.sqlite", table, create=False)
    assert not (tmp_path / "none.sqlite").exists()


def test_what_is_no_log_is_refused(tmp_path: Path, table: IssueTable) -> None:
    (tmp_path / "text.sqlite").write_text("not a database, but long enough to be looked at " * 30)
    with pytest.raises(DataError, match="damaged or not a log"):
        Decisions(tmp_path / "text.sqlite", table)
    other = sqlite3.connect(tmp_path / "other.sqlite")
    other.execute("CREATE TABLE x (y)")
    other.close()
    with pytest.raises(DataError, match="not one of decisions"):
        Decisions(tmp_path / "other.sqlite", table)


def test_a_locked_log_is_an_error_and_nothing_is_lost(log: Decisions, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mien.workshop.curation.decisions.PATIENCE_S", 0.05)
    log.add(3, "drop", reviewer="Ada")
    holder = sqlite3.connect(log.path)
    holder.execute("BEGIN IMMEDIATE")
    with pytest.raises(ConfigError, match="another process has held the decisions"):
        log.add(4, "drop", reviewer="Ada")
    assert len(log.log()) == 1
    holder.rollback()
    holder.close()
    log.add(4, "drop", reviewer="Ada")
    assert len(log.log()) == 2


def test_a_read_only_log_can_be_read(log: Decisions, table: IssueTable) -> None:
    if os.geteuid() == 0:
        pytest.skip("the superuser may write anywhere")
    log.add(3, "drop", reviewer="Ada")
    log.path.chmod(0o444)
    log.path.parent.chmod(0o555)
    try:
        again = Decisions(log.path, table, create=False)
        assert len(again.log()) == 1
        with pytest.raises(ConfigError, match=r"read-only|cannot be opened"):
            again.add(4, "drop", reviewer="Ada")
    finally:
        log.path.parent.chmod(0o755)


CHILD = """
import sys
from pathlib import Path
sys.path.insert(0, sys.argv[4])
from mien.workshop.curation.decisions import Decisions
from mien.workshop.curation.table import read_table
table = Path(sys.argv[1])
log = Decisions(Path(sys.argv[2]), read_table(table))
for turn in range(1000):
    log.add(3 + turn % 20, "drop" if turn % 3 else "keep", reviewer=sys.argv[3])
    print(turn + 1, flush=True)
"""


def test_two_processes_share_a_log_and_a_kill_loses_nothing(tmp_path: Path) -> None:
    path, table, _ = make_table(tmp_path)
    log = Decisions(decisions_path(path), table)
    children = [
        subprocess.Popen(
            [sys.executable, "-c", CHILD, str(path), str(log.path), name, str(Path(__file__).parent)],
            stdout=subprocess.PIPE, text=True,
        )
        for name in ("Ada", "Bo")
    ]  # fmt: skip
    said = {}
    for name, child in zip(("Ada", "Bo"), children, strict=True):
        assert child.stdout is not None
        lines = [child.stdout.readline() for _ in range(8)]
        child.send_signal(signal.SIGKILL)
        lines += child.stdout.readlines()
        child.stdout.close()
        child.wait()
        said[name] = int([line for line in lines if line.endswith("\n")][-1])
    kept = [line.reviewer for line in log.log()]
    for name, count in said.items():
        assert 8 <= count <= kept.count(name) <= count + 1
    log.add(3, "keep", reviewer="Ada")


def decide(action: str, label: str = "", reviewer: str = "Ada", issue: int = 1) -> Decision:
    return Decision(1, issue, (1,), action, label, reviewer, "2026-01-01T00:00:00+00:00")


@pytest.mark.parametrize(
    ("choices", "verdict"),
    [
        (["drop"], ("drop", "", "alone")),
        (["drop", "drop"], ("drop", "", "unanimous")),
        (["relabel:sad", "relabel:sad", "keep"], ("relabel", "sad", "majority")),
        (["drop", "keep"], ("unsure", "", "conflict")),
        (["relabel:sad", "relabel:fear"], ("unsure", "", "conflict")),
        (["drop", "unsure"], ("unsure", "", "conflict")),
        (["drop", "drop", "keep", "keep"], ("unsure", "", "conflict")),
        (["drop", "drop", "keep", "unsure"], ("unsure", "", "conflict")),
        (["unsure", "unsure"], ("unsure", "", "unanimous")),
    ],
)
def test_more_than_half_decides(choices: list[str], verdict: tuple[str, str, str]) -> None:
    given = [decide(*choice.split(":"), reviewer=f"r{place}") for place, choice in enumerate(choices)]
    found = consensus(given)
    assert (found.action, found.label, found.how) == verdict
    assert len(found.reviewers) == len(choices)


def test_verdicts_may_be_of_some_reviewers_alone() -> None:
    by_issue = {1: {"Ada": decide("drop"), "Bo": decide("keep", reviewer="Bo")}, 2: {"Bo": decide("drop")}}
    assert {issue: verdict.action for issue, verdict in verdicts(by_issue).items()} == {1: "unsure", 2: "drop"}
    assert {issue: verdict.action for issue, verdict in verdicts(by_issue, ["Ada"]).items()} == {1: "drop"}


def test_kappa_is_that_of_scikit_learn() -> None:
    metrics = pytest.importorskip("sklearn.metrics", reason='needs pip install "mien[train]"')
    generator = random.Random(0)
    choices = ["keep", "drop", "unsure", "relabel:happy", "relabel:sad"]
    for n in (2, 3, 10, 200):
        for _ in range(20):
            first = generator.choices(choices, [5, 3, 1, 1, 1], k=n)
            second = [one if generator.random() < 0.6 else generator.choice(choices) for one in first]
            found = cohen_kappa(first, second)
            if found.kappa is None:
                assert len({*first, *second}) == 1
                continue
            assert found.kappa == pytest.approx(metrics.cohen_kappa_score(first, second), abs=1e-9)
            assert found.observed == pytest.approx(metrics.accuracy_score(first, second), abs=1e-9)


def test_kappa_is_not_defined_where_chance_alone_agrees() -> None:
    assert cohen_kappa([], []).note == "no issue was decided by both"
    assert cohen_kappa([], []).observed is None
    always = cohen_kappa(["keep"] * 3, ["keep"] * 3)
    assert (always.n, always.observed, always.kappa, always.note) == (3, 1.0, None, "both chose keep every time")
    assert cohen_kappa(["keep"] * 3, ["drop"] * 3).kappa == 0.0


def test_agreement_is_over_the_issues_that_both_decided() -> None:
    first = {1: decide("drop"), 2: decide("keep"), 3: decide("keep")}
    second = {2: decide("keep"), 3: decide("relabel", "sad"), 4: decide("drop")}
    assert (agreement(first, second).n, agreement(first, second).observed) == (2, 0.5)


def test_pace_leaves_pauses_out() -> None:
    times = [f"2026-01-01T10:{minute:02}:{second:02}+00:00" for minute, second in [(0, 0), (0, 6), (30, 0), (30, 6)]]
    assert pace(times) == 600.0
    assert pace(times[:2]) is None
    assert pace([]) is None
