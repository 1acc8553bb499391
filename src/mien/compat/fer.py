"""The class `FER` of the PyPI package `fer` by Mien: `from mien.compat.fer import FER`.

detector = FER()
print(detector.detect_emotions(cv2.imread("photo.jpg")))
print(detector.top_emotion("photo.jpg"))
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from mien.errors import SourceError
from mien.reading.pipeline import Pipeline
from mien.reading.results import Result
from mien.structures import Detections, Face, Frame


class InvalidImage(SourceError, ValueError):  # noqa: N818 - fer's name
    """There is no such image, or it cannot be read."""


class FER:
    """Finds faces and estimates their expressions, by the arguments and results of `fer`.

    Args:
        mtcnn: taken and without effect: faces are found by Mien's own detector.
        min_face_size: height of the smallest face wanted, pixels.
        cascade_file, tfserving, scale_factor, min_neighbors, offsets, compile: taken and without effect.
    """

    def __init__(
        self,
        cascade_file: str | None = None,
        mtcnn: bool = False,
        tfserving: bool = False,
        scale_factor: float = 1.1,
        min_face_size: int = 50,
        min_neighbors: int = 5,
        offsets: tuple[int, int] = (10, 10),
        compile: bool = False,
    ) -> None:
        from mien.faces.detectors import create_detector

        self._pipeline = Pipeline(detector=create_detector("auto", min_face_px=float(min_face_size)))

    def find_faces(self, img: Any, bgr: bool = True) -> list[list[int]]:
        """The boxes of an image's faces: x, y, width and height in pixels."""
        return [_box(face) for face in self._read(img, bgr=bgr).faces]

    def detect_emotions(self, img: Any, face_rectangles: Sequence[Sequence[int]] | None = None) -> list[dict[str, Any]]:
        """`box` (x, y, width, height) and `emotions` (probability a label, rounded to 0.01) of each face.

        Args:
            img: a BGR array (H, W, 3) as OpenCV has it, a path, or base64 text.
            face_rectangles: the boxes of faces that are known already; none is looked for then.

        Raises:
            InvalidImage: it cannot be read.
        """
        result = self._read(img)
        faces = result.faces
        if face_rectangles is not None and result.frame is not None:
            faces = self._describe(result.frame, face_rectangles)
        return [
            {"box": _box(face), "emotions": {name: round(p, 2) for name, p in face.probabilities.items()}}
            for face in faces
        ]

    def top_emotion(self, img: Any) -> tuple[str | None, float | None]:
        """The likeliest label of the first face and its probability; None and None without a face.

        Raises:
            InvalidImage: it cannot be read.
        """
        found = self.detect_emotions(img)
        if not found:
            return None, None
        emotions: dict[str, float] = found[0]["emotions"]
        top = max(emotions, key=emotions.__getitem__)
        return top, emotions[top]

    def _read(self, img: Any, *, bgr: bool = True) -> Result:
        try:
            result: Result = self._pipeline.analyze(img, color="bgr" if bgr else "rgb")
        except SourceError as error:
            raise InvalidImage(str(error)) from error
        return result

    def _describe(self, frame: Frame, boxes: Sequence[Sequence[int]]) -> list[Face]:
        xywh = np.asarray(boxes, np.float32).reshape(-1, 4)
        corners = np.hstack([xywh[:, :2], xywh[:, :2] + xywh[:, 2:]])
        return self._pipeline.analyze_frame(frame, Detections.from_boxes(corners, np.ones(len(xywh))))


def _box(face: Face) -> list[int]:
    x1, y1, x2, y2 = face.box
    return [round(x1), round(y1), round(x2 - x1), round(y2 - y1)]
