"""`mien models calibrate`: fit a model's probabilities to faces with known answers, without training."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from mien.apps.cli.parameters import PATH, Command, any_size, argument

if TYPE_CHECKING:
    from rich.table import Table

    from mien.artifact.artifact import Manifest
    from mien.reading.classifier import Model
    from mien.workshop.data.base import FaceDataset
    from mien.workshop.evaluation.calibrator import Choice


@click.command("calibrate", cls=Command)
@argument("name", "A bundled model's name, the folder of an artifact, or models:/NAME@ALIAS.")
@argument("data", "FER2013's csv or npz, a folder with it, or a folder of pictures: crops or photos.", type=PATH)
@click.option("--out", type=PATH, metavar="DIR", help="Where the calibrated artifact goes; none: nothing is written.")
@click.option("--version", help="Of the calibrated model.", show_default="the model's, -calibrated")
@click.option(
    "--freest",
    type=click.Choice(["temperature", "curve", "vector"]),
    default="curve",
    help="The freest form that may be taken.",
)
@click.option("--flip", is_flag=True, help="Calibrate it for reading with --flip.")
@any_size
@click.option("--overwrite", is_flag=True, help="Replace an artifact.")
def app(
    name: str,
    data: Path,
    out: Path | None,
    version: str | None,
    freest: str,
    flip: bool,
    any_size: bool,
    overwrite: bool,
) -> None:
    """Fit how sure a model is to faces with known answers.

    Its network stays as it is, nothing is trained. Calibrated are the heads for which DATA has answers, on the faces
    of its validation split, or on all where it has none: crowd against FER+ votes, or against the labels where there
    are no votes. The simplest of three forms is taken that no freer one beats by cross-validation: a temperature; a
    curvature with it, which undoes label smoothing; and scale and bias a class, the only one that may change an
    answer, and taken only with `--freest vector`. Scores say nothing about faces that were calibrated on: measure on
    others, with `mien evaluate`.
    """
    from rich.console import Console

    from mien.apps.cli.evaluate_data import DataWishes, load_faces
    from mien.artifact.artifact import load_artifact, require_free, write_artifact
    from mien.errors import DataError
    from mien.reading.classifier import load_model
    from mien.workshop.evaluation.calibrator import calibrate_heads, with_calibrations

    if out is not None:
        require_free(out, overwrite=overwrite)
    model = load_model(name, flip=flip)
    rows, said = _held_out(load_faces(data, DataWishes(any_size=any_size), model.spec)[0])
    console = Console()
    console.print(said, highlight=False, markup=False, soft_wrap=True)
    chosen = calibrate_heads(model.run(model.prepare(rows.images)), rows, model.calibrations, freest=freest)
    if not chosen:
        raise DataError(f"{data}: no face has a label or votes for the heads {', '.join(model.heads)}")
    for head, found in chosen.items():
        console.print(_table(head, found))
        console.print(f"{head}: {found.taken.calibration}", highlight=False, markup=False, soft_wrap=True)
    if out is None:
        console.print("nothing was written: --out DIR writes the calibrated artifact", highlight=False, markup=False)
        return
    manifest = replace(with_calibrations(_renamed(model, version), chosen, rows), scores=_kept_scores(model, chosen))
    write_artifact(out, load_artifact(model.folder).graph, manifest, overwrite=overwrite)
    console.print(f"wrote {out}: {manifest.name} {manifest.version}", highlight=False, markup=False, soft_wrap=True)


def _held_out(dataset: FaceDataset) -> tuple[FaceDataset, str]:
    """The faces to fit on, and what to say of them."""
    rows = dataset.part("validation")
    if len(rows):
        return rows, f"fitted on the {len(rows):,} validation faces of {dataset.name}"
    return dataset, f"{dataset.name} has no validation split: fitted on all its {len(dataset):,} faces"


def _table(head: str, found: Choice) -> Table:
    """Each form's cross-validated figures."""
    from mien.apps.cli.compare import create_table

    table = create_table(f"head {head}, {found.rows:,} faces, against {found.against}, cross-validated", "form")
    for title in ("log-loss", "lower by", "ECE", "top label right %", ""):
        table.add_column(title, justify="right", no_wrap=True)
    for trial in found.trials:
        gain = "" if trial is found.trials[0] else f"{trial.gain:+.4f} ± {trial.gain_error:.4f}"
        taken = "taken" if trial is found.taken else ""
        table.add_row(trial.form, f"{trial.loss:.4f}", gain, f"{trial.ece:.3f}", f"{100 * trial.accuracy:.2f}", taken)
    return table


def _renamed(model: Model, version: str | None) -> Manifest:
    """The manifest under its new version; a version that was calibrated already keeps its name."""
    old = model.version
    default = old if old.endswith("-calibrated") else f"{old}-calibrated"
    return replace(model.manifest, version=version or default)


def _kept_scores(model: Model, chosen: Mapping[str, Choice]) -> list[Mapping[str, Any]]:
    """The scores that still hold: calibration errors do not, and none of a head whose answers may change."""
    kept: list[Mapping[str, Any]] = []
    for score in model.manifest.scores:
        found = chosen.get(str(score.get("head")))
        if found is None:
            kept.append(score)
        elif found.taken.calibration.keeps_order and model.calibrations[str(score["head"])].keeps_order:
            kept.append({key: value for key, value in score.items() if key != "calibration_error"})
    return kept
