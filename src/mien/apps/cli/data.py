"""`mien data`: look at a data set, and at what training makes of it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from mien.apps.cli.data_build import build
from mien.apps.cli.parameters import PATH, Command, any_size, argument

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    from rich.table import Table

    from mien.workshop.data.base import FaceDataset


@click.group("data")
def app() -> None:
    """Look at data sets, and build them."""


app.add_command(build)


@app.command("show", cls=Command)
@argument("source", "FER2013's csv or npz, a folder with it, or a folder of pictures.", metavar="DATA", type=PATH)
@click.option("--out", type=PATH, default=".", metavar="DIR", help="Where distribution.png and samples.png go.")
@any_size
@click.option("--seed", type=click.IntRange(min=0), default=0, help="Picks the samples.")
def show(source: Path, out: Path, any_size: bool, seed: int) -> None:
    """Count and draw faces by class and split.

    Writes distribution.png and samples.png.
    """
    from rich.console import Console

    from mien.workshop.data.factory import load_dataset
    from mien.workshop.data.figures import draw_distribution, draw_samples, save_figure

    dataset = load_dataset(source, check_counts=not any_size)
    console = Console()
    console.print(_label_table(dataset))
    console.print(_quality_table(dataset))
    folder = _writable(out)
    for name, figure in (
        ("distribution.png", draw_distribution(dataset)),
        ("samples.png", draw_samples(dataset, seed=seed)),
    ):
        console.print(f"wrote {save_figure(figure, folder / name)}", soft_wrap=True, highlight=False)


@app.command("augment", cls=Command)
@argument("source", "FER2013's csv or npz, a folder with it, or a folder of pictures.", metavar="DATA", type=PATH)
@click.option("--config", type=PATH, required=True, metavar="TOML", help="Its [augment] and [model] are looked at.")
@click.option("--out", type=PATH, default="augmented.png", metavar="PNG", help="Where the sheet goes.")
@any_size
@click.option("--seed", type=click.IntRange(min=0), default=0, help="Picks the faces and their changes.")
def augment(source: Path, config: Path, out: Path, any_size: bool, seed: int) -> None:
    """Draw faces as a training sees them.

    A row each: as it is, then with random changes.
    """
    from mien.apps.cli.extras import need_train_extra
    from mien.errors import ConfigError

    need_train_extra()
    if out.suffix.lower() != ".png":
        raise ConfigError(f"--out {out}: the sheet is a PNG, give a name that ends in .png")
    from rich.console import Console

    from mien.workshop.data.factory import load_dataset
    from mien.workshop.data.figures import save_figure
    from mien.workshop.training.config import load_config
    from mien.workshop.training.samples import draw_augmented

    settings = load_config(config)
    figure = draw_augmented(load_dataset(source, check_counts=not any_size), settings, seed=seed)
    _writable(out.parent)
    Console().print(f"wrote {save_figure(figure, out)}", soft_wrap=True, highlight=False)


def _writable(folder: Path) -> Path:
    from mien.errors import ConfigError

    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigError(f"{folder} cannot be made: {error.strerror or error}") from error
    return folder


def _label_table(dataset: FaceDataset) -> Table:
    """Faces by class and split."""
    from mien.labels import SEVEN
    from mien.workshop.data.figures import counts

    table = _table(f"{dataset.name}: faces by class")
    by_class = counts(dataset.labels, dataset.split, len(SEVEN))
    for index, name in enumerate(SEVEN):
        _add(table, name, by_class[:, index], len(dataset))
    table.add_section()
    _add(table, "all", by_class.sum(axis=1), len(dataset))
    return table


def _quality_table(dataset: FaceDataset) -> Table:
    """What else is to be known of the rows: the crowd's votes, leaks, flat pictures."""
    import numpy as np

    from mien.labels import CROWD, SEVEN
    from mien.workshop.data.ferplus import distribution, majority
    from mien.workshop.data.splits import flat, leaked, repeated

    lines: dict[str, npt.NDArray[np.bool_]] = {
        "repeated pictures": repeated(dataset),
        "also in train": leaked(dataset),
        "flat pictures": flat(dataset),
    }
    if dataset.votes is not None:
        lines["with votes"] = np.asarray(dataset.votes.any(axis=1))
        lines["5 or more for emotions"] = distribution(dataset.votes)[1]
        top = majority(dataset.votes)
        lines["FER+ majority"] = top >= 0
        both = (top >= 0) & (dataset.labels >= 0)
        lines["the label is the majority"] = both & (np.array(CROWD)[top] == np.array(SEVEN)[dataset.labels])
    table = _table("What stands out")
    for name, mask in lines.items():
        _add(table, name, np.bincount(dataset.split[mask], minlength=3), len(dataset))
    return table


def _table(title: str) -> Table:
    from rich import box
    from rich.table import Table

    from mien.workshop.data.base import SPLITS

    table = Table(title=title, title_justify="left", title_style="bold", box=box.SIMPLE_HEAD)
    table.add_column("")
    for name in (*SPLITS, "total", "share"):
        table.add_column(name, justify="right")
    return table


def _add(table: Table, name: str, by_split: npt.NDArray[np.int64], rows: int) -> None:
    total = int(by_split.sum())
    table.add_row(name, *(f"{count:,}" for count in (*by_split, total)), f"{total / max(rows, 1):.1%}")
