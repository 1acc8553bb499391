"""What a training on clips minimises, and what it measures on whole clips."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from mien.arrays import Float32, Float64, Int64
from mien.workshop.data.base import NO_LABEL
from mien.workshop.temporal.batches import Batch
from mien.workshop.temporal.clip_config import HeadsConfig

SMALLEST = 1e-7


def total_loss(outputs: Mapping[str, Tensor], batch: Batch, heads: HeadsConfig, *, smoothing: float = 0.0) -> Tensor:
    """The weighted sum of the losses that the batch has answers for.

    A label a frame and a label a clip are cross-entropies, the second of the mean probability over the clip's steps;
    valence and arousal are 1 − CCC over all steps of the batch.
    """
    # A sum over nothing still has to lead back to the weights.
    loss = sum(output.sum() for output in outputs.values()) * 0.0
    logits = outputs.get("expression")
    if logits is not None and heads.frame and (batch.labels != NO_LABEL).any():
        given = functional.cross_entropy(
            logits.flatten(0, 1), batch.labels.flatten(), ignore_index=NO_LABEL, label_smoothing=smoothing
        )
        loss = loss + heads.frame * given
    if logits is not None and heads.clip and (batch.label != NO_LABEL).any():
        shares = clip_probabilities(logits.softmax(-1), batch.lengths)
        known = batch.label != NO_LABEL
        target = functional.one_hot(batch.label[known], shares.shape[1]).float()
        target = (1 - smoothing) * target + smoothing / shares.shape[1]
        loss = loss - heads.clip * (target * shares[known].clamp(min=SMALLEST).log()).sum(1).mean()
    if heads.valence_arousal:
        given = outputs["valence_arousal"]
        for column in (0, 1):
            known = torch.isfinite(batch.values[..., column])
            if known.sum() > 1:
                loss = loss + heads.valence_arousal * (
                    1 - concordance(given[..., column][known], batch.values[..., column][known])
                )
    assert isinstance(loss, Tensor)
    return loss


def clip_probabilities(probabilities: Tensor, lengths: Tensor) -> Tensor:
    """Mean over the steps of each clip: (N, T, K) to (N, K)."""
    there = torch.arange(probabilities.shape[1], device=lengths.device) < lengths[:, None]
    return (probabilities * there[:, :, None]).sum(1) / lengths[:, None]


def concordance(predicted: Tensor, true: Tensor) -> Tensor:
    """Lin's concordance correlation coefficient (1989) of two rows of numbers."""
    covariance = ((predicted - predicted.mean()) * (true - true.mean())).mean()
    spread = predicted.var(unbiased=False) + true.var(unbiased=False) + (predicted.mean() - true.mean()) ** 2
    return 2 * covariance / spread.clamp(min=SMALLEST)


def label_changes(labels: Int64) -> int:
    """How often a label differs from the one before it.

    >>> label_changes(np.array([6, 6, 3, 3, 6]))
    2
    """
    return int((labels[1:] != labels[:-1]).sum())


def measure(probabilities: Sequence[Float32], values: Sequence[Float32], truth: Sequence[Batch]) -> dict[str, float]:
    """Figures of whole clips; what nothing is known of is missing.

    Args:
        probabilities: of each clip's steps, (T, K), K 0 without labels.
        values: valence and arousal, (T, 2), or (T, 0).
        truth: of each clip.

    Returns:
        `frame`, `clip` (accuracies), `valence_arousal` (mean CCC of both), and `score`, their mean.
    """
    found: dict[str, float] = {}
    labels = np.concatenate([one.labels.numpy().ravel() for one in truth])
    known = labels != NO_LABEL
    if known.any() and probabilities[0].shape[1]:
        told = np.concatenate([rows.argmax(axis=1) for rows in probabilities])
        found["frame"] = float((told == labels)[known].mean())
    clips = np.array([int(one.label[0]) for one in truth])
    if (clips != NO_LABEL).any() and probabilities[0].shape[1]:
        told = np.array([rows.mean(axis=0).argmax() for rows in probabilities])
        found["clip"] = float((told == clips)[clips != NO_LABEL].mean())
    concordances = []
    for column in (0, 1) if values[0].shape[1] else ():
        true: Float64 = np.concatenate([one.values[0, :, column].numpy() for one in truth]).astype(np.float64)
        rows = np.isfinite(true)
        if rows.sum() > 1:
            given = torch.from_numpy(np.concatenate([part[:, column] for part in values]).astype(np.float64)[rows])
            concordances.append(float(concordance(given, torch.from_numpy(true[rows]))))
    if concordances:
        found["valence_arousal"] = float(np.mean(concordances))
    return found | {"score": float(np.mean(list(found.values()))) if found else 0.0}
