"""What a model's accuracy becomes when the same faces are seen badly, in one way at a time."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Mapping
from dataclasses import replace

import numpy as np

from mien.artifact.input import InputSpec
from mien.labels import HEADS
from mien.workshop.data.base import FaceDataset
from mien.workshop.evaluation import calibration
from mien.workshop.evaluation.corruptions import Corruption, corruptions
from mien.workshop.evaluation.evaluate import Predict, answers, known_heads, predict_rows
from mien.workshop.evaluation.intervals import Interval, wilson_interval
from mien.workshop.evaluation.metrics import Float64
from mien.workshop.evaluation.scores import Evaluation, Robustness, SetScores, SpoiltScores, main_sets

SEED = 0
Z = 1.959964


def with_robustness(
    evaluation: Evaluation,
    predict: Predict,
    dataset: FaceDataset,
    *,
    heads: Mapping[str, Collection[str]] = HEADS,
    crop_scale: float = InputSpec.crop_scale,
    batch: int = 256,
    progress: Callable[[int, int], None] | None = None,
) -> Evaluation:
    """The evaluation with the scores of `measured_sets` under every one of `corruptions.corruptions`.

    Args:
        evaluation: of the untouched faces.
        predict: the model, as `evaluate` takes it.
        dataset: the faces that were evaluated.
        heads: as `evaluate` takes them.
        crop_scale: of the model's `InputSpec`, for the boxes of few pixels.
        batch: rows a call.
        progress: told after each corruption how many are done, and of how many.

    Raises:
        MienError: when what `predict` gives are no probabilities.
    """
    sets, kinds = measured_sets(evaluation), corruptions(crop_scale)
    rows = np.unique(np.concatenate([scores.faces.rows for scores in sets]))
    known = {name: order for name, order in known_heads(heads).items() if any(s.faces.head == name for s in sets)}
    clean = dataset[rows]
    spoilt: list[list[SpoiltScores]] = [[] for _ in sets]
    for number, kind in enumerate(kinds, start=1):
        faces = replace(clean, images=kind.apply(clean.images, seed=SEED))
        found = predict_rows(predict, faces, np.arange(len(rows)), known, batch=batch)
        for scores, into in zip(sets, spoilt, strict=True):
            part = found[scores.faces.head][np.searchsorted(rows, scores.faces.rows)]
            into.append(_score(kind, scores, answers(scores.faces, part).astype(np.float64)))
        if progress:
            progress(number, len(kinds))
    pairs = zip(sets, spoilt, strict=True)
    return replace(evaluation, robustness=tuple(Robustness(scores, tuple(found)) for scores, found in pairs))


def measured_sets(evaluation: Evaluation) -> list[SetScores]:
    """Each head's main set; of head fer2013 validation and test together where there are both."""
    whole = [scores for scores in evaluation.sets if scores.faces.key.startswith("fer2013-both")]
    return [whole[0] if whole and s.faces.head == "fer2013" else s for s in main_sets(evaluation)]


def _score(kind: Corruption, clean: SetScores, probabilities: Float64) -> SpoiltScores:
    faces = clean.faces
    right = probabilities.argmax(axis=1) == faces.truth
    changes = right.astype(np.float64) - (clean.predicted == faces.truth)
    change, error = float(changes.mean()), float(changes.std()) / math.sqrt(len(changes))
    meant = faces.truth if faces.shares is None else faces.shares
    return SpoiltScores(
        corruption=kind,
        accuracy=float(right.mean()),
        accuracy_interval=wilson_interval(int(right.sum()), len(right)),
        change=change,
        change_interval=Interval(change - Z * error, change + Z * error),
        nll=calibration.negative_log_likelihood(probabilities, meant),
        ece=calibration.expected_calibration_error(probabilities, meant),
    )
