"""Detectors by name."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from mien.artifact import store
from mien.errors import ConfigError
from mien.faces.detection import Detector
from mien.faces.haar import Haar
from mien.faces.mien_detector import MienDetector
from mien.faces.yunet import YuNet
from mien.structures import Detections


@dataclass(frozen=True)
class DetectorOptions:
    """What may be asked of a detector by name; None is its own default."""

    min_score: float | None = None
    min_face_px: float | None = None

    def given(self) -> dict[str, Any]:
        """Those that were asked for."""
        return {name: value for name, value in vars(self).items() if value is not None}


def create_detector(
    name: str = "auto", *, min_score: float | None = None, min_face_px: float | None = None
) -> Detector:
    """The detector of that name; its own `name` says which one it is.

    Args:
        name: `auto` is Mien's own, `mien`; `none` takes each image as one face crop.
        min_score: faces under this score, 0–1, are dropped; None is the detector's own default.
        min_face_px: height of the smallest face wanted, in pixels of the image: in large images a second look is
            taken for it. None is 48 for `mien` and `yunet`, and no second look for `haar`, which would take seconds.

    Raises:
        ConfigError: an unknown name, an invalid score or height, or `yunet` without its file.
        ArtifactError: when the file of YuNet is damaged.
    """
    if name not in DETECTORS:
        raise ConfigError(f"unknown detector {name!r}: expected one of {', '.join(DETECTORS)}")
    if min_score is not None and not 0 <= min_score <= 1:
        raise ConfigError(f"a detection score is 0–1, not {min_score}")
    if min_face_px is not None and not min_face_px > 0:
        raise ConfigError(f"the smallest face's height is a number of pixels above 0, not {min_face_px}")
    return DETECTORS[name](DetectorOptions(min_score, min_face_px))


def _create_mien(options: DetectorOptions) -> Detector:
    return MienDetector(**options.given())


def _create_yunet(options: DetectorOptions) -> Detector:
    path = store.find(store.YUNET)
    if path is None:
        raise ConfigError(
            f"the detector yunet needs its file {store.YUNET.filename}, which is not in {store.home()}: "
            "fetch it by `mien model pull yunet`, or use another detector"
        )
    return YuNet(path, **options.given())


def _create_haar(options: DetectorOptions) -> Detector:
    return Haar(**options.given())


def _create_whole(options: DetectorOptions) -> Detector:
    return WholePicture()


DETECTORS: dict[str, Callable[[DetectorOptions], Detector]] = {
    "auto": _create_mien,
    "mien": _create_mien,
    "yunet": _create_yunet,
    "haar": _create_haar,
    "none": _create_whole,
}


class WholePicture:
    """Takes every image as one face that fills it."""

    name = "none"
    crops_given = True

    def detect(self, image: npt.NDArray[np.uint8]) -> Detections:
        """One box, the whole image, with score 1; none for an empty image."""
        height, width = image.shape[:2]
        if height == 0 or width == 0:
            return Detections.empty()
        return Detections.from_boxes([[0, 0, width, height]], [1])
