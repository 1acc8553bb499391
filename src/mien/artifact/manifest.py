"""The manifest: what an artifact says of its graph, read and checked by hand."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from datetime import date
from typing import Any, NoReturn

from mien.artifact.calibration import Calibration
from mien.artifact.input import InputSpec
from mien.errors import ArtifactError
from mien.labels import AFFECT_HEADS, EIGHT

FORMAT = 5
"""Raised by every change of the manifest's keys: an older Mien then asks for an upgrade. 1 knew temperatures only, 2 no
priors, 3 no reading, 4 no affect."""

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
_LARGEST_SIDE_PX = 4096


@dataclass(frozen=True)
class Head:
    """One output of the graph.

    Args:
        labels: class names in the order of the logits, words of `labels.EIGHT`.
        calibration: how its logits become probabilities.
        prior: how often it says each class where it was calibrated, its mean probabilities; none where nobody knows.
    """

    labels: tuple[str, ...]
    calibration: Calibration = field(default_factory=Calibration)
    prior: tuple[float, ...] = ()


@dataclass(frozen=True)
class AffectHead:
    """An output of the graph with values of `labels.AFFECT_HEADS`, which are in their ranges already.

    Args:
        sd: how far each is from the truth, its RMSE on faces that were held out.
    """

    sd: tuple[float, ...]


@dataclass(frozen=True)
class Reading:
    """How users are to be shown the default head where they ask for nothing else.

    Args:
        balance: 0–1, see `Calibration.balanced`: 0 shows the share of the annotators who would choose each word.
    """

    balance: float = 0.0


@dataclass(frozen=True)
class Manifest:
    """What there is to know about a model without running it.

    Args:
        name, version: how the model is called.
        created: ISO date.
        licence: SPDX identifier of the weights.
        input: the pictures that the graph takes.
        heads: the graph's outputs with classes, by name; none for a model of `affect` alone.
        default_head: the one that users get; empty without heads.
        reading: how the default head is shown.
        sha256: of `model.onnx`; `write_artifact` fills it in.
        parameters: number of weights.
        scores: one mapping a figure, with its data set, split, rows and selection rule.
        training: the resolved configuration.
        data: the data sets with their hashes.
        notes: free text.
        affect: the graph's outputs with valence, arousal and intensity, by name.
        format: version of this layout.
    """

    name: str
    version: str
    created: str
    licence: str
    input: InputSpec
    heads: Mapping[str, Head]
    default_head: str
    reading: Reading = field(default_factory=Reading)
    sha256: str = ""
    parameters: int = 0
    scores: Sequence[Mapping[str, Any]] = ()
    training: Mapping[str, Any] = field(default_factory=dict)
    data: Mapping[str, Any] = field(default_factory=dict)
    notes: str = ""
    affect: Mapping[str, AffectHead] = field(default_factory=dict)
    format: int = FORMAT

    def __post_init__(self) -> None:
        _check_words(self)
        _check_input(self.input)
        if not self.heads and not self.affect:
            raise ArtifactError("manifest: `heads` and `affect` are empty, expected at least one output")
        for name, values in self.affect.items():
            _check_affect(name, values)
        for name, head in self.heads.items():
            _check_head(name, head)
        if not self.heads and not self.default_head:
            return
        if self.default_head not in self.heads:
            raise ArtifactError(
                f"manifest: default_head is {self.default_head!r}, expected one of {', '.join(self.heads)}"
            )
        _check_reading(self.reading, self.heads[self.default_head])

    @property
    def outputs(self) -> dict[str, int]:
        """Columns of each of the graph's outputs."""
        columns = {name: len(head.labels) for name, head in self.heads.items()}
        return columns | {name: len(AFFECT_HEADS[name]) for name in self.affect}

    def to_json(self) -> str:
        """The manifest as indented JSON."""
        try:
            plain = asdict(self) | {"heads": {name: _plain_head(head) for name, head in self.heads.items()}}
            # NaN is not valid JSON: other readers would refuse the file.
            return json.dumps(plain, indent=2, ensure_ascii=False, allow_nan=False) + "\n"
        except (TypeError, ValueError) as error:
            raise ArtifactError(
                f"manifest: scores, training and data hold plain finite JSON values: {error}"
            ) from error

    @classmethod
    def from_json(cls, text: str) -> Manifest:
        """Read and check a manifest. An unknown key is an error: new keys come with a new `format`.

        Raises:
            ArtifactError: naming the key, what was expected and what came.
        """
        try:
            # Python reads NaN and Infinity although JSON has neither.
            raw = json.loads(text, parse_constant=_refuse_constant)
        # Deeply nested brackets raise a RecursionError.
        except (ValueError, RecursionError) as error:
            raise ArtifactError(f"manifest: not JSON ({error}); the artifact is damaged, fetch it again") from error
        # Before the keys, so that a newer format is reported as such and not as an unknown key.
        _check_format(raw)
        _check_keys(raw, cls, "manifest")
        values = {key: _typed(raw, key, kind) for key, kind in _KINDS.items() if key in _REQUIRED | set(raw)}
        # Older formats lack only keys that have defaults: once read, a manifest is of the current format.
        values["format"] = FORMAT
        values["input"] = _parse_input(values["input"])
        values["heads"] = {name: _parse_head(name, head) for name, head in values["heads"].items()}
        values["reading"] = _parse_reading(values.get("reading", {}))
        values["affect"] = {name: _parse_affect(name, head) for name, head in values.get("affect", {}).items()}
        if not all(isinstance(score, dict) for score in values.get("scores", [])):
            raise ArtifactError("manifest: `scores` is a list of objects, each with data set, split and rows")
        return cls(**values)


_KINDS: dict[str, type] = {
    "format": int, "name": str, "version": str, "created": str, "licence": str, "input": dict, "heads": dict,
    "default_head": str, "reading": dict, "sha256": str, "parameters": int, "scores": list, "training": dict,
    "data": dict, "notes": str, "affect": dict,
}  # fmt: skip
_REQUIRED = {"format", "name", "version", "created", "licence", "input", "heads", "default_head", "sha256"}
_WORDS = {int: "a whole number", float: "a number", str: "text", dict: "an object", list: "a list"}


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no JSON number")


def _check_format(raw: object) -> None:
    if not isinstance(raw, dict):
        raise ArtifactError("manifest: expected a JSON object; this is no manifest of Mien")
    found = _typed(raw, "format", int)
    if found > FORMAT:
        raise ArtifactError(
            f"manifest: format {found}, this version reads {FORMAT}: made by a newer Mien, "
            "upgrade with pip install -U mien"
        )
    if found < 1:
        raise ArtifactError(f"manifest: format {found}, expected {FORMAT}")


def _check_keys(raw: Mapping[str, Any], kind: type, where: str) -> None:
    known = {f.name for f in fields(kind)}
    if unknown := sorted(set(raw) - known):
        raise ArtifactError(f"{where}: unknown key {unknown[0]!r}, expected only {', '.join(sorted(known))}")


def _typed(raw: Mapping[str, Any], key: str, kind: type, where: str = "manifest") -> Any:
    if key not in raw:
        raise ArtifactError(f"{where}: the key {key!r} is missing, expected {_WORDS[kind]}")
    value: Any = raw[key]
    accepted: tuple[type, ...] = (int, float) if kind is float else (kind,)
    # True is an int in Python.
    fits = isinstance(value, accepted) and not isinstance(value, bool)
    if not fits:
        raise ArtifactError(f"{where}: {key!r} is {_WORDS[kind]}, not {type(value).__name__}")
    if kind is not float:
        return value
    try:
        return float(value)
    # A whole number in JSON may be larger than any float.
    except OverflowError as error:
        raise ArtifactError(f"{where}: {key!r} is beyond any number") from error


def _parse_input(raw: dict[str, Any]) -> InputSpec:
    _check_keys(raw, InputSpec, "manifest: input")
    sizes = {key: _typed(raw, key, int, "manifest: input") for key in ("height", "width", "channels")}
    return InputSpec(**sizes, crop_scale=_typed(raw, "crop_scale", float, "manifest: input"))


def _parse_reading(raw: dict[str, Any]) -> Reading:
    _check_keys(raw, Reading, "manifest: reading")
    return Reading(_typed(raw, "balance", float, "manifest: reading") if raw else 0.0)


def _parse_affect(name: str, raw: object) -> AffectHead:
    where = f"manifest: affect {name!r}"
    if not isinstance(raw, dict):
        raise ArtifactError(f"{where} is an object with sd, not {type(raw).__name__}")
    _check_keys(raw, AffectHead, where)
    return AffectHead(_numbers(raw, "sd", where))


def _plain_head(head: Head) -> dict[str, Any]:
    """Flat, and without what is as it is by default but for the temperature."""
    given = asdict(head.calibration)
    given["prior"] = head.prior
    return {"labels": head.labels, "temperature": given.pop("temperature"), **{k: v for k, v in given.items() if v}}


def _parse_head(name: str, raw: object) -> Head:
    where = f"manifest: head {name!r}"
    if not isinstance(raw, dict):
        raise ArtifactError(f"{where} is an object with labels and temperature, not {type(raw).__name__}")
    known = ("labels", *(f.name for f in fields(Calibration)), "prior")
    if unknown := sorted(set(raw) - set(known)):
        raise ArtifactError(f"{where}: unknown key {unknown[0]!r}, expected only {', '.join(known)}")
    curvature = _typed(raw, "curvature", float, where) if "curvature" in raw else 0.0
    scale, bias, prior = (_numbers(raw, key, where) for key in ("scale", "bias", "prior"))
    labels = _typed(raw, "labels", list, where)
    return Head(tuple(labels), Calibration(_typed(raw, "temperature", float, where), curvature, scale, bias), prior)


def _numbers(raw: Mapping[str, Any], key: str, where: str) -> tuple[float, ...]:
    """A list of numbers; empty if missing."""
    values = _typed(raw, key, list, where) if key in raw else []
    return tuple(_typed({key: value}, key, float, f"{where}: {key}") for value in values)


def _check_words(manifest: Manifest) -> None:
    for key in ("name", "version"):
        if not _NAME.fullmatch(getattr(manifest, key)):
            raise ArtifactError(
                f"manifest: {key} is {getattr(manifest, key)!r}, expected letters, digits, dots, dashes"
            )
    try:
        date.fromisoformat(manifest.created)
    except ValueError as error:
        raise ArtifactError(f"manifest: created is {manifest.created!r}, expected YYYY-MM-DD") from error
    if manifest.parameters < 0:
        raise ArtifactError(f"manifest: parameters is {manifest.parameters}, expected 0 or more")


def _check_input(spec: InputSpec) -> None:
    for side in ("height", "width"):
        if not 1 <= getattr(spec, side) <= _LARGEST_SIDE_PX:
            raise ArtifactError(
                f"manifest: input {side} is {getattr(spec, side)}, expected 1–{_LARGEST_SIDE_PX} pixels"
            )
    if spec.channels not in (1, 3):
        raise ArtifactError(f"manifest: input channels is {spec.channels}, expected 1 (grey) or 3 (RGB)")
    if not 0.1 <= spec.crop_scale <= 10:
        raise ArtifactError(f"manifest: input crop_scale is {spec.crop_scale}, expected 0.1–10 box heights")


def _check_head(name: str, head: Head) -> None:
    if unknown := [label for label in head.labels if label not in EIGHT]:
        raise ArtifactError(
            f"manifest: head {name!r} has the unknown label {unknown[0]!r}, expected words of {', '.join(EIGHT)}"
        )
    if len(head.labels) < 2 or len(set(head.labels)) < len(head.labels):
        raise ArtifactError(f"manifest: head {name!r} needs two or more labels, each once, not {head.labels}")
    _check_calibration(f"manifest: head {name!r}", head.calibration, len(head.labels))
    if head.prior:
        _check_prior(f"manifest: head {name!r}", head.prior, len(head.labels))


def _check_affect(name: str, head: AffectHead) -> None:
    if name not in AFFECT_HEADS:
        raise ArtifactError(f"manifest: affect has the unknown output {name!r}, expected {', '.join(AFFECT_HEADS)}")
    if len(head.sd) != len(AFFECT_HEADS[name]) or not all(math.isfinite(sd) and sd >= 0 for sd in head.sd):
        raise ArtifactError(
            f"manifest: affect {name!r} has the sd {list(head.sd)}, expected a number from 0 for each of "
            f"{', '.join(AFFECT_HEADS[name])}"
        )


def _check_reading(reading: Reading, head: Head) -> None:
    if not 0 <= reading.balance <= 1:
        raise ArtifactError(f"manifest: reading has balance {reading.balance}, expected a number from 0 to 1")
    if reading.balance and not head.prior:
        raise ArtifactError(
            f"manifest: reading has balance {reading.balance:g}, but the default head has no prior: give it one, or 0"
        )


def _check_prior(where: str, prior: tuple[float, ...], classes: int) -> None:
    if len(prior) != classes:
        raise ArtifactError(f"{where} has a prior of {len(prior)} numbers, expected {classes}, one a label")
    if not all(value > 0 for value in prior) or not abs(sum(prior) - 1) < 1e-3:
        raise ArtifactError(f"{where} has the prior {list(prior)}, expected numbers above 0 whose sum is 1")


def _check_calibration(where: str, found: Calibration, classes: int) -> None:
    if not (math.isfinite(found.temperature) and found.temperature > 0):
        raise ArtifactError(f"{where} has temperature {found.temperature}, expected a number above 0")
    if not (math.isfinite(found.curvature) and found.curvature >= 0):
        raise ArtifactError(f"{where} has curvature {found.curvature}, expected 0 or more")
    for key in ("scale", "bias"):
        values = getattr(found, key)
        if values and len(values) != classes:
            raise ArtifactError(f"{where} has a {key} of {len(values)} numbers, expected {classes}, one a label")
        if not all(math.isfinite(value) and (key == "bias" or value > 0) for value in values):
            expected = "finite numbers" if key == "bias" else "numbers above 0"
            raise ArtifactError(f"{where} has the {key} {list(values)}, expected {expected}")
