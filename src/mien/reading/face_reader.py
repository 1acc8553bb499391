"""From a frame and the faces found in it to expressions: crop, classify, describe."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import numpy.typing as npt

from mien.errors import ConfigError
from mien.faces.crops import crop_faces
from mien.faces.detection import Detector, clip_boxes
from mien.faces.factory import create_detector
from mien.images.pictures import MAX_PIXELS
from mien.labels import project, user_labels
from mien.reading.classifier import Model, load_model
from mien.structures import Detections, Face, Frame

UInt8 = npt.NDArray[np.uint8]
Float32 = npt.NDArray[np.float32]


class FaceReader:
    """A model and a detector, set up together: what pictures and films have in common.

    Args:
        model: a loaded model, a bundled name, the folder of an artifact; none for the default.
        detector: `auto`, `mien`, `yunet`, `haar`, `none` (the picture is a face crop already), or one's own.
        labels: `seven`, or `eight` with contempt.
        head: which of the model's heads speaks; default the manifest's.
        min_confidence: a face whose highest probability is under it counts as abstained, 0–1.
        max_pixels: limit on a picture's width × height, checked before it is decoded.
        flip: read each face and its mirror image as well, twice the work; None for what the model is set to.
        balance: from 0, expressions as frequent as in the data, to 1, all equally frequent; None as for `flip`.

    Raises:
        ConfigError, ArtifactError: as the parts do.
    """

    def __init__(
        self,
        model: Model | str | Path | None = None,
        *,
        detector: Detector | str = "auto",
        labels: str = "seven",
        head: str | None = None,
        min_confidence: float = 0.0,
        max_pixels: int = MAX_PIXELS,
        flip: bool | None = None,
        balance: float | None = None,
    ) -> None:
        if not 0 <= min_confidence <= 1:
            raise ConfigError(f"min_confidence is a probability from 0 to 1, not {min_confidence}")
        if max_pixels < 1:
            raise ConfigError(f"max_pixels is a number from 1, not {max_pixels}")
        self.labels = user_labels(labels)
        loaded = model if isinstance(model, Model) else load_model(model)
        self.model = loaded.reading(flip=flip, balance=balance)
        self.head = self.model.choose_head(head)
        self.detector = create_detector(detector) if isinstance(detector, str) else detector
        self.min_confidence = min_confidence
        self.max_pixels = max_pixels

    def crop(self, frame: Frame, detections: Detections) -> UInt8:
        """The faces of a frame, brought to the network's input at once: that is small to keep, uint8 (N, C, H, W)."""
        scale = None if self.detector.crops_given else self.model.spec.crop_scale
        return self.model.prepare(crop_faces(frame.image, detections, scale=scale))

    def probabilities(self, inputs: UInt8) -> Float32:
        """Calibrated probabilities (N, len(labels)) in the users' vocabulary for what `crop` gave."""
        return self.interpret(self.model.run(inputs))

    def interpret(self, logits: Mapping[str, Float32]) -> Float32:
        """Calibrated probabilities (N, len(labels)) in the users' vocabulary of what the model's `run` gave."""
        own = self.model.calibrate(logits[self.head], self.head)
        return project(own, self.model.heads[self.head], self.labels)

    def describe(self, frame: Frame, detections: Detections, probabilities: Float32) -> list[Face]:
        """Faces as users get them: boxes inside the picture, probabilities by label."""
        boxes = clip_boxes(detections.boxes, *frame.image.shape[:2])
        faces = []
        for index, row in enumerate(probabilities):
            points = detections.landmarks[index]
            x1, y1, x2, y2 = boxes[index].tolist()
            faces.append(
                Face(
                    box=(x1, y1, x2, y2),
                    detection_score=float(detections.scores[index]),
                    probabilities=dict(zip(self.labels, row.tolist(), strict=True)),
                    landmarks=() if np.isnan(points).any() else tuple((x, y) for x, y in points.tolist()),
                    abstained=bool(row.max() < self.min_confidence),
                    model=self.model.title,
                    detector=self.detector.name,
                    index=index,
                )
            )
        return faces
