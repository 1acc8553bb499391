"""A model's scores on a data set, from nothing but its probabilities."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping

import numpy as np
import numpy.typing as npt

from mien.errors import ArtifactError, MienError
from mien.labels import HEADS, project
from mien.workshop.data.base import SPLITS, FaceDataset
from mien.workshop.evaluation import metrics
from mien.workshop.evaluation.agreement import Agreement, agreement
from mien.workshop.evaluation.scores import Evaluation, ModelIdentity, score
from mien.workshop.evaluation.sets import LabelledSet, labelled_sets

Predict = Callable[[npt.NDArray[np.uint8], str], npt.NDArray[np.float32]]
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
