"""`mien model quantize`, `calibrate`: artifacts from other artifacts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from mien.apps.cli.bars import stages
from mien.apps.cli.parameters import DATA_HELP, MODEL_HELP, PATH, Command, argument, need_train_extra, overwrite
from mien.apps.cli.printing import create_table, print_line, print_table

if TYPE_CHECKING:
    from rich.table import Table

    from mien.workshop.evaluation.calibrator import Choice

artifact_out = click.option("--out", type=PATH, required=True, metavar="DIR", help="Folder of the new artifact.")


@click.command("quantize", cls=Command)
@argument("model", MODEL_HELP)
@argument("data", "FER2013 with FER+ as a folder, csv or npz, to calibrate and score the model.", type=PATH)
@artifact_out
@click.option(
    "--precision", type=click.Choice(["int8", "float16", "float32"]), default="int8",
    help="float16 is stored as such and computed in float32; float32 is only simplified.",
)  # fmt: skip
@click.option(
    "--calibration", type=click.Choice(["percentile", "minmax", "entropy", "best"]), default="percentile",
    help="How int8 finds each layer's range; best tries all and keeps the most accurate on validation faces.",
)  # fmt: skip
@click.option("--faces", type=click.IntRange(32), default=512, help="Number of faces to find the ranges on.")
@click.option("--split", type=click.Choice(["train", "validation"]), default="train", help="Split of these faces.")
@click.option("--float-gates", is_flag=True, help="Keep squeeze-and-excitation in float32 with int8.")
@click.option("--bits", type=click.Choice(["7", "8"]), default="7", help="Bits of int8 weights; 8 for VNNI or ARM.")
@overwrite("Replace an existing artifact.")
def quantize(
    model: str, data: Path, out: Path, precision: str, calibration: str, faces: int, split: str, float_gates: bool,
    bits: str, overwrite: bool,
) -> None:  # fmt: skip
    """Convert a model to int8 or float16 and calibrate it again.

    Heads are calibrated, and the best of several variants is chosen, on validation faces alone. Test faces only
    measure what was lost.
    """
    need_train_extra()
    from mien.artifact.description import describe_quantization
    from mien.workshop import Compaction, quantize_model

    options = Compaction(precision, calibration, faces, split, gates=not float_gates, bits=int(bits))
    with stages() as on_stage:
        done = quantize_model(model, data, out, options, overwrite=overwrite, on_stage=on_stage)
    print_table(_cost_table(*done.scores))
    for line in describe_quantization(done.after.manifest.data["quantised"]):
        print_line(line)
    sizes = " → ".join(f"{len(artifact.graph) / 1e6:.1f} MB" for artifact in (done.before, done.after))
    print_line(f"wrote {out}: {done.after.manifest.version}, {sizes}")


@click.command("calibrate", cls=Command)
@argument("model", MODEL_HELP)
@argument("data", f"{DATA_HELP} Crops or photos.", type=PATH)
@click.option("--out", type=PATH, metavar="DIR", help="Folder of the calibrated artifact; without it, only shown.")
@click.option("--version", help="Version of the calibrated model.", show_default="the model's, -calibrated")
@click.option(
    "--freest", type=click.Choice(["temperature", "curve", "vector"]), default="curve",
    help="Most flexible form to consider.",
)  # fmt: skip
@click.option("--flip", is_flag=True, help="Calibrate for reading with --flip.")
@overwrite("Replace an existing artifact.")
def calibrate(
    model: str, data: Path, out: Path | None, version: str | None, freest: str, flip: bool, overwrite: bool
) -> None:
    """Fit a model's probabilities to labelled faces, without training.

    Heads with labels in DATA are calibrated on its validation split, or on all of it if there is none: crowd on FER+
    votes, or on labels without votes. The simplest form that no more flexible one beats in cross-validation is used:
    temperature; curve, which also undoes label smoothing; vector, a scale and bias for each class, which alone may
    change answers and needs `--freest vector`. Measure on other faces afterwards, with `mien model evaluate`.
    """
    from mien.workshop import CalibrationOptions, calibrate_model

    options = CalibrationOptions(version, freest, flip)
    with stages() as on_stage:
        done = calibrate_model(model, data, out, options, overwrite=overwrite, on_progress=on_stage("photos"))
    print_line(done.fitted_on)
    for head, choice in done.choices.items():
        print_table(_choice_table(head, choice))
        print_line(f"{head}: {choice.taken.calibration}")
    written = f"wrote {out}: {done.manifest.name} {done.manifest.version}"
    print_line(written if out else "nothing was written: --out DIR writes the calibrated artifact")


def _cost_table(before: Sequence[Mapping[str, Any]], after: Sequence[Mapping[str, Any]]) -> Table:
    table = create_table("accuracy, %", "head")
    for title in ("set", "labels", "rows", "before", "after", "cost"):
        # Sets and labels are words: not in the columns of figures that create_table makes.
        table.add_column(title, justify="left" if title in ("set", "labels") else "right", no_wrap=True)
    for old, new in zip(before, after, strict=True):
        one, two = 100 * old["accuracy"], 100 * new["accuracy"]
        cells = (f"{new['rows']:,}", f"{one:.2f}", f"{two:.2f}", f"{one - two:+.2f}")
        table.add_row(new["head"], new["set"], new["labels"], *cells)
    return table


def _choice_table(head: str, found: Choice) -> Table:
    """Each form's cross-validated figures."""
    title = f"head {head}, {found.rows:,} faces, against {found.against}, cross-validated"
    table = create_table(title, "form", "log-loss", "lower by", "ECE", "top label right %", "")
    for trial in found.trials:
        gain = "" if trial is found.trials[0] else f"{trial.gain:+.4f} ± {trial.gain_error:.4f}"
        taken = "taken" if trial is found.taken else ""
        table.add_row(trial.form, f"{trial.loss:.4f}", gain, f"{trial.ece:.3f}", f"{100 * trial.accuracy:.2f}", taken)
    return table
