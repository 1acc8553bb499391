"""Photos the whole way to a score: the faces that a detector finds in them, and those that it misses."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from mien.artifact.input import InputSpec, prepare
from mien.errors import DataError, SourceError
from mien.faces.crops import crop_faces
from mien.faces.detection import Detector
from mien.images.pictures import decode
from mien.labels import SEVEN
from mien.structures import Detections
from mien.workshop.data.base import FaceDataset
from mien.workshop.data.photos import MAX_NAMED, LabelledPhotos
from mien.workshop.evaluation import metrics
from mien.workshop.evaluation.intervals import bootstrap_interval
from mien.workshop.evaluation.scores import Evaluation, PhotoEvaluation, PhotoFaces, PhotoScores, SetScores

Float32 = npt.NDArray[np.float32]


def find_faces(
    photos: LabelledPhotos,
    detector: Detector,
    spec: InputSpec,
    *,
    progress: Callable[[int, int], None] | None = None,
) -> PhotoFaces:
    """Detect and crop the largest face of every photo, exactly as `mien analyze` does it.

    Args:
        photos: from `workshop.data.photos.find_photos`.
        detector: finds them; one that takes pictures for crops (`none`) gives each photo whole.
        spec: of the network that will read them.
        progress: told after each photo how many are done, and of how many.

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
            wrong.append(str(error))
            continue
        assert isinstance(content, bytes)
        stamp = f"{photos.ids[row]}\n{photos.labels[row]}\n{photos.split[row]}\n"
        digest.update(stamp.encode("utf-8", "surrogateescape") + hashlib.sha256(content).digest())
        if face:
            rows.append(row)
            found.append(face)
        if progress:
            progress(row + 1, len(photos))
    if wrong:
        more = f"\nand {len(wrong) - MAX_NAMED:,} more" if len(wrong) > MAX_NAMED else ""
        named = "\n".join(wrong[:MAX_NAMED])
        raise DataError(f"{photos.name}: {len(wrong):,} of {len(photos):,} photos cannot be read:\n{named}{more}")
    if not found:
        raise DataError(
            f"{photos.name}: {detector.name} finds no face in any of the {len(photos):,} photos: try another detector, "
            "or take them as crops if each is a face already"
        )
    return _gather(photos, np.array(rows), found, detector.name, digest.hexdigest())


def with_photos(evaluation: Evaluation, faces: PhotoFaces) -> Evaluation:
    """The evaluation of `faces.dataset`, told that its faces were found in photos, with the scores of all photos.

    They are of the sets in seven classes that are labelled by the data set itself.
    """
    scores = tuple(_score(faces, found) for found in evaluation.sets if found.faces.classes == SEVEN)
    return replace(
        evaluation, notes=(*faces.notes, *evaluation.notes), photos=PhotoEvaluation(faces=faces, scores=scores)
    )


@dataclass(frozen=True)
class _Found:
    crop: npt.NDArray[np.uint8]
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


def _gather(
    photos: LabelledPhotos, rows: npt.NDArray[np.int64], found: list[_Found], detector: str, sha256: str
) -> PhotoFaces:
    crops = np.stack([face.crop for face in found])
    images = crops[:, 0] if crops.shape[1] == 1 else crops.transpose(0, 2, 3, 1)
    ids = np.array(photos.ids, np.str_)
    missed = np.setdiff1d(np.arange(len(photos)), rows)
    boxes = np.concatenate([face.detection.boxes for face in found])
    count = np.array([face.count for face in found], np.int64)
    return PhotoFaces(
        dataset=FaceDataset(
            photos.name, np.ascontiguousarray(images), photos.labels[rows], photos.split[rows], ids[rows], sha256=sha256
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
        "those with every missed face as an error are given beside them.",
        f"{several:,} of them show several faces, of which the largest is read.",
    ]


def _score(faces: PhotoFaces, scores: SetScores) -> PhotoScores:
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
