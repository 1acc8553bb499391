"""The faces of all sources in one container while a data set is built, and the book of those that were left out."""

from __future__ import annotations

from dataclasses import dataclass, field, fields, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from mien.workshop.data.base import FaceDataset

FREE = -1
"""The split of a row that has none yet."""

REASONS = {
    "unreadable": "the file or frame cannot be read",
    "no face": "the detector found no face",
    "several faces": "more than one face was found, and the recipe refuses such pictures",
    "label": "the recipe drops this label",
    "no majority": "no label has more than half of the votes",
    "unclear": "most annotators could not tell the expression",
    "not a face": "most annotators saw no face",
    "flat": "the picture is one colour all over",
    "drop list": "a list of rows to drop names it",
    "duplicate": "the same face is kept in another row",
    "conflict": "pictures of the same face have different labels",
    "leak": "the same face, person or clip stands on a side that is tested on",
    "not trained on": "its source is kept out of training",
    "balance": "its class or source has more training rows than the recipe allows",
}
"""Why a row can be left out, in the order of the steps."""


@dataclass(frozen=True)
class Rows:
    """Faces of every source, a row each.

    Args:
        images: uint8 (N, H, W) or (N, H, W, 3).
        labels: int64 (N,), index into `labels.SEVEN`, or -1.
        split: int8 (N,), index into `base.SPLITS`, or `FREE`.
        ids: str (N,), unique within a source.
        sources: str (N,).
        persons: str (N,), empty where nobody knows.
        clips: str (N,), the video that a frame is from, or empty.
        votes: uint8 (N, 10), all 0 where there are none.
        boxes: float32 (N, 4), xyxy pixels of the original picture, NaN for what was a crop already.
        groups: int64 (N,), the same number for pictures of the same face.
    """

    images: npt.NDArray[np.uint8]
    labels: npt.NDArray[np.int64]
    split: npt.NDArray[np.int8]
    ids: npt.NDArray[np.str_]
    sources: npt.NDArray[np.str_]
    persons: npt.NDArray[np.str_]
    clips: npt.NDArray[np.str_]
    votes: npt.NDArray[np.uint8]
    boxes: npt.NDArray[np.float32]
    groups: npt.NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, picked: Any) -> Rows:
        """The rows that a mask or index array picks."""
        return replace(self, **{part.name: getattr(self, part.name)[picked] for part in fields(self)})

    @classmethod
    def joined(cls, parts: list[Rows]) -> Rows:
        """The rows of all parts, one after the other."""
        return cls(**{one.name: np.concatenate([getattr(part, one.name) for part in parts]) for one in fields(cls)})

    def dataset(self, name: str, sha256: str = "") -> FaceDataset:
        """As evaluation and training take it."""
        votes = self.votes if self.votes.any() else None
        return FaceDataset(
            name, self.images, self.labels, self.split, self.ids, votes=votes, sha256=sha256, sources=self.sources
        )


@dataclass(frozen=True)
class Loss:
    """A row that was left out: its source and id, one of `REASONS`, and what is to be said of it."""

    source: str
    id: str
    reason: str
    detail: str = ""


@dataclass
class Ledger:
    """What each source gave, and which of it was left out."""

    given: dict[str, int] = field(default_factory=dict)
    losses: list[Loss] = field(default_factory=list)

    def without(self, rows: Rows, lost: npt.NDArray[np.bool_], reason: str, details: Any = None) -> Rows:
        """The rows that stay; those of the mask are written down.

        Args:
            rows: all rows.
            lost: bool (N,), which of them go.
            reason: one of `REASONS`.
            details: a sentence for each row, or None.
        """
        assert reason in REASONS
        for row in np.flatnonzero(lost):
            detail = "" if details is None else str(details[row])
            self.losses.append(Loss(str(rows.sources[row]), str(rows.ids[row]), reason, detail))
        return rows[~lost] if lost.any() else rows

    def counts(self) -> dict[str, dict[str, int]]:
        """Rows left out by source and reason, in the order of `REASONS`."""
        table: dict[str, dict[str, int]] = {source: {} for source in self.given}
        for reason in REASONS:
            for loss in self.losses:
                if loss.reason == reason:
                    row = table.setdefault(loss.source, {})
                    row[reason] = row.get(reason, 0) + 1
        return table
