"""`mien model compare`, `register`, `promote`, `rollback`: which of two models is better, and which is the champion."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from mien.apps.cli.bars import stages
from mien.apps.cli.parameters import DATA_HELP, MODEL_HELP, PATH, Command, argument, overwrite
from mien.apps.cli.printing import create_table, print_line, print_table

if TYPE_CHECKING:
    from rich.table import Table

    from mien.workshop.evaluation.compare import Comparison
    from mien.workshop.evaluation.models import Duel
    from mien.workshop.experiments.promotions import Gate


@click.command("compare", cls=Command)
@argument("first", MODEL_HELP)
@argument("second", "Another.")
@argument("data", DATA_HELP, type=PATH)
@click.option("--out", type=PATH, metavar="DIR", help="Write comparison.html, .md and .json here.")
@overwrite("Write into a folder that is not empty.")
def compare(first: str, second: str, data: Path, out: Path | None, overwrite: bool) -> None:
    """Compare two models on the same faces of DATA.

    Is one better, or is it chance? Which classes gain, which faces differ, what does it cost?
    """
    from mien.workshop import compare_models, report_comparison
    from mien.workshop.reports.document import require_free_folder

    if out is not None:
        # Before the models are measured, which takes long.
        require_free_folder(out, overwrite=overwrite)
    with stages() as on_stage:
        duel = compare_models(first, second, data, on_stage=on_stage)
    for table in _tables(duel):
        print_table(table)
    if out is not None:
        files = report_comparison(duel, out)
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


def _tables(duel: Duel) -> list[Table]:
    """Who is right how often, the classes of each head's main set, speed and size."""
    from mien.workshop.evaluation.compare import main_comparisons

    costs = create_table("speed and size", "model", "ms a face", "in batches", "size", "parameters")
    for side in (duel.first, duel.second):
        size, speed = f"{side.size_bytes / 1e6:.1f} MB", side.speed
        costs.add_row(side.name, f"{speed.single:.2f}", f"{speed.batch:.2f}", size, f"{side.parameters:,}")
    return [_accuracy_table(duel), *(_classes_table(row) for row in main_comparisons(duel.found)), costs]


def _accuracy_table(duel: Duel) -> Table:
    title = f"{duel.names[1]} (below) against {duel.names[0]} (above), 95 % intervals"
    table = create_table(title, "faces", "accuracy %", "alone", "difference", "macro F1", "ECE", "p")
    for row in duel.found:
        low, high = (100 * end for end in row.difference)
        one, other = row.scores
        table.add_row(
            f"{row.faces.head}: {row.faces.title}, {row.faces.labels_from}, {len(row.faces.rows):,}",
            f"{100 * row.first:.2f}\n{100 * row.second:.2f}",
            f"{row.only_first:,}\n{row.only_second:,}",
            f"{100 * (row.second - row.first):+.2f}\n{low:+.1f} to {high:+.1f}",
            f"{one.macro_f1:.3f}\n{other.macro_f1:.3f}",
            f"{one.ece:.3f}\n{other.ece:.3f}",
            f"{row.p_value:.3f}" if row.p_value >= 0.001 else "< 0.001",
        )
    return table


def _classes_table(row: Comparison) -> Table:
    title = f"{row.faces.head} on {row.faces.title}, {row.faces.labels_from}: by class"
    table = create_table(title, "class", "faces", "recall", "", "F1", "", "lost", "gained")
    for change in row.classes:
        table.add_row(
            change.name,
            f"{change.faces:,}",
            f"{change.recall[0]:.3f} → {change.recall[1]:.3f}",
            f"{change.recall[1] - change.recall[0]:+.3f}",
            f"{change.f1[0]:.3f} → {change.f1[1]:.3f}",
            f"{change.f1[1] - change.f1[0]:+.3f}",
            f"{change.lost:,}",
            f"{change.gained:,}",
        )
    return table


def _gate_table(gate: Gate) -> Table:
    title = f"{gate.names[1]} against the champion {gate.names[0]} on {gate.data}, 95 % intervals"
    table = create_table(title, "question", "champion", "new", "difference", "")
    for check in gate.checks:
        verdict = "[bold red]worse[/]" if check.worse else "fine"
        table.add_row(check.question, check.first, check.second, check.difference, verdict)
    return table
