"""What peers.py lets both sides read, and how it marks their answers."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

Measured = dict[str, float]


@dataclass(frozen=True)
class Material:
    """What both sides read: face crops with what people call them, a frame, photos with their truth."""

    frame: np.ndarray
    faces: np.ndarray | None = None
    labels: np.ndarray | None = None
    crowd: np.ndarray | None = None
    photos: dict[str, Path] = field(default_factory=dict)
    truth: dict[str, list[dict[str, Any]]] = field(default_factory=dict)


def load_material(data: Path | None, photos: Path | None, picture: Path, rows: int | None) -> Material:
    """`crowd` is an index into `labels.CROWD`, or -1 for a row that the FER+ set leaves out."""
    from mien.images.pictures import read, resize
    from mien.workshop.data.base import SPLITS
    from mien.workshop.data.factory import load_dataset
    from mien.workshop.data.fer2013 import majority

    parts: dict[str, Any] = {}
    if photos:
        images = json.loads((photos / "truth.json").read_text(encoding="utf-8"))["images"]
        parts["truth"] = {name: entry["faces"] for name, entry in images.items() if "faces" in entry}
        parts["photos"] = {name: photos / name for name in parts["truth"]}
        picture = photos / "obama_1080p.jpg"
    if data:
        dataset = load_dataset(data).part("validation", "test")
        if rows:
            dataset = dataset[np.linspace(0, len(dataset) - 1, rows).astype(int)]
        parts |= {"faces": dataset.images, "labels": dataset.labels}
        if dataset.votes is not None:
            parts["crowd"] = np.where(dataset.split == SPLITS.index("test"), majority(dataset.votes), -1)
    return Material(resize(read(picture), 720, 1280), **parts)


def score(answer: dict[str, Any], material: Material) -> Measured:
    """The figures of one side."""
    from mien.labels import CROWD, SEVEN

    found: Measured = {"frame_ms": answer["frame_ms"], "frame_faces": answer["frame_faces"]}
    if material.labels is not None:
        right = answer["fer2013"] == np.array(SEVEN)[material.labels]
        found["labels_accuracy"] = 100 * float(right.mean())
    if material.crowd is not None:
        kept = material.crowd >= 0
        right = answer["crowd"][kept] == np.array(CROWD)[material.crowd[kept]]
        found["crowd_accuracy"] = 100 * float(right.mean())
    return found | (score_photos(answer["photos"], material.truth) if material.truth else {})


def score_photos(answers: dict[str, Any], truth: dict[str, Any]) -> Measured:
    """A hit is a box with its centre in the face that a person marked; each box counts once."""
    found = {"faces_found": 0, "faces_false": 0, "expressions_right": 0}
    for name, faces in truth.items():
        left = list(answers[name])
        for face in faces:
            hit = next((answer for answer in left if centre_in(answer["box"], face["box"])), None)
            if hit is not None:
                left.remove(hit)
                found["faces_found"] += 1
                found["expressions_right"] += hit["top"] == face["expression"]
        found["faces_false"] += len(left)
    return found


def centre_in(box: Sequence[float], face: Sequence[float]) -> bool:
    x, y, width, height = face
    return x <= (box[0] + box[2]) / 2 <= x + width and y <= (box[1] + box[3]) / 2 <= y + height
