"""The columns `valence`, `arousal` and `intensity` of a data set: their ranges, and how the cells of a table are read.

Valence and arousal are from -1 to 1, intensity from 0 to 1. A row that lacks one has NaN there, in a table an empty
cell, `nan` or `NA`: whatever number a data set has for "not known" (AffectNet -2, Aff-Wild2 -5), its reader turns it
into NaN. In memory they are one array, `FaceDataset.affect`, float32 (N, 3) in this order.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from mien.arrays import Float32
from mien.errors import DataError
from mien.labels import AFFECT

NO_VALUE = ("", "nan", "na")
"""What a cell may hold, in any case, where nobody knows the value."""


def affect_names(header: Sequence[str]) -> dict[str, int]:
    """Which of the columns a table has, by name and place; their case does not matter.

    >>> affect_names(["image", " Valence", "AROUSAL"])
    {'valence': 1, 'arousal': 2}
    """
    words = [name.strip().lower() for name in header]
    return {name: words.index(name) for name in AFFECT if name in words}


def parse_affect(columns: Mapping[str, Sequence[str]], where: str) -> Float32:
    """The values in the cells of a table, float32 (N, 3), NaN for what it lacks.

    Args:
        columns: cells of one or several of `labels.AFFECT`, by name, of equal number.
        where: the file, for the message.

    Raises:
        DataError: no number, or out of range; the message names row and column.
    """
    rows = max((len(cells) for cells in columns.values()), default=0)
    values = np.full((rows, len(AFFECT)), np.nan, np.float32)
    for place, name in enumerate(AFFECT):
        for row, cell in enumerate(columns.get(name, ())):
            word = cell.strip()
            if word.lower() not in NO_VALUE:
                try:
                    values[row, place] = float(word)
                except ValueError:
                    raise DataError(
                        f"{where}, row {row + 1}: {name} is a number, or nothing, found {word[:20]!r}"
                    ) from None
    check_affect(values, rows, where)
    return values


def check_affect(values: Float32, rows: int, where: str) -> None:
    """Check the values of `rows` faces.

    Raises:
        DataError: of another shape, or a value out of its range; the message names row and column.
    """
    if values.shape != (rows, len(AFFECT)) or values.dtype != np.float32:
        raise DataError(
            f"{where}: {', '.join(AFFECT)} are float32 ({rows}, {len(AFFECT)}), not {values.dtype} {values.shape}"
        )
    for place, (name, (low, high)) in enumerate(AFFECT.items()):
        # A comparison with NaN is false.
        wrong = np.flatnonzero((values[:, place] < low) | (values[:, place] > high))
        if wrong.size:
            raise DataError(
                f"{where}, row {wrong[0] + 1}: {name} is {values[wrong[0], place]:g}, expected {low:g} to {high:g}, "
                "or nothing where it is not known"
            )


def none_if_empty(values: Float32) -> Float32 | None:
    """The values, or None if there is not one among them."""
    return None if np.isnan(values).all() else values
