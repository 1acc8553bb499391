"""`mien study` and `mien tune`: many trainings by the same rules, and a search for better settings."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from mien.apps.cli.bars import TrainingBar
from mien.apps.cli.parameters import (
    DATA_HELP,
    PATH,
    Command,
    argument,
    device,
    need_search_extra,
    need_train_extra,
)
from mien.apps.cli.printing import create_table, print_line, print_table

if TYPE_CHECKING:
    from mien.workshop.experiments.study_run import Outcome


@click.command("run", cls=Command)
@argument("file", "TOML file with [[entries]], such as studies/se-resnet.toml.", type=PATH)
@argument("data", DATA_HELP, type=PATH)
@click.option("--out", type=PATH, required=True, metavar="RUNS", help="Folder of all runs; stopped ones are resumed.")
@device
@click.option("--epochs", type=click.IntRange(min=1), help="Override each entry's epochs.")
@click.option("--limit", type=click.IntRange(min=16), metavar="N", help="Use N training rows, and N/4 of other splits.")
@click.option("--only", multiple=True, metavar="ENTRY", help="Run only this entry; repeatable.")
@click.option("--seed", "seeds", type=click.IntRange(min=0), multiple=True, help="Override the seeds; repeatable.")
@click.option("--from-scratch", is_flag=True, help="Use random weights for pretrained entries.")
def run(
    file: Path, data: Path, out: Path, device: str, epochs: int | None, limit: int | None, only: tuple[str, ...],
    seeds: tuple[int, ...], from_scratch: bool,
) -> None:  # fmt: skip
    """Train every entry of FILE on DATA with every seed, and measure it.

    Finished runs are kept, stopped ones are resumed. If a run fails, its reason is stored and the others are trained;
    the exit code is then 7.
    """
    need_train_extra()
    from mien.errors import TrainingError
    from mien.workshop import StudyOptions, train_study

    options = StudyOptions(only=only, seeds=seeds, epochs=epochs, from_scratch=from_scratch, device=device)
    outcomes = train_study(file, data, out, options, limit=limit, on_note=print_line, create_display=TrainingBar)
    _print_outcomes(outcomes)
    failed = [outcome for outcome in outcomes if outcome.state == "failed"]
    # An error after the table, so that scripts notice by the exit code.
    if failed:
        names = ", ".join(f"{outcome.run.entry.name} seed {outcome.run.seed}" for outcome in failed)
        raise TrainingError(
            f"{len(failed)} of {len(outcomes)} runs failed ({names}), the first with: {failed[0].reason}. The reasons "
            f"are in the table above and in each run's folder in {out}; the same command tries them again"
        )
    print_line(f"report: mien study report {file} --runs {out} --out DIR")


@click.command("report", cls=Command)
@argument("file", "The study that was run.", type=PATH)
@argument("data", "The data it ran on, to measure runs that are not measured yet.", type=PATH, required=False)
@click.option("--runs", type=PATH, required=True, metavar="RUNS", help="The --out of mien study run.")
@click.option("--out", type=PATH, required=True, metavar="DIR", help="Folder for the page, Markdown and pictures.")
@click.option("--no-time", is_flag=True, help="Measure no milliseconds a face.")
def report(file: Path, data: Path | None, runs: Path, out: Path, no_time: bool) -> None:
    """Write a study's report: one HTML page, and Markdown with pictures."""
    need_train_extra()
    from mien.workshop import report_study

    files = report_study(file, runs, out, data, timed=not no_time, on_note=print_line)
    print_line(f"wrote {files[0]} and {len(files) - 1} more files")


@click.command("tune", cls=Command)
@argument("file", "TOML file with ranges, such as studies/tune-architectures.toml.", type=PATH)
@argument("data", DATA_HELP, type=PATH)
@click.option("--out", type=PATH, required=True, metavar="DIR", help="Folder of the search; a stopped one is resumed.")
@click.option(
    "--storage", envvar="MIEN_STORAGE", show_envvar=True, metavar="URL", show_default="DIR/search.db",
    help="sqlite:///… or postgresql+psycopg://user:password@host/database.",
)  # fmt: skip
@click.option("--jobs", type=click.IntRange(min=1), default=1, help="Processes on this machine.")
@click.option("--trials", type=click.IntRange(min=1), help="Trials of all machines together; overrides the file's.")
@device
@click.option("--report-only", is_flag=True, help="Train nothing and write the report; also while others search.")
def tune_settings(
    file: Path, data: Path, out: Path, storage: str | None, jobs: int, trials: int | None, device: str,
    report_only: bool,
) -> None:  # fmt: skip
    """Search for better settings with Optuna.

    The same command resumes a search; on another machine with the same storage it joins it. `optuna-dashboard URL`
    shows the search in a browser.
    """
    need_search_extra()
    from mien.workshop import SearchOptions, load_search, open_study, report_search, tune
    from mien.workshop.experiments.search_storage import sqlite_url

    search = load_search(file)
    if report_only:
        study = open_study(search, storage or sqlite_url(out))
    else:
        study = tune(search, data, out, SearchOptions(storage, jobs, trials, device), on_note=print_line)
    for path in report_search(search, study, out):
        print_line(str(path))


def _print_outcomes(outcomes: list[Outcome]) -> None:
    from rich.text import Text

    table = create_table("", "entry", "seed")
    table.add_column("state")
    table.add_column("accuracy %", justify="right")
    table.add_column("faces or reason", overflow="fold")
    for outcome in outcomes:
        scores, run = outcome.main, outcome.run
        figure, said = ("", outcome.reason) if scores is None else (f"{100 * scores.accuracy:.2f}", scores.faces.title)
        state = Text(outcome.state, style="red" if scores is None else "")
        table.add_row(run.entry.name, str(run.seed), state, figure, Text(said))
    print_table(table)
