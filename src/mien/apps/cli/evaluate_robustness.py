"""`mien evaluate --robustness`: the same faces in poor pictures."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.table import Table

    from mien.reading.classifier import Model
    from mien.workshop.data.base import FaceDataset
    from mien.workshop.evaluation.evaluate import Predict
    from mien.workshop.evaluation.scores import Evaluation


def add_robustness(evaluation: Evaluation, predict: Predict, model: Model, dataset: FaceDataset) -> Evaluation:
    """The evaluation with it, and a progress bar on a terminal's stderr."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    from mien.workshop.evaluation.robustness import with_robustness

    columns = (TextColumn("poor pictures"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    console = Console(stderr=True)
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task("poor pictures", total=None)
        return with_robustness(
            evaluation,
            predict,
            dataset,
            heads=model.heads,
            crop_scale=model.spec.crop_scale,
            progress=lambda done, total: bar.update(task, completed=done, total=total),
        )


def robustness_table(evaluation: Evaluation) -> Table:
    """Accuracy under each corruption, and its points off the untouched faces, a pair of columns a head."""
    from rich import box
    from rich.table import Table
    from rich.text import Text

    table = Table(title="poor pictures", title_justify="left", title_style="bold", box=box.SIMPLE_HEAD)
    table.add_column("made of the same faces")
    first = ["untouched"]
    for row in evaluation.robustness:
        table.add_column(f"{row.clean.faces.head} %\n{row.clean.rows:,} rows", justify="right", no_wrap=True)
        table.add_column("points", justify="right", no_wrap=True)
        first += [f"{100 * row.clean.accuracy:.2f}", ""]
    table.add_row(*first)
    before = ""
    for number, kind in enumerate(part.corruption for part in evaluation.robustness[0].spoilt):
        if kind.group != before:
            table.add_section()
            before = kind.group
        parts = [row.spoilt[number] for row in evaluation.robustness]
        cells = [cell for part in parts for cell in (f"{100 * part.accuracy:.2f}", f"{100 * part.change:+.1f}")]
        table.add_row(Text(kind.title), *cells)
    return table
