"""YuNet, the small neural face detector of OpenCV's model zoo (Wu et al., 2023)."""

from __future__ import annotations

import functools
import os
import threading
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from mien.artifact.onnx_file import require_whole
from mien.errors import ArtifactError
from mien.faces.detection import MIN_FACE_PX, choose_larger_look, join, keep_inside, shrink, suppress
from mien.structures import Detections

LONGEST_PX = 640
CLOSE_UP_PX = 192
SMALLEST_PX = 64
LOWEST_FACE_PX = 32
MIN_SCORE = 0.7
MAX_OVERLAP = 0.3
CANDIDATES = 5000


class YuNet:
    """Boxes and five landmarks, on the CPU.

    Pictures are reduced to a longer side of 640 px: on 19 photos this finds all 22 faces, the least sure with
    0.82, and nothing else above 0.51; at 320 px a far face falls to 0.60 (docs/study/LOG.md, 2026-11-20).
    A face that fills the picture is too large for it then, so where nothing is found it looks again at 192 px:
    of 300 pictures filled by a face, 640 px wide, that finds 98 % instead of 40 %.

    Args:
        path: the detector's .onnx file.
        min_score: faces below this score are dropped, 0–1.
        longest_px: pictures are reduced to this longer side.
        min_face_px: height of the smallest face wanted, in pixels of the original picture: where it would be lower
            than 32 px at the usual size, a second look is taken at a larger one. Of 92 faces of 60 px in a picture of
            4000 × 3000 that finds 97 %; at 20 px it was 90 % (docs/study/LOG.md, 2026-11-29).

    Raises:
        ArtifactError: when OpenCV cannot load the file.
    """

    name = "yunet"
    crops_given = False
    sure_score = 0.88
    """Of 250 photographs of one person, 98 % reach it upright, none on its side, 6 % upside down."""

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        min_score: float = MIN_SCORE,
        longest_px: int = LONGEST_PX,
        min_face_px: float = MIN_FACE_PX,
    ) -> None:
        self.longest_px, self.min_face_px = longest_px, min_face_px
        self._path, self._min_score = path, min_score
        self._lock = threading.Lock()
        try:
            graph = Path(path).read_bytes()
            require_whole(graph)
            # From bytes, so that what was looked at is what is loaded.
            self._net = cv2.FaceDetectorYN.create(
                "onnx", np.frombuffer(graph, np.uint8), np.empty(0, np.uint8), (320, 320), min_score, MAX_OVERLAP,
                CANDIDATES,
            )  # fmt: skip
        except OSError as error:
            raise ArtifactError(f"{os.fspath(path)} cannot be read: {error.strerror or error}") from error
        except ArtifactError as error:
            raise ArtifactError(f"{os.fspath(path)} is not a face detector: {error}") from error
        except cv2.error as error:
            raise ArtifactError(f"{os.fspath(path)} is not a face detector: {error.err}") from error

    def __reduce__(self) -> tuple[Any, ...]:
        sizes: dict[str, Any] = {"longest_px": self.longest_px, "min_face_px": self.min_face_px}
        return functools.partial(YuNet, self._path, min_score=self._min_score, **sizes), ()

    def detect(self, image: npt.NDArray[np.uint8], *, longest_px: int | None = None) -> Detections:
        """The faces in an RGB uint8 image (H, W, 3), the best score first; `longest_px` reduces it further."""
        height, width = image.shape[:2]
        if height == 0 or width == 0:
            return Detections.empty()
        found = self._look(image, longest_px or self.longest_px)
        larger = choose_larger_look(max(height, width), self.longest_px, LOWEST_FACE_PX / self.min_face_px)
        if larger and longest_px is None:
            found = suppress(join(found, self._look(image, larger)), MAX_OVERLAP)
        if len(found) == 0 and longest_px is None and max(height, width) > CLOSE_UP_PX:
            found = self._look(image, CLOSE_UP_PX)
        return keep_inside(found, height, width)

    def _look(self, image: npt.NDArray[np.uint8], longest_px: int) -> Detections:
        small, back = shrink(image, longest_px)
        bgr = _fill_up(small[:, :, ::-1])
        # The net keeps the size that is set, so setting and detecting belong together.
        with self._lock:
            self._net.setInputSize((bgr.shape[1], bgr.shape[0]))
            rows: Any = self._net.detect(bgr)[1]
        if rows is None:
            return Detections.empty()
        # x, y, width, height as two pairs: their running sum gives both corners.
        corners = rows[:, :4].reshape(-1, 2, 2).cumsum(axis=1)
        landmarks = rows[:, 4:14].reshape(-1, 5, 2)
        return Detections(
            (corners * back).reshape(-1, 4).astype(np.float32),
            np.clip(rows[:, 14], 0, 1).astype(np.float32),
            (landmarks * back).astype(np.float32),
        )


def _fill_up(picture: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    """Black to the right and below up to 64 px: with a side of 32 px or less OpenCV 4.14's results are chance."""
    height, width = picture.shape[:2]
    missing = [(0, max(0, SMALLEST_PX - height)), (0, max(0, SMALLEST_PX - width)), (0, 0)]
    return np.pad(picture, missing)
