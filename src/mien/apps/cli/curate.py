"""`mien data curate`, `review`, `apply`: find what is wrong with a data set, decide, and make a list of decisions."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Literal

import click

from mien.apps.cli.bars import stages
from mien.apps.cli.data_argument import classes
from mien.apps.cli.parameters import DATA_HELP, PATH, Command, argument, need_train_extra, overwrite
from mien.apps.cli.printing import create_table, print_line, print_table

if TYPE_CHECKING:
    from rich.table import Table

    from mien.workshop.curation.apply import Applied
    from mien.workshop.curation.issues import IssueTable

moved_data = click.option("--data", type=PATH, metavar="PATH", help="The data set, if it was moved since.")


@click.command("curate", cls=Command)
@argument("data", DATA_HELP, type=PATH)
@click.option("--out", type=PATH, required=True, metavar="FILE", help="The table to write, .csv or .parquet.")
@click.option("--model", metavar="NAME", help="Model to compare pictures by: a bundled name or an artifact's folder.")
@click.option("--page/--no-page", default=True, help="Also write an HTML page with the pictures.")
@classes
@overwrite("Replace existing files.")
def curate(data: Path, out: Path, model: str | None, page: bool, classes: dict[str, str], overwrite: bool) -> None:
    """Find copies, doubtful labels and bad pictures in DATA.

    Writes a table with a .json and an .npz beside it, and an .html page. DATA stays as it is: look at the page, decide
    with `mien data review`, and use the decisions with `mien data apply`.
    """
    need_train_extra()
    from mien.workshop import curate as find

    with stages(lines=True) as on_stage:
        table, files = find(data, out, model=model, page=page, overwrite=overwrite, classes=classes, on_stage=on_stage)
    print_table(_issues_table(table))
    for note in table.notes:
        print_line(f"note: {note}")
    print_line(f"wrote {', '.join(map(str, files))}")


@click.command("review", cls=Command)
@argument("issues", "Table of issues from `mien data curate`.", type=PATH)
@moved_data
@click.option("--reviewer", default="", show_default=False, metavar="NAME", help="Your name, or enter it on the page.")
@click.option("--kind", default="", show_default=False, help="Start with issues of this kind.")
@click.option("--port", type=click.IntRange(1, 65535), show_default="a free one", help="Port on 127.0.0.1.")
@click.option("--no-browser", is_flag=True, help="Open no browser.")
def review(issues: Path, data: Path | None, reviewer: str, kind: str, port: int | None, no_browser: bool) -> None:
    """Decide about issues one by one, by key: K keep, D drop, 1–7 another label, U unsure, Z undo.

    The page is served to this computer only. Each decision is saved at once to ISSUES.decisions.sqlite beside the
    table; `mien data apply` makes a list of them.
    """
    from mien.apps.streamlit_server import need_streamlit

    need_streamlit()
    from mien.apps.review.desk import open_bench
    from mien.apps.review.server import free_port, start

    bench = open_bench(issues, data, reviewer=reviewer, kind=kind)
    start(bench, port=free_port(port), browser=not no_browser)


@click.command("apply", cls=Command)
@argument("issues", "Table of issues from `mien data curate`.", type=PATH)
@click.option("--name", required=True, help="Name of the list; it gets the next version of that name.")
@moved_data
@click.option(
    "--from", "source", type=click.Choice(["decisions", "suggestions"]), default="decisions",
    help="Use people's decisions, or the table's suggestions, which no person has checked.",
)  # fmt: skip
@click.option("--kinds", metavar="KIND,…", help="Use only issues of these kinds.")
@click.option(
    "--min-score", "scores", multiple=True, metavar="[KIND=]X", help="Use only issues with at least this score, 0–1."
)
@click.option("--reviewer", "reviewers", multiple=True, metavar="NAME", help="Use only this reviewer; repeatable.")
@click.option("--note", default="", show_default=False, help="A sentence for the list's notes.")
@click.option("--out", type=PATH, metavar="FILE", show_default="Mien's own lists", help="The .json file to write.")
def apply(
    issues: Path, name: str, data: Path | None, source: Literal["decisions", "suggestions"], kinds: str | None,
    scores: tuple[str, ...], reviewers: tuple[str, ...], note: str, out: Path | None,
) -> None:  # fmt: skip
    """Turn decisions into a list of rows to drop and relabel.

    The list has a name and a version; DATA stays as it is. If several people reviewed an issue, the decision of more
    than half of them counts. A training uses the list by name: [data] lists = ["NAME@VERSION"].
    """
    from mien.workshop import Choice, ListOptions, apply_decisions
    from mien.workshop.curation.apply import left_out, parse_min_scores

    chosen = tuple(kind.strip() for kind in kinds.split(",")) if kinds else ()
    options = ListOptions(source, Choice(chosen, *parse_min_scores(scores)), reviewers, note, out)
    done = apply_decisions(issues, name, data, options)
    print_table(_kinds_table(done))
    print_table(_classes_table(done))
    for line in left_out(done.outcome):
        print_line(line)
    print_line(f'wrote {done.path}; a training uses it by [data] lists = ["{out or done.rows.title}"]')


def _issues_table(table: IssueTable) -> Table:
    """Issues by kind and by what is suggested."""
    from mien.workshop.curation.issues import KINDS, SUGGESTIONS

    title = f"{table.dataset}: {len(table.issues):,} issues in {table.dataset_rows:,} rows"
    shown = create_table(title, "kind")
    shown.add_column("meaning")
    for name in ("issues", *SUGGESTIONS):
        shown.add_column(name, justify="right")
    for kind, meaning in KINDS.items():
        issues = table.of_kind(kind)
        counts = [sum(issue.suggestion == name for issue in issues) for name in SUGGESTIONS]
        if issues:
            shown.add_row(kind, meaning, *(f"{count:,}" if count else "" for count in (len(issues), *counts)))
    return shown


def _kinds_table(done: Applied) -> Table:
    outcome, actions = done.outcome, ("keep", "unsure", "drop", "relabel")
    title = f"{done.rows.title}: by kind of issue"
    table = create_table(title, "kind", "kept", "unsure", "drop", "relabel", "rows dropped", "rows relabelled")
    for kind, decided in outcome.issues.items():
        dropped = sum(found == kind for found in outcome.drops.values())
        changed = sum(found == kind for found, _ in outcome.relabels.values())
        table.add_row(kind, *(f"{n:,}" for n in (*(decided.get(action, 0) for action in actions), dropped, changed)))
    return table


def _classes_table(done: Applied) -> Table:
    from mien.labels import SEVEN
    from mien.workshop.data.lists import label_name

    labels, relabels = done.dataset.labels, done.rows.relabels
    title = "by class, all splits"
    table = create_table(title, "class", "rows", "dropped", "relabelled from it", "relabelled to it", "then")
    for label in ("", *SEVEN):
        rows = int((labels == (SEVEN.index(label) if label else -1)).sum())
        dropped = sum(label_name(int(labels[row])) == label for row in done.outcome.drops)
        away, gained = (sum(getattr(change, side) == label for change in relabels) for side in ("old", "new"))
        if rows:
            counts = [rows, dropped, away, gained, rows - dropped - away + gained]
            table.add_row(label or "no label", *(f"{count:,}" for count in counts))
    return table
