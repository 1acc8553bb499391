"""Turns decisions on issues, or a table's own suggestions, into a curated list. The data set is never touched."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime

from mien.errors import ConfigError, DataError
from mien.labels import SEVEN
from mien.workshop.curation.consensus import Verdict
from mien.workshop.curation.issues import KINDS, Issue, IssueTable
from mien.workshop.data.base import FaceDataset
from mien.workshop.data.lists import Drop, Relabel, RowList, label_name, picture_digest


@dataclass(frozen=True)
class Choice:
    """Which issues a list is made of.

    Args:
        kinds: of `KINDS`, all of them for none.
        min_score: an issue needs at least this score.
        by_kind: the same for single kinds, instead of `min_score`.
    """

    kinds: tuple[str, ...] = ()
    min_score: float = 0.0
    by_kind: Mapping[str, float] = field(default_factory=dict)

    def takes(self, issue: Issue) -> bool:
        """Whether an issue counts."""
        enough = self.by_kind.get(issue.kind, self.min_score)
        return (not self.kinds or issue.kind in self.kinds) and issue.score >= enough


@dataclass(frozen=True)
class Outcome:
    """What a list is made of.

    Args:
        drops, relabels: row to the kind of the issue that decided, and for relabels the new label's name.
        issues: how many issues of each kind were decided on, by what was decided.
        disputed: rows that issues give different labels; they keep their own.
    """

    drops: dict[int, str]
    relabels: dict[int, tuple[str, str]]
    issues: dict[str, dict[str, int]]
    disputed: tuple[int, ...]


def parse_min_scores(values: Iterable[str]) -> tuple[float, dict[str, float]]:
    """`0.8` for all kinds and `label=0.9` for one, as the command line takes them.

    Raises:
        ConfigError: no number in 0–1, or no kind.

    >>> parse_min_scores(["0.5", "label=0.9"])
    (0.5, {'label': 0.9})
    """
    overall, by_kind = 0.0, {}
    for value in values:
        kind, _, number = value.rpartition("=")
        try:
            score = float(number)
        except ValueError:
            score = -1.0
        if not 0 <= score <= 1 or (kind and kind not in KINDS) or value.startswith("="):
            raise ConfigError(
                f"a lowest score is a number in 0–1, or KIND=NUMBER with one of {', '.join(KINDS)}, not {value!r}"
            )
        if kind:
            by_kind[kind] = score
        else:
            overall = score
    return overall, by_kind


def suggested(table: IssueTable) -> dict[int, Verdict]:
    """The table's own suggestions in the place of verdicts, by issue."""
    return {issue.number: Verdict(issue.suggestion, issue.label, "suggestion", ()) for issue in table.issues}


def require_dataset(table: IssueTable, dataset: FaceDataset) -> None:
    """See that a data set is the one that the table of issues is about.

    Raises:
        DataError: it is another.
    """
    if dataset.sha256 != table.sha256 or len(dataset) != table.dataset_rows:
        raise DataError(
            f"the issues are about {table.dataset} with {table.dataset_rows:,} rows and hash {table.sha256[:12]}, not "
            f"{dataset.name} with {len(dataset):,} rows and hash {dataset.sha256[:12]}: give the very file or folder "
            f"that was curated ({table.data}), or curate this one"
        )


def settle(table: IssueTable, verdicts: Mapping[int, Verdict], labels: Mapping[int, str], choice: Choice) -> Outcome:
    """What verdicts mean for rows.

    An issue of one row drops or relabels that row. A group that is dropped keeps one row, the first that nothing else
    drops, and relabelled gives all its rows the label. A dropped row is not relabelled.

    Args:
        table: of the issues.
        verdicts: by number of the issue.
        labels: name of every row's label now, empty for none; of the rows that issues name.
        choice: which issues count.
    """
    counted = [issue for issue in table.issues if issue.number in verdicts and choice.takes(issue) and issue.rows]
    issues: dict[str, dict[str, int]] = {}
    for issue in counted:
        by_action = issues.setdefault(issue.kind, {})
        action = verdicts[issue.number].action
        by_action[action] = by_action.get(action, 0) + 1
    dropped = [issue for issue in counted if verdicts[issue.number].action == "drop"]
    drops = {issue.rows[0]: issue.kind for issue in reversed(dropped) if len(issue.rows) == 1}
    for issue in dropped:
        if len(issue.rows) > 1:
            left = [row for row in issue.rows if row not in drops]
            drops |= dict.fromkeys(left[1:], issue.kind)
    wanted: dict[int, dict[str, str]] = {}
    for issue in counted:
        verdict = verdicts[issue.number]
        if verdict.action == "relabel" and verdict.label in SEVEN:
            for row in issue.rows:
                wanted.setdefault(row, {}).setdefault(verdict.label, issue.kind)
    disputed = tuple(sorted(row for row, found in wanted.items() if len(found) > 1 and row not in drops))
    relabels = {
        row: (kind, label)
        for row, found in wanted.items()
        for label, kind in found.items()
        if len(found) == 1 and row not in drops and labels[row] != label
    }
    return Outcome(drops, relabels, issues, disputed)


def make_list(
    name: str, version: int, dataset: FaceDataset, outcome: Outcome, *, notes: Iterable[str], reviewers: Iterable[str]
) -> RowList:
    """The list of an outcome, in the order of the rows.

    Raises:
        ConfigError: nothing is to be dropped or relabelled.
        DataError: the name is none that a list can have.
    """
    if not outcome.drops and not outcome.relabels:
        raise ConfigError(
            "nothing is to be dropped or relabelled, so there is no list to write: decide more issues with "
            "mien review, or allow more kinds and lower scores"
        )

    def named(row: int) -> tuple[str, str]:
        return str(dataset.ids[row]), picture_digest(dataset.images[row])

    return RowList(
        name=name,
        version=version,
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        data=dataset.name,
        data_sha256=dataset.sha256,
        data_rows=len(dataset),
        drops=tuple(Drop(*named(row), kind) for row, kind in sorted(outcome.drops.items())),
        relabels=tuple(
            Relabel(*named(row), label_name(int(dataset.labels[row])), label, kind)
            for row, (kind, label) in sorted(outcome.relabels.items())
        ),
        notes=tuple(notes),
        reviewers=tuple(reviewers),
    )


def labels_of(table: IssueTable, dataset: FaceDataset) -> dict[int, str]:
    """The label's name of every row that an issue names."""
    return {row: label_name(int(dataset.labels[row])) for issue in table.issues for row in issue.rows}
