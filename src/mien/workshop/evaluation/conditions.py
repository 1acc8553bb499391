"""Whether a model errs more in the dark, on blurred, small or turned faces: accuracy by the pictures' conditions."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from mien.arrays import Bool, Float32, Float64, UInt8
from mien.errors import DataError
from mien.faces.detection import Detector
from mien.images.pictures import resize, to_rgb
from mien.workshop.evaluation.metrics import Interval, wilson_interval

BINS = 5
MINIMUM = 20
"""Rows below which nothing is divided into bins."""

_CHUNK = 512
# Rec. 601, as OpenCV and Pillow convert to grey.
_RGB_WEIGHTS = np.array([0.299, 0.587, 0.114], np.float32)


@dataclass(frozen=True)
class Condition:
    """A property of a picture: its name, its unit, and what its ends look like."""

    name: str
    title: str
    unit: str
    low: str
    high: str


CONDITIONS = (
    Condition("brightness", "Brightness", "mean grey level, 0–255", "dark", "bright"),
    Condition("contrast", "Contrast", "standard deviation of the grey levels", "flat", "strong"),
    Condition("sharpness", "Sharpness", "variance of the Laplacian", "blurred", "sharp"),
    Condition("side_light", "Side light", "difference of the halves' mean grey levels", "even", "one-sided"),
    Condition("size", "Face size", "height of the face in the picture, px", "small", "large"),
    Condition("yaw", "Turn of the head", "nose off the middle of the eyes, in eye distances", "frontal", "turned"),
    Condition("roll", "Tilt of the head", "degrees off the level line of the eyes", "level", "tilted"),
)
"""Those that a report can name; the first four come from the pixels alone."""


@dataclass(frozen=True)
class ConditionBin:
    """Faces between two values of a condition, both included: how many there are, and how many are right."""

    low: float
    high: float
    rows: int
    accuracy: float
    interval: Interval


@dataclass(frozen=True)
class ByCondition:
    """Accuracy in bins of about equal numbers of faces, from the lowest values to the highest."""

    condition: Condition
    bins: tuple[ConditionBin, ...]

    @property
    def gap(self) -> float:
        """Accuracy of the best bin less that of the worst."""
        found = [part.accuracy for part in self.bins]
        return max(found) - min(found)

    @property
    def clear(self) -> bool:
        """Whether the intervals of the best and the worst bin do not overlap."""
        best, worst = (choose(self.bins, key=lambda part: part.accuracy) for choose in (max, min))
        return worst.interval.high < best.interval.low


def measure(images: UInt8) -> dict[str, Float64]:
    """Brightness, contrast, sharpness and side light of each picture, (N,) each, by name.

    Sharpness is the variance of the four-neighbour Laplacian (Pech-Pacheco et al. 2000). It also rises with contrast
    and falls where a small face was enlarged.

    Args:
        images: uint8 (N, H, W) grey or (N, H, W, 3) RGB; 3 px a side at least.

    Raises:
        DataError: for another shape.

    >>> measure(np.full((1, 4, 4), 9, np.uint8))["brightness"]
    array([9.])
    """
    if images.ndim not in (3, 4) or min(images.shape[1:3], default=0) < 3:
        raise DataError(f"expected pictures (N, H, W) or (N, H, W, 3) of 3 px a side or more, but {images.shape} came")
    found = np.empty((4, len(images)))
    # In chunks: the grey levels as float32 take four times the bytes of the pictures.
    for start in range(0, len(images), _CHUNK):
        grey = _grey(images[start : start + _CHUNK])
        half = grey.shape[2] // 2
        laplacian = (
            grey[:, :-2, 1:-1] + grey[:, 2:, 1:-1] + grey[:, 1:-1, :-2] + grey[:, 1:-1, 2:] - 4 * grey[:, 1:-1, 1:-1]
        )
        sides = grey[:, :, :half].mean(axis=(1, 2)) - grey[:, :, -half:].mean(axis=(1, 2))
        found[:, start : start + len(grey)] = (
            grey.mean(axis=(1, 2)), grey.std(axis=(1, 2)), laplacian.var(axis=(1, 2)), np.abs(sides),
        )  # fmt: skip
    return dict(zip(("brightness", "contrast", "sharpness", "side_light"), found, strict=True))


def pose(landmarks: npt.ArrayLike) -> dict[str, Float64]:
    """How far heads are turned and tilted, (N,) each, from five landmarks; NaN where the eyes coincide.

    Yaw is the distance of the nose from the middle of the eyes along their line, in eye distances: 0 in front, about
    half in profile. It is a proxy in two dimensions and no angle.

    Args:
        landmarks: (N, 5, 2), x and y of two eyes, the nose and two mouth corners, as detectors give them.

    >>> pose([[[0, 0], [4, 0], [3, 2], [1, 4], [3, 4]]])
    {'yaw': array([0.25]), 'roll': array([0.])}
    """
    points = np.asarray(landmarks, np.float64).reshape(-1, 5, 2)
    line = points[:, 1] - points[:, 0]
    length = np.hypot(line[:, 0], line[:, 1])
    # NaN in place of 0 gives NaN without a warning.
    safe = np.where(length > 0, length, np.nan)
    off = ((points[:, 2] - (points[:, 0] + points[:, 1]) / 2) * line).sum(axis=1) / safe**2
    tilt = np.abs(np.degrees(np.arctan2(line[:, 1], line[:, 0])))
    # Detectors disagree on which eye comes first.
    return {"yaw": np.abs(off), "roll": np.where(length > 0, np.minimum(tilt, 180 - tilt), np.nan)}


def accuracy_by_condition(values: Mapping[str, npt.ArrayLike], right: npt.ArrayLike) -> list[ByCondition]:
    """Accuracy in quantile bins of each condition, in the order of `CONDITIONS`.

    Rows whose value is not finite are left out. Equal values stay in one bin, so there may be fewer than `BINS`; a
    condition with one value alone, or with fewer than `MINIMUM` rows, is left out.

    Args:
        values: (N,) of each condition by name; names that are none of `CONDITIONS` are passed over.
        right: whether each face was right, (N,).
    """
    known = [(condition, values[condition.name]) for condition in CONDITIONS if condition.name in values]
    found = ((condition, _bins(np.asarray(value, np.float64), np.asarray(right, bool))) for condition, value in known)
    return [ByCondition(condition, bins) for condition, bins in found if len(bins) > 1]


def _bins(values: Float64, right: Bool) -> tuple[ConditionBin, ...]:
    if values.shape != right.shape:
        raise DataError(f"a condition has a value a face: {right.shape} expected, {values.shape} came")
    finite = np.isfinite(values)
    values, right = values[finite], right[finite]
    if len(values) < MINIMUM:
        return ()
    # "lower" gives values that occur, so that equal values cannot fall on both sides of an edge.
    edges = np.unique(np.quantile(values, np.arange(1, BINS) / BINS, method="lower"))
    which = np.searchsorted(edges, values, side="left")
    return tuple(_bin(values[which == n], right[which == n]) for n in np.unique(which))


def _bin(values: Float64, right: Bool) -> ConditionBin:
    # Wilson's interval, because a bin may hold few faces and be right in all of them.
    hits = int(right.sum())
    return ConditionBin(
        low=float(values.min()),
        high=float(values.max()),
        rows=len(right),
        accuracy=hits / len(right),
        interval=wilson_interval(hits, len(right)),
    )


def _grey(images: UInt8) -> Float32:
    if images.ndim == 3:
        return images.astype(np.float32)
    return np.asarray(images.astype(np.float32) @ _RGB_WEIGHTS, np.float32)


SIDE_PX = 120
"""Crops are enlarged to this, with a quarter more of replicated border on each side: detectors miss what fills them."""


def find_landmarks(detector: Detector, images: UInt8) -> Float32:
    """The five landmarks of the largest face in each crop, float32 (N, 5, 2) in pixels of the enlarged crop.

    Args:
        detector: one that gives landmarks, YuNet; with another all are NaN.
        images: crops, uint8 (N, H, W) or (N, H, W, 3).

    Returns:
        NaN where no face is found.
    """
    found = np.full((len(images), 5, 2), np.nan, np.float32)
    border = SIDE_PX // 4
    for row, image in enumerate(images):
        enlarged = resize(to_rgb(image), SIDE_PX, SIDE_PX)
        faces = detector.detect(np.pad(enlarged, ((border, border), (border, border), (0, 0)), mode="edge"))
        if len(faces):
            sides = faces.boxes[:, 2:] - faces.boxes[:, :2]
            found[row] = faces.landmarks[int(sides.prod(axis=1).argmax())]
    return found
