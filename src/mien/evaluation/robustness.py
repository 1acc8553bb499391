"""What a model's accuracy becomes when the same faces are seen badly, in one way at a time."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, replace

import numpy as np

from mien.datasets.base import FaceDataset
from mien.evaluation import calibration
from mien.evaluation.corruptions import Corruption, corruptions
from mien.evaluation.evaluate import Evaluation, Predict, SetScores, answers, known_heads, predict_rows
from mien.evaluation.intervals import Interval, wilson_interval
from mien.evaluation.metrics import Float64
from mien.evaluation.page.material import main_sets
from mien.labels import HEADS
from mien.preprocessing import InputSpec

SEED = 0
Z = 1.959964


@dataclass(frozen=True)
class SpoiltScores:
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
    """A head's scores under every corruption, beside those of the untouched faces."""

    clean: SetScores
    spoilt: tuple[SpoiltScores, ...]

    @property
    def worst(self) -> SpoiltScores:
        """The corruption that costs most."""
        return min(self.spoilt, key=lambda row: row.accuracy)


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
