"""A model's scores on a data set, from nothing but its probabilities."""

from __future__ import annotations

import datetime
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from mien.datasets.base import SPLITS, FaceDataset
from mien.errors import ArtifactError, MienError
from mien.evaluation import calibration, metrics
from mien.evaluation.agreement import Agreement, agreement
from mien.evaluation.intervals import Interval, bootstrap_interval
from mien.evaluation.sets import LabelledSet, labelled_sets
from mien.labels import HEADS, project

if TYPE_CHECKING:
    from mien.evaluation.photos import PhotoEvaluation
    from mien.evaluation.robustness import Robustness

Predict = Callable[[npt.NDArray[np.uint8], str], npt.NDArray[np.float32]]
"""Takes crops uint8 (N, H, W) or (N, H, W, 3) and the name of a head, gives probabilities float32 (N, K)."""

SUM_TOLERANCE = 1e-3
ANNOTATORS = 10
"""How many people FER+ asked about each face."""


@dataclass(frozen=True)
class ModelIdentity:
    """Which model was tested: name, version, and the sha256 of its graph."""

    name: str
    version: str = ""
    sha256: str = ""


@dataclass(frozen=True)
class SetScores:
    """The scores on one set of faces, the class predicted for each, int64 (N,), and its probability, float64 (N,).

    Other arrays have an entry a class, NaN where a figure is not defined.
    """

    faces: LabelledSet
    predicted: metrics.Int64
    confidence: metrics.Float64
    confusion: metrics.Int64
    accuracy: float
    accuracy_interval: Interval
    macro_f1: float
    macro_f1_interval: Interval
    weighted_f1: float
    balanced_accuracy: float
    precision: metrics.Float64
    recall: metrics.Float64
    f1: metrics.Float64
    support: metrics.Float64
    ece: float
    brier: float
    nll: float
    reliability: calibration.Reliability
    coverage: calibration.Coverage

    @property
    def rows(self) -> int:
        """Number of faces."""
        return len(self.faces.rows)

    @property
    def absent(self) -> tuple[str, ...]:
        """Classes without a face in this set."""
        return tuple(name for name, n in zip(self.faces.classes, self.support, strict=True) if n == 0)


@dataclass(frozen=True)
class Evaluation:
    """A model's scores on every set of a data set.

    Args:
        model: which model.
        dataset: the data set's name.
        dataset_sha256: hash of the files that it was read from.
        dataset_rows: all its rows, those of train too.
        sets: the scores, a set each.
        notes: what was left out, and why.
        agreement: of the crowd head with the annotators of the test faces that have ten votes for emotions, or None.
        date: ISO date.
        photos: the photos in which the faces were found, or None for a data set of crops; see `photos.with_photos`.
        robustness: scores on spoilt pictures, an entry a head; empty where they were not measured; see
            `robustness.with_robustness`.
    """

    model: ModelIdentity
    dataset: str
    dataset_sha256: str
    dataset_rows: int
    sets: tuple[SetScores, ...]
    notes: tuple[str, ...] = ()
    agreement: Agreement | None = None
    date: str = field(default_factory=lambda: datetime.datetime.now(datetime.UTC).date().isoformat())
    photos: PhotoEvaluation | None = None
    robustness: tuple[Robustness, ...] = ()


def evaluate(
    predict: Predict,
    dataset: FaceDataset,
    *,
    model: ModelIdentity,
    heads: Mapping[str, Collection[str]] = HEADS,
    without: Collection[str] = (),
    batch: int = 256,
    progress: Callable[[int, int], None] | None = None,
) -> Evaluation:
    """Score a model on the validation and test faces of a data set, as `sets.labelled_sets` names them.

    Every needed row passes once through `predict`, in batches, whatever the number of sets that it stands in.

    Args:
        predict: the model.
        dataset: the faces.
        model: what the report calls it.
        heads: the model's heads with their classes in the order of its probabilities; those that it lacks,
            and those that Mien has no labels for, are left out.
        without: true classes whose faces are left out, as `sets.labelled_sets` does.
        batch: rows a call.
        progress: told after each batch how many rows are done, and of how many.

    Raises:
        DataError: when there is no face to test on.
        ConfigError: when `without` names what is no class.
        ArtifactError: when a head has other classes than `labels.HEADS` says.
        MienError: when what `predict` gives are no probabilities, with head and row.
    """
    known = known_heads(heads)
    sets, notes = labelled_sets(dataset, known, without=without)
    notes += [f"The model has no head {name}." for name in HEADS if name not in known]
    notes += [f"Head {name} is none that Mien has labels for: left out." for name in heads if name not in HEADS]
    rows = np.unique(np.concatenate([found.rows for found in sets]))
    found = predict_rows(predict, dataset, rows, known, batch=batch, progress=progress)
    return Evaluation(
        model=model,
        dataset=dataset.name,
        dataset_sha256=dataset.sha256,
        dataset_rows=len(dataset),
        sets=tuple(score(s, answers(s, found[s.head][np.searchsorted(rows, s.rows)])) for s in sets),
        notes=tuple(notes),
        agreement=_agreement(dataset, rows, found["crowd"]) if "crowd" in found else None,
    )


def _agreement(dataset: FaceDataset, rows: npt.NDArray[np.int64], crowd: metrics.Float64) -> Agreement | None:
    """On the test faces among `rows` with ten votes for emotions."""
    if dataset.votes is None:
        return None
    votes = dataset.votes[rows, : len(HEADS["crowd"])].astype(np.int64)
    chosen = (dataset.split[rows] == SPLITS.index("test")) & (votes.sum(axis=1) == ANNOTATORS)
    return agreement(crowd[chosen], votes[chosen]) if chosen.any() else None


def score(faces: LabelledSet, probabilities: npt.ArrayLike) -> SetScores:
    """The scores of probabilities (N, K) for the N faces of a set, in the order of its classes."""
    found = np.asarray(probabilities, np.float64)
    meant = faces.truth if faces.shares is None else faces.shares
    predicted = found.argmax(axis=1)
    confusion = metrics.confusion_matrix(faces.truth, predicted, len(faces.classes))
    return SetScores(
        faces=faces,
        predicted=predicted,
        confidence=found.max(axis=1),
        confusion=confusion,
        accuracy=float(metrics.accuracy(confusion)),
        accuracy_interval=bootstrap_interval(confusion, metrics.accuracy),
        macro_f1=float(metrics.macro_f1(confusion)),
        macro_f1_interval=bootstrap_interval(confusion, metrics.macro_f1),
        weighted_f1=float(metrics.weighted_f1(confusion)),
        balanced_accuracy=float(metrics.balanced_accuracy(confusion)),
        precision=metrics.precision(confusion),
        recall=metrics.recall(confusion),
        f1=metrics.f1(confusion),
        support=metrics.support(confusion),
        ece=calibration.expected_calibration_error(found, meant),
        brier=calibration.brier_score(found, meant),
        nll=calibration.negative_log_likelihood(found, meant),
        reliability=calibration.reliability(found, meant),
        coverage=calibration.accuracy_against_coverage(found, faces.truth),
    )


def known_heads(heads: Mapping[str, Collection[str]]) -> dict[str, list[int]]:
    """The heads that Mien has labels for, with the columns of the model's probabilities in the order of `labels.HEADS`.

    Raises:
        ArtifactError: when a head has other classes than `labels.HEADS` says.
    """
    return {name: _order(name, tuple(classes)) for name, classes in heads.items() if name in HEADS}


def _order(head: str, classes: tuple[str, ...]) -> list[int]:
    if sorted(classes) != sorted(HEADS[head]):
        raise ArtifactError(
            f"head {head} has the classes {', '.join(classes)}; its labels are {', '.join(HEADS[head])}: "
            "expected the same, in any order"
        )
    return [classes.index(name) for name in HEADS[head]]


def predict_rows(
    predict: Predict,
    dataset: FaceDataset,
    rows: npt.NDArray[np.int64],
    heads: Mapping[str, list[int]],
    *,
    batch: int = 256,
    progress: Callable[[int, int], None] | None = None,
) -> dict[str, metrics.Float64]:
    """Probabilities (N, K) of some rows by each of `known_heads`, in the order of `labels.HEADS`.

    Raises:
        MienError: when what `predict` gives are no probabilities, with head and row.
    """
    found = {head: np.empty((len(rows), len(order))) for head, order in heads.items()}
    for start in range(0, len(rows), batch):
        part = rows[start : start + batch]
        crops = dataset.images[part]
        for head, order in heads.items():
            answer = np.asarray(predict(crops, head))
            _check(answer, head, dataset, part)
            found[head][start : start + len(part)] = answer[:, order]
        if progress:
            progress(start + len(part), len(rows))
    return found


def _check(answer: npt.NDArray[np.float32], head: str, dataset: FaceDataset, rows: npt.NDArray[np.int64]) -> None:
    shape = (len(rows), len(HEADS[head]))
    if answer.shape != shape:
        raise MienError(f"head {head}: expected probabilities {shape} for {shape[0]} faces, got {answer.shape}")
    total = answer.sum(axis=1, dtype=np.float64)
    wrong = ~(np.abs(total - 1) <= SUM_TOLERANCE) | ~(answer >= 0).all(axis=1)
    if wrong.any():
        at = int(wrong.argmax())
        raise MienError(
            f"head {head}, row {rows[at]} ({dataset.ids[rows[at]]}): expected probabilities that sum to 1, "
            f"got {np.round(answer[at], 3).tolist()}, sum {total[at]:.4g}; logits need a softmax first"
        )


def answers(faces: LabelledSet, probabilities: metrics.Float64) -> npt.NDArray[np.floating]:
    """A head's probabilities (N, K) in the set's own classes: the crowd head's projected where the set has seven."""
    if faces.classes == HEADS[faces.head]:
        return probabilities
    return project(probabilities.astype(np.float32), HEADS[faces.head], faces.classes)
