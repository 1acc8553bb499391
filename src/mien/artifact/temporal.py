"""A temporal model on disk: a folder with `model.onnx` and `temporal.json`, on top of a model of single frames."""

from __future__ import annotations

import hashlib
import json
import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import Any

from mien.artifact.artifact import GRAPH_FILE, MANIFEST_FILE, write_folder
from mien.artifact.calibration import Calibration
from mien.artifact.catalog import BUNDLED
from mien.artifact.onnx_file import require_whole
from mien.errors import ArtifactError, ConfigError
from mien.labels import EIGHT

TEMPORAL_FILE = "temporal.json"
TEMPORAL_FORMAT = 1
STEPS, LOGITS, VALUES, STATE, NEXT = "steps", "expression", "valence_arousal", "state_", "next_state_"
"""The graph's inputs are STEPS and STATE0, STATE1, …; its outputs LOGITS, VALUES where it has them, NEXT0, …"""


@dataclass(frozen=True)
class FrameModel:
    """The model whose network describes each frame.

    Args:
        name, version, sha256: which one; the hash is that of its graph.
        embedding: the tensor in its graph that is read, empty where crops are read.
    """

    name: str
    version: str
    sha256: str
    embedding: str = ""


@dataclass(frozen=True)
class TemporalManifest:
    """What there is to know about a temporal model without running it.

    Args:
        name, version: how it is called.
        created: ISO date.
        licence: SPDX identifier of the weights.
        frames: the model below it.
        features: values a step, 0 where it reads the face crops that the frame model takes.
        labels: class names in the order of the logits, words of `labels.EIGHT`; none for valence and arousal alone.
        values: whether it also gives valence and arousal.
        rate_hz: steps a second.
        states: shape of each part of its state, without the faces; none for a model that looks ahead.
        lookahead_s: how far it looks ahead, 0 for a causal one.
        context_s: how far back a model without a state is shown.
        smooth_s, hold_s: how its probabilities are smoothed and held where nothing else is asked for.
        calibration: how logits become probabilities.
        sha256: of `model.onnx`; `write_temporal` fills it in.
        parameters: number of weights.
        scores, training, data, notes: as in `Manifest`.
        format: version of this layout.
    """

    name: str
    version: str
    created: str
    licence: str
    frames: FrameModel
    features: int
    labels: tuple[str, ...]
    rate_hz: float
    values: bool = False
    states: tuple[tuple[int, ...], ...] = ()
    lookahead_s: float = 0.0
    context_s: float = 0.0
    smooth_s: float = 0.0
    hold_s: float = 0.0
    calibration: Calibration = field(default_factory=Calibration)
    sha256: str = ""
    parameters: int = 0
    scores: Sequence[Mapping[str, Any]] = ()
    training: Mapping[str, Any] = field(default_factory=dict)
    data: Mapping[str, Any] = field(default_factory=dict)
    notes: str = ""
    format: int = TEMPORAL_FORMAT

    def __post_init__(self) -> None:
        if unknown := [label for label in self.labels if label not in EIGHT]:
            raise ArtifactError(f"{TEMPORAL_FILE}: unknown label {unknown[0]!r}, expected words of {', '.join(EIGHT)}")
        if not self.labels and not self.values:
            raise ArtifactError(f"{TEMPORAL_FILE}: the model gives neither labels nor values")
        if not 0 < self.rate_hz <= 1000:
            raise ArtifactError(f"{TEMPORAL_FILE}: rate_hz is {self.rate_hz}, expected a number above 0")
        for name in ("lookahead_s", "context_s", "smooth_s", "hold_s"):
            if not 0 <= getattr(self, name) <= 60:
                raise ArtifactError(f"{TEMPORAL_FILE}: {name} is {getattr(self, name)}, expected 0–60 seconds")
        if self.causal and not self.states:
            raise ArtifactError(f"{TEMPORAL_FILE}: a causal model has a state: expected the shapes of its parts")

    @property
    def causal(self) -> bool:
        """Whether it needs nothing of the future, and can follow a live source."""
        return self.lookahead_s == 0

    @property
    def title(self) -> str:
        """Name and version."""
        return f"{self.name} {self.version}"

    def to_json(self) -> str:
        """The manifest as indented JSON."""
        try:
            return json.dumps(asdict(self), indent=2, ensure_ascii=False, allow_nan=False) + "\n"
        except (TypeError, ValueError) as error:
            raise ArtifactError(f"{TEMPORAL_FILE}: expected plain finite JSON values: {error}") from error

    @classmethod
    def from_json(cls, text: str) -> TemporalManifest:
        """Read and check a manifest.

        Raises:
            ArtifactError: naming the key, what was expected and what came.
        """
        try:
            raw = json.loads(text)
        except (ValueError, RecursionError) as error:
            raise ArtifactError(f"not JSON ({error}); the model is damaged, export it again") from error
        if not isinstance(raw, dict) or not isinstance(raw.get("format"), int):
            raise ArtifactError("expected a JSON object with a format; this is no temporal model of Mien")
        if raw["format"] > TEMPORAL_FORMAT:
            raise ArtifactError(f"format {raw['format']}, this version reads {TEMPORAL_FORMAT}: upgrade Mien")
        known = {entry.name for entry in fields(cls)}
        if unknown := sorted(set(raw) - known):
            raise ArtifactError(f"unknown key {unknown[0]!r}, expected only {', '.join(sorted(known))}")
        return _parse(cls, raw)


_KINDS: dict[str, type | tuple[type, ...]] = {
    "name": str, "version": str, "created": str, "licence": str, "frames": dict, "features": int, "labels": list,
    "rate_hz": (int, float), "values": bool, "states": list, "lookahead_s": (int, float), "context_s": (int, float),
    "smooth_s": (int, float), "hold_s": (int, float),
    "calibration": dict, "sha256": str, "parameters": int, "scores": list, "training": dict, "data": dict, "notes": str,
    "format": int,
}  # fmt: skip
_REQUIRED = ("name", "version", "created", "licence", "frames", "features", "labels", "rate_hz", "sha256")


def _parse(cls: type[TemporalManifest], raw: dict[str, Any]) -> TemporalManifest:
    for key in _REQUIRED:
        if key not in raw:
            raise ArtifactError(f"the key {key!r} is missing")
    for key, value in raw.items():
        kind = _KINDS[key]
        # True is an int in Python.
        if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):
            raise ArtifactError(f"{key!r} has an unexpected value of type {type(value).__name__}")
    try:
        made = {
            "frames": FrameModel(**raw["frames"]),
            "labels": tuple(str(label) for label in raw["labels"]),
            "states": tuple(tuple(int(side) for side in shape) for shape in raw.get("states", [])),
            "calibration": _calibration(raw.get("calibration", {})),
        }
    except (TypeError, ValueError) as error:
        raise ArtifactError(f"frames, labels, states or calibration are not as expected: {error}") from error
    return cls(**(raw | made))


def _calibration(raw: dict[str, Any]) -> Calibration:
    values: dict[str, Any] = {
        key: tuple(value) if isinstance(value, list) else float(value) for key, value in raw.items()
    }
    found = Calibration(**values)
    if not (math.isfinite(found.temperature) and found.temperature > 0 and found.curvature >= 0):
        raise ValueError(f"temperature {found.temperature} and curvature {found.curvature}")
    return found


@dataclass(frozen=True)
class TemporalArtifact:
    """A verified temporal model: its folder, its manifest, and the bytes of its graph."""

    folder: Path
    manifest: TemporalManifest
    graph: bytes


def write_temporal(folder: str | Path, graph: bytes, manifest: TemporalManifest, *, overwrite: bool = False) -> Path:
    """Write a temporal model whole or not at all; the sha256 is filled in from `graph`.

    Raises:
        ArtifactError: the folder is there already and `overwrite` is not set, or it cannot be written.
    """
    sealed = replace(manifest, sha256=hashlib.sha256(graph).hexdigest())
    files = {GRAPH_FILE: graph, TEMPORAL_FILE: sealed.to_json().encode()}
    return write_folder(Path(folder), files, marker=TEMPORAL_FILE, overwrite=overwrite)


def load_temporal(name_or_path: str | Path) -> TemporalArtifact:
    """Read a temporal model and verify its manifest and the sha256 of its graph.

    Args:
        name_or_path: the folder, or the name of one that comes with the package.

    Raises:
        ConfigError: there is none of that name.
        ArtifactError: a file is missing, damaged, foreign or newer than this version of Mien.
    """
    folder = _resolve(name_or_path)
    try:
        text = (folder / TEMPORAL_FILE).read_text(encoding="utf-8")
        graph = (folder / GRAPH_FILE).read_bytes()
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or error
        raise ArtifactError(f"{folder} is no temporal model: {reason}; export it again") from error
    try:
        manifest = TemporalManifest.from_json(text)
    except ArtifactError as error:
        raise ArtifactError(f"{folder / TEMPORAL_FILE}: {error}") from error
    if hashlib.sha256(graph).hexdigest() != manifest.sha256:
        raise ArtifactError(
            f"{folder / GRAPH_FILE}: its sha256 is not that of {TEMPORAL_FILE}: the file is damaged or not this "
            "model's: export it again"
        )
    require_whole(graph)
    return TemporalArtifact(folder, manifest, graph)


def list_temporal(root: Path = BUNDLED) -> list[str]:
    """The names of the temporal models that come with the package, sorted."""
    return sorted(path.parent.name for path in root.glob(f"*/{TEMPORAL_FILE}"))


def _resolve(name_or_path: str | Path) -> Path:
    wanted, known = os.fspath(name_or_path), list_temporal()
    if wanted in known and not isinstance(name_or_path, Path):
        return BUNDLED / wanted
    folder = Path(wanted).expanduser()
    if wanted and (folder / TEMPORAL_FILE).is_file():
        return folder
    if wanted and (folder / MANIFEST_FILE).is_file():
        raise ConfigError(f"{folder} is a model of single frames: give it as the model, not as the temporal model")
    names = f"one of {', '.join(known)}, or " if known else ""
    raise ConfigError(f"unknown temporal model {wanted!r}: expected {names}the folder that `mien model export` wrote")
