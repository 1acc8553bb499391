"""Checkpoint and data to an artifact: graph, parity with torch, calibration, scores, manifest."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from mien.arrays import Float32
from mien.artifact.artifact import Artifact
from mien.artifact.calibration import softmax
from mien.artifact.input import InputSpec, prepare
from mien.artifact.manifest import AffectHead, Head, Manifest
from mien.errors import ArtifactError, DataError
from mien.labels import AFFECT_HEADS, HEADS
from mien.reading.classifier import Model
from mien.workshop.data.base import FaceDataset
from mien.workshop.evaluation.calibrator import calibrate_heads, with_calibrations
from mien.workshop.evaluation.scores import SetScores
from mien.workshop.export.graph import build_graph
from mien.workshop.networks.checkpoint import load_network
from mien.workshop.networks.network import Network, count_parameters
from mien.workshop.training.value_heads import value_targets

PARITY = 1e-4
PARITY_ROWS = 256


@dataclass(frozen=True)
class Naming:
    """What the checkpoint does not know: how the model is to be called and used.

    Args:
        name, version: of the artifact.
        licence: SPDX identifier of the weights.
        crop_scale: side of a face crop in heights of YuNet's box, as FER2013 frames a face (docs/study/LOG.md).
        notes: free text.
    """

    name: str
    version: str = "0.1.0"
    licence: str = "Apache-2.0"
    crop_scale: float = 0.95
    notes: str = ""


def build_artifact(checkpoint: Path, dataset: FaceDataset, naming: Naming) -> Artifact:
    """Export a checkpoint, check it against torch, and calibrate it on the validation split.

    Nothing is written yet; the artifact's folder is the checkpoint's.

    Raises:
        ArtifactError: the checkpoint is damaged, or the graph's probabilities are not those of torch within 1e-4.
        DataError: the validation split is empty.
    """
    network, header = load_network(checkpoint)
    spec = replace(InputSpec(**header["spec"]), crop_scale=naming.crop_scale)
    graph = build_graph(network, spec)
    heads = {name: Head(HEADS[name]) for name in network.heads if name in HEADS}
    trained = header["training"]
    mean_of = {"mean_of": trained["mean_of"]} if "mean_of" in trained else {}
    manifest = Manifest(
        name=naming.name,
        version=naming.version,
        created=date.today().isoformat(),
        licence=naming.licence,
        input=spec,
        heads=heads,
        # Crowd is what users get: a model that learns FER2013's labels calls calm faces sad or angry.
        default_head="crowd" if "crowd" in heads else next(iter(heads), ""),
        parameters=count_parameters(network),
        training=trained["config"] | mean_of,
        data={"train": trained["data"], "selected": trained["validation"]},
        notes=naming.notes,
        affect={name: AffectHead((0.0,) * len(AFFECT_HEADS[name])) for name in network.heads if name in AFFECT_HEADS},
    )
    model = Model(Artifact(checkpoint.parent, manifest, graph))
    rows = dataset.part("validation")
    if not len(rows):
        raise DataError(f"{dataset.name}: heads are calibrated on the validation split, and it is empty")
    # Before calibrating: a graph that computes something else is no model to fit.
    require_parity(network, model, prepare(rows.images[:PARITY_ROWS], spec))
    outputs = model.run(model.prepare(rows.images))
    manifest = with_spreads(manifest, outputs, rows)
    chosen = calibrate_heads(outputs, rows, model.calibrations)
    return Artifact(checkpoint.parent, with_calibrations(manifest, chosen, rows), graph)


def with_spreads(manifest: Manifest, outputs: Mapping[str, Float32], rows: FaceDataset) -> Manifest:
    """The manifest with the RMSE of each value of `affect` on held-out rows, (N, K) a head, as its standard deviation.

    Raises:
        DataError: no row knows a value that the model estimates.
    """
    measured = {}
    for name in manifest.affect:
        targets = value_targets(rows, name).numpy()
        count = targets.shape[1] // 2
        known = targets[:, count:] > 0
        if not known.any(axis=0).all():
            raise DataError(
                f"{rows.name}: no validation row has {' and '.join(AFFECT_HEADS[name])}, by which head {name} is "
                "judged: add some"
            )
        squares = np.where(known, (outputs[name] - targets[:, :count]) ** 2, 0).sum(axis=0) / known.sum(axis=0)
        measured[name] = AffectHead(tuple(round(float(sd), 4) for sd in np.sqrt(squares)))
    return replace(manifest, affect=measured)


def with_scores(artifact: Artifact, scores: Sequence[Mapping[str, Any]]) -> Artifact:
    """The same artifact with figures in its manifest."""
    return replace(artifact, manifest=replace(artifact.manifest, scores=scores))


def require_parity(network: Network, model: Model, faces: npt.NDArray[np.uint8]) -> float:
    """The largest difference between torch's probabilities or values and the graph's, over all heads.

    Args:
        network: in evaluation mode.
        model: the same network as an artifact.
        faces: prepared crops (N, C, H, W).

    Raises:
        ArtifactError: when it is above 1e-4.
    """
    with torch.no_grad():
        logits = network(torch.from_numpy(faces))
    # Softmax of raw logits on both sides: a calibration would scale the difference.
    graph = model.run(faces)
    largest = max(
        float(np.abs(logits[head].numpy() - graph[head]).max())
        if head in AFFECT_HEADS
        else float(np.abs(softmax(logits[head].numpy()) - softmax(graph[head])).max())
        for head in graph
    )
    # Negated, so that NaN fails.
    if not largest <= PARITY:
        raise ArtifactError(
            f"the exported graph does not compute what torch does: probabilities differ by {largest:.2g} on "
            f"{len(faces)} faces, at most {PARITY:.0e} is allowed"
        )
    return largest


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
