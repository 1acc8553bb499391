"""Artifacts as people publish them: exported from a training, made smaller, or calibrated, with their scores."""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from mien.artifact.artifact import Artifact, load_artifact, require_free, write_artifact
from mien.artifact.catalog import resolve
from mien.artifact.manifest import Manifest
from mien.errors import DataError
from mien.reading.classifier import Model, load_model
from mien.workshop.data.base import FaceDataset
from mien.workshop.data.factory import as_dataset, with_validation
from mien.workshop.evaluation.calibrator import Choice, calibrate_heads, with_calibrations
from mien.workshop.evaluation.models import load_faces, score_model
from mien.workshop.evaluation.scores import Evaluation
from mien.workshop.evaluation.value_scores import value_entry
from mien.workshop.experiments.journal import journal_artifact
from mien.workshop.export.artifact import Naming, build_artifact, score_entry, with_scores
from mien.workshop.export.compact import Compaction, compact_artifact
from mien.workshop.networks.checkpoint import load_network
from mien.workshop.progress import OnNote, OnProgress, OnStage, no_note, no_progress, no_stage
from mien.workshop.reports.evaluation_report import write_report
from mien.workshop.training.run_folder import BEST

KEPT_FILES = ("history.json", "curves.png", "members.json")
"""What a training's folder holds beside its checkpoint that goes into the artifact's report."""


@dataclass(frozen=True)
class ExportOptions:
    """How an artifact is to be called and stored.

    Args:
        name: of the model; the training's for None.
        version, licence, crop_scale, notes: as `Naming` says.
        precision: of the graph: float32, float16, int8; `quantize_model` has the choices of int8.
    """

    name: str | None = None
    version: str = "0.1.0"
    licence: str = "Apache-2.0"
    crop_scale: float = 0.95
    precision: str = "float32"
    notes: str = ""


@dataclass(frozen=True)
class Exported:
    """A written artifact, the scores in its manifest, and whether its run's page in MLflow has it too."""

    artifact: Artifact
    evaluation: Evaluation
    journaled: bool


def export_model(
    run: Path | str,
    data: FaceDataset | Path | str,
    out: Path | str,
    options: ExportOptions = ExportOptions(),
    *,
    overwrite: bool = False,
    on_progress: OnProgress = no_progress,
    on_note: OnNote = no_note,
) -> Exported:
    """Export a training to ONNX, check it against torch, calibrate and score it, and write artifact and report.

    Args:
        run: folder of a training, or its best.safetensors.
        data: what it was trained on; its validation split calibrates, all of it scores.
        out: the artifact's folder.
        options: name, version and precision.
        overwrite: replace an artifact that is there.
        on_progress: hears how many faces are scored.
        on_note: hears what MLflow did not take.

    Raises:
        ArtifactError: the checkpoint is damaged, the graph differs from torch, or `out` is not free.
        DataError: the validation split is empty, or there is no face to test on.
    """
    run, out = Path(run), Path(out)
    # First, because the rest is long work.
    require_free(out, overwrite=overwrite)
    checkpoint = run / BEST if run.is_dir() else run
    trained: dict[str, Any] = load_network(checkpoint)[1]["training"]["config"]
    # The training's seed, so that the rows held out are those that it did not train on.
    dataset = with_validation(data, seed=trained["fit"]["seed"])
    naming = Naming(
        options.name or trained["name"], options.version, options.licence, options.crop_scale, options.notes
    )
    built = build_artifact(checkpoint, dataset, naming)
    if options.precision != "float32":
        built = compact_artifact(built, dataset, Compaction(options.precision))
        # The caller has named this version: no precision behind it.
        built = replace(built, manifest=replace(built.manifest, version=options.version))
    evaluation = score_model(Model(built), dataset, on_progress=on_progress)
    entries = [*map(score_entry, evaluation.sets), *map(value_entry, evaluation.values)]
    scored = with_scores(built, entries)
    write_artifact(out, scored.graph, scored.manifest, overwrite=overwrite)
    # Artifacts are passed on: their report shows no faces.
    write_report(evaluation, out / "report")
    for file in KEPT_FILES:
        if (checkpoint.parent / file).is_file():
            shutil.copyfile(checkpoint.parent / file, out / "report" / file)
    journaled = journal_artifact(checkpoint.parent, out, on_note=on_note)
    return Exported(replace(scored, folder=out), evaluation, journaled)


@dataclass(frozen=True)
class Quantized:
    """A model before and after, and the manifest's scores of both in the same order."""

    before: Artifact
    after: Artifact
    scores: tuple[Sequence[Mapping[str, Any]], Sequence[Mapping[str, Any]]]


def quantize_model(
    model: Path | str,
    data: FaceDataset | Path | str,
    out: Path | str,
    options: Compaction = Compaction(),
    *,
    overwrite: bool = False,
    on_stage: OnStage = no_stage,
) -> Quantized:
    """Write a model's graph in int8 or float16, calibrated again, with the scores of both.

    Heads are calibrated on the validation faces, and the best of several forms is chosen on them alone; the test faces
    only measure what was lost.

    Raises:
        ArtifactError: the smaller graph differs too much, cannot be made, or `out` is not free.
        DataError: the data lacks validation faces, or for int8 faces to calibrate with.
    """
    out = Path(out)
    require_free(out, overwrite=overwrite)
    before, dataset = load_artifact(resolve(str(model))), as_dataset(data)
    after = compact_artifact(before, dataset, options)
    one, two = (
        [score_entry(found) for found in score_model(Model(artifact), dataset, on_progress=on_stage("faces")).sets]
        for artifact in (before, after)
    )
    # Both are scored here and now: the manifest's figures may be of other data.
    written = with_scores(after, two)
    write_artifact(out, written.graph, written.manifest, overwrite=overwrite)
    return Quantized(before, replace(written, folder=out), (one, two))


@dataclass(frozen=True)
class CalibrationOptions:
    """How a model is calibrated.

    Args:
        version: of the calibrated model; the model's own with `-calibrated` for None.
        freest: the freest form that may be taken: temperature, curve, vector.
        flip: calibrate for reading with test-time flipping.
    """

    version: str | None = None
    freest: str = "curve"
    flip: bool = False


@dataclass(frozen=True)
class Calibrated:
    """Each head's calibration, the faces it was fitted on in words, and the artifact if one was written."""

    choices: Mapping[str, Choice]
    fitted_on: str
    manifest: Manifest
    folder: Path | None


def calibrate_model(
    model: Path | str,
    data: FaceDataset | Path | str,
    out: Path | str | None = None,
    options: CalibrationOptions = CalibrationOptions(),
    *,
    overwrite: bool = False,
    on_progress: OnProgress = no_progress,
) -> Calibrated:
    """Fit a model's probabilities to labelled faces; its network stays as it is, and nothing is trained.

    Calibrated are the heads for which the data has answers, on its validation split, or on all of it without one.

    Args:
        model: a bundled name, an artifact's folder, or models:/NAME@ALIAS.
        data: crops or photos, as `evaluate_model` takes them.
        out: where the calibrated artifact goes; nothing is written for None.
        options: see there.
        overwrite: replace an artifact that is there.
        on_progress: hears in how many photos faces were looked for.

    Raises:
        DataError: no face has an answer for any head.
        ArtifactError: the model is damaged, or `out` is not free.
    """
    if out is not None:
        require_free(Path(out), overwrite=overwrite)
    loaded = load_model(str(model), flip=options.flip)
    rows, fitted_on = _held_out(load_faces(data, loaded.spec, on_progress=on_progress)[0])
    logits = loaded.run(loaded.prepare(rows.images))
    choices = calibrate_heads(logits, rows, loaded.calibrations, freest=options.freest)
    if not choices:
        raise DataError(f"{rows.name}: no face has a label or votes for the heads {', '.join(loaded.heads)}")
    named = replace(loaded.manifest, version=options.version or _calibrated_version(loaded.version))
    manifest = replace(with_calibrations(named, choices, rows), scores=_kept_scores(loaded, choices))
    if out is not None:
        write_artifact(Path(out), load_artifact(loaded.folder).graph, manifest, overwrite=overwrite)
    return Calibrated(choices, fitted_on, manifest, None if out is None else Path(out))


def _held_out(dataset: FaceDataset) -> tuple[FaceDataset, str]:
    """The faces to fit on, and what to say of them."""
    rows = dataset.part("validation")
    if len(rows):
        return rows, f"fitted on the {len(rows):,} validation faces of {dataset.name}"
    return dataset, f"{dataset.name} has no validation split: fitted on all its {len(dataset):,} faces"


def _calibrated_version(version: str) -> str:
    """A version that was calibrated before keeps its name."""
    return version if version.endswith("-calibrated") else f"{version}-calibrated"


def _kept_scores(model: Model, chosen: Mapping[str, Choice]) -> list[Mapping[str, Any]]:
    """The scores that still hold: calibration errors do not, and none of a head whose answers may change."""
    kept: list[Mapping[str, Any]] = []
    for score in model.manifest.scores:
        found = chosen.get(str(score.get("head")))
        if found is None:
            kept.append(score)
        # Values by words are made of the very probabilities that change.
        elif "value" in score:
            continue
        # Old and new must both keep the order: only then is every answer, and so the accuracy, the same.
        elif found.taken.calibration.keeps_order and model.calibrations[str(score["head"])].keeps_order:
            kept.append({key: value for key, value in score.items() if key != "calibration_error"})
    return kept
