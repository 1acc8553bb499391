"""`mien data build`: make a data set out of several sources by a recipe."""

from __future__ import annotations

import os
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

import click

from mien.apps.cli.parameters import PATH, Command, argument

if TYPE_CHECKING:
    from rich.table import Table

    from mien.workshop.data.recipes.building import Built


@click.command("build", cls=Command)
@argument("recipe", "A recipe's TOML file, or the name of one that comes with Mien: ferplus-curated, hybrid.")
@click.option(
    "--data", "data", multiple=True, metavar="NAME=PATH", help="Where a source of the recipe lies; repeatable."
)
@click.option(
    "--out", type=PATH, metavar="DIR", help="The new folder; by default the recipe's name.", show_default=False
)
@click.option("--resume", is_flag=True, help="Take a finished folder of the same recipe and data as it is.")
@click.option("--overwrite", is_flag=True, help="Replace a data set that is there, once the new one is finished.")
@click.option(
    "--train-on", multiple=True, metavar="NAME", help="Train on this source alone; other sides stay; repeatable."
)
@click.option("--workers", type=click.IntRange(min=1), metavar="N", help="Threads; by default one a core.")
def build(
    recipe: str,
    data: tuple[str, ...],
    out: Path | None,
    resume: bool,
    overwrite: bool,
    train_on: tuple[str, ...],
    workers: int | None,
) -> None:
    """Make a data set of several sources by RECIPE.

    What a stopped build has read is taken up by the same command.
    """
    from mien.apps.cli.extras import need_recipes
    from mien.errors import ConfigError

    need_recipes()
    if resume and overwrite:
        raise ConfigError("--resume keeps what is there and --overwrite replaces it: give one of the two")
    from rich.console import Console

    from mien.workshop.data.recipes.building import BuildOptions
    from mien.workshop.data.recipes.building import build as build_data_set
    from mien.workshop.data.recipes.recipe import load_recipe

    loaded = load_recipe(recipe, _places(data), train_on=train_on)
    options = BuildOptions(resume=resume, overwrite=overwrite, workers=workers or os.cpu_count() or 1)
    with Steps() as steps:
        built = build_data_set(loaded, out or Path(loaded.recipe.name), options, steps)
    console = Console()
    console.print(_counts_table(built))
    if any(source["left_out"] for source in built.card["sources"]):
        console.print(_lost_table(built))
    said = "is there already" if built.found else "wrote"
    line = f"{built.folder} {said}" if built.found else f"{said} {built.folder}: {built.card['rows']:,} faces"
    console.print(f"{line}; its card is {built.folder / 'card.html'}", soft_wrap=True, highlight=False, markup=False)


class Steps:
    """A bar for each step on a terminal's stderr; elsewhere nothing."""

    def __init__(self) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
        self._bars = Progress(*columns, console=Console(stderr=True), transient=True)
        self._tasks: dict[str, Any] = {}

    def __call__(self, step: str, done: int, total: int) -> None:
        """Move the bar of a step."""
        if step not in self._tasks:
            self._tasks[step] = self._bars.add_task(step, total=total)
        self._bars.update(self._tasks[step], completed=done, total=total)

    def __enter__(self) -> Self:
        self._bars.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bars.stop()


def _places(data: tuple[str, ...]) -> dict[str, Path]:
    from mien.errors import ConfigError

    places: dict[str, Path] = {}
    for word in data:
        name, separator, path = word.partition("=")
        if not (name and separator and path):
            raise ConfigError(f"--data {word}: expected NAME=PATH, a source of the recipe and where it lies")
        if name in places:
            raise ConfigError(f"--data {name} is given twice")
        places[name] = Path(path)
    return places


def _counts_table(built: Built) -> Table:
    """A row each class, a column each source and split."""
    from rich import box
    from rich.table import Table

    from mien.labels import SEVEN

    card = built.card
    title = f"{card['name']} {card['version']}: faces by class"
    table = Table(title=title, title_justify="left", title_style="bold", box=box.SIMPLE_HEAD)
    table.add_column("")
    columns = []
    for source, splits in card["counts"].items():
        for split, counts in splits.items():
            if any(counts.values()):
                table.add_column(f"{source}\n{split}", justify="right")
                columns.append(counts)
    for name in SEVEN:
        table.add_row(name, *(f"{counts[name]:,}" for counts in columns))
    table.add_section()
    table.add_row("all", *(f"{sum(counts.values()):,}" for counts in columns))
    return table


def _lost_table(built: Built) -> Table:
    from rich import box
    from rich.table import Table

    from mien.workshop.data.recipes.rows import REASONS

    sources = built.card["sources"]
    table = Table(title="Left out", title_justify="left", title_style="bold", box=box.SIMPLE_HEAD)
    table.add_column("")
    for source in sources:
        table.add_column(source["name"], justify="right")
    for reason, meaning in REASONS.items():
        counts = [source["left_out"].get(reason, 0) for source in sources]
        if any(counts):
            table.add_row(meaning, *(f"{count:,}" for count in counts))
    return table
