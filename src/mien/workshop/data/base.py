"""The in-memory container that every data set is read into."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from mien.errors import DataError
from mien.labels import SEVEN, VOTE_COLUMNS

SPLITS = ("train", "validation", "test")
"""FER2013's Training, PublicTest and PrivateTest."""

NO_LABEL = -1


@dataclass(frozen=True)
class FaceDataset:
    """Face pictures with what people said of them, a row each.

    Args:
        name: what it is called in reports.
        images: uint8 (N, H, W) grey or (N, H, W, 3) RGB; FER2013's are (N, 48, 48).
        labels: int64 (N,), index into `labels.SEVEN`, or -1 where there is none.
        split: int8 (N,), index into `SPLITS`.
        ids: str (N,), which row or file a picture comes from.
        votes: uint8 (N, 10) in the order of `labels.VOTE_COLUMNS`, or None; a row of zeros has none.
        sha256: hash of the files that it was read from.
        sources: str (N,), which of several sources a picture comes from, or None for a data set of one.
        whole: fingerprint of the data set of which these are all rows that a training looks at, empty for one that is
            whole itself; a training on either is the same.

    Raises:
        DataError: when the parts do not fit one another.
    """

    name: str
    images: npt.NDArray[np.uint8]
    labels: npt.NDArray[np.int64]
    split: npt.NDArray[np.int8]
    ids: npt.NDArray[np.str_]
    votes: npt.NDArray[np.uint8] | None = None
    sha256: str = ""
    sources: npt.NDArray[np.str_] | None = None
    whole: str = ""

    def __post_init__(self) -> None:
        n = len(self.images)
        if self.images.dtype != np.uint8 or self.images.ndim not in (3, 4):
            raise DataError(
                f"{self.name}: images are uint8 (N, H, W) or (N, H, W, 3), not {self.images.dtype} {self.images.shape}"
            )
        for part in ("labels", "split", "ids"):
            if getattr(self, part).shape != (n,):
                raise DataError(f"{self.name}: {n} images but {part} of shape {getattr(self, part).shape}")
        if self.votes is not None and self.votes.shape != (n, len(VOTE_COLUMNS)):
            raise DataError(f"{self.name}: {n} images but votes of shape {self.votes.shape}, expected ({n}, 10)")
        if self.sources is not None and self.sources.shape != (n,):
            raise DataError(f"{self.name}: {n} images but sources of shape {self.sources.shape}")
        if n and not (self.labels.min() >= NO_LABEL and self.labels.max() < len(SEVEN)):
            raise DataError(f"{self.name}: labels lie in -1–6, but {self.labels.min()}–{self.labels.max()} came")

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, rows: Any) -> FaceDataset:
        """The rows that a mask, slice or index array picks."""
        optional = {"votes": self.votes, "sources": self.sources}
        picked: dict[str, Any] = {name: None if part is None else part[rows] for name, part in optional.items()}
        return replace(
            self, images=self.images[rows], labels=self.labels[rows], split=self.split[rows],
            ids=self.ids[rows], whole="", **picked,
        )  # fmt: skip

    def part(self, *names: str) -> FaceDataset:
        """The rows of one or several splits, in their order: `part("validation", "test")`."""
        return self[np.isin(self.split, [SPLITS.index(name) for name in names])]
