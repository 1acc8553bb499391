"""Score a model on face crops, on corrupted copies of them, and on photos in which the faces are found first."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from mien.arrays import Float32, Float64, Int64, UInt8
from mien.artifact.input import InputSpec, prepare
from mien.errors import ArtifactError, DataError, MienError, SourceError
from mien.faces.detection import Detector, crop_faces
from mien.images.pictures import decode
from mien.labels import HEADS, SEVEN, project
from mien.structures import Detections
from mien.workshop.data.base import SPLITS, FaceDataset, Origin
from mien.workshop.data.image_folder import LabelledPhotos
from mien.workshop.evaluation import calibration, metrics
from mien.workshop.evaluation.agreement import Agreement, agreement
from mien.workshop.evaluation.corruptions import Corruption, corruptions
from mien.workshop.evaluation.metrics import Interval, bootstrap_interval, wilson_interval
from mien.workshop.evaluation.scores import (
    CorruptedScores,
    Evaluation,
    ModelIdentity,
    PhotoEvaluation,
    PhotoFaces,
    PhotoScores,
    Robustness,
    SetScores,
    main_sets,
    score,
)
from mien.workshop.evaluation.sets import LabelledSet, labelled_sets
from mien.workshop.evaluation.value_scores import ValueModel, score_values
from mien.workshop.progress import OnProgress, no_progress

Predict = Callable[[UInt8, str], Float32]
"""Takes crops uint8 (N, H, W) or (N, H, W, 3) and the name of a head, gives probabilities float32 (N, K)."""

SUM_TOLERANCE = 1e-3
ANNOTATORS = 10
"""How many people FER+ asked about each face."""


def evaluate(
    predict: Predict,
    dataset: FaceDataset,
    *,
    model: ModelIdentity,
    heads: Mapping[str, Collection[str]] = HEADS,
    without: Collection[str] = (),
    values: ValueModel | None = None,
    batch: int = 256,
    on_progress: OnProgress = no_progress,
) -> Evaluation:
    """Score a model on the validation and test faces of a data set, as `sets.labelled_sets` names them.

    Every needed row passes once through `predict`, in batches, whatever the number of sets that hold it.

    Args:
        predict: the model.
        dataset: the faces.
        model: what the report calls it.
        heads: the model's heads with their classes in the order of its probabilities; those that it lacks,
            and those that Mien has no labels for, are left out.
        without: true classes whose faces are left out, as `sets.labelled_sets` does.
        values: what estimates valence, arousal and intensity, or None.
        batch: rows a call.
        on_progress: called after each batch with the number of rows done and in all.

    Raises:
        DataError: when there is no face to test on.
        ConfigError: when `without` names what is no class.
        ArtifactError: when a head has other classes than `labels.HEADS` says.
        MienError: when what `predict` gives are no probabilities, with head and row.
    """
    known = known_heads(heads)
    measured = score_values(values, dataset, batch=batch) if values else []
    # A data set or a model may have values and nothing else.
    sets, notes = labelled_sets(dataset, known, without=without, required=not measured)
    notes += [f"The model has no head {name}." for name in HEADS if name not in known]
    notes += [f"Head {name} was left out: Mien has no labels for it." for name in heads if name not in HEADS]
    # Sorted by np.unique, so that searchsorted finds each set's rows among the answers.
    rows = np.unique(np.concatenate([np.zeros(0, np.int64), *(found.rows for found in sets)]))
    found = predict_rows(predict, dataset, rows, known, batch=batch, on_progress=on_progress)
    return Evaluation(
        model=model,
        dataset=dataset.name,
        dataset_sha256=dataset.sha256,
        dataset_rows=len(dataset),
        sets=tuple(score(s, answers(s, found[s.head][np.searchsorted(rows, s.rows)])) for s in sets),
        notes=tuple(notes),
        agreement=_agreement(dataset, rows, found["crowd"]) if "crowd" in found else None,
        values=tuple(measured),
    )


def _agreement(dataset: FaceDataset, rows: Int64, crowd: Float64) -> Agreement | None:
    """On the test faces among `rows` with ten votes for emotions."""
    if dataset.votes is None:
        return None
    votes = dataset.votes[rows, : len(HEADS["crowd"])].astype(np.int64)
    # Votes for unknown or no face leave fewer than ten, and `agreement` takes one number of votes alone.
    chosen = (dataset.split[rows] == SPLITS.index("test")) & (votes.sum(axis=1) == ANNOTATORS)
    return agreement(crowd[chosen], votes[chosen]) if chosen.any() else None


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
    rows: Int64,
    heads: Mapping[str, list[int]],
    *,
    batch: int = 256,
    on_progress: OnProgress = no_progress,
) -> dict[str, Float64]:
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
        on_progress(start + len(part), len(rows))
    return found


def _check(answer: Float32, head: str, dataset: FaceDataset, rows: Int64) -> None:
    shape = (len(rows), len(HEADS[head]))
    if answer.shape != shape:
        raise MienError(f"head {head}: expected probabilities {shape} for {shape[0]} faces, got {answer.shape}")
    # Summed in float64: the tolerance is for the model's rounding, not for that of the check.
    total = answer.sum(axis=1, dtype=np.float64)
    # Negated comparisons, so that NaN counts as wrong.
    wrong = ~(np.abs(total - 1) <= SUM_TOLERANCE) | ~(answer >= 0).all(axis=1)
    if wrong.any():
        at = int(wrong.argmax())
        raise MienError(
            f"head {head}, row {rows[at]} ({dataset.ids[rows[at]]}): expected probabilities that sum to 1, "
            f"got {np.round(answer[at], 3).tolist()}, sum {total[at]:.4g}; logits need a softmax first"
        )


def answers(faces: LabelledSet, probabilities: Float64) -> npt.NDArray[np.floating]:
    """A head's probabilities (N, K) in the set's own classes: the crowd head's projected where the set has seven."""
    if faces.classes == HEADS[faces.head]:
        return probabilities
    return project(probabilities.astype(np.float32), HEADS[faces.head], faces.classes)


CORRUPTION_SEED = 0
Z = 1.959964


def with_robustness(
    evaluation: Evaluation,
    predict: Predict,
    dataset: FaceDataset,
    *,
    heads: Mapping[str, Collection[str]] = HEADS,
    crop_scale: float = InputSpec.crop_scale,
    batch: int = 256,
    on_progress: OnProgress = no_progress,
) -> Evaluation:
    """The evaluation with the scores of `measured_sets` under every one of `corruptions.corruptions`.

    Args as `evaluate` takes them; `crop_scale` is that of the model's `InputSpec`, for the boxes of few pixels, and
    `on_progress` counts corruptions.

    Raises:
        MienError: when what `predict` gives are no probabilities.
    """
    sets, kinds = measured_sets(evaluation), corruptions(crop_scale)
    rows = np.unique(np.concatenate([scores.faces.rows for scores in sets]))
    known = {name: order for name, order in known_heads(heads).items() if any(s.faces.head == name for s in sets)}
    # Only the rows that are scored: each corruption makes a copy of them all.
    clean = dataset[rows]
    corrupted: list[list[CorruptedScores]] = [[] for _ in sets]
    for number, kind in enumerate(kinds, start=1):
        faces = replace(clean, images=kind.apply(clean.images, seed=CORRUPTION_SEED))
        found = predict_rows(predict, faces, np.arange(len(rows)), known, batch=batch)
        for scores, into in zip(sets, corrupted, strict=True):
            part = found[scores.faces.head][np.searchsorted(rows, scores.faces.rows)]
            into.append(_score_corrupted(kind, scores, answers(scores.faces, part).astype(np.float64)))
        on_progress(number, len(kinds))
    pairs = zip(sets, corrupted, strict=True)
    return replace(evaluation, robustness=tuple(Robustness(scores, tuple(found)) for scores, found in pairs))


def measured_sets(evaluation: Evaluation) -> list[SetScores]:
    """Each head's main set; of head fer2013 validation and test together where there are both."""
    whole = [scores for scores in evaluation.sets if scores.faces.key.startswith("fer2013-both")]
    return [whole[0] if whole and s.faces.head == "fer2013" else s for s in main_sets(evaluation)]


def _score_corrupted(kind: Corruption, clean: SetScores, probabilities: Float64) -> CorruptedScores:
    faces = clean.faces
    right = probabilities.argmax(axis=1) == faces.truth
    changes = right.astype(np.float64) - (clean.predicted == faces.truth)
    # Each face is its own control: the interval is of its change, not of two accuracies that hardly differ.
    change, error = float(changes.mean()), float(changes.std()) / math.sqrt(len(changes))
    meant = faces.truth if faces.shares is None else faces.shares
    return CorruptedScores(
        corruption=kind,
        accuracy=float(right.mean()),
        accuracy_interval=wilson_interval(int(right.sum()), len(right)),
        change=change,
        change_interval=Interval(change - Z * error, change + Z * error),
        nll=calibration.negative_log_likelihood(probabilities, meant),
        ece=calibration.expected_calibration_error(probabilities, meant),
    )


_MAX_NAMED = 5


def find_faces(
    photos: LabelledPhotos,
    detector: Detector,
    spec: InputSpec,
    *,
    on_progress: OnProgress = no_progress,
) -> PhotoFaces:
    """Detect and crop the largest face of every photo, exactly as `mien analyze` does it.

    Args:
        photos: from `workshop.data.photos.find_photos`.
        detector: finds them; one that takes pictures for crops (`none`) gives each photo whole.
        spec: of the network that will read them.
        on_progress: called after each photo with the number done and in all.

    Raises:
        DataError: photos that cannot be read, by name; or no photo has a face.
    """
    rows: list[int] = []
    found: list[_Found] = []
    wrong: list[str] = []
    digest = hashlib.sha256(detector.name.encode())
    for row, content in enumerate(photos.iter_bytes()):
        try:
            face = _find(content, photos.ids[row], detector, spec)
        except SourceError as error:
            # Gathered: whoever repairs a folder of photos wants all names at once, not one a run.
            wrong.append(str(error))
            continue
        assert isinstance(content, bytes)
        stamp = f"{photos.ids[row]}\n{photos.labels[row]}\n{photos.split[row]}\n"
        # Labels and splits too: the same photos under other labels are other data. File names need not be Unicode.
        digest.update(stamp.encode("utf-8", "surrogateescape") + hashlib.sha256(content).digest())
        if face:
            rows.append(row)
            found.append(face)
        on_progress(row + 1, len(photos))
    if wrong:
        more = f"\nand {len(wrong) - _MAX_NAMED:,} more" if len(wrong) > _MAX_NAMED else ""
        named = "\n".join(wrong[:_MAX_NAMED])
        raise DataError(f"{photos.name}: {len(wrong):,} of {len(photos):,} photos cannot be read:\n{named}{more}")
    if not found:
        raise DataError(
            f"{photos.name}: {detector.name} finds no face in any of the {len(photos):,} photos: try another detector, "
            "or take them as crops if each is a face already"
        )
    return _gather(photos, np.array(rows), found, detector.name, digest.hexdigest())


def with_photos(evaluation: Evaluation, faces: PhotoFaces) -> Evaluation:
    """The evaluation of `faces.dataset` with the scores of all photos, those without a face too.

    They are of the sets in seven classes that are labelled by the data set itself.
    """
    scores = tuple(_score_photos(faces, found) for found in evaluation.sets if found.faces.classes == SEVEN)
    return replace(
        evaluation, notes=(*faces.notes, *evaluation.notes), photos=PhotoEvaluation(faces=faces, scores=scores)
    )


@dataclass(frozen=True)
class _Found:
    crop: UInt8
    detection: Detections
    count: int


def _find(content: bytes | SourceError, name: str, detector: Detector, spec: InputSpec) -> _Found | None:
    """The largest face of a photo as the network takes it, or None."""
    if isinstance(content, SourceError):
        raise content
    image = decode(content, name=name)
    detections = detector.detect(image)
    if not len(detections):
        return None
    sizes = np.prod(detections.boxes[:, 2:] - detections.boxes[:, :2], axis=1)
    largest = detections[[int(sizes.argmax())]]
    crops = crop_faces(image, largest, scale=None if detector.crops_given else spec.crop_scale)
    return _Found(prepare(crops, spec)[0], largest, len(detections))


def _gather(photos: LabelledPhotos, rows: Int64, found: list[_Found], detector: str, sha256: str) -> PhotoFaces:
    crops = np.stack([face.crop for face in found])
    # Back from the network's (N, C, H, W) to pictures, which data sets hold and reports show.
    images = crops[:, 0] if crops.shape[1] == 1 else crops.transpose(0, 2, 3, 1)
    ids = np.array(photos.ids, np.str_)
    missed = np.setdiff1d(np.arange(len(photos)), rows)
    boxes = np.concatenate([face.detection.boxes for face in found])
    count = np.array([face.count for face in found], np.int64)
    how = "each is taken as one face" if detector == "none" else "faces are found first"
    origin = Origin("photos", f"Recognised as labelled photos ({how}).", photos.notes, coding=photos.coding)
    return PhotoFaces(
        dataset=FaceDataset(
            photos.name,
            np.ascontiguousarray(images),
            photos.labels[rows],
            photos.split[rows],
            ids[rows],
            sha256=sha256,
            origin=origin,
        ),
        detector=detector,
        missed=photos.labels[missed],
        missed_split=photos.split[missed],
        missed_ids=ids[missed],
        count=count,
        height_px=boxes[:, 3] - boxes[:, 1],
        score=np.concatenate([face.detection.scores for face in found]),
        landmarks=np.concatenate([face.detection.landmarks for face in found]),
        notes=(*photos.notes, *_notes(len(photos), len(missed), int((count > 1).sum()), detector)),
    )


def _notes(photos: int, missed: int, several: int, detector: str) -> list[str]:
    if detector == "none":
        return [f"Each of the {photos:,} photos is taken whole, as one face."]
    return [
        f"Detector {detector} finds a face in {photos - missed:,} of {photos:,} photos; the scores are of these, and "
        "those with every missed face as an error are given as well.",
        f"{several:,} of them show several faces, of which the largest is read.",
    ]


def _score_photos(faces: PhotoFaces, scores: SetScores) -> PhotoScores:
    """Missed photos go to a class of their own, behind the seven, that is never right."""
    found = scores.faces
    left_out = [SEVEN.index(name) for name in found.without if name in SEVEN]
    asked = np.isin(faces.missed_split, faces.dataset.split[found.rows]) & ~np.isin(faces.missed, left_out)
    missed, nothing = faces.missed[asked], len(SEVEN)
    truth = np.concatenate([found.truth, missed])
    answers = np.concatenate([scores.predicted, np.full(len(missed), nothing)])
    whole = metrics.confusion_matrix(truth, answers, nothing + 1)
    return PhotoScores(
        key=found.key,
        found=scores.rows,
        photos=len(truth),
        accuracy_found=scores.accuracy,
        accuracy_all=float(metrics.accuracy(whole)),
        accuracy_all_interval=bootstrap_interval(whole, metrics.accuracy),
        mean_recall_found=scores.balanced_accuracy,
        mean_recall_all=float(metrics.balanced_accuracy(whole)),
        recall_all=metrics.recall(whole)[:nothing],
    )
