"""`mien curate`: find what is wrong with a data set, and apply what was decided of it."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

import click

from mien.apps.cli.parameters import PATH, Command, any_size, argument

if TYPE_CHECKING:
    from rich.table import Table

    from mien.workshop.curation.find import Step
    from mien.workshop.curation.findings import Advance
    from mien.workshop.curation.issues import IssueTable

DEFAULT = "find"
APPLY = "mien.apps.cli.curate_apply"


class Curate(click.Group):
    """A group whose first argument may be a data set: it is then `find`'s."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Put `find` before a first argument that is no command of the group."""
        if args and args[0] not in (*self.list_commands(ctx), "--help"):
            args = [DEFAULT, *args]
        return super().parse_args(ctx, args)

    def list_commands(self, ctx: click.Context) -> list[str]:
        """The names of the commands."""
        return sorted({*super().list_commands(ctx), *(["apply"] if find_spec(APPLY) else [])})

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """A command; `apply` is loaded when it is asked for."""
        if cmd_name == "apply" and find_spec(APPLY):
            command: click.Command = import_module(APPLY).app
            return command
        return super().get_command(ctx, cmd_name)


@click.group("curate", cls=Curate)
def app() -> None:
    """Find what is wrong with a data set, and apply what was decided of it.

    `mien curate DATA --out issues.csv` is short for `mien curate find DATA --out issues.csv`.
    """


@app.command(DEFAULT, cls=Command)
@argument("source", "FER2013's csv or npz, a folder with it, or a folder of pictures.", metavar="DATA", type=PATH)
@click.option("--out", type=PATH, required=True, metavar="FILE", help="The table, .csv or .parquet.")
@click.option(
    "--model", metavar="NAME", help="A bundled model's name, or an artifact's folder, to compare pictures by."
)
@click.option("--page/--no-page", "page", default=True, help="Also write an HTML page with the pictures.")
@any_size
@click.option("--overwrite", is_flag=True, help="Replace files that are there.")
def find(source: Path, out: Path, model: str | None, page: bool, any_size: bool, overwrite: bool) -> None:
    """Find copies, doubtful labels and poor pictures in DATA.

    Writes the table with a .json and an .npz beside it, and an .html with the pictures. Nothing is changed in DATA:
    look at the page, decide with mien review, and apply what was decided.
    """
    from rich.console import Console

    from mien.apps.cli.extras import need_train_extra
    from mien.artifact.artifact import load_artifact
    from mien.artifact.catalog import resolve
    from mien.workshop.curation.find import find_issues
    from mien.workshop.curation.table import require_free, write_table
    from mien.workshop.data.factory import load_dataset
    from mien.workshop.reports.curation import write_page

    need_train_extra()
    require_free(out, overwrite=overwrite)
    artifact = load_artifact(resolve(model))
    console = Console()
    with _steps() as step:
        step("reading the data set")
        dataset = load_dataset(source, check_counts=not any_size)
        table = find_issues(dataset, artifact, data=source, step=step)
        files = write_table(table, out, overwrite=True)
        if page:
            step("the page")
            files.append(write_page(table, dataset, out))
        else:
            # An older page would show what this table does not hold.
            out.with_suffix(".html").unlink(missing_ok=True)
    console.print(_counts(table))
    for note in table.notes:
        console.print(f"note: {note}", highlight=False, markup=False)
    console.print(f"wrote {', '.join(map(str, files))}", soft_wrap=True, highlight=False, markup=False)


@contextmanager
def _steps() -> Iterator[Step]:
    """Shows the steps: bars on a terminal's stderr, elsewhere a line when one begins."""
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn

    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bars:

        def step(name: str) -> Advance:
            for task in bars.tasks:
                if not task.finished:
                    bars.update(task.id, total=1, completed=1)
            if not console.is_terminal:
                sys.stderr.write(f"{name}\n")
                sys.stderr.flush()
            current = bars.add_task(name, total=None)

            def advance(done: int, total: int) -> None:
                bars.update(current, completed=done, total=max(total, 1))

            return advance

        yield step


def _counts(table: IssueTable) -> Table:
    """Issues by kind and by what is suggested."""
    from rich import box
    from rich.table import Table

    from mien.workshop.curation.issues import KINDS, SUGGESTIONS

    shown = Table(
        title=f"{table.dataset}: {len(table.issues):,} issues in {table.dataset_rows:,} rows", box=box.SIMPLE_HEAD
    )
    shown.title_justify, shown.title_style = "left", "bold"
    shown.add_column("kind")
    shown.add_column("meaning")
    for name in ("issues", *SUGGESTIONS):
        shown.add_column(name, justify="right")
    for kind, meaning in KINDS.items():
        issues = table.of_kind(kind)
        counts = [sum(issue.suggestion == name for issue in issues) for name in SUGGESTIONS]
        if issues:
            shown.add_row(kind, meaning, *(f"{count:,}" if count else "" for count in (len(issues), *counts)))
    return shown
