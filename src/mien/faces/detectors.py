"""Detectors by name."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from mien.artifact import store
from mien.errors import ConfigError
from mien.faces.detection import Detector
from mien.faces.haar import MIN_SCORE as HAAR_MIN_SCORE
from mien.faces.haar import Haar
from mien.faces.mien_detector import MienDetector
from mien.faces.yunet import MIN_SCORE as YUNET_MIN_SCORE
from mien.faces.yunet import YuNet
from mien.structures import Detections


def create_detector(name: str = "auto", *, min_score: float | None = None) -> Detector:
    """The detector of that name; its own `name` says which one it is.

    Args:
        name: `auto` is YuNet where its file is, else Haar; `none` takes each picture for one face crop.
        min_score: faces under this score, 0–1, are left out; None is the detector's own default.

    Raises:
        ConfigError: for an unknown name, a score that is none, or `yunet` without its file.
        ArtifactError: when the file of YuNet is damaged.
    """
    if name not in DETECTORS:
        raise ConfigError(f"unknown detector {name!r}: expected one of {', '.join(DETECTORS)}")
    if min_score is not None and not 0 <= min_score <= 1:
        raise ConfigError(f"a detection score lies in 0–1, not {min_score}")
    return DETECTORS[name](min_score)


def _create_auto(min_score: float | None) -> Detector:
    return _create_yunet(min_score) if store.find(store.YUNET) else _create_haar(min_score)


def _create_mien(min_score: float | None) -> Detector:
    return MienDetector(min_score=min_score)


def _create_yunet(min_score: float | None) -> Detector:
    path = store.find(store.YUNET)
    if path is None:
        raise ConfigError(
            f"the detector yunet needs its file {store.YUNET.filename}, which is not in {store.home()}: "
            "fetch it by `mien model pull yunet`, or use haar"
        )
    return YuNet(path, min_score=YUNET_MIN_SCORE if min_score is None else min_score)


def _create_haar(min_score: float | None) -> Detector:
    return Haar(min_score=HAAR_MIN_SCORE if min_score is None else min_score)


def _create_whole(min_score: float | None) -> Detector:
    return WholePicture()


DETECTORS: dict[str, Callable[[float | None], Detector]] = {
    "auto": _create_auto,
    "mien": _create_mien,
    "yunet": _create_yunet,
    "haar": _create_haar,
    "none": _create_whole,
}


class WholePicture:
    """Takes every picture for one face that fills it."""

    name = "none"
    crops_given = True

    def detect(self, image: npt.NDArray[np.uint8]) -> Detections:
        """One box, the picture's own, with score 1; none for an empty picture."""
        height, width = image.shape[:2]
        if height == 0 or width == 0:
            return Detections.empty()
        return Detections.from_boxes([[0, 0, width, height]], [1])
