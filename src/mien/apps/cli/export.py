"""`mien export`: a finished training to an artifact that readers run, with its scores and report."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from mien.evaluation.evaluate import SetScores

app = typer.Typer(help="Turn a training into an artifact.")


@app.command()
def export(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="Folder of a training, or its best.safetensors.")],
    data: Annotated[
        Path,
        typer.Argument(metavar="DATA", help="The data that it was trained on; calibrates and scores it."),
    ],
    out: Annotated[Path, typer.Option(metavar="DIR", help="Where the artifact goes.")],
    name: Annotated[str | None, typer.Option(help="Of the model; the training's by default.")] = None,
    version: Annotated[str, typer.Option(help="Of the model.")] = "0.1.0",
    licence: Annotated[str, typer.Option(help="Of the weights, as an SPDX identifier.")] = "Apache-2.0",
    crop_scale: Annotated[
        float, typer.Option(help="Side of a face crop, in heights of YuNet's box.", min=0.1, max=10)
    ] = 0.95,
    notes: Annotated[str, typer.Option(help="Kept in the manifest.")] = "",
    any_size: Annotated[
        bool,
        typer.Option("--any-size", help="Accept a FER2013 with other numbers of rows than the real one."),
    ] = False,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace an artifact.")] = False,
) -> None:
    """Export RUN to ONNX, check it against torch, calibrate it, score it on DATA, write the artifact."""
    from mien.apps.cli.extras import need_train_extra

    need_train_extra()
    from rich.console import Console

    from mien.apps.cli.evaluate import evaluate_model, scores_table
    from mien.datasets.factory import load_dataset
    from mien.evaluation.report import write_report
    from mien.export.artifact import Naming, build_artifact, with_scores
    from mien.inference.classifier import Model
    from mien.registry.artifact import require_free, write_artifact

    require_free(out, overwrite=overwrite)
    checkpoint = run / "best.safetensors" if run.is_dir() else run
    dataset = load_dataset(data, check_counts=not any_size)
    naming = Naming(name or _trained_name(checkpoint), version, licence, crop_scale, notes)
    built = build_artifact(checkpoint, dataset, naming)
    evaluation = evaluate_model(Model(built), dataset)
    scored = with_scores(built, [_score(scores) for scores in evaluation.sets])
    write_artifact(out, scored.graph, scored.manifest, overwrite=overwrite)
    write_report(evaluation, out / "report")
    for file in ("history.json", "curves.png"):
        if (checkpoint.parent / file).is_file():
            shutil.copyfile(checkpoint.parent / file, out / "report" / file)
    console = Console()
    console.print(scores_table(evaluation))
    console.print(f"wrote {out}: {len(scored.graph) / 1e6:.1f} MB, report in {out / 'report'}", highlight=False)


def _trained_name(checkpoint: Path) -> str:
    from mien.models.checkpoint import load_tensors

    return str(load_tensors(checkpoint)[1].get("training", {}).get("config", {}).get("name", "model"))


def _score(scores: SetScores) -> dict[str, Any]:
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
        "selection": "best epoch and temperatures on PublicTest (validation)",
    }
