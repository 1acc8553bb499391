"""`mien models compare`: two models on the same faces, with what differs, speed and size."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

import click

from mien.apps.cli.parameters import PATH, Command, any_size, argument

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

    from mien.reading.classifier import Model
    from mien.workshop.data.base import FaceDataset
    from mien.workshop.evaluation.compare import Comparison
    from mien.workshop.reports.evaluation.compare_report import Contender

MODEL_HELP = "A bundled model's name, the folder of an artifact, or models:/NAME@ALIAS."
DATA_HELP = "FER2013's csv or npz, a folder with it, or a folder of pictures."


@dataclass(frozen=True)
class Duel:
    """Two models measured on the same faces, in this order."""

    first: Contender
    second: Contender
    found: Sequence[Comparison]

    @property
    def names(self) -> tuple[str, str]:
        """What they are called."""
        return self.first.name, self.second.name


@click.command("compare", cls=Command)
@argument("first", MODEL_HELP)
@argument("second", "Another.")
@argument("data", DATA_HELP, type=PATH)
@click.option("--out", type=PATH, metavar="DIR", help="Where comparison.md, comparison.json and the pictures go.")
@any_size
@click.option("--overwrite", is_flag=True, help="Write into a folder that is not empty.")
def app(first: str, second: str, data: Path, out: Path | None, any_size: bool, overwrite: bool) -> None:
    """Compare two models on the same faces of DATA.

    Is the better one better, or is it chance? Which classes gain, which faces differ, what does it cost?
    """
    from rich.console import Console

    from mien.apps.cli.evaluate import require_free
    from mien.reading.classifier import load_model
    from mien.workshop.data.factory import load_dataset

    if out is not None:
        require_free(out, overwrite)
    models = (load_model(first), load_model(second))
    dataset = load_dataset(data, check_counts=not any_size)
    duel = measure(models, _names(models, (first, second)), dataset)
    console = Console()
    show(duel, console)
    if out is not None:
        _write(duel, dataset, out, console)


def measure(models: tuple[Model, Model], names: Sequence[str], dataset: FaceDataset) -> Duel:
    """Evaluate both on all faces and time them in turns.

    Raises:
        DataError: there is no face to test on, or no head in common.
    """
    import numpy as np

    from mien.apps.cli.evaluate import evaluate_model
    from mien.artifact.artifact import GRAPH_FILE
    from mien.workshop.evaluation.compare import compare
    from mien.workshop.evaluation.speed import measure_in_turns
    from mien.workshop.reports.evaluation.compare_report import Contender

    evaluations = [evaluate_model(model, dataset) for model in models]
    found = compare(*evaluations)
    crops = dataset.images[np.concatenate([row.faces.rows for row in found])[:64]]
    speeds = measure_in_turns([model.predict for model in models], crops)
    contenders = [
        Contender(name, evaluation, speed, (model.folder / GRAPH_FILE).stat().st_size, model.manifest.parameters)
        for name, evaluation, speed, model in zip(names, evaluations, speeds, models, strict=True)
    ]
    return Duel(contenders[0], contenders[1], found)


def show(duel: Duel, console: Console) -> None:
    """Print who is right how often, the classes of each head's main set, speed and size."""
    from mien.workshop.evaluation.compare import main_comparisons

    console.print(_rights_table(duel))
    for row in main_comparisons(duel.found):
        console.print(_classes_table(row))
    console.print(_costs_table(duel))


def _names(models: Sequence[Model], given: Sequence[str]) -> list[str]:
    """Name and version, and what was asked for where that does not tell them apart."""
    names = [f"{model.name} {model.version}" for model in models]
    return names if names[0] != names[1] else [f"{n} ({Path(g).name})" for n, g in zip(names, given, strict=True)]


def _rights_table(duel: Duel) -> Table:
    title = f"{duel.names[1]} (below) against {duel.names[0]} (above), 95 % intervals"
    table = create_table(title, "faces")
    for name in ("accuracy %", "alone", "difference", "macro F1", "ECE", "p"):
        table.add_column(name, justify="right", no_wrap=True)
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
    table = create_table(f"{row.faces.head} on {row.faces.title}, {row.faces.labels_from}: a class each", "class")
    for title in ("faces", "recall", "", "F1", "", "lost", "gained"):
        table.add_column(title, justify="right", no_wrap=True)
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


def _costs_table(duel: Duel) -> Table:
    table = create_table("speed and size", "model")
    for title in ("ms a face", "in batches", "size", "parameters"):
        table.add_column(title, justify="right", no_wrap=True)
    for side in (duel.first, duel.second):
        size, speed = f"{side.size_bytes / 1e6:.1f} MB", side.speed
        table.add_row(side.name, f"{speed.single:.2f}", f"{speed.batch:.2f}", size, f"{side.parameters:,}")
    return table


def create_table(title: str, first_column: str) -> Table:
    """A table whose first column may be folded."""
    from rich.box import SIMPLE_HEAD
    from rich.table import Table

    table = Table(
        box=SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False, title=title or None, title_justify="left",
        title_style="bold",
    )  # fmt: skip
    table.add_column(first_column, overflow="fold")
    return table


def _write(duel: Duel, dataset: FaceDataset, folder: Path, console: Console) -> None:
    from mien.workshop.reports.evaluation.compare_report import write_comparison

    pictures = find_spec("matplotlib") is not None
    files = write_comparison(duel.first, duel.second, duel.found, dataset, folder, pictures=pictures)
    console.print(f"wrote {files[0]} and {len(files) - 1} more files", soft_wrap=True, highlight=False, markup=False)
    if not pictures:
        console.print('without pictures: they need matplotlib, pip install "mien[train]"', markup=False)
