"""`mien model compare`, `register`, `promote`, `rollback`: which of two models is better, and which is the champion."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from mien.apps.cli.bars import stages
from mien.apps.cli.fitting import hanging
from mien.apps.cli.parameters import DATA_HELP, MODEL_HELP, PATH, Command, argument, overwrite
from mien.apps.cli.printing import create_table, print_line, print_table

if TYPE_CHECKING:
    from rich.table import Table

    from mien.workshop.experiments.promotions import Gate


@click.command("compare", cls=Command)
@argument("models", f"Two or more: {MODEL_HELP}", nargs=-1, required=True, metavar="MODEL MODEL...")
@argument("data", DATA_HELP, type=PATH)
@click.option("--out", type=PATH, metavar="DIR", help="Write comparison.html, .md and .json here.")
@overwrite("Write into a folder that is not empty.")
def compare(models: tuple[str, ...], data: Path, out: Path | None, overwrite: bool) -> None:
    """Compare models on the same faces of DATA, the others with the first.

    Is one better, or is it chance? Which classes gain, which faces differ, what does it cost?
    """
    from mien.apps.cli.compare_tables import duel_tables, ranking_tables
    from mien.workshop import compare_with_first, report_comparisons
    from mien.workshop.evaluation.compare import main_comparisons, verdict
    from mien.workshop.reports.document import require_free_folder

    if len(models) < 2:
        raise click.UsageError("Expected two models or more, and DATA.")
    if out is not None:
        # Before the models are measured, which takes long.
        require_free_folder(out, overwrite=overwrite)
    with stages() as on_stage:
        duels = compare_with_first(models, data, on_stage=on_stage)
    for table in duel_tables(duels[0]) if len(duels) == 1 else ranking_tables(duels):
        print_table(table)
    # Last, where the eye is: what the tables come to.
    for duel in duels:
        for row in main_comparisons(duel.found):
            print_line(hanging("•", verdict(row, duel.names), 2))
    if out is not None:
        files = report_comparisons(duels, out)
        print_line(f"wrote {files[0]} and {len(files) - 1} more files")


@click.command("register", cls=Command)
@argument("folder", "An artifact's folder.", type=PATH)
@click.option("--name", help="Name to register it by.", show_default="the artifact's")
def register(folder: Path, name: str | None) -> None:
    """Register an artifact as a new version, the challenger."""
    from mien.artifact.mlflow_store import page
    from mien.workshop import register as register_version

    version, new = register_version(folder, name)
    print_line(f"{version.name} version {version.number}, {'challenger' if new else 'known'}: {version.reference}")
    print_line(f"versions in the browser: {page()}")


@click.command("promote", cls=Command)
@argument("name", "A registered model.")
@argument("version", "Its number, or an alias such as challenger.")
@argument("data", f"Data that the gate measures on. {DATA_HELP}", type=PATH, required=False)
@click.option("--force", is_flag=True, help="Promote a version that is worse; without DATA, unmeasured.")
def promote(name: str, version: str, data: Path | None, force: bool) -> None:
    """Make a version the champion if it is no worse than the present one.

    The gate measures both on the test faces of DATA, here and now. A version does not pass if its accuracy or
    calibration is worse beyond noise, if a face takes more than 1.1 times as long, or if it lacks a head.
    """
    from mien.workshop import NotPromotedError, promote_model

    try:
        with stages() as on_stage:
            promotion = promote_model(name, version, data, force=force, on_stage=on_stage)
    except NotPromotedError as error:
        # The figures before the error: they are its reason.
        print_table(_gate_table(error.gate))
        raise
    if promotion.gate:
        print_table(_gate_table(promotion.gate))
    change = promotion.change
    before = f", succeeding version {change.before}" if change.before else ""
    print_line(f"{name} version {change.version} is the champion{before}: models:/{name}@champion")


@click.command("rollback", cls=Command)
@argument("name", "A registered model.")
def roll_back(name: str) -> None:
    """Restore the previous champion."""
    from mien.workshop import roll_back as restore

    change = restore(name)
    print_line(f"{name} version {change.version} is the champion again, instead of {change.before}")


def _gate_table(gate: Gate) -> Table:
    title = f"{gate.names[1]} against the champion {gate.names[0]} on {gate.data}, 95 % intervals"
    table = create_table(title, "question", "champion", "new", "difference", "")
    for check in gate.checks:
        verdict = "[bold red]worse[/]" if check.worse else "fine"
        table.add_row(check.question, check.first, check.second, check.difference, verdict)
    return table
