"""An evaluation kept with its probabilities: scored and compared again later, without the data."""

from __future__ import annotations

import hashlib
import io
import json
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from mien.errors import ArtifactError
from mien.files import write_whole
from mien.workshop.evaluation.evaluate import Predict, answers
from mien.workshop.evaluation.scores import Evaluation, ModelIdentity, score
from mien.workshop.evaluation.sets import LabelledSet
from mien.workshop.reports.evaluation.report import to_dict

SCORES, PROBABILITIES = "scores.json", "probabilities.npz"

Float32 = npt.NDArray[np.float32]


class Recorder:
    """A `Predict` that keeps what it answered, head by head, in the order it was asked.

    Args:
        predict: the model.
    """

    def __init__(self, predict: Predict) -> None:
        self.predict = predict
        self.parts: dict[str, list[Float32]] = {}

    def __call__(self, crops: npt.NDArray[np.uint8], head: str) -> Float32:
        """The answer of the model."""
        answer = self.predict(crops, head)
        self.parts.setdefault(head, []).append(answer)
        return answer

    @property
    def answers(self) -> dict[str, Float32]:
        """Probabilities (N, K) of each head."""
        return {head: np.concatenate(parts) for head, parts in self.parts.items()}


def save_evaluation(
    folder: Path, evaluation: Evaluation, probabilities: Mapping[str, Float32], facts: Mapping[str, Any]
) -> None:
    """Write `scores.json` and `probabilities.npz`; without the one the other counts for nothing.

    Args:
        folder: of the run.
        evaluation: the scores.
        probabilities: of each head for all rows of all sets in rising order, as `evaluate` asks for them.
        facts: more that goes into `scores.json` under the key `facts`.
    """
    arrays: dict[str, npt.NDArray[Any]] = {"rows": _rows([scores.faces for scores in evaluation.sets])}
    arrays |= {f"probabilities-{head}": values for head, values in probabilities.items()}
    for scores in evaluation.sets:
        faces = scores.faces
        arrays |= {f"rows-{faces.key}": faces.rows, f"truth-{faces.key}": faces.truth}
        if faces.shares is not None:
            arrays[f"shares-{faces.key}"] = faces.shares
    packed = io.BytesIO()
    np.savez_compressed(packed, allow_pickle=False, **arrays)
    content = packed.getvalue()
    values = to_dict(evaluation) | {"facts": dict(facts), "probabilities": hashlib.sha256(content).hexdigest()}
    write_whole(folder / PROBABILITIES, content)
    write_whole(folder / SCORES, (json.dumps(values, indent=1, allow_nan=False) + "\n").encode())


def load_evaluation(folder: Path) -> tuple[Evaluation, dict[str, Any]]:
    """The evaluation that `save_evaluation` kept, scored anew from its probabilities, and the facts.

    Raises:
        ArtifactError: a file is missing, damaged, or the two do not belong together.
    """
    try:
        values = json.loads((folder / SCORES).read_text(encoding="utf-8"))
        content = (folder / PROBABILITIES).read_bytes()
        if hashlib.sha256(content).hexdigest() != values["probabilities"]:
            raise ArtifactError(
                f"{folder / PROBABILITIES} is not what {SCORES} was made of: remove both, measure again"
            )
        with np.load(io.BytesIO(content), allow_pickle=False) as arrays:
            sets = [_scored(key, entry, arrays) for key, entry in values["sets"].items()]
        evaluation = Evaluation(
            model=ModelIdentity(**values["model"]),
            dataset=values["data"]["name"],
            dataset_sha256=values["data"]["sha256"],
            dataset_rows=values["data"]["rows"],
            sets=tuple(sets),
            notes=tuple(values["notes"]),
            date=values["date"],
        )
        return evaluation, dict(values["facts"])
    except (OSError, ValueError, KeyError, TypeError, AttributeError, zipfile.BadZipFile) as error:
        raise ArtifactError(f"{folder}: {SCORES} or {PROBABILITIES} cannot be read: {error}") from error


def _rows(sets: list[LabelledSet]) -> npt.NDArray[np.int64]:
    return np.unique(np.concatenate([found.rows for found in sets]))


def _scored(key: str, entry: Mapping[str, Any], arrays: Mapping[str, npt.NDArray[Any]]) -> Any:
    faces = LabelledSet(
        key=key,
        title=entry["title"],
        head=entry["head"],
        classes=tuple(entry["classes"]),
        labels_from=entry["labels"],
        rows=arrays[f"rows-{key}"],
        truth=arrays[f"truth-{key}"],
        shares=arrays.get(f"shares-{key}"),
    )
    places = np.searchsorted(arrays["rows"], faces.rows)
    return score(faces, answers(faces, arrays[f"probabilities-{faces.head}"][places]))
