"""`mien data show`, `augment`, `build`: look at a data set, at what training makes of it, and build one by a recipe."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from mien.apps.cli.bars import stages
from mien.apps.cli.data_argument import classes, print_origin
from mien.apps.cli.parameters import DATA_HELP, PATH, Command, argument, need, need_train_extra, parse_places
from mien.apps.cli.printing import create_table, print_line, print_table
from mien.errors import ConfigError
from mien.labels import SEVEN, percent

if TYPE_CHECKING:
    from rich.table import Table

    from mien.arrays import Int64
    from mien.workshop.data.base import FaceDataset


@click.command("show", cls=Command)
@argument("data", DATA_HELP, type=PATH)
@click.option("--out", type=PATH, default=".", metavar="DIR", help="Folder for distribution.png and samples.png.")
@click.option("--seed", type=click.IntRange(min=0), default=0, help="Seed that picks the samples.")
@classes
def show(data: Path, out: Path, seed: int, classes: dict[str, str]) -> None:
    """Count and draw faces by class and split."""
    from mien.workshop import LoadOptions, draw_overview, load_dataset

    dataset = load_dataset(data, LoadOptions(classes=classes))
    print_origin(dataset)
    for table in (_label_table(dataset), _quality_table(dataset)):
        print_table(table)
    for path in draw_overview(dataset, out, seed=seed):
        print_line(f"wrote {path}")


@click.command("augment", cls=Command)
@argument("data", DATA_HELP, type=PATH)
@click.option("--config", type=PATH, required=True, metavar="TOML", help="Training whose augmentation is shown.")
@click.option("--out", type=PATH, default="augmented.png", metavar="PNG", help="File to write.")
@click.option("--seed", type=click.IntRange(min=0), default=0, help="Seed of the faces and their changes.")
def augment(data: Path, config: Path, out: Path, seed: int) -> None:
    """Draw faces as training sees them: each as it is, then with random changes."""
    need_train_extra()
    if out.suffix.lower() != ".png":
        raise ConfigError(f"--out {out}: the sheet is a PNG, give a name that ends in .png")
    from mien.workshop import draw_augmented, load_config, load_dataset
    from mien.workshop.data.figures import make_folder, save_figure

    settings = load_config(config)
    figure = draw_augmented(load_dataset(data), settings, seed=seed)
    make_folder(out.parent)
    print_line(f"wrote {save_figure(figure, out)}")


@click.command("build", cls=Command)
@argument("recipe", "A recipe's TOML file, or one that comes with Mien: ferplus-curated, hybrid.")
@click.option(
    "--data", "sources", multiple=True, callback=parse_places, metavar="NAME=PATH",
    help="Path of a recipe's source; repeatable.",
)  # fmt: skip
@click.option("--out", type=PATH, metavar="DIR", help="The new folder.", show_default="the recipe's name")
@click.option("--resume", is_flag=True, help="Accept a finished folder of the same recipe and data.")
@click.option("--overwrite", is_flag=True, help="Replace an existing data set once the new one is finished.")
@click.option("--train-on", multiple=True, metavar="NAME", help="Train on this source only; repeatable.")
@click.option("--jobs", type=click.IntRange(min=1), metavar="N", help="Threads.", show_default="one per core")
def build(
    recipe: str, sources: dict[str, Path], out: Path | None, resume: bool, overwrite: bool, train_on: tuple[str, ...],
    jobs: int | None,
) -> None:  # fmt: skip
    """Build a data set from several sources by RECIPE.

    The same command resumes a build that was stopped.
    """
    # A recipe needs pydantic alone, not torch.
    need(("pydantic",), "train")
    if resume and overwrite:
        raise ConfigError("--resume keeps what is there and --overwrite replaces it: give one of the two")
    from mien.workshop import BuildOptions, build_dataset

    options = BuildOptions(resume=resume, overwrite=overwrite, jobs=jobs or os.cpu_count() or 1)
    with stages() as on_stage:
        built = build_dataset(recipe, sources, out, options, train_on=train_on, on_stage=on_stage)
    for table in _build_tables(built.card):
        print_table(table)
    done = "is there already" if built.found else f"was built with {built.card['rows']:,} faces"
    print_line(f"{built.folder} {done}; its card is {built.folder / 'card.html'}")


def _label_table(dataset: FaceDataset) -> Table:
    """Faces by class and split."""
    from mien.workshop.data.figures import counts

    table = _split_table(f"{dataset.name}: faces by class")
    by_class = counts(dataset.labels, dataset.split, len(SEVEN))
    for index, name in enumerate(SEVEN):
        _add(table, name, by_class[:, index], len(dataset))
    table.add_section()
    _add(table, "all", by_class.sum(axis=1), len(dataset))
    return table


def _quality_table(dataset: FaceDataset) -> Table:
    """What else to know of the rows: votes, leaks, pictures of one colour."""
    from mien.workshop.data.figures import row_facts

    table = _split_table("Further counts")
    for name, by_split in row_facts(dataset).items():
        _add(table, name, by_split, len(dataset))
    return table


def _split_table(title: str) -> Table:
    from mien.workshop.data.base import SPLITS

    return create_table(title, "", *SPLITS, "total", "share")


def _add(table: Table, name: str, by_split: Int64, rows: int) -> None:
    total = int(by_split.sum())
    table.add_row(name, *(f"{count:,}" for count in (*by_split, total)), percent(total / max(rows, 1), 1))


def _build_tables(card: dict[str, Any]) -> list[Table]:
    """Faces by class, source and split; and what was left out, if anything was."""
    from mien.workshop.data.recipes.recipe import REASONS

    columns = {f"{source}\n{split}": counts for source, splits in card["counts"].items()
               for split, counts in splits.items() if any(counts.values())}  # fmt: skip
    kept = create_table(f"{card['name']} {card['version']}: faces by class", "", *columns)
    for name in SEVEN:
        kept.add_row(name, *(f"{counts[name]:,}" for counts in columns.values()))
    kept.add_section()
    kept.add_row("all", *(f"{sum(counts.values()):,}" for counts in columns.values()))
    kept.caption = " ".join(card.get("passed_over", [])) or None
    sources = [source for source in card["sources"] if source["left_out"]]
    if not sources:
        return [kept]
    lost = create_table("Left out", "", *(source["name"] for source in sources))
    for reason, meaning in REASONS.items():
        counts = [source["left_out"].get(reason, 0) for source in sources]
        if any(counts):
            lost.add_row(meaning, *(f"{count:,}" for count in counts))
    return [kept, lost]
