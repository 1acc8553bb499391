"""Models in other formats by name: `export_model_to` writes, checks and describes."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path

from mien.artifact.artifact import INPUT_NAME, MANIFEST_FILE, Artifact, load_artifact, require_free
from mien.artifact.catalog import resolve
from mien.artifact.runtime import Session
from mien.errors import ConfigError, OutputError
from mien.labels import project, user_labels
from mien.workshop.export.targets import described, parity
from mien.workshop.export.targets.target import Request, Written

_HOME = "mien.workshop.export.targets"
TARGETS: dict[str, tuple[str, str, str]] = {
    "onnx": ("runtime_format", "write_onnx", "ONNX with metadata, for ONNX Runtime anywhere"),
    "ort": ("runtime_format", "write_ort", "ORT format, for ONNX Runtime on Android and iOS"),
    "web": ("web_page", "write_web", "what the page in the browser reads"),
    "litert": ("litert", "write_litert", "LiteRT (TensorFlow Lite)"),
    "coreml": ("coreml", "write_coreml", "Core ML, for Apple's systems"),
    "executorch": ("executorch", "write_executorch", "ExecuTorch"),
}
"""Module, function and a line of help. The module is imported when it is asked for: converters are large."""


@dataclass(frozen=True)
class TargetOptions:
    """How a model is written for another runtime.

    Args:
        probabilities: the graph ends in calibrated probabilities, with the manifest's decision rule in it.
        labels: `seven`, or `eight` with contempt; of the probabilities.
    """

    probabilities: bool = False
    labels: str = "seven"


@dataclass(frozen=True)
class ExportedTo:
    """What was written.

    Args:
        path: the file, or for some formats a folder.
        size_bytes: its size.
        difference: of a probability against the artifact's, the largest or, where not `exact`, the mean one; None
            where the format does not run on this system.
        exact, note: as `Written` has them.
    """

    path: Path
    size_bytes: int
    difference: float | None
    exact: bool
    note: str


def export_model_to(
    model: str | Path, target: str, out: str | Path, options: TargetOptions = TargetOptions(), *,
    overwrite: bool = False,
) -> ExportedTo:  # fmt: skip
    """Write a model for another runtime into a new folder, beside its manifest, and check that it answers alike.

    Args:
        model: a bundled model's name, an artifact's folder, or models:/NAME@ALIAS.
        target: one of `TARGETS`.
        out: the folder.
        options: see `TargetOptions`.
        overwrite: replace a folder that an export wrote.

    Raises:
        ConfigError: an unknown target or label, or options that the target cannot have.
        MissingExtraError: the converter is not installed.
        ArtifactError: the artifact is damaged, or what was written does not answer as it does.
    """
    if target not in TARGETS:
        raise ConfigError(f"unknown target {target!r}: expected one of {', '.join(TARGETS)}")
    if target == "web" and options.probabilities:
        raise ConfigError("the page applies the decision rule by itself: export to web without probabilities")
    folder = Path(out)
    require_free(folder, overwrite=overwrite)
    artifact = load_artifact(resolve(model))
    labels = user_labels(options.labels) if options.probabilities else None
    module, function, _ = TARGETS[target]
    write: Callable[[Request, Path], Written] = getattr(import_module(f"{_HOME}.{module}"), function)
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=f".{folder.name}.", dir=folder.parent) as staging:
            fresh = Path(staging, "new")
            fresh.mkdir()
            request = _make_request(artifact, labels)
            written = write(request, fresh)
            (fresh / MANIFEST_FILE).write_text(artifact.manifest.to_json(), encoding="utf-8")
            difference = _check(artifact, request, labels, written)
            if folder.exists():
                shutil.move(folder, Path(staging, "old"))
            fresh.rename(folder)
    except OSError as error:
        raise OutputError(f"cannot write {folder}: {error.strerror or error}") from error
    path = folder / written.name
    return ExportedTo(path, _size(path), difference, written.exact, written.note)


def _make_request(artifact: Artifact, labels: tuple[str, ...] | None) -> Request:
    manifest, graph = artifact.manifest, artifact.graph
    outputs = described.list_outputs(manifest, labels)
    metadata = described.describe(manifest, outputs)
    if labels is not None:
        graph = described.with_probabilities(graph, manifest, labels)
    return Request(manifest, described.with_metadata(graph, metadata), outputs, metadata)


def _check(artifact: Artifact, request: Request, labels: tuple[str, ...] | None, written: Written) -> float | None:
    if written.run is None:
        return None
    manifest = artifact.manifest
    faces = parity.make_faces(manifest.input)
    own = described.shown_calibration(manifest).probabilities(
        Session(artifact.graph, threads=1).run({INPUT_NAME: faces})[manifest.default_head]
    )
    expected = own if labels is None else project(own, manifest.heads[manifest.default_head].labels, labels)
    found = parity.to_probabilities(written.run(faces), manifest, labels)
    if not written.exact:
        # What it was converted from, to the last digits; the int8 graph itself only as closely as rounding allows.
        unrounded = parity.to_probabilities(parity.run_unrounded(request.graph, faces), manifest, labels)
        parity.require_parity(found, unrounded, written.name)
    return parity.require_parity(found, expected, written.name, exact=written.exact)


def _size(path: Path) -> int:
    files = [path] if path.is_file() else [entry for entry in path.rglob("*") if entry.is_file()]
    return sum(entry.stat().st_size for entry in files)
