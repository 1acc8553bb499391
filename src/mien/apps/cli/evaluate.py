"""`mien model evaluate`: score a model on a data set and write the report."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from mien.apps.cli.bars import stages
from mien.apps.cli.data_argument import classes, print_origin
from mien.apps.cli.parameters import DATA_HELP, MODEL_HELP, PATH, Command, argument, overwrite
from mien.apps.cli.printing import create_table, print_line, print_scores, print_table

if TYPE_CHECKING:
    from rich.table import Table

    from mien.workshop.evaluation.scores import Evaluation, PhotoEvaluation


@click.command("evaluate", cls=Command)
@argument("model", MODEL_HELP)
@argument("data", f"{DATA_HELP[:-1]}: face crops or photos.", type=PATH)
@click.option("--out", type=PATH, metavar="DIR", help="Write report.html, report.json and the rest here.")
@click.option("--run", type=PATH, metavar="DIR", help="The model's training run, for its curves and Grad-CAM.")
@click.option("--faces/--no-faces", default=True, help="Show pictures of people in the report.")
@click.option("--pose/--no-pose", default=True, help="Find landmarks in the crops, for errors by head pose.")
@click.option(
    "--robustness/--no-robustness", default=False,
    help="Also score corrupted copies of the faces: blurred, dark, noisy, tilted, small, covered. Takes 23 times "
    "as long.",
)  # fmt: skip
@click.option("--min-confidence", type=click.FloatRange(0, 1), default=0.0, help="Threshold that the report marks.")
@click.option(
    "--photos/--crops", default=None,
    help="Treat DATA as photos, in which faces are found first, or as face crops. By default a folder with "
    "labels.csv holds photos, everything else crops.",
)  # fmt: skip
@click.option("--detector", type=click.Choice(["auto", "mien", "yunet", "haar"]), help="Face detector for photos.")
@click.option("--without", multiple=True, metavar="CLASS", help="Leave out faces of this true class; repeatable.")
@click.option("--flip", is_flag=True, help="Average the logits of each face and its mirror image.")
@click.option(
    "--balance", type=click.FloatRange(0, 1),
    help="Assumed frequency of expressions: 0 as in the training data, 1 all equal. By default 0 for face crops, and "
    "the model's own rule for photos, as users see them.",
)  # fmt: skip
@classes
@overwrite("Write into a folder that is not empty.")
def app(
    model: str, data: Path, out: Path | None, run: Path | None, faces: bool, pose: bool, robustness: bool,
    min_confidence: float, photos: bool | None, detector: str | None, without: tuple[str, ...],
    flip: bool, balance: float | None, classes: dict[str, str], overwrite: bool,
) -> None:  # fmt: skip
    """Score MODEL on the validation and test faces of DATA: accuracy, F1, calibration, confusions."""
    from mien.reading.classifier import load_model
    from mien.workshop import EvaluationOptions, ReportOptions, evaluate_model, report_model
    from mien.workshop.reports.evaluation_report import require_report

    options = EvaluationOptions(photos, detector, without, flip, balance, robustness, classes)
    shown = ReportOptions(run, faces, pose, min_confidence)
    # Loaded here, because the check of --run looks into the model's folder.
    loaded = load_model(model, flip=flip, balance=balance)
    if out is not None:
        # Before the scoring, which takes long.
        require_report(loaded.folder, out, shown, overwrite=overwrite)
    with stages() as on_stage:
        evaluated = evaluate_model(loaded, data, options, on_stage=on_stage)
    evaluation = evaluated.evaluation
    print_origin(evaluated.dataset)
    print_scores(evaluation)
    if robustness:
        print_table(_robustness_table(evaluation))
    if evaluation.photos is not None:
        print_table(_photos_table(evaluation.photos, evaluation))
    said = evaluated.dataset.origin.lines if evaluated.dataset.origin else ()
    for note in evaluation.notes:
        if note not in said:
            print_line(note)
    if out is not None:
        files = report_model(evaluated, out, shown, on_note=print_line)
        print_line(f"wrote {files[0]} and {len(files) - 1} more files")


def _photos_table(found: PhotoEvaluation, evaluation: Evaluation) -> Table:
    """Accuracy and mean recall among the photos with a face, and of all photos."""
    from rich.text import Text

    table = create_table("from photo to label", "photos", "rows", "accuracy %", "mean recall %")
    sets = {scores.faces.key: scores for scores in evaluation.sets}
    for row in found.scores:
        scores = sets[row.key]
        table.add_section()
        table.add_row(Text(f"head {scores.faces.head}, {scores.faces.title}", style="dim"))
        for title, rows, accuracy, (low, high), recall in (
            ("with a face found", row.found, row.accuracy_found, scores.accuracy_interval, row.mean_recall_found),
            ("all, missed as errors", row.photos, row.accuracy_all, row.accuracy_all_interval, row.mean_recall_all),
        ):
            cells = (f"{rows:,}", f"{100 * accuracy:.2f}\n{100 * low:.1f}–{100 * high:.1f}", f"{100 * recall:.1f}")
            table.add_row(title, *cells)
    return table


def _robustness_table(evaluation: Evaluation) -> Table:
    """Accuracy under each corruption and its change in points, a pair of columns a head."""
    from rich.text import Text

    table = create_table("corrupted faces", "corruption")
    first = ["none"]
    for row in evaluation.robustness:
        table.add_column(f"{row.clean.faces.head} %\n{row.clean.rows:,} rows", justify="right", no_wrap=True)
        table.add_column("points", justify="right", no_wrap=True)
        first += [f"{100 * row.clean.accuracy:.2f}", ""]
    table.add_row(*first)
    before = ""
    for number, kind in enumerate(part.corruption for part in evaluation.robustness[0].corrupted):
        if kind.group != before:
            table.add_section()
            before = kind.group
        parts = [row.corrupted[number] for row in evaluation.robustness]
        cells = [cell for part in parts for cell in (f"{100 * part.accuracy:.2f}", f"{100 * part.change:+.1f}")]
        table.add_row(Text(kind.title), *cells)
    return table
