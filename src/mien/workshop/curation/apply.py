"""What reviewers decided together, and the curated list that follows; the data set is never touched."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

from mien.errors import ConfigError, DataError
from mien.files import require_free
from mien.labels import SEVEN
from mien.workshop.curation.decisions import Decision, Decisions, Standing, decisions_path
from mien.workshop.curation.issues import KINDS, Issue, IssueTable
from mien.workshop.curation.table import read_table
from mien.workshop.data.base import FaceDataset
from mien.workshop.data.factory import LoadOptions, load_dataset
from mien.workshop.data.lists import NAME, Drop, Relabel, RowList, label_name, next_version, picture_digest, save_list


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


@dataclass(frozen=True)
class ListOptions:
    """Which decisions become a list, and where it goes.

    Args:
        source: `decisions` of people, or the table's own `suggestions`, at which nobody has looked.
        choice: which issues count.
        reviewers: only these people's decisions; everybody's for none.
        note: a sentence for the list's notes.
        out: the .json to write; among Mien's own lists for None.
    """

    source: Literal["decisions", "suggestions"] = "decisions"
    choice: Choice = Choice()
    reviewers: tuple[str, ...] = ()
    note: str = ""
    out: Path | None = None


@dataclass(frozen=True)
class Applied:
    """A written list, where it is, and what it was made of."""

    rows: RowList
    path: Path
    outcome: Outcome
    dataset: FaceDataset


def apply_decisions(
    issues: Path | str, name: str, data: Path | str | None = None, options: ListOptions = ListOptions()
) -> Applied:
    """Turn decisions about a table of issues into a list of rows to drop and to relabel; the data stays as it is.

    Where several reviewers decided, the decision of more than half of them counts.

    Args:
        issues: the table that `curate` wrote.
        name: of the list; it gets the next version of that name.
        data: the data set, if it is not where it was curated.
        options: see there.

    Raises:
        ConfigError: a bad name, an unknown kind or reviewer, or nothing to drop or relabel.
        DataError: the table is damaged, or of another data set.
        OutputError: the file is there already.
    """
    if not NAME.fullmatch(name):
        raise ConfigError(f"a list's name has small letters, digits, '.', '_' and '-' only: {name!r} has others")
    unknown = [kind for kind in options.choice.kinds if kind not in KINDS]
    if unknown:
        raise ConfigError(f"unknown kind {unknown[0]!r}: expected {', '.join(KINDS)}")
    if options.source == "suggestions" and options.reviewers:
        raise ConfigError("--reviewer chooses among decisions: leave it out, or use --from decisions")
    if options.out is not None:
        if options.out.suffix != ".json":
            raise ConfigError(f"--out takes a file that ends in .json, not {options.out}")
        require_free(options.out)
    table = read_table(Path(issues))
    found, names = _verdicts(Path(issues), table, options)
    dataset = load_dataset(Path(data or table.data), LoadOptions(table.mapping))
    require_dataset(table, dataset)
    outcome = settle(table, found, labels_of(table, dataset), options.choice)
    notes = [options.note] if options.note else []
    notes += [*_notes(table, options, len(found)), *left_out(outcome)]
    rows = make_list(name, next_version(name), dataset, outcome, notes=notes, reviewers=names)
    return Applied(rows, save_list(rows, options.out), outcome, dataset)


def _verdicts(issues: Path, table: IssueTable, options: ListOptions) -> tuple[dict[int, Verdict], tuple[str, ...]]:
    """What counts for each issue, and who decided."""
    if options.source == "suggestions":
        return suggested(table), ()
    # Not made if absent: a mistyped path would leave an empty log.
    standing = Standing(Decisions(decisions_path(issues), table, create=False).log())
    known = sorted(standing.by_reviewer)
    absent = [name for name in options.reviewers if name not in known]
    if absent:
        raise ConfigError(f"{absent[0]!r} has made no decision: expected {', '.join(known) or 'a reviewer'}")
    return verdicts(standing.by_issue, options.reviewers), tuple(options.reviewers or known)


def _notes(table: IssueTable, options: ListOptions, decided: int) -> list[str]:
    """How the list was made, for whoever finds it later."""
    choice = options.choice
    how = (
        f"Suggestions of mien data curate ({table.model or 'no model'}, {table.created}): no person has looked."
        if options.source == "suggestions"
        else f"Decisions of people on {decided:,} of {len(table.issues):,} issues that mien data curate found "
        f"({table.created})."
    )
    limits = [f"kinds {', '.join(choice.kinds)}"] if choice.kinds else []
    limits += [f"scores from {choice.min_score:g}"] if choice.min_score else []
    limits += [f"{kind} from {score:g}" for kind, score in choice.by_kind.items()]
    return [how, f"Only {'; '.join(limits)}."] if limits else [how]


def left_out(outcome: Outcome) -> list[str]:
    """What a person should know of rows that keep their label."""
    if not outcome.disputed:
        return []
    return [f"{len(outcome.disputed):,} rows for which issues disagree on the label keep their own."]


def parse_min_scores(values: Iterable[str]) -> tuple[float, dict[str, float]]:
    """`0.8` for all kinds and `label=0.9` for one, as the command line takes them.

    Raises:
        ConfigError: not a number in 0–1, or not a kind.

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
    """Check that a data set is the one that the table of issues is about.

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
    # Backwards, so that the first and most serious issue of a row is the one that is named.
    drops = {issue.rows[0]: issue.kind for issue in reversed(dropped) if len(issue.rows) == 1}
    # Groups after single rows: otherwise the row that a group keeps might be dropped by an issue of its own.
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
        DataError: the name is not valid for a list.
    """
    if not outcome.drops and not outcome.relabels:
        raise ConfigError(
            "nothing is to be dropped or relabelled, so there is no list to write: decide more issues with "
            "mien data review, or allow more kinds and lower scores"
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


@dataclass(frozen=True)
class Verdict:
    """The decision that counts for an issue.

    Args:
        action, label: as of a `Decision`; `unsure` where the reviewers do not agree.
        how: `alone`, `unanimous`, `majority` or `conflict`.
        reviewers: who decided, sorted.
    """

    action: str
    label: str
    how: str
    reviewers: tuple[str, ...]


@dataclass(frozen=True)
class Agreement:
    """How well two reviewers agree on the issues that both decided.

    Args:
        n: how many these are.
        observed: the share on which they agree, None for no issue.
        kappa: Cohen's kappa, None where it is not defined.
        note: why it is not.
    """

    n: int
    observed: float | None
    kappa: float | None
    note: str = ""


def consensus(decisions: Iterable[Decision]) -> Verdict:
    """What the reviewers of one issue decided together: the choice of more than half of them, else `unsure`.

    A new label is a choice of its own, and so is `unsure`: of drop and unsure neither has more than half.

    Args:
        decisions: on one issue, one of each reviewer.

    Raises:
        ValueError: there is none.
    """
    given = list(decisions)
    reviewers = tuple(sorted(decision.reviewer for decision in given))
    choices = Counter(decision.choice for decision in given)
    if not choices:
        raise ValueError("no decision on this issue")
    choice, count = choices.most_common(1)[0]
    # Half is not enough, so it does not matter which of several equal choices was counted first.
    if 2 * count <= len(given):
        return Verdict("unsure", "", "conflict", reviewers)
    how = "alone" if len(given) == 1 else "unanimous" if count == len(given) else "majority"
    action, _, label = choice.partition(":")
    return Verdict(action, label, how, reviewers)


def verdicts(by_issue: Mapping[int, Mapping[str, Decision]], reviewers: Iterable[str] = ()) -> dict[int, Verdict]:
    """The verdict on each issue that anyone decided, or any of the named reviewers."""
    chosen = set(reviewers)
    found = {}
    for issue, given in by_issue.items():
        counted = [decision for name, decision in given.items() if not chosen or name in chosen]
        if counted:
            found[issue] = consensus(counted)
    return found


def agreement(first: Mapping[int, Decision], second: Mapping[int, Decision]) -> Agreement:
    """Cohen's kappa (1960) of two reviewers: agreement beyond that of two who decide at random with their own habits.

    Args:
        first, second: decisions of each by issue; those on which both decided count, a new label being a choice
            of its own.
    """
    both = sorted(first.keys() & second.keys())
    return cohen_kappa([first[issue].choice for issue in both], [second[issue].choice for issue in both])


def cohen_kappa(first: list[str], second: list[str]) -> Agreement:
    """κ = (observed − expected) / (1 − expected) of two lists of choices, pair by pair.

    >>> cohen_kappa(["keep", "drop", "drop", "keep"], ["keep", "drop", "keep", "keep"])
    Agreement(n=4, observed=0.75, kappa=0.5, note='')
    """
    n = len(first)
    if not n:
        return Agreement(0, None, None, "no issue was decided by both")
    same = sum(a == b for a, b in zip(first, second, strict=True))
    counts = Counter(first), Counter(second)
    # In whole numbers, so that chance agreement of 1 is found exactly.
    chance = sum(counts[0][choice] * counts[1][choice] for choice in counts[0])
    if chance == n * n:
        return Agreement(n, same / n, None, f"both chose {first[0]} every time")
    return Agreement(n, same / n, (same * n - chance) / (n * n - chance))
