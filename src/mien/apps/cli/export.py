"""`mien export`: a finished training to an artifact that readers run, with its scores and report."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from mien.apps.cli.parameters import PATH, Command, any_size, argument

if TYPE_CHECKING:
    from mien.workshop.evaluation.scores import SetScores


@click.command("export", cls=Command)
@argument("run", "Folder of a training, or its best.safetensors.", type=PATH)
@argument("data", "The data that it was trained on; calibrates and scores it.", type=PATH)
@click.option("--out", type=PATH, required=True, metavar="DIR", help="Where the artifact goes.")
@click.option("--name", help="Of the model; the training's by default.")
@click.option("--version", default="0.1.0", help="Of the model.")
@click.option("--licence", default="Apache-2.0", help="Of the weights, as an SPDX identifier.")
@click.option(
    "--crop-scale",
    type=click.FloatRange(0.1, 10),
    default=0.95,
    help="Side of a face crop, in heights of YuNet's box.",
)
@click.option(
    "--precision",
    type=click.Choice(["float32", "float16", "int8"]),
    default="float32",
    help="Of the graph; `mien models quantize` has the choices of int8.",
)
@click.option("--notes", default="", show_default=False, help="Kept in the manifest.")
@any_size
@click.option("--overwrite", is_flag=True, help="Replace an artifact.")
def app(
    run: Path,
    data: Path,
    out: Path,
    name: str | None,
    version: str,
    licence: str,
    crop_scale: float,
    precision: str,
    notes: str,
    any_size: bool,
    overwrite: bool,
) -> None:
    """Export RUN to ONNX, check it against torch, calibrate it, score it on DATA, write the artifact."""
    from mien.apps.cli.extras import need_train_extra

    need_train_extra()
    from rich.console import Console

    from mien.apps.cli.evaluate import evaluate_model, scores_table
    from mien.artifact.artifact import require_free, write_artifact
    from mien.reading.classifier import Model
    from mien.workshop.data.factory import load_dataset
    from mien.workshop.data.splits import HELD_OUT, hold_out
    from mien.workshop.experiments.journal import journal_artifact
    from mien.workshop.export.artifact import Naming, build_artifact, with_scores
    from mien.workshop.export.compact import Compaction, compact_artifact
    from mien.workshop.reports.evaluation.report import write_report

    require_free(out, overwrite=overwrite)
    checkpoint = run / "best.safetensors" if run.is_dir() else run
    trained = _training_of(checkpoint)
    dataset = hold_out(load_dataset(data, check_counts=not any_size), HELD_OUT, seed=trained["fit"]["seed"])
    naming = Naming(name or trained["name"], version, licence, crop_scale, notes)
    built = build_artifact(checkpoint, dataset, naming)
    if precision != "float32":
        built = compact_artifact(built, dataset, Compaction(precision))
        built = replace(built, manifest=replace(built.manifest, version=version))
    evaluation = evaluate_model(Model(built), dataset)
    scored = with_scores(built, [score_entry(scores) for scores in evaluation.sets])
    write_artifact(out, scored.graph, scored.manifest, overwrite=overwrite)
    write_report(evaluation, out / "report")
    for file in ("history.json", "curves.png", "members.json"):
        if (checkpoint.parent / file).is_file():
            shutil.copyfile(checkpoint.parent / file, out / "report" / file)
    console = Console()
    told = journal_artifact(checkpoint.parent, out, say=lambda text: console.print(text, soft_wrap=True, markup=False))
    console.print(scores_table(evaluation))
    console.print(f"wrote {out}: {len(scored.graph) / 1e6:.1f} MB, report in {out / 'report'}", highlight=False)
    if told:
        console.print("journal: artifact, report and scores are with the run in MLflow", markup=False)


def _training_of(checkpoint: Path) -> dict[str, Any]:
    """The configuration that a checkpoint was trained with."""
    from mien.workshop.networks.checkpoint import load_network

    configuration: dict[str, Any] = load_network(checkpoint)[1]["training"]["config"]
    return configuration


def score_entry(scores: SetScores) -> dict[str, Any]:
    """A set's figures as a manifest holds them."""
    faces = scores.faces
    return {
        "head": faces.head,
        "set": faces.title,
        "labels": faces.labels_from,
        "rows": scores.rows,
        "accuracy": round(scores.accuracy, 5),
        "accuracy_95": [round(scores.accuracy_interval.low, 5), round(scores.accuracy_interval.high, 5)],
        "macro_f1": round(scores.macro_f1, 5),
        "weighted_f1": round(scores.weighted_f1, 5),
        "calibration_error": round(scores.ece, 5),
        "selection": "best epoch and calibration on PublicTest (validation)",
    }
