"""An artifact made smaller: its graph as float16 or int8, checked against the float32 one, recalibrated."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from mien.artifact.artifact import AffectHead, Artifact, Manifest
from mien.errors import ArtifactError, ConfigError, DataError
from mien.reading.classifier import Model
from mien.workshop.data.base import FaceDataset
from mien.workshop.data.fer2013 import majority
from mien.workshop.evaluation.calibrator import calibrate_heads, with_calibrations
from mien.workshop.export.quantize import METHODS, quantize, simplify, store_half

PRECISIONS = ("float32", "float16", "int8")

BOUNDS = {"float32": (0.999, 1e-3), "float16": (0.99, 0.05), "int8": (0.9, 1.0)}
"""Least share of faces with the same top label, and largest difference of a probability, to pass as the same model."""

Logits = Mapping[str, npt.NDArray[np.float32]]


@dataclass(frozen=True)
class Compaction:
    """How a graph is to be made smaller.

    Args:
        precision: one of `PRECISIONS`.
        calibration: for int8 one of `quantize.METHODS`, or `best`: the one most often right on validation faces.
        faces: for int8, how many faces give the ranges.
        split: for int8, the split that they are drawn from.
        gates: for int8, quantise squeeze-and-excitation as well.
        bits: for int8, of the weights.
    """

    precision: str = "int8"
    calibration: str = "percentile"
    faces: int = 512
    split: str = "train"
    gates: bool = True
    bits: int = 7

    def __post_init__(self) -> None:
        if self.precision not in PRECISIONS:
            raise ConfigError(f"unknown precision {self.precision!r}: expected one of {', '.join(PRECISIONS)}")
        if self.calibration not in ("best", *METHODS):
            raise ConfigError(f"unknown calibration {self.calibration!r}: expected best, {', '.join(METHODS)}")


def compact_artifact(artifact: Artifact, dataset: FaceDataset, options: Compaction) -> Artifact:
    """The artifact with a smaller graph; what was done and what it costs goes into `data["quantised"]` of its manifest.

    The version gets the precision behind it. Scores are left out, since they are another graph's: measure them again.
    Heads are recalibrated on the validation split, on which the cost is measured too.

    Raises:
        ArtifactError: the smaller graph answers other than the float32 one beyond `BOUNDS`, or cannot be made.
        DataError: the data set lacks validation faces, or for int8 faces to calibrate with.
    """
    rows = dataset.part("validation")
    if not len(rows):
        raise DataError(f"{dataset.name}: heads are calibrated on the validation split, and it is empty")
    original = Model(artifact)
    faces = original.prepare(rows.images)
    before = original.run(faces)
    tried = [
        (graph, how, Model(replace(artifact, graph=graph)).run(faces))
        for graph, how in _graphs(artifact.graph, original, dataset, options)
    ]
    # Chosen by the labels of validation faces, not by likeness to float32: what counts is who is right.
    graph, how, after = max(tried, key=lambda one: np.mean(list(accuracies(one[2], rows).values()) or [0.0]))
    compared = compare(original, before, after)
    _require_same(options.precision, compared)
    right = [accuracies(logits, rows) for logits in (before, after)]
    cost = {head: round(100 * (right[0][head] - right[1][head]), 3) for head in right[0]}
    source = hashlib.sha256(artifact.graph).hexdigest()
    entry = how | compared | {"rows": len(rows), "cost_points": cost, "from_sha256": source}
    # Rounded weights shift confidences, so the float32 graph's calibration no longer fits.
    chosen = calibrate_heads(after, rows, original.calibrations)
    manifest = with_calibrations(_with_drift(artifact.manifest, before, after), chosen, rows)
    version = artifact.manifest.version
    # A simplified float32 graph computes the same, and stays the same version.
    named = version if options.precision == "float32" else f"{version}-{options.precision}"
    data = dict(manifest.data) | {"quantised": entry}
    return Artifact(artifact.folder, replace(manifest, version=named, scores=(), data=data), graph)


def _graphs(
    graph: bytes, model: Model, dataset: FaceDataset, options: Compaction
) -> list[tuple[bytes, dict[str, Any]]]:
    """The smaller graph, or one a method where the best is to be found, each with what the manifest says of it."""
    if options.precision == "float32":
        return [(simplify(graph), {"precision": "float32"})]
    if options.precision == "float16":
        return [(store_half(simplify(graph)), {"precision": "float16", "computes": "float32"})]
    part = dataset.part(options.split)
    if len(part) < options.faces:
        raise DataError(f"{dataset.name}: {options.faces} calibration faces asked, {options.split} has {len(part)}")
    # A fixed draw, because the ranges decide the graph, and the same command must give the same bytes.
    drawn = np.sort(np.random.default_rng(0).choice(len(part), options.faces, replace=False))
    faces = model.prepare(part.images[drawn])
    said = {
        "precision": "int8",
        "weights": f"int8 a channel, {options.bits} bits",
        "values": "uint8",
        "float32": "first convolution, heads" + ("" if options.gates else ", gates"),
        "calibrated_on": {
            "name": dataset.name,
            "split": options.split,
            "rows": options.faces,
            "sha256": dataset.sha256,
        },
    }
    methods = METHODS if options.calibration == "best" else (options.calibration,)
    return [
        (quantize(graph, faces, method=method, gates=options.gates, bits=options.bits), said | {"method": method})
        for method in methods
    ]


def compare(model: Model, before: Logits, after: Logits) -> dict[str, float]:
    """How far two graphs of one model agree: share of faces with the same top label, largest probability difference.

    Both are those of the worst head; a difference of values counts as one of probabilities.
    """
    same, largest = 1.0, max((float(np.abs(before[n] - after[n]).max()) for n in model.manifest.affect), default=0.0)
    for head in model.heads:
        logits = before[head]
        # Both under the old calibration: this is about the graphs alone.
        one, two = model.calibrate(logits, head), model.calibrate(after[head], head)
        same = min(same, float((one.argmax(axis=1) == two.argmax(axis=1)).mean()))
        largest = max(largest, float(np.abs(one - two).max()))
    return {"agreement": round(same, 5), "largest_difference": round(largest, 5)}


def _with_drift(manifest: Manifest, before: Logits, after: Logits) -> Manifest:
    """The manifest with what the smaller graph's values are off the float32 one's added to their spread."""
    found = {}
    for name, head in manifest.affect.items():
        drift = ((after[name] - before[name]) ** 2).mean(axis=0)
        found[name] = AffectHead(
            tuple(round(float(np.hypot(sd, d**0.5)), 4) for sd, d in zip(head.sd, drift, strict=True))
        )
    return replace(manifest, affect=found)


def accuracies(logits: Logits, rows: FaceDataset) -> dict[str, float]:
    """Share of right answers of each head that `rows` have answers for: labels, and the majority of FER+ votes."""
    found = {}
    truths = {"fer2013": rows.labels} | ({} if rows.votes is None else {"crowd": majority(rows.votes)})
    for head, truth in truths.items():
        known = truth >= 0
        if head in logits and known.any():
            found[head] = float((logits[head].argmax(axis=1)[known] == truth[known]).mean())
    return found


def _require_same(precision: str, compared: Mapping[str, float]) -> None:
    least, largest = BOUNDS[precision]
    # Negated, so that NaN fails.
    if compared["agreement"] < least or not compared["largest_difference"] <= largest:
        raise ArtifactError(
            f"the {precision} graph answers other than the float32 one: same top label for "
            f"{100 * compared['agreement']:.1f} % of the faces, probabilities differ by up to "
            f"{compared['largest_difference']:.2g}; at least {100 * least:g} % and at most {largest:g} are allowed"
        )
