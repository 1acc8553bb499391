"""The nearest other pictures of each picture, by a model's embedding."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from mien.workshop.curation.findings import Advance, Int64

Float32 = npt.NDArray[np.float32]

NEIGHBOURS = 10
_BLOCK, _RUN = 512, 32


def directions(vectors: Float32) -> Float32:
    """Vectors (N, D) from their mean, of unit length, so that their products are cosines; float32."""
    centred = vectors - vectors.mean(axis=0) if len(vectors) else vectors
    length = np.linalg.norm(centred, axis=1, keepdims=True)
    return np.asarray(centred / np.maximum(length, np.finfo(np.float32).tiny), np.float32)


def nearest(vectors: Float32, *, count: int = NEIGHBOURS, advance: Advance | None = None) -> tuple[Int64, Float32]:
    """For each picture the others in the most similar direction, nearest first.

    Args:
        vectors: float32 (N, D).
        count: how many to name.

    Returns:
        Positions int64 (N, count), -1 where there are too few, and cosines float32 (N, count).
    """
    units = directions(vectors)
    wanted = min(count, max(len(units) - 1, 0))
    found = np.full((len(units), count), -1, np.int64)
    cosines = np.full((len(units), count), -1, np.float32)
    for start in range(0, len(units) if wanted else 0, _BLOCK):
        block = units[start : start + _BLOCK] @ units.T
        block[np.arange(len(block)), np.arange(start, start + len(block))] = -2
        best = _largest(block, wanted)
        values = np.take_along_axis(block, best, axis=1)
        order = np.argsort(-values, axis=1, kind="stable")
        found[start : start + _BLOCK, :wanted] = np.take_along_axis(best, order, axis=1)
        cosines[start : start + _BLOCK, :wanted] = np.take_along_axis(values, order, axis=1)
        if advance:
            advance(start + len(block), len(units))
    return found, cosines


def _largest(block: Float32, count: int) -> Int64:
    """Columns of the `count` largest values of each row, in any order.

    They stand in the runs of columns whose greatest values are the largest, so that only those are sorted out.
    """
    runs = -(-block.shape[1] // _RUN)
    padded = np.full((len(block), runs * _RUN), -3, np.float32)
    padded[:, : block.shape[1]] = block
    peaks = padded.reshape(len(block), runs, _RUN).max(axis=2)
    few = min(count, runs)
    best_runs = np.argpartition(peaks, runs - few, axis=1)[:, runs - few :]
    columns = (best_runs[:, :, None] * _RUN + np.arange(_RUN)).reshape(len(block), -1)
    values = np.take_along_axis(padded, columns, axis=1)
    best = np.argpartition(values, values.shape[1] - count, axis=1)[:, values.shape[1] - count :]
    return np.asarray(np.take_along_axis(columns, best, axis=1), np.int64)
