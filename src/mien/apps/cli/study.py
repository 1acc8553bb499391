"""`mien study`: several trainings by the same rules, and one report of all of them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from mien.apps.cli.parameters import PATH, Command, any_size, argument

if TYPE_CHECKING:
    from mien.workshop.data.base import FaceDataset
    from mien.workshop.experiments.study.run import Outcome


@click.group("study")
def app() -> None:
    """Run several trainings by the same rules; compare them in one report."""


@app.command("run", cls=Command)
@argument("file", "TOML file with [[entries]], such as studies/se-resnet.toml.", type=PATH)
@argument("data", "fer2013.csv, a folder that holds it, or an image folder.", type=PATH)
@click.option("--out", type=PATH, required=True, metavar="RUNS", help="Folder of all runs; what is there goes on.")
@click.option("--device", type=click.Choice(["auto", "cpu", "cuda", "mps"]), default="auto", help="Where to train.")
@click.option("--epochs", type=click.IntRange(min=1), help="Instead of each entry's.")
@click.option("--limit", type=click.IntRange(min=16), help="So many training rows, a quarter of it to test on.")
@click.option("--only", multiple=True, metavar="ENTRY", help="Run this entry alone; may be given several times.")
@click.option("--seed", "seeds", type=click.IntRange(min=0), multiple=True, help="Instead of the study's; repeatable.")
@click.option("--from-scratch", is_flag=True, help="Take random weights for entries that are pretrained.")
@any_size
def run(
    file: Path,
    data: Path,
    out: Path,
    device: str,
    epochs: int | None,
    limit: int | None,
    only: tuple[str, ...],
    seeds: tuple[int, ...],
    from_scratch: bool,
    any_size: bool,
) -> None:
    """Train every entry of FILE on DATA with every seed, and measure it.

    What is done is left as it is, what was stopped goes on. A run that fails leaves its reason, the others are
    trained; the exit code is then 7.
    """
    from mien.apps.cli.extras import need_train_extra

    need_train_extra()
    from rich.console import Console

    from mien.errors import TrainingError
    from mien.workshop.experiments.study.plan import load_study
    from mien.workshop.experiments.study.run import Options, limited, plan, run_study

    console = Console()
    study = load_study(file)
    options = Options(only=only, seeds=seeds, epochs=epochs, from_scratch=from_scratch, device=device)
    plan(study, out, options)
    dataset = _load(data, any_size=any_size, seed=study.seeds[0])
    if limit is not None:
        dataset = limited(dataset, limit)
    outcomes = run_study(study, dataset, out, options, console=console)
    _print_outcomes(outcomes)
    failed = [f"{outcome.run.entry.name} seed {outcome.run.seed}" for outcome in outcomes if outcome.state == "failed"]
    if failed:
        raise TrainingError(
            f"{len(failed)} of {len(outcomes)} runs failed ({', '.join(failed)}): the reasons are in the table above "
            f"and in each run's folder in {out}; the same command tries them again"
        )
    console.print(f"report: mien study report {file} --runs {out} --out DIR", highlight=False, soft_wrap=True)


@app.command("report", cls=Command)
@argument("file", "The study that was run.", type=PATH)
@argument("data", "The data it ran on: measures runs that are not measured yet.", type=PATH, required=False)
@click.option("--runs", type=PATH, required=True, metavar="RUNS", help="The --out of mien study run.")
@click.option("--out", type=PATH, required=True, metavar="DIR", help="Where the page, the Markdown and pictures go.")
@click.option("--no-time", is_flag=True, help="Measure no milliseconds a face.")
@any_size
def report(file: Path, data: Path | None, runs: Path, out: Path, no_time: bool, any_size: bool) -> None:
    """Write a study's report: one HTML page, and Markdown with pictures."""
    from mien.apps.cli.extras import need_train_extra

    need_train_extra()
    from rich.console import Console

    from mien.workshop.experiments.study.plan import load_study
    from mien.workshop.experiments.study.results import load_results
    from mien.workshop.experiments.study.run import measure_missing
    from mien.workshop.reports.study.report import write_report

    console = Console()
    study = load_study(file)
    if data is not None:
        measure_missing(study, _load(data, any_size=any_size, seed=study.seeds[0]), runs, console=console)
    results = load_results(study, runs, timed=not no_time)
    files = write_report(results, out, commands=_commands(file, data, runs, out))
    console.print(f"wrote {files[0]} and {len(files) - 1} more files", highlight=False, soft_wrap=True, markup=False)


def _load(data: Path, *, any_size: bool, seed: int) -> FaceDataset:
    from mien.workshop.data.factory import load_dataset
    from mien.workshop.data.splits import HELD_OUT, hold_out

    return hold_out(load_dataset(data, check_counts=not any_size), HELD_OUT, seed=seed)


def _commands(file: Path, data: Path | None, runs: Path, out: Path) -> tuple[str, str]:
    """What makes the study and the report, without the folders of this machine."""
    return (
        f"mien study run {file.parent.name}/{file.name} DATA --out RUNS",
        f"mien study report {file.parent.name}/{file.name}{' DATA' if data else ''} --runs RUNS --out {out.name}",
    )


def _print_outcomes(outcomes: list[Outcome]) -> None:
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=SIMPLE_HEAD, pad_edge=False)
    table.add_column("entry", no_wrap=True)
    table.add_column("seed", justify="right")
    table.add_column("state")
    table.add_column("accuracy %", justify="right")
    table.add_column("faces or reason", overflow="fold")
    for outcome in outcomes:
        scores = outcome.main
        figure, said = ("", outcome.reason) if scores is None else (f"{100 * scores.accuracy:.2f}", scores.faces.title)
        style = "red" if scores is None else ""
        table.add_row(
            outcome.run.entry.name, str(outcome.run.seed), Text(outcome.state, style=style), figure, Text(said)
        )
    Console().print(table)
