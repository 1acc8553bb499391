"""`mien models register`, `promote`, `rollback`: versions of models, and which of them is the champion."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from mien.apps.cli.compare import DATA_HELP, create_table
from mien.apps.cli.parameters import PATH, Command, any_size, argument
from mien.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.console import Console
    from rich.table import Table

    from mien.artifact.versions import Version
    from mien.workshop.evaluation.gate import Check


@click.command("register", cls=Command)
@argument("folder", "Of an artifact.", type=PATH)
@click.option("--name", help="What to register it as; the artifact's name by default.")
def register_version(folder: Path, name: str | None) -> None:
    """Register an artifact as a new version, the challenger."""
    from mien.artifact.versions import register

    version, new = register(folder, name)
    if not new:
        click.echo(f"{version.name} version {version.number} is this artifact already: {version.reference}")
        return
    click.echo(f"{version.name} version {version.number}, the challenger: {version.reference}")


@click.command("promote", cls=Command)
@argument("name", "Of a registered model.")
@argument("version", "Its number, or an alias such as challenger.")
@argument("data", f"What the gate measures on. {DATA_HELP}", type=PATH, required=False)
@click.option("--force", is_flag=True, help="Promote it all the same; without DATA, unmeasured.")
@any_size
def promote_version(name: str, version: str, data: Path | None, force: bool, any_size: bool) -> None:
    """Make a version the champion, if it is not worse.

    The gate measures both on the test faces of DATA, now and here: it is not passed by a version whose accuracy or
    calibration is worse beyond noise, that takes over 1.1 times as long for a face, or lacks a head.
    """
    from rich.console import Console

    from mien.artifact.versions import find_version
    from mien.workshop.experiments.promotions import champion_of, promote

    chosen, champion = find_version(name, version), champion_of(name)
    if champion is not None and champion.number == chosen.number:
        raise ConfigError(f"{name} {chosen.number} is the champion already")
    if champion is not None and data is None and not force:
        raise ConfigError(
            f"{name} {champion.number} is the champion: give DATA to measure both on, or --force to promote unmeasured"
        )
    checks = [] if champion is None or data is None else _measured(champion, chosen, data, any_size, Console())
    worse = [check.question for check in checks if check.worse]
    if worse and not force:
        raise ConfigError(
            f"{name} {chosen.number} is worse than the champion {champion and champion.number} beyond noise "
            f"({'; '.join(worse)}): not promoted; --force promotes it all the same"
        )
    change = promote(chosen, gate={check.question: _figures(check) for check in checks}, forced=bool(worse))
    before = f", before it version {change.before}" if change.before else ""
    click.echo(f"{name} version {chosen.number} is the champion{before}: models:/{name}@champion")


@click.command("rollback", cls=Command)
@argument("name", "Of a registered model.")
def roll_back_champion(name: str) -> None:
    """Make the champion before the present one the champion again."""
    from mien.workshop.experiments.promotions import roll_back

    change = roll_back(name)
    click.echo(f"{name} version {change.version} is the champion again, instead of {change.before}")


def _measured(champion: Version, chosen: Version, data: Path, any_size: bool, console: Console) -> Sequence[Check]:
    """Ask the gate's questions and print the answers."""
    from mien.apps.cli.compare import measure
    from mien.reading.classifier import load_model
    from mien.workshop.data.factory import load_dataset
    from mien.workshop.evaluation.gate import judge

    models = (load_model(champion.reference), load_model(chosen.reference))
    dataset = load_dataset(data, check_counts=not any_size)
    names = [f"{version.name} {version.number}" for version in (champion, chosen)]
    duel = measure(models, names, dataset)
    checks = judge(duel.found, (models[0].heads, models[1].heads), (duel.first.speed, duel.second.speed))
    console.print(_gate_table(names, dataset.name, checks))
    return checks


def _gate_table(names: Sequence[str], data: str, checks: Sequence[Check]) -> Table:
    table = create_table(f"{names[1]} against the champion {names[0]} on {data}, 95 % intervals", "question")
    for title in ("champion", "new", "difference", ""):
        table.add_column(title, justify="right", no_wrap=True)
    for check in checks:
        table.add_row(
            check.question, check.first, check.second, check.difference, "[bold red]worse[/]" if check.worse else "fine"
        )
    return table


def _figures(check: Check) -> dict[str, Any]:
    return {"champion": check.first, "new": check.second, "difference": check.difference, "worse": check.worse}
