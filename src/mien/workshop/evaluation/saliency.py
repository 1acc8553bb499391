"""Where a model looks: what happens to its answer when a part of the face is covered, and how to show it."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from mien.arrays import Float32, Float64, Int64, UInt8
from mien.errors import ConfigError, DataError
from mien.images.pictures import to_rgb
from mien.workshop.evaluation.evaluate import Predict
from mien.workshop.progress import OnProgress, no_progress

BATCH = 256

COLOURS = np.array(
    [
        (0, 34, 78), (0, 52, 110), (53, 69, 108), (79, 87, 108), (102, 105, 112), (125, 124, 120),
        (148, 142, 119), (174, 163, 113), (200, 184, 102), (229, 207, 82), (254, 232, 56),
    ],
    np.float64,
)  # fmt: skip
"""Cividis in eleven steps, dark blue to yellow: as even in lightness for colour-blind eyes (Nuñez et al. 2018)."""

STRONGEST = 0.75
"""How much of the colour covers the face where the map is 1."""


def occlusion_maps(
    predict: Predict,
    crops: UInt8,
    head: str,
    targets: Int64,
    *,
    patch: int | None = None,
    stride: int | None = None,
    on_progress: OnProgress = no_progress,
) -> Float32:
    """How much the probability of a class falls when a square around a pixel is covered (Zeiler and Fergus 2014).

    A square of the crop's own mean grey or colour is moved over each crop; a pixel's value is the mean fall over all
    squares that cover it, the nearer their centre the heavier. Below 0 they hid what spoke against the class.

    Args:
        predict: any model, as `evaluate` takes it.
        crops: uint8 (N, H, W) or (N, H, W, 3).
        head: the head that answers.
        targets: the column of the head's probabilities that is watched for each crop, (N,).
        patch: side of the square in pixels; a quarter of the crop's shorter side by default.
        stride: steps of the square in pixels; half of the patch by default.
        on_progress: called after each batch with the number of squares done and in all.

    Returns:
        float32 (N, H, W), a difference of probabilities, -1 to 1.

    Raises:
        ConfigError: a patch or stride that does not fit the crops.
        DataError: targets that do not fit the crops or the head.
    """
    columns = _checked(crops, targets)
    height, width = crops.shape[1:3]
    side = max(1, min(height, width) // 4) if patch is None else patch
    step = max(1, side // 2) if stride is None else stride
    if not 1 <= side <= min(height, width) or not 1 <= step <= side:
        raise ConfigError(
            f"patch {side} and stride {step}: a patch has 1 to {min(height, width)} pixels, the shorter side of the "
            "crops, and a stride 1 to the patch's, or pixels are left out"
        )
    places = [(top, left) for top in _starts(height, side, step) for left in _starts(width, side, step)]
    maps = np.zeros((len(crops), height, width), np.float64)
    # Above 0 at its rim as well: a corner that one square alone covers must not be divided by 0.
    tent = 1 - np.abs(np.arange(side) - (side - 1) / 2) / ((side + 1) / 2)
    weights = np.outer(tent, tent)
    covered = np.zeros((height, width))
    for top, left in places:
        covered[top : top + side, left : left + side] += weights
    # A batch of faces under one square, not a face under many: the copies stay as small as the batch.
    for start in range(0, len(crops), BATCH):
        rows = slice(start, start + BATCH)
        before = watched(predict, crops[rows], head, columns[rows])
        grey = crops[rows].mean(axis=(1, 2), keepdims=True).round().astype(np.uint8)
        for done, (top, left) in enumerate(places, start=1):
            hidden = crops[rows].copy()
            hidden[:, top : top + side, left : left + side] = grey
            fall = before - watched(predict, hidden, head, columns[rows])
            maps[rows, top : top + side, left : left + side] += fall[:, None, None] * weights
            on_progress(start * len(places) + done * len(before), len(crops) * len(places))
    return (maps / covered).astype(np.float32)


def normalize_maps(maps: npt.ArrayLike) -> Float32:
    """Maps (N, H, W) scaled to 0–1: what speaks against the class is 0, each map's highest value 1.

    A map without anything above 0 stays 0.

    >>> normalize_maps([[[-1.0, 0.0], [1.0, 2.0]]])
    array([[[0. , 0. ],
            [0.5, 1. ]]], dtype=float32)
    """
    # Each map by its own highest value: maps show where, their heights cannot be compared between faces.
    positive = np.maximum(np.asarray(maps, np.float64), 0)
    highest = positive.max(axis=(1, 2), keepdims=True, initial=0)
    scaled = np.divide(positive, highest, out=np.zeros_like(positive), where=highest > 0)
    return np.asarray(scaled, np.float32)


def overlay(crops: UInt8, maps: Float32) -> UInt8:
    """The faces in grey under their maps in colour, RGB uint8 (N, H, W, 3).

    Args:
        crops: uint8 (N, H, W) or (N, H, W, 3).
        maps: (N, H, W) in 0–1, as `normalize_maps` gives them; the higher, the more colour and the brighter.
    """
    if maps.shape != crops.shape[:3]:
        raise DataError(f"crops {crops.shape} take maps {crops.shape[:3]}, but {maps.shape} came")
    if not len(crops):
        return np.zeros((0, *crops.shape[1:3], 3), np.uint8)
    values = np.clip(maps, 0, 1).astype(np.float64)
    steps = np.linspace(0, 1, len(COLOURS))
    colours = np.stack([np.interp(values, steps, COLOURS[:, channel]) for channel in range(3)], axis=-1)
    faces = np.stack([to_rgb(crop) for crop in crops]).mean(axis=-1, keepdims=True)
    share = STRONGEST * values[..., None]
    return np.asarray(((1 - share) * faces + share * colours).round(), np.uint8)


def _starts(length: int, side: int, step: int) -> list[int]:
    """Where squares begin so that they reach both ends."""
    # The last square may overlap more than the others, or the far edge would stay uncovered.
    return sorted({*range(0, length - side + 1, step), length - side})


def watched(predict: Predict, crops: UInt8, head: str, columns: Int64) -> Float64:
    """The probability of each crop's own column, (N,).

    Raises:
        DataError: the head has no such column.
    """
    answer = np.asarray(predict(crops, head), np.float64)
    if len(columns) and columns.max() >= answer.shape[1]:
        raise DataError(f"head {head} has {answer.shape[1]} classes, but a target is {columns.max()}")
    return np.asarray(answer[np.arange(len(crops)), columns])


def _checked(crops: UInt8, targets: Int64) -> Int64:
    columns = np.asarray(targets)
    if crops.dtype != np.uint8 or crops.ndim not in (3, 4) or crops.shape[3:] not in ((), (3,)):
        raise DataError(f"crops are uint8 (N, H, W) or (N, H, W, 3), not {crops.dtype} {crops.shape}")
    if columns.shape != crops.shape[:1] or (len(columns) and columns.dtype.kind not in "iu"):
        raise DataError(
            f"{len(crops)} crops take as many whole numbers as targets, not {columns.dtype} {columns.shape}"
        )
    if len(columns) and columns.min() < 0:
        raise DataError(f"targets are columns from 0, but {columns.min()} came")
    return columns.astype(np.int64)
