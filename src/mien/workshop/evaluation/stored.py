"""Evaluations as JSON, and kept with their probabilities so that they can be scored again without the data."""

from __future__ import annotations

import hashlib
import io
import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from mien.arrays import Float32, UInt8
from mien.errors import ArtifactError
from mien.files import read_npz, write_whole
from mien.workshop.evaluation.agreement import Agreement
from mien.workshop.evaluation.conditions import ByCondition
from mien.workshop.evaluation.evaluate import CORRUPTION_SEED, Predict, answers
from mien.workshop.evaluation.scores import (
    INTERVAL_RULE,
    SELECTION_RULE,
    Confusion,
    CorruptedScores,
    Evaluation,
    ModelIdentity,
    PhotoEvaluation,
    Robustness,
    SetScores,
    confusions,
    main_sets,
    score,
)
from mien.workshop.evaluation.sets import LabelledSet
from mien.workshop.evaluation.value_scores import ValueScores

SCORES, PROBABILITIES = "scores.json", "probabilities.npz"
FORMAT = 1
COVERAGES = (1.0, 0.95, 0.9, 0.8, 0.7, 0.5)
NO_CONDITIONS: Mapping[str, Sequence[ByCondition]] = {}


class Recorder:
    """A `Predict` that records its answers by head, in the order of the calls."""

    def __init__(self, predict: Predict) -> None:
        self.predict = predict
        self.parts: dict[str, list[Float32]] = {}

    def __call__(self, crops: UInt8, head: str) -> Float32:
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
    rows = np.unique(np.concatenate([np.zeros(0, np.int64), *(scores.faces.rows for scores in evaluation.sets)]))
    arrays: dict[str, npt.NDArray[Any]] = {"rows": rows}
    arrays |= {f"probabilities-{head}": values for head, values in probabilities.items()}
    for scores in evaluation.sets:
        faces = scores.faces
        arrays |= {f"rows-{faces.key}": faces.rows, f"truth-{faces.key}": faces.truth}
        if faces.shares is not None:
            arrays[f"shares-{faces.key}"] = faces.shares
    # Packed in memory, because the scores must hold the hash of what is written.
    packed = io.BytesIO()
    np.savez_compressed(packed, allow_pickle=False, **arrays)
    content = packed.getvalue()
    values = to_dict(evaluation) | {"facts": dict(facts), "probabilities": hashlib.sha256(content).hexdigest()}
    # The scores last: after a kill in between, their hash tells that the probabilities are of another run.
    write_whole(folder / PROBABILITIES, content)
    write_whole(folder / SCORES, (json.dumps(values, indent=1, allow_nan=False) + "\n").encode())


def load_evaluation(folder: Path) -> tuple[Evaluation, dict[str, Any]]:
    """The evaluation that `save_evaluation` kept, scored again from its probabilities, and the facts.

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
        # From the bytes that were hashed: the file may be replaced meanwhile.
        arrays = read_npz(io.BytesIO(content))
        sets = [_scored(key, entry, arrays) for key, entry in values["sets"].items()]
        evaluation = Evaluation(
            model=ModelIdentity(**values["model"]),
            dataset=values["data"]["name"],
            dataset_sha256=values["data"]["sha256"],
            dataset_rows=values["data"]["rows"],
            sets=tuple(sets),
            notes=tuple(values["notes"]),
            date=values["date"],
            # Evaluations from before there were any have none.
            values=tuple(ValueScores.from_dict(entry) for entry in values.get("values", {}).values()),
        )
        return evaluation, dict(values["facts"])
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise ArtifactError(f"{folder}: {SCORES} or {PROBABILITIES} cannot be read: {error}") from error


def _scored(key: str, entry: Mapping[str, Any], arrays: Mapping[str, npt.NDArray[Any]]) -> SetScores:
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


def to_dict(
    evaluation: Evaluation, *, threshold: float = 0.0, conditions: Mapping[str, Sequence[ByCondition]] = NO_CONDITIONS
) -> dict[str, Any]:
    """An evaluation as plain numbers and strings, None where a figure is undefined.

    Args:
        evaluation: the scores.
        threshold: the confidence below which the model is not sure.
        conditions: accuracy by condition of each main set, by the set's key.
    """
    main = main_sets(evaluation)
    return {
        "format": FORMAT,
        "date": evaluation.date,
        "model": vars(evaluation.model),
        "data": {
            "name": evaluation.dataset,
            "sha256": evaluation.dataset_sha256,
            "rows": evaluation.dataset_rows,
        },
        "selection": SELECTION_RULE,
        "intervals": INTERVAL_RULE,
        "notes": list(evaluation.notes),
        "sets": {scores.faces.key: _set_dict(scores) for scores in evaluation.sets},
        "agreement": None if evaluation.agreement is None else _agreement_dict(evaluation.agreement),
        "photos": None if evaluation.photos is None else _photos_dict(evaluation.photos),
        "abstaining": {s.faces.key: _abstaining_dict(s, threshold) for s in main},
        "confusions": {s.faces.key: [_confusion_dict(row) for row in confusions(s)] for s in main},
        "robustness": _robustness_dict(evaluation.robustness),
        "values": {scores.key: scores.to_dict() for scores in evaluation.values},
        "conditions": {s.faces.key: [_condition_dict(row) for row in conditions.get(s.faces.key, ())] for s in main},
    }


def _abstaining_dict(scores: SetScores, threshold: float) -> dict[str, Any]:
    share, accuracy = scores.coverage.answered(threshold)
    return {"threshold": threshold, "answered": share, "accuracy": plain(accuracy)}


def _confusion_dict(row: Confusion) -> dict[str, Any]:
    return {
        "label": row.truth, "called": row.predicted, "faces": row.count, "share_of_class": row.share,
        "share_of_errors": row.errors,
    }  # fmt: skip


def _condition_dict(row: ByCondition) -> dict[str, Any]:
    bins = [
        {"low": b.low, "high": b.high, "rows": b.rows, "accuracy": b.accuracy, "accuracy_interval": list(b.interval)}
        for b in row.bins
    ]
    return {"name": row.condition.name, "unit": row.condition.unit, "bins": bins}


def _agreement_dict(found: Agreement) -> dict[str, Any]:
    return {
        "rows": found.rows,
        "model": {"top1": found.model_top1, "log_likelihood": found.model_log_likelihood},
        "people": {"top1": found.people_top1.tolist(), "log_likelihood": found.people_log_likelihood.tolist()},
        "worth": {
            "top1": found.worth_by_top1,
            "log_likelihood": found.worth_by_log_likelihood,
            "distance": found.worth_by_distance,
        },
        "ceiling": {"top1": found.ceiling_top1, "log_likelihood": found.ceiling_log_likelihood},
        "standard_error": {
            "model_top1": plain(found.model_top1_error),
            "people_top1": [plain(value) for value in found.people_top1_error],
            "lead": [plain(value) for value in found.lead_error],
        },
        "jensen_shannon": {
            "model_to_crowd": found.model_distance,
            "people_to_rest": found.people_distance.tolist(),
            "model_to_rest": found.model_distance_to_rest.tolist(),
        },
        "explained_error": {
            "by_crowd": plain(found.explained_error),
            "by_people": plain(found.explained_error_by_people),
        },
        "errors": {name: plain(value) for name, value in vars(found.errors).items()},
        "by_disagreement": [vars(group) for group in found.by_disagreement],
    }


def _photos_dict(found: PhotoEvaluation) -> dict[str, Any]:
    faces = found.faces
    return {
        "detector": faces.detector,
        "photos": faces.photos,
        "missed": len(faces.missed),
        "several_faces": int((faces.count > 1).sum()),
        "sets": {
            scores.key: {
                "found": scores.found,
                "photos": scores.photos,
                "accuracy_found": scores.accuracy_found,
                "accuracy_all": scores.accuracy_all,
                "accuracy_all_interval": list(scores.accuracy_all_interval),
                "mean_recall_found": scores.mean_recall_found,
                "mean_recall_all": scores.mean_recall_all,
                "recall_all": [plain(value) for value in scores.recall_all],
            }
            for scores in found.scores
        },
    }


def _set_dict(scores: SetScores) -> dict[str, Any]:
    faces = scores.faces
    return {
        "title": faces.title,
        "head": faces.head,
        "labels": faces.labels_from,
        "rows": scores.rows,
        "accuracy": scores.accuracy,
        "accuracy_interval": list(scores.accuracy_interval),
        "macro_f1": scores.macro_f1,
        "macro_f1_interval": list(scores.macro_f1_interval),
        "weighted_f1": scores.weighted_f1,
        "balanced_accuracy": scores.balanced_accuracy,
        "ece": scores.ece,
        "brier": scores.brier,
        "nll": scores.nll,
        "classes": list(faces.classes),
        "per_class": [
            {"class": name, "support": int(n), "precision": plain(p), "recall": plain(r), "f1": plain(f)}
            for name, n, p, r, f in zip(
                faces.classes, scores.support, scores.precision, scores.recall, scores.f1, strict=True
            )
        ],
        "confusion": scores.confusion.tolist(),
        "reliability": {
            "edges": scores.reliability.edges.tolist(),
            "counts": scores.reliability.counts.tolist(),
            "confidence": [plain(value) for value in scores.reliability.confidence],
            "accuracy": [plain(value) for value in scores.reliability.accuracy],
        },
        "accuracy_at_coverage": {f"{share:g}": scores.coverage.at(share) for share in COVERAGES},
    }


def _robustness_dict(found: Sequence[Robustness]) -> dict[str, Any] | None:
    """By the key of the set; None where it was not measured."""
    if not found:
        return None
    return {
        "seed": CORRUPTION_SEED,
        "sets": {
            row.clean.faces.key: {
                "untouched": {"accuracy": row.clean.accuracy, "nll": row.clean.nll, "ece": row.clean.ece},
                # An older word, kept for readers of evaluations that are stored already.
                "spoilt": {part.corruption.key: _corrupted_dict(part) for part in row.corrupted},
            }
            for row in found
        },
    }


def _corrupted_dict(part: CorruptedScores) -> dict[str, Any]:
    return {
        "title": part.corruption.title,
        "how": part.corruption.how,
        "accuracy": part.accuracy,
        "accuracy_interval": list(part.accuracy_interval),
        "change": part.change,
        "change_interval": list(part.change_interval),
        "nll": part.nll,
        "ece": part.ece,
    }


def plain(value: float) -> float | None:
    """A figure as JSON takes it: None for NaN."""
    # JSON has no NaN, and parsers other than Python's refuse it.
    return None if math.isnan(value) else float(value)
