"""Valence, arousal and intensity of a model, measured on the rows of a data set that have them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from mien.arrays import Float32, UInt8
from mien.labels import AFFECT
from mien.reading.affect import COLUMNS
from mien.workshop.data.base import SPLITS, FaceDataset
from mien.workshop.evaluation.affect_metrics import METRICS, Figure, measure_values, share_calibration_error
from mien.workshop.evaluation.metrics import Interval

FEWEST_ROWS = 2
"""One row has no correlation."""

PredictValues = Callable[[UInt8], Float32]
"""Takes crops uint8 (N, H, W) or (N, H, W, 3), gives values (N, 6) in the order of `reading.affect.COLUMNS`."""


@dataclass(frozen=True)
class ValueModel:
    """What gives the values, and the output heads that they are from."""

    predict: PredictValues
    source: str


@dataclass(frozen=True)
class ValueScores:
    """How well one value is estimated on one split.

    Args:
        name: one of `labels.AFFECT`.
        split: one of `base.SPLITS`, or `protocol` for the rows of the data set's own, where those are no split.
        source: the model's output heads.
        rows: that know it.
        figures: each of `affect_metrics.METRICS` with its 95 % bootstrap interval over rows.
        ece: of intensity, the calibration error of a share; None for the others.
        within_sd: share of the rows within the standard deviation that the model gives.
    """

    name: str
    split: str
    source: str
    rows: int
    figures: Mapping[str, Figure]
    ece: float | None
    within_sd: float

    @property
    def key(self) -> str:
        """Short name for JSON, `valence-test`."""
        return f"{self.name}-{self.split}"

    def to_dict(self) -> dict[str, Any]:
        """Plain numbers and strings."""
        figures = {name: {"value": f.value, "interval": list(f.interval)} for name, f in self.figures.items()}
        return {
            "name": self.name, "split": self.split, "source": self.source, "rows": self.rows, **figures,
            "ece": self.ece, "within_sd": self.within_sd,
        }  # fmt: skip

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> ValueScores:
        """From what `to_dict` gave."""
        figures = {name: Figure(values[name]["value"], Interval(*values[name]["interval"])) for name in METRICS}
        return cls(
            values["name"], values["split"], values["source"], values["rows"], figures, values["ece"],
            values["within_sd"],
        )  # fmt: skip


def score_values(model: ValueModel, dataset: FaceDataset, *, batch: int = 256) -> list[ValueScores]:
    """The scores on validation and test, a value and a split each; none for a data set without such columns."""
    if dataset.affect is None:
        return []
    found = []
    known = ~np.isnan(dataset.affect).all(axis=1)
    parts = {split: known & (dataset.split == SPLITS.index(split)) for split in SPLITS[1:]}
    if dataset.measured is not None:
        own = known & dataset.measured
        if not any(np.array_equal(own, part) for part in parts.values()):
            parts["protocol"] = own
    for split, asked in parts.items():
        rows = np.flatnonzero(asked)
        if not len(rows):
            continue
        starts = range(0, len(rows), batch)
        told = np.concatenate([model.predict(dataset.images[rows[start : start + batch]]) for start in starts])
        for place, name in enumerate(AFFECT):
            truth, values, sd = (
                dataset.affect[rows, place], told[:, place], told[:, COLUMNS.index(f"{name}_sd")],
            )  # fmt: skip
            # A model may not tell all three, and a row may not know all three.
            both = ~np.isnan(truth) & ~np.isnan(values)
            if both.sum() < FEWEST_ROWS:
                continue
            ece = share_calibration_error(values[both], truth[both]) if name == "intensity" else None
            within = float(np.mean(np.abs(values[both] - truth[both]) <= sd[both]))
            figures = measure_values(values[both], truth[both])
            found.append(ValueScores(name, split, model.source, int(both.sum()), figures, ece, within))
    return found


def value_entry(scores: ValueScores) -> dict[str, Any]:
    """The figures of a value as a manifest holds them."""
    entry: dict[str, Any] = {
        "head": scores.source, "value": scores.name, "set": scores.split, "rows": scores.rows,
    }  # fmt: skip
    for name, figure in scores.figures.items():
        entry[name] = round(figure.value, 5)
        entry[f"{name}_95"] = [round(figure.interval.low, 5), round(figure.interval.high, 5)]
    return entry
