"""`mien curate apply`: decisions about a data set's issues in, a curated list out that trainings take by name."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from mien.apps.cli.parameters import PATH, Command, any_size, argument

if TYPE_CHECKING:
    from mien.workshop.curation.apply import Choice, Outcome
    from mien.workshop.curation.consensus import Verdict
    from mien.workshop.curation.issues import IssueTable
    from mien.workshop.data.base import FaceDataset
    from mien.workshop.data.lists import RowList


@click.command("apply", cls=Command)
@argument("issues", "Table of issues that mien curate wrote.", type=PATH)
@click.option("--name", required=True, help="Of the list; it gets the next version of that name.")
@click.option("--data", type=PATH, metavar="PATH", help="The data set, if it is not where it was curated.")
@click.option(
    "--from",
    "source",
    type=click.Choice(["decisions", "suggestions"]),
    default="decisions",
    help="What people decided, or what the table suggests without any person.",
)
@click.option("--kinds", metavar="KIND,…", help="Only issues of these kinds.")
@click.option(
    "--min-score", "scores", multiple=True, metavar="[KIND=]X", help="Only issues this sure, 0–1; for all or one kind."
)
@click.option("--reviewer", "reviewers", multiple=True, metavar="NAME", help="Only this reviewer; repeatable.")
@click.option("--note", default="", help="A sentence for the list's notes.")
@click.option("--out", type=PATH, metavar="FILE", help="Where to write; among Mien's own lists by default.")
@any_size
def app(
    issues: Path,
    name: str,
    data: Path | None,
    source: str,
    kinds: str | None,
    scores: tuple[str, ...],
    reviewers: tuple[str, ...],
    note: str,
    out: Path | None,
    any_size: bool,
) -> None:
    """Turn decisions into a list of rows to drop and to relabel.

    The list has a name and a version; the data itself stays as it is.

    Where several reviewers decided, what more than half of them say counts. A training takes the list by name:
    [data] lists = ["NAME@VERSION"].
    """
    from mien.errors import ConfigError
    from mien.workshop.curation.apply import Choice, labels_of, make_list, parse_min_scores, require_dataset, settle
    from mien.workshop.curation.issues import KINDS
    from mien.workshop.curation.table import read_table
    from mien.workshop.data.factory import load_dataset
    from mien.workshop.data.lists import NAME, next_version, save_list

    if not NAME.fullmatch(name):
        raise ConfigError(f"a list's name is of small letters, digits, '.', '_' and '-', not {name!r}")
    chosen = tuple(kind.strip() for kind in kinds.split(",")) if kinds else ()
    unknown = [kind for kind in chosen if kind not in KINDS]
    if unknown:
        raise ConfigError(f"unknown kind {unknown[0]!r}: expected {', '.join(KINDS)}")
    if source == "suggestions" and reviewers:
        raise ConfigError("--reviewer chooses among decisions: leave it out, or take --from decisions")
    if out is not None and out.suffix != ".json":
        raise ConfigError(f"--out takes a file that ends in .json, not {out}")
    if out is not None and out.exists():
        raise ConfigError(f"{out} is there already: choose another name")
    choice = Choice(chosen, *parse_min_scores(scores))
    table = read_table(issues)
    found, names = _verdicts(issues, table, source, reviewers)
    dataset = load_dataset(data or Path(table.data), check_counts=not any_size)
    require_dataset(table, dataset)
    outcome = settle(table, found, labels_of(table, dataset), choice)
    notes = [note] if note else []
    notes += [*_notes(table, choice, source, len(found)), *_left_out(outcome)]
    rows = make_list(name, next_version(name), dataset, outcome, notes=notes, reviewers=names)
    path = save_list(rows, out)
    _print(rows, outcome, dataset)
    click.echo(f'wrote {path}; a training takes it by [data] lists = ["{rows.title if out is None else out}"]')


def _verdicts(
    issues: Path, table: IssueTable, source: str, reviewers: tuple[str, ...]
) -> tuple[dict[int, Verdict], tuple[str, ...]]:
    """What counts for each issue, and who decided."""
    from mien.errors import ConfigError
    from mien.workshop.curation.apply import suggested
    from mien.workshop.curation.consensus import verdicts
    from mien.workshop.curation.decisions import Decisions, Standing, decisions_path

    if source == "suggestions":
        return suggested(table), ()
    standing = Standing(Decisions(decisions_path(issues), table, create=False).log())
    there = sorted(standing.by_reviewer)
    absent = [name for name in reviewers if name not in there]
    if absent:
        raise ConfigError(f"{absent[0]!r} decided nothing: expected {', '.join(there) or 'anyone, but nobody did'}")
    return verdicts(standing.by_issue, reviewers), tuple(reviewers or there)


def _notes(table: IssueTable, choice: Choice, source: str, decided: int) -> list[str]:
    """How the list came about, for whoever finds it later."""
    how = (
        f"Suggestions of mien curate ({table.model or 'no model'}, {table.created}): no person has looked."
        if source == "suggestions"
        else f"Decisions of people on {decided:,} of {len(table.issues):,} issues that mien curate found "
        f"({table.created})."
    )
    limits = [f"kinds {', '.join(choice.kinds)}"] if choice.kinds else []
    limits += [f"scores from {choice.min_score:g}"] if choice.min_score else []
    limits += [f"{kind} from {score:g}" for kind, score in choice.by_kind.items()]
    return [how, f"Only {'; '.join(limits)}."] if limits else [how]


def _left_out(outcome: Outcome) -> list[str]:
    if not outcome.disputed:
        return []
    return [f"{len(outcome.disputed):,} rows that issues give different labels keep their own."]


def _print(rows: RowList, outcome: Outcome, dataset: FaceDataset) -> None:
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.table import Table

    from mien.labels import SEVEN
    from mien.workshop.data.lists import label_name

    console = Console()
    kinds = Table(box=SIMPLE_HEAD, pad_edge=False, title=f"{rows.title}: by kind of issue", title_justify="left")
    kinds.add_column("kind")
    for column in ("kept", "unsure", "drop", "relabel", "rows dropped", "rows relabelled"):
        kinds.add_column(column, justify="right")
    for kind, actions in outcome.issues.items():
        dropped = sum(found == kind for found in outcome.drops.values())
        changed = sum(found == kind for found, _ in outcome.relabels.values())
        counts = [actions.get(action, 0) for action in ("keep", "unsure", "drop", "relabel")]
        kinds.add_row(kind, *(f"{count:,}" for count in (*counts, dropped, changed)))
    console.print(kinds)
    classes = Table(box=SIMPLE_HEAD, pad_edge=False, title="by class, all splits", title_justify="left")
    classes.add_column("class")
    for column in ("rows", "dropped", "relabelled away", "relabelled to it", "then"):
        classes.add_column(column, justify="right")
    for label in ("", *SEVEN):
        there = int((dataset.labels == (SEVEN.index(label) if label else -1)).sum())
        dropped = sum(label_name(int(dataset.labels[row])) == label for row in outcome.drops)
        away = sum(change.old == label for change in rows.relabels)
        gained = sum(change.new == label for change in rows.relabels)
        if there:
            counts = [there, dropped, away, gained, there - dropped - away + gained]
            classes.add_row(label or "no label", *(f"{count:,}" for count in counts))
    console.print(classes)
    for line in _left_out(outcome):
        console.print(line, highlight=False)
