"""The Haar cascade that OpenCV brings along: the detector that is always there (Viola and Jones, 2001)."""

from __future__ import annotations

import functools
import threading
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from mien.errors import ConfigError
from mien.faces.detection import choose_larger_look, join, keep_inside, shrink, suppress
from mien.images.pictures import to_grey
from mien.structures import Detections

CASCADE = "haarcascade_frontalface_alt2.xml"
LONGEST_PX = 640
SMALLEST_PX = 32
LOWEST_FACE_PX = 42
STEP = 1.1
MIN_HITS = 5
MIN_SCORE = 0.5
MAX_OVERLAP = 0.3

TO_FACE = np.array([-0.478, -0.594, 0.478, 0.648], np.float32)
"""Corners of YuNet's box around the centre of Haar's, in sides of Haar's: medians of 419 faces."""


class Haar:
    """Frontal faces without landmarks, on the CPU.

    Of five cascades and sizes tried on 19 photos with 22 faces, `alt2` at a longer side of 640 px with five
    agreeing hits found the most, 19, and nothing else (docs/study/LOG.md, 2026-11-20).

    Args:
        min_score: faces below this score are dropped; n agreeing hits score n / (n + 5),
            so that 0.5 asks for five.
        longest_px: pictures are reduced to this longer side.
        min_face_px: height of the smallest face wanted, in pixels of the original picture: where it would be lower
            than 42 px at the usual size, a second look is taken at a larger one. None for no second look, which is
            the default because it takes seconds: the cascade is ten times as slow as a network.

    Raises:
        ConfigError: when this OpenCV has no cascades.
    """

    name = "haar"
    crops_given = False

    def __init__(
        self, *, min_score: float = MIN_SCORE, longest_px: int = LONGEST_PX, min_face_px: float | None = None
    ) -> None:
        self._min_score = min_score
        self.longest_px, self.min_face_px = longest_px, min_face_px
        # OpenCV's cascade keeps state while it searches: one picture at a time.
        self._lock = threading.Lock()
        path = Path(cv2.data.haarcascades) / CASCADE  # type: ignore[attr-defined]
        self._cascade = _load(path)
        if self._cascade.empty():
            raise ConfigError(f"no cascade at {path}: Mien needs opencv-python-headless 4, this is {cv2.__version__}")

    def __reduce__(self) -> tuple[Any, ...]:
        options: dict[str, Any] = {"longest_px": self.longest_px, "min_face_px": self.min_face_px}
        return functools.partial(Haar, min_score=self._min_score, **options), ()

    def detect(self, image: npt.NDArray[np.uint8], *, longest_px: int | None = None) -> Detections:
        """The faces in an RGB uint8 image (H, W, 3), the best score first; `longest_px` reduces it further."""
        height, width = image.shape[:2]
        if height == 0 or width == 0:
            return Detections.empty()
        found = self._look(image, longest_px or self.longest_px)
        if self.min_face_px is not None and longest_px is None:
            larger = choose_larger_look(max(height, width), self.longest_px, LOWEST_FACE_PX / self.min_face_px)
            if larger:
                found = suppress(join(found, self._look(image, larger)), MAX_OVERLAP)
        return keep_inside(found[found.scores >= self._min_score], height, width)

    def _look(self, image: npt.NDArray[np.uint8], longest_px: int) -> Detections:
        small, back = shrink(image, longest_px)
        with self._lock:
            # Three hits here, so that a `min_score` below 0.5 can find more; 0.5 asks for five.
            squares, hits = self._cascade.detectMultiScale2(to_grey(small), STEP, 3, minSize=(SMALLEST_PX, SMALLEST_PX))
        if len(squares) == 0:
            return Detections.empty()
        scores = np.asarray(hits, np.float32) / (np.asarray(hits, np.float32) + MIN_HITS)
        return Detections.from_boxes(_to_faces(np.asarray(squares, np.float32)) * np.tile(back, 2), scores)


def _to_faces(squares: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """Face boxes xyxy from Haar's squares x, y, side, side."""
    centres = np.tile(squares[:, :2] + squares[:, 2:] / 2, 2)
    return centres + squares[:, 2:3] * TO_FACE


def _load(path: Path) -> cv2.CascadeClassifier:
    """The cascade of a file. OpenCV on Windows opens no path beyond ASCII: there it gets the text, which is slower."""
    if str(path).isascii() or not path.is_file():
        return cv2.CascadeClassifier(str(path))
    cascade = cv2.CascadeClassifier()
    text = cv2.FileStorage(path.read_text(encoding="utf-8"), cv2.FILE_STORAGE_READ | cv2.FILE_STORAGE_MEMORY)
    cascade.read(text.getFirstTopLevelNode())
    return cascade
