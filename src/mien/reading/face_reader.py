"""From a frame and the faces found in it to expressions: crop, classify, describe."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypedDict, Unpack

import numpy as np
import numpy.typing as npt

from mien.errors import ConfigError
from mien.faces.detection import Detector, clip_boxes, crop_faces
from mien.faces.detectors import create_detector
from mien.faces.geometry import Geometry, GeometryReader, bundled_reader, to_fields
from mien.images.pictures import MAX_PIXELS
from mien.labels import project, user_labels
from mien.reading.classifier import EMBEDDING, Model, load_model
from mien.reading.temporal import TemporalModel, load_temporal_model
from mien.structures import Detections, Face, Frame

UInt8 = npt.NDArray[np.uint8]
Float32 = npt.NDArray[np.float32]


class ReaderKeywords(TypedDict, total=False):
    """The keyword arguments of `Pipeline` and `analyze`; `ReaderOptions` explains them."""

    detector: Detector | str
    labels: str
    head: str | None
    min_confidence: float
    max_pixels: int
    flip: bool | None
    balance: float | None
    geometry: bool
    rotate: int
    threads: int | None
    providers: Sequence[str] | None
    temporal: TemporalModel | str | Path | None


@dataclass(frozen=True)
class ReaderOptions:
    """How faces are found and their expressions estimated.

    Args:
        detector: `auto`, `mien`, `yunet`, `haar`, `none` (the image is a face crop already), or one's own.
        labels: `seven`, or `eight` with contempt.
        head: the model's output head; the manifest's default if not given.
        min_confidence: a face whose highest probability is lower is not sure, 0–1.
        max_pixels: limit on an image's width × height, checked before it is decoded.
        flip: analyze each face and its mirror image as well, twice the work; None for what the model is set to.
        balance: from 0, expressions as frequent as in the data, to 1, all equally frequent; None for what the model is
            set to, or else the rule in its manifest. Results name it.
        geometry: estimate 68 landmarks, irises, head pose and blendshapes of each face as well.
        rotate: turn images and frames clockwise first, by 0, 90, 180 or 270 degrees; boxes belong to the turned image.
        threads, providers: for the model, as `load_model` takes them; not for a model that is loaded already.
        temporal: a model that reads the faces of videos over time, on top of `model`, in place of smoothing; images are
            read as without. Its own frame model is the default for `model`.
    """

    detector: Detector | str = "auto"
    labels: str = "seven"
    head: str | None = None
    min_confidence: float = 0.0
    max_pixels: int = MAX_PIXELS
    flip: bool | None = None
    balance: float | None = None
    geometry: bool = False
    rotate: int = 0
    threads: int | None = None
    providers: Sequence[str] | None = None
    temporal: TemporalModel | str | Path | None = None

    def __post_init__(self) -> None:
        if not 0 <= self.min_confidence <= 1:
            raise ConfigError(f"min_confidence is a probability from 0 to 1, not {self.min_confidence}")
        if self.max_pixels < 1:
            raise ConfigError(f"max_pixels is a number from 1, not {self.max_pixels}")
        if self.rotate not in (0, 90, 180, 270):
            raise ConfigError(f"rotate is 0, 90, 180 or 270 degrees clockwise, not {self.rotate}")


class FaceReader:
    """A model and a detector, set up together: what images and videos have in common.

    It can be pickled and copied: the copy loads the same graph again and creates the same detector.

    Args:
        model: a loaded model, a bundled name, the folder of an artifact; the default model if not given.
        options: see `ReaderOptions`.

    Raises:
        ConfigError, ArtifactError: as the parts do.
    """

    def __init__(self, model: Model | str | Path | None = None, **options: Unpack[ReaderKeywords]) -> None:
        self.options = chosen = ReaderOptions(**options)
        self.labels = user_labels(chosen.labels)
        self.temporal = self._load_temporal()
        if model is None and self.temporal is not None:
            model = self.temporal.manifest.frames.name
        if isinstance(model, Model):
            if chosen.threads is not None or chosen.providers is not None:
                raise ConfigError("threads and providers belong to the model: give them to load_model instead")
        else:
            model = load_model(model, threads=chosen.threads, providers=chosen.providers)
        self.model = model.reading(flip=chosen.flip, balance=chosen.balance).as_shown(chosen.head)
        if self.temporal is not None:
            self.model = self.temporal.below(self.model)
        self.head = self.model.choose_head(chosen.head)
        self.detector = create_detector(chosen.detector) if isinstance(chosen.detector, str) else chosen.detector
        self.geometry: GeometryReader | None = bundled_reader() if chosen.geometry else None
        self.min_confidence = chosen.min_confidence
        self.max_pixels = chosen.max_pixels

    def _load_temporal(self) -> TemporalModel | None:
        chosen = self.options.temporal
        if chosen is None or isinstance(chosen, TemporalModel):
            return chosen
        return load_temporal_model(chosen, threads=self.options.threads, providers=self.options.providers)

    @property
    def moving_title(self) -> str:
        """What the results of videos name as their model."""
        return self.model.title if self.temporal is None else f"{self.model.title} +{self.temporal.title}"

    def turn(self, frame: Frame) -> Frame:
        """The frame as it is to be analyzed, turned by the option `rotate`."""
        quarter = self.options.rotate // 90
        # rot90 turns anticlockwise.
        return replace(frame, image=np.ascontiguousarray(np.rot90(frame.image, -quarter))) if quarter else frame

    def crop(self, frame: Frame, detections: Detections) -> UInt8:
        """The faces of a frame, brought to the network's input at once: that is small to keep, uint8 (N, C, H, W)."""
        scale = None if self.detector.crops_given else self.model.spec.crop_scale
        return self.model.prepare(crop_faces(frame.image, detections, scale=scale))

    def probabilities(self, inputs: UInt8) -> Float32:
        """Calibrated probabilities (N, len(labels)) in the users' vocabulary for what `crop` gave."""
        return self.interpret(self.model.run(inputs))

    def read(self, inputs: UInt8) -> tuple[Float32, npt.NDArray[Any]]:
        """As `probabilities`, and a row a face of what the temporal model reads, (N, 0) without one."""
        found = self.model.run(inputs)
        if self.temporal is None:
            return self.interpret(found), np.zeros((len(inputs), 0), np.float32)
        return self.interpret(found), inputs if self.temporal.reads_crops else found[EMBEDDING]

    def interpret(self, logits: Mapping[str, Float32]) -> Float32:
        """Calibrated probabilities (N, len(labels)) in the users' vocabulary of what the model's `run` gave."""
        own = self.model.calibrate(logits[self.head], self.head)
        return project(own, self.model.heads[self.head], self.labels)

    def describe(self, frame: Frame, detections: Detections, probabilities: Float32) -> list[Face]:
        """Faces as users get them: boxes inside the picture, probabilities by label."""
        # Clipped only for users: crops are framed by the whole box, even beyond the edge.
        boxes = clip_boxes(detections.boxes, *frame.image.shape[:2])
        shapes = self._shapes(frame, detections)
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
                    **({} if shapes is None else to_fields(shapes, index)),
                )
            )
        return faces

    def _shapes(self, frame: Frame, detections: Detections) -> Geometry | None:
        if self.geometry is None:
            return None
        return self.geometry.read(frame.image, detections, whole=self.detector.crops_given)
