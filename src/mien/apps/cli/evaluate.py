"""`mien evaluate`: score a model on a data set and write the report."""

from __future__ import annotations

from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

import click

from mien.apps.cli.parameters import PATH, Command, any_size, argument

if TYPE_CHECKING:
    from collections.abc import Collection

    import numpy as np
    import numpy.typing as npt
    from rich.console import Console
    from rich.table import Table

    from mien.apps.cli.evaluate_report import ReportWishes
    from mien.reading.classifier import Model
    from mien.workshop.data.base import FaceDataset
    from mien.workshop.evaluation.scores import Evaluation


BALANCED = (
    "Balance {:g}: probabilities and labels are those for faces whose expressions are nearer to equally frequent."
)
FLIPPED = "Test-time flipping is on: the logits of each face and of its mirror image are averaged."


@click.command("evaluate", cls=Command)
@argument("model", "A bundled model's name, the folder of an artifact, or models:/NAME@ALIAS.")
@argument("data", "FER2013's csv or npz, a folder with it, or a folder of pictures: crops or photos.", type=PATH)
@click.option("--out", type=PATH, metavar="DIR", help="Where report.html, report.json and the rest go.")
@click.option(
    "--run", type=PATH, metavar="DIR", help="The model's training: its curves, and Grad-CAM of its checkpoint."
)
@click.option("--faces/--no-faces", default=True, help="Show pictures of people in the report.")
@click.option("--pose/--no-pose", default=True, help="Find landmarks in the crops, for errors by the turn of the head.")
@click.option(
    "--robustness/--no-robustness", default=False,
    help="Read the faces again blurred, dark, noisy, tilted, small, badly cut and covered: 23 times the work.",
)  # fmt: skip
@click.option("--pictures/--no-pictures", default=True, help="Draw the pictures of report.md; report.html needs none.")
@click.option(
    "--min-confidence", type=click.FloatRange(0, 1), default=0.0,
    help="The threshold of abstaining that the report marks.",
)  # fmt: skip
@click.option(
    "--photos/--crops", default=None,
    help="DATA's pictures are photos in which faces are found first, or face crops; without either, a folder with "
    "labels.csv holds photos, and everything else crops.",
)  # fmt: skip
@click.option("--detector", type=click.Choice(["auto", "mien", "yunet", "haar"]), help="Finds the faces of photos.")
@click.option("--without", multiple=True, metavar="CLASS", help="Leave out the faces of a true class; may be repeated.")
@click.option("--flip", is_flag=True, help="Read each face and its mirror image, and average the logits.")
@click.option(
    "--balance", type=click.FloatRange(0, 1), default=0.0,
    help="0: expressions are as frequent as in the training data; 1: all equally.",
)  # fmt: skip
@any_size
@click.option("--overwrite", is_flag=True, help="Write into a folder that is not empty.")
def app(
    model: str,
    data: Path,
    out: Path | None,
    run: Path | None,
    faces: bool,
    pose: bool,
    robustness: bool,
    pictures: bool,
    min_confidence: float,
    photos: bool | None,
    detector: str | None,
    without: tuple[str, ...],
    flip: bool,
    balance: float,
    any_size: bool,
    overwrite: bool,
) -> None:
    """Score MODEL on the validation and test faces of DATA: accuracy, F1, calibration, confusion."""
    from rich.console import Console

    from mien.apps.cli.evaluate_data import DataWishes, load_faces, photos_table
    from mien.apps.cli.evaluate_report import ReportWishes, load_history
    from mien.apps.cli.evaluate_robustness import add_robustness, robustness_table
    from mien.reading.classifier import load_model
    from mien.workshop.evaluation.photos import with_photos
    from mien.workshop.evaluation.sets import classes_by_name

    if out is not None:
        require_free(out, overwrite)
    classes_by_name(without)
    loaded = load_model(model, flip=flip, balance=balance)
    load_history(run, loaded.folder)
    dataset, found, notes = load_faces(data, DataWishes(photos, detector, any_size), loaded.spec)
    evaluation = evaluate_model(loaded, dataset, without=without)
    notes += [FLIPPED] if flip else []
    notes += [BALANCED.format(balance)] if balance else []
    evaluation = replace(evaluation, notes=(*notes, *evaluation.notes))
    evaluation = evaluation if found is None else with_photos(evaluation, found)
    if robustness:
        evaluation = add_robustness(evaluation, EveryHead(loaded), loaded, dataset)
    console = Console()
    console.print(scores_table(evaluation))
    if robustness:
        console.print(robustness_table(evaluation))
    if evaluation.photos is not None:
        console.print(photos_table(evaluation.photos, evaluation))
    for note in evaluation.notes:
        console.print(note, highlight=False, markup=False)
    if out is not None:
        wishes = ReportWishes(run, faces, pose, min_confidence)
        _write(evaluation, loaded, dataset, out, wishes, pictures=pictures, console=console)


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


def evaluate_model(model: Model, dataset: FaceDataset, *, without: Collection[str] = ()) -> Evaluation:
    """The evaluation, without the faces of some true classes, with a progress bar on a terminal's stderr."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    from mien.workshop.evaluation.evaluate import evaluate
    from mien.workshop.evaluation.scores import ModelIdentity

    columns = (TextColumn("faces"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    console = Console(stderr=True)
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task("faces", total=None)
        return evaluate(
            EveryHead(model),
            dataset,
            model=ModelIdentity(model.name, model.title.removeprefix(f"{model.name} "), model.manifest.sha256),
            heads=model.heads,
            without=without,
            progress=lambda done, total: bar.update(task, completed=done, total=total),
        )


def require_free(folder: Path, overwrite: bool) -> None:
    """Raise ConfigError where a report cannot be written: it is told before the work begins."""
    from mien.errors import ConfigError

    if folder.exists() and not folder.is_dir():
        raise ConfigError(f"--out {folder} is a file: expected a folder")
    if not overwrite and folder.is_dir() and any(folder.iterdir()):
        raise ConfigError(f"--out {folder} is not empty: choose another folder, or add --overwrite")


def _write(
    evaluation: Evaluation,
    model: Model,
    dataset: FaceDataset,
    folder: Path,
    wishes: ReportWishes,
    *,
    pictures: bool,
    console: Console,
) -> None:
    from mien.apps.cli.evaluate_report import gather
    from mien.workshop.reports.evaluation.report import write_report

    def say(text: str) -> None:
        console.print(text, soft_wrap=True, highlight=False, markup=False)

    drawn = pictures and find_spec("matplotlib") is not None
    material = gather(model, EveryHead(model), dataset, evaluation, wishes, say)
    files = write_report(evaluation, folder, pictures=drawn, material=material)
    say(f"wrote {files[0]} and {len(files) - 1} more files")
    if pictures and not drawn:
        say('report.md is without pictures: they need matplotlib, pip install "mien[train]"')
