"""`mien evaluate`: score a model on a data set and write the report."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

import click

from mien.apps.cli.parameters import PATH, Command, any_size, argument

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    from rich.console import Console
    from rich.table import Table

    from mien.datasets.base import FaceDataset
    from mien.evaluation.evaluate import Evaluation
    from mien.inference.classifier import Model


@click.command("evaluate", cls=Command)
@argument("model", "A bundled model's name, the folder of an artifact, or models:/NAME@ALIAS.")
@argument("data", "FER2013's csv or npz, a folder with it, or a folder of pictures.", type=PATH)
@click.option("--out", type=PATH, metavar="DIR", help="Where report.md, report.json and the pictures go.")
@any_size
@click.option("--overwrite", is_flag=True, help="Write into a folder that is not empty.")
def app(model: str, data: Path, out: Path | None, any_size: bool, overwrite: bool) -> None:
    """Score MODEL on the validation and test faces of DATA: accuracy, F1, calibration, confusion."""
    from rich.console import Console

    from mien.datasets.factory import load_dataset
    from mien.inference.classifier import load_model

    if out is not None:
        require_free(out, overwrite)
    loaded = load_model(model)
    evaluation = evaluate_model(loaded, load_dataset(data, check_counts=not any_size))
    console = Console()
    console.print(scores_table(evaluation))
    for note in evaluation.notes:
        console.print(note, highlight=False, markup=False)
    if out is not None:
        _write(evaluation, out, console)


def scores_table(evaluation: Evaluation) -> Table:
    """The scores, a row a set of faces, grouped by head and labels; ECE is the expected calibration error."""
    from rich import box
    from rich.table import Table
    from rich.text import Text

    model = evaluation.model
    title = f"{model.name} {model.version} on {evaluation.dataset}, 95 % intervals"
    table = Table(title=title, title_justify="left", title_style="bold", box=box.SIMPLE_HEAD)
    table.add_column("faces")
    for name in ("rows", "accuracy %", "macro F1", "ECE"):
        table.add_column(name, justify="right", no_wrap=True)
    before = ""
    for scores in evaluation.sets:
        asked = f"head {scores.faces.head}, {scores.faces.labels_from}"
        if asked != before:
            table.add_section()
            table.add_row(Text(asked, style="dim"))
            before = asked
        share, macro = scores.accuracy_interval, scores.macro_f1_interval
        table.add_row(
            Text(scores.faces.title),
            f"{scores.rows:,}",
            f"{100 * scores.accuracy:.2f}\n{100 * share.low:.1f}–{100 * share.high:.1f}",
            f"{scores.macro_f1:.3f}\n{macro.low:.3f}–{macro.high:.3f}",
            f"{scores.ece:.3f}",
        )
    return table


class EveryHead:
    """Probabilities of one head after the other from a single run of the graph a batch."""

    def __init__(self, model: Model) -> None:
        self.model = model
        self.crops: npt.NDArray[np.uint8] | None = None
        self.logits: dict[str, npt.NDArray[np.float32]] = {}

    def __call__(self, crops: npt.NDArray[np.uint8], head: str) -> npt.NDArray[np.float32]:
        """Probabilities float32 (N, K) of crops uint8 (N, H, W) or (N, H, W, 3)."""
        if crops is not self.crops:
            self.logits = self.model.run(self.model.prepare(crops))
            self.crops = crops
        return self.model.calibrate(self.logits[head], head)


def evaluate_model(model: Model, dataset: FaceDataset) -> Evaluation:
    """The evaluation, with a progress bar on a terminal's stderr."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    from mien.evaluation.evaluate import ModelIdentity, evaluate

    columns = (TextColumn("faces"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("faces", total=None)
        return evaluate(
            EveryHead(model),
            dataset,
            model=ModelIdentity(model.name, model.version, model.manifest.sha256),
            heads=model.heads,
            progress=lambda done, total: bar.update(task, completed=done, total=total),
        )


def require_free(folder: Path, overwrite: bool) -> None:
    """Raise ConfigError where a report cannot be written: it is told before the work begins."""
    from mien.errors import ConfigError

    if folder.exists() and not folder.is_dir():
        raise ConfigError(f"--out {folder} is a file: expected a folder")
    if not overwrite and folder.is_dir() and any(folder.iterdir()):
        raise ConfigError(f"--out {folder} is not empty: choose another folder, or add --overwrite")


def _write(evaluation: Evaluation, folder: Path, console: Console) -> None:
    from mien.evaluation.report import write_report

    pictures = find_spec("matplotlib") is not None
    files = write_report(evaluation, folder, pictures=pictures)
    console.print(f"wrote {files[0]} and {len(files) - 1} more files", soft_wrap=True, highlight=False, markup=False)
    if not pictures:
        console.print('without pictures: they need matplotlib, pip install "mien[train]"', markup=False)
