"""Which rows are trained on, and which other rows stand among them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import numpy.typing as npt

from mien.errors import ConfigError
from mien.workshop.data.base import SPLITS, FaceDataset

TRAIN, VALIDATION = SPLITS.index("train"), SPLITS.index("validation")


def picture_groups(dataset: FaceDataset) -> npt.NDArray[np.int64]:
    """The first row with the very same pixels, for each row; int64 (N,)."""
    first: dict[bytes, int] = {}
    groups = [first.setdefault(image.tobytes(), row) for row, image in enumerate(dataset.images)]
    return np.array(groups, np.int64)


def leaked(dataset: FaceDataset) -> npt.NDArray[np.bool_]:
    """Rows outside train whose pixels are identical to those of a row in it; a mask (N,).

    FER2013 has 280 of them in PublicTest and 288 in PrivateTest.
    """
    groups = picture_groups(dataset)
    trained = dataset.split == TRAIN
    return np.asarray(~trained & np.isin(groups, groups[trained]))


def repeated(dataset: FaceDataset) -> npt.NDArray[np.bool_]:
    """Rows whose pixels are identical to those of an earlier row; a mask (N,). FER2013 has 1,853."""
    return np.asarray(picture_groups(dataset) < np.arange(len(dataset)), np.bool_)


def flat(dataset: FaceDataset) -> npt.NDArray[np.bool_]:
    """Rows whose picture is one colour all over; a mask (N,). FER2013 has 12."""
    same = dataset.images == dataset.images[:, :1, :1]
    return np.asarray(same.all(axis=tuple(range(1, same.ndim))))


HELD_OUT = 0.1
"""The share of the train rows that trainings validate with where a data set has no validation split."""


def hold_out(dataset: FaceDataset, share: float, seed: int) -> FaceDataset:
    """Move a share of each class from train to validation, where a data set has no validation split.

    Identical pictures stay together, so none of them is trained on and validated with.

    Args:
        dataset: any; one that has a validation split comes back as it is.
        share: of the train rows, between 0 and 1.
        seed: the same one picks the same rows.

    Raises:
        ConfigError: for another share.
    """
    if not 0 < share < 1:
        raise ConfigError(f"the share to hold out lies between 0 and 1, not {share}")
    if (dataset.split == VALIDATION).any():
        return dataset
    groups = picture_groups(dataset)
    trained = np.flatnonzero(dataset.split == TRAIN)
    firsts = np.unique(groups[trained], return_index=True)[1]
    candidates = trained[firsts]
    generator = np.random.default_rng(seed)
    chosen: list[npt.NDArray[np.int64]] = []
    for label in np.unique(dataset.labels[candidates]):
        rows = generator.permutation(candidates[dataset.labels[candidates] == label])
        chosen.append(rows[: round(share * len(rows))])
    moved = np.isin(groups, groups[np.concatenate(chosen)]) if chosen else np.zeros(len(dataset), bool)
    split = np.where(moved & (dataset.split == TRAIN), VALIDATION, dataset.split)
    return replace(dataset, split=split.astype(np.int8))
