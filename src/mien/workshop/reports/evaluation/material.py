"""What a report may show beside the scores: the faces, how the run went, where the model looked."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt

from mien.errors import ArtifactError
from mien.workshop.data.base import FaceDataset
from mien.workshop.evaluation.diagnosis import History

HISTORY = "history.json"


@dataclass(frozen=True)
class Run:
    """The training that made the model: what it is called, and what each epoch measured."""

    name: str
    history: History


@dataclass(frozen=True)
class Saliency:
    """What some faces of a set owe their label to.

    Args:
        key: of the set.
        method: how the maps were made, in words.
        places: positions in the set, int64 (M,).
        maps: float32 (M, H, W), the higher the more the label rests on that place.
    """

    key: str
    method: str
    places: npt.NDArray[np.int64]
    maps: npt.NDArray[np.float32]


@dataclass(frozen=True)
class Material:
    """All of it may be absent; the report says so then.

    Args:
        dataset: the faces that were scored, for conditions and galleries.
        faces: show pictures of people.
        conditions: further properties of the data set's pictures by name, (len(dataset),) each, NaN where not known.
        run: the training.
        saliency: maps of some faces of one set or several.
        threshold: the confidence under which the model abstains.
        facts: more about the model, (what, value) each.
    """

    dataset: FaceDataset | None = None
    faces: bool = True
    conditions: Mapping[str, npt.NDArray[np.float64]] = field(default_factory=dict)
    run: Run | None = None
    saliency: Sequence[Saliency] = ()
    threshold: float = 0.0
    facts: Sequence[tuple[str, str]] = ()


NOTHING = Material()
"""Scores alone."""


def load_run(folder: Path) -> Run:
    """The history of a training's folder.

    Raises:
        ArtifactError: there is none, or it cannot be read.
    """
    path = folder / HISTORY
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
        rows = [{name: float(value) for name, value in row.items()} for row in values["history"]]
        name = str(values.get("identity", {}).get("config", {}).get("name", "")) or folder.resolve().name
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise ArtifactError(f"{folder} holds no training with a readable {HISTORY}: {error}") from error
    if not rows or any({"loss", "train_loss", "score"} - row.keys() for row in rows):
        raise ArtifactError(f"{path}: expected epochs with loss, train_loss and score")
    return Run(name, rows)
