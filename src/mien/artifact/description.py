"""What a model is, from its manifest, in lines for people."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mien.artifact.manifest import Manifest
from mien.labels import AFFECT_HEADS


def describe_quantization(entry: Mapping[str, Any]) -> list[str]:
    """What a manifest's `data["quantised"]` says, in lines for people."""
    how = [
        str(entry["precision"]),
        *(f"{key} {entry[key]}" for key in ("weights", "values", "float32") if key in entry),
    ]
    lines = [f"quantised   {', '.join(how)}"]
    if "calibrated_on" in entry:
        faces = entry["calibrated_on"]
        lines.append(f"ranges      {entry['method']} of {faces['rows']} faces of {faces['split']}, {faces['name']}")
    lines.append(
        f"agreement   {100 * entry['agreement']:.2f} % of {entry['rows']:,} faces, "
        f"probabilities within {entry['largest_difference']:g}"
    )
    return lines


def describe_manifest(manifest: Manifest, folder: Path, size_bytes: int) -> list[str]:
    """What a model is, in lines for people: heads, input, calibration, scores; `size_bytes` is its graph's."""
    spec = manifest.input
    colours = "grey" if spec.channels == 1 else "RGB"
    lines = [
        f"{manifest.name} {manifest.version}, {manifest.created}, {manifest.licence}",
        f"folder      {folder}",
        f"graph       {_file_size(size_bytes)}, {manifest.parameters:,} parameters",
        f"sha256      {manifest.sha256}, verified",
        f"input       {spec.width} × {spec.height} {colours}, crop {spec.crop_scale:g} × the box's height",
    ]
    for name, head in manifest.heads.items():
        default = " (default)" if name == manifest.default_head else ""
        lines.append(f"head        {name}{default}: {', '.join(head.labels)}")
        lines.append(f"calibrated  {name}: {_calibrated(manifest, name)}")
    for name, values in manifest.affect.items():
        pairs = zip(AFFECT_HEADS[name], values.sd, strict=True)
        lines.append(f"values      {name}: {', '.join(f'{value} ± {sd:.3f}' for value, sd in pairs)}")
    if manifest.reading.balance:
        lines.append(f"shown       {manifest.default_head} at balance {manifest.reading.balance:g}")
    if "quantised" in manifest.data:
        lines += describe_quantization(manifest.data["quantised"])
    lines += [f"score       {_scored(score)}" for score in manifest.scores]
    if manifest.notes:
        lines.append(f"notes       {manifest.notes}")
    return lines


def _calibrated(manifest: Manifest, head: str) -> str:
    """How a head is calibrated, and on which faces as far as the manifest tells."""
    told = str(manifest.heads[head].calibration)
    fitted = manifest.data.get("calibrated")
    # `data` is free JSON, which others may have written: each level may be of any type.
    found = fitted["heads"].get(head) if isinstance(fitted, dict) and isinstance(fitted.get("heads"), dict) else None
    if not isinstance(found, dict) or not {"rows", "against"} <= found.keys():
        return told
    return f"{told}; on {found['rows']:,} held-out faces, against {found['against']}"


def _scored(score: Mapping[str, Any]) -> str:
    """A figure with what it was measured on; what is not as `mien model export` writes it is shown as it is."""
    if {"head", "value", "set", "rows", "ccc", "rmse"} <= score.keys():
        return (
            f"{score['value']:8} CCC {score['ccc']:.3f}  RMSE {score['rmse']:.3f}  {score['rows']:6,} rows  "
            f"{score['set']}, from {score['head']}"
        )
    if not {"head", "set", "labels", "rows", "accuracy", "macro_f1"} <= score.keys():
        return json.dumps(dict(score))
    return (
        f"{score['head']:8} {100 * score['accuracy']:5.1f} %  macro F1 {score['macro_f1']:.3f}  "
        f"{score['rows']:6,} rows  {score['set']}, {score['labels']}"
    )


def _file_size(size_bytes: int) -> str:
    return f"{size_bytes / 1e6:.1f} MB" if size_bytes >= 1e6 else f"{size_bytes / 1e3:.0f} kB"
