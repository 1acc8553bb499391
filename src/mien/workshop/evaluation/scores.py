"""What an evaluation measured: one record for faces, photos and corrupted faces alike."""

from __future__ import annotations

import datetime
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from mien.arrays import Bool, Float32, Float64, Int8, Int64, Str
from mien.workshop.data.base import FaceDataset
from mien.workshop.evaluation import calibration, metrics
from mien.workshop.evaluation.agreement import Agreement
from mien.workshop.evaluation.conditions import pose
from mien.workshop.evaluation.corruptions import Corruption
from mien.workshop.evaluation.metrics import Interval, bootstrap_interval
from mien.workshop.evaluation.sets import LabelledSet
from mien.workshop.evaluation.value_scores import ValueScores

SELECTION_RULE = (
    "Mien's trainings choose the checkpoint and calibrate on validation (PublicTest) alone; "
    "test (PrivateTest) decides nothing."
)
INTERVAL_RULE = "Intervals are 95 % percentile bootstrap intervals over the faces (2,000 resamples, seed 0)."

TOP = 5
LEAST = 3
"""Faces that a confusion needs to be ranked by its share."""


@dataclass(frozen=True)
class ModelIdentity:
    """Which model was tested: name, version, the sha256 of its graph, and the data set that it was trained on."""

    name: str
    version: str = ""
    sha256: str = ""
    trained_on: str = ""


@dataclass(frozen=True)
class SetScores:
    """The scores on one set of faces, the class predicted for each, int64 (N,), and its probability, float64 (N,).

    Other arrays have an entry a class, NaN where a figure is not defined.
    """

    faces: LabelledSet
    predicted: Int64
    confidence: Float64
    confusion: Int64
    accuracy: float
    accuracy_interval: Interval
    macro_f1: float
    macro_f1_interval: Interval
    weighted_f1: float
    balanced_accuracy: float
    precision: Float64
    recall: Float64
    f1: Float64
    support: Float64
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
        robustness: scores on corrupted pictures, an entry a head; empty where they were not measured; see
            `robustness.with_robustness`.
        values: valence, arousal and intensity, where the data set has them.
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
    values: tuple[ValueScores, ...] = ()


def score(faces: LabelledSet, probabilities: npt.ArrayLike) -> SetScores:
    """The scores of probabilities (N, K) for the N faces of a set, in the order of its classes."""
    found = np.asarray(probabilities, np.float64)
    # Calibration is against the votes' shares if there are any: a majority hides how far people disagree.
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


def main_sets(evaluation: Evaluation) -> list[SetScores]:
    """One set a head: the test faces, else those of validation, else what there is; the users' head first."""
    best: dict[str, SetScores] = {}
    for scores in evaluation.sets:
        head = scores.faces.head
        if head not in best or _rank(scores) < _rank(best[head]):
            best[head] = scores
    # False sorts first, and sorting is stable: crowd, then the others as they came.
    return sorted(best.values(), key=lambda scores: scores.faces.head != "crowd")


def unseen(evaluation: Evaluation, scores: SetScores) -> SetScores | None:
    """The same set without the faces that are also in train, or None."""
    return next((other for other in evaluation.sets if other.faces.key == f"{scores.faces.key}-unseen"), None)


def _rank(scores: SetScores) -> int:
    head = scores.faces.head
    order = [
        f"{head}-protocol",
        "crowd-on-labels-protocol",
        f"{head}-test",
        f"{head}-validation",
        "crowd-votes-test",
        "crowd-votes-validation",
    ]
    return order.index(scores.faces.key) if scores.faces.key in order else len(order)


@dataclass(frozen=True)
class PhotoFaces:
    """One face of every photo in which there is one, the largest, and which photos have none.

    Args:
        dataset: the faces as the network takes them, a row each; all figures below but the missed are in its order.
        detector: its name.
        missed: int64 (M,), labels of the photos without a face, index into `labels.SEVEN`.
        missed_split: int8 (M,), their splits.
        missed_ids: str (M,), which they are.
        count: int64 (N,), how many faces the photo has.
        height_px: float32 (N,), height of the face's box in pixels of the photo.
        score: float32 (N,), the detector's.
        landmarks: float32 (N, 5, 2) in the photo, NaN where the detector gives none.
        notes: sentences for the report.
    """

    dataset: FaceDataset
    detector: str
    missed: Int64
    missed_split: Int8
    missed_ids: Str
    count: Int64
    height_px: Float32
    score: Float32
    landmarks: Float32
    notes: tuple[str, ...] = ()

    @property
    def photos(self) -> int:
        """How many photos there are, with a face or without."""
        return len(self.dataset) + len(self.missed)

    @property
    def conditions(self) -> dict[str, Float64]:
        """Size of each face, and turn and tilt of the head if landmarks are known, (N,) each, by name.

        The names are those of `conditions.CONDITIONS`.
        """
        return {"size": self.height_px.astype(np.float64), **pose(self.landmarks)}


@dataclass(frozen=True)
class PhotoScores:
    """A set's scores two ways: among the found faces as in its `SetScores`, and with every missed face as an error.

    Args:
        key: of the set.
        found, photos: faces that were found, and photos.
        accuracy_found, accuracy_all: share of right answers.
        accuracy_all_interval: 95 % bootstrap interval of the latter.
        mean_recall_found, mean_recall_all: plain mean of the recalls over the classes that have photos.
        recall_all: recall of each class, NaN without a photo of it.
    """

    key: str
    found: int
    photos: int
    accuracy_found: float
    accuracy_all: float
    accuracy_all_interval: Interval
    mean_recall_found: float
    mean_recall_all: float
    recall_all: Float64


@dataclass(frozen=True)
class PhotoEvaluation:
    """What an evaluation of photos has besides its sets: the faces, and the scores with those that were missed."""

    faces: PhotoFaces
    scores: tuple[PhotoScores, ...]


@dataclass(frozen=True)
class CorruptedScores:
    """The scores of a set's faces under one corruption.

    Args:
        corruption: what was done to them.
        accuracy: share of right answers.
        accuracy_interval: 95 %, Wilson's.
        change: accuracy less that of the untouched faces.
        change_interval: 95 %, of the difference on the same faces.
        nll: negative log-likelihood, nats.
        ece: expected calibration error of the top label.
    """

    corruption: Corruption
    accuracy: float
    accuracy_interval: Interval
    change: float
    change_interval: Interval
    nll: float
    ece: float


@dataclass(frozen=True)
class Robustness:
    """A head's scores under every corruption, and the scores of the untouched faces."""

    clean: SetScores
    corrupted: tuple[CorruptedScores, ...]

    @property
    def worst(self) -> CorruptedScores:
        """The corruption that costs most."""
        return min(self.corrupted, key=lambda row: row.accuracy)


@dataclass(frozen=True)
class Confusion:
    """Faces of one class that were called another.

    Args:
        truth, predicted: names of the two classes.
        count: faces.
        share: of all faces of the true class, 0–1.
        errors: share of all errors of the set, 0–1.
        rows: positions in the set, int64 (count,), the most confident first.
    """

    truth: str
    predicted: str
    count: int
    share: float
    errors: float
    rows: Int64

    @property
    def name(self) -> str:
        """`fear as surprise`."""
        return f"{self.truth} as {self.predicted}"


def confusions(scores: SetScores) -> list[Confusion]:
    """All confusions that occur, the most frequent first."""
    classes, counts = scores.faces.classes, scores.confusion
    wrong = int(counts.sum() - np.trace(counts))
    found = [
        Confusion(
            truth=classes[i],
            predicted=classes[j],
            count=int(counts[i, j]),
            share=float(counts[i, j] / scores.support[i]),
            errors=float(counts[i, j] / wrong),
            rows=_rows(scores, (scores.faces.truth == i) & (scores.predicted == j)),
        )
        for i, j in np.argwhere(counts)
        if i != j
    ]
    return sorted(found, key=lambda row: (-row.count, row.name))


def top_by_share(found: list[Confusion]) -> list[Confusion]:
    """Those of at least `LEAST` faces, the largest share of the true class first."""
    # A class with two faces has a confusion of 50 % with a single error.
    return sorted((row for row in found if row.count >= LEAST), key=lambda row: (-row.share, row.name))


def confident_errors(scores: SetScores, count: int = 24) -> Int64:
    """Positions in the set of the errors with the highest confidence, int64 (at most `count`,)."""
    return _rows(scores, scores.predicted != scores.faces.truth)[:count]


def examples(scores: SetScores, a_class: int = 2, *, seed: int = 0) -> tuple[Int64, Int64]:
    """Faces of every class by chance, right ones and wrong ones: positions in the set, at most `a_class` of each."""
    generator = np.random.default_rng(seed)
    right = scores.predicted == scores.faces.truth
    picked: list[list[Int64]] = [[], []]
    for label in range(len(scores.faces.classes)):
        for number, kind in enumerate((right, ~right)):
            rows = np.flatnonzero(kind & (scores.faces.truth == label))
            picked[number].append(generator.permutation(rows)[:a_class])
    return np.concatenate(picked[0]), np.concatenate(picked[1])


def _rows(scores: SetScores, mask: Bool) -> Int64:
    """Positions where the mask holds, the most confident first."""
    rows = np.flatnonzero(mask)
    return np.asarray(rows[np.argsort(-scores.confidence[rows], kind="stable")])
