"""From a frame and the faces found in it to expressions: crop, classify, describe."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypedDict, Unpack

import numpy as np
import numpy.typing as npt

from mien.errors import ConfigError
from mien.faces.detection import Detector, clip_boxes, crop_faces
from mien.faces.detectors import create_detector
from mien.faces.geometry import Geometry, GeometryReader, bundled_reader, to_fields
from mien.faces.quality import Quality, judge
from mien.faces.turning import TurnSearch, is_able, turned
from mien.images.pictures import MAX_PIXELS
from mien.labels import project, user_labels
from mien.reading.affect import to_affect
from mien.reading.classifier import EMBEDDING, Model, load_model
from mien.structures import Detections, Face, Frame, Readings

if TYPE_CHECKING:
    from mien.reading.temporal import TemporalModel

UInt8 = npt.NDArray[np.uint8]
Float32 = npt.NDArray[np.float32]


class ReaderKeywords(TypedDict, total=False):
    """The keyword arguments of `Pipeline` and `analyze`; `ReaderOptions` explains them."""

    detector: Detector | str
    labels: str
    head: str | None
    min_confidence: float
    min_quality: float
    max_pixels: int
    flip: bool | None
    balance: float | None
    geometry: bool
    rotate: int | str
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
        min_quality: a face whose quality's score is lower is not sure, 0–1; see `mien.faces.quality`.
        max_pixels: limit on an image's width × height, checked before it is decoded.
        flip: analyze each face and its mirror image as well, twice the work; None for what the model is set to.
        balance: from 0, expressions as frequent as in the data, to 1, all equally frequent; None for what the model is
            set to, or else the rule in its manifest. Results name it.
        geometry: estimate 68 landmarks, irises, head pose and blendshapes of each face as well.
        rotate: turn images and frames clockwise first, by 90, 180 or 270 degrees; boxes belong to the turned image.
            `auto` takes them as they are, and looks for faces in turned ones where it finds none that is sure; 0 does
            without. See `mien.faces.turning`.
        threads, providers: for the model, as `load_model` takes them; not for a model that is loaded already.
        temporal: a model that reads the faces of videos over time, on top of `model`, in place of smoothing; images are
            read as without. Its own frame model is the default for `model`.
    """

    detector: Detector | str = "auto"
    labels: str = "seven"
    head: str | None = None
    min_confidence: float = 0.0
    min_quality: float = 0.0
    max_pixels: int = MAX_PIXELS
    flip: bool | None = None
    balance: float | None = None
    geometry: bool = False
    rotate: int | str = "auto"
    threads: int | None = None
    providers: Sequence[str] | None = None
    temporal: TemporalModel | str | Path | None = None

    def __post_init__(self) -> None:
        if not 0 <= self.min_confidence <= 1:
            raise ConfigError(f"min_confidence is a probability from 0 to 1, not {self.min_confidence}")
        if not 0 <= self.min_quality <= 1:
            raise ConfigError(f"min_quality is a score from 0 to 1, not {self.min_quality}")
        if self.max_pixels < 1:
            raise ConfigError(f"max_pixels is a number from 1, not {self.max_pixels}")
        if self.rotate not in ("auto", 0, 90, 180, 270):
            raise ConfigError(f"rotate is auto, or 0, 90, 180 or 270 degrees clockwise, not {self.rotate}")

    @property
    def quarters(self) -> int:
        """Quarter turns clockwise that were asked for."""
        return self.rotate // 90 if isinstance(self.rotate, int) else 0


@dataclass(frozen=True)
class Inspection:
    """What the pixels of a frame tell of its faces beside their expressions, a row each.

    Args:
        qualities: how well each can be seen.
        geometry: landmarks, pose and blendshapes; None where they were not asked for.
    """

    qualities: list[Quality]
    geometry: Geometry | None = None


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
        detector = create_detector(chosen.detector) if isinstance(chosen.detector, str) else chosen.detector
        searches = chosen.rotate == "auto" and is_able(detector)
        self.detector: Detector = TurnSearch(detector) if searches else detector
        self.geometry: GeometryReader | None = bundled_reader() if chosen.geometry else None
        self.min_confidence, self.min_quality = chosen.min_confidence, chosen.min_quality
        self.max_pixels = chosen.max_pixels

    def _load_temporal(self) -> TemporalModel | None:
        chosen = self.options.temporal
        if chosen is None:
            return None
        from mien.reading.temporal import TemporalModel, load_temporal_model

        if isinstance(chosen, TemporalModel):
            return chosen
        return load_temporal_model(chosen, threads=self.options.threads, providers=self.options.providers)

    @property
    def moving_title(self) -> str:
        """What the results of videos name as their model."""
        return self.model.title if self.temporal is None else f"{self.model.title} +{self.temporal.title}"

    def turn(self, frame: Frame) -> Frame:
        """The frame as it is to be analyzed, turned by the option `rotate`."""
        quarters = self.options.quarters
        return replace(frame, image=turned(frame.image, quarters)) if quarters else frame

    def crop(self, frame: Frame, detections: Detections) -> UInt8:
        """The faces of a frame, brought to the network's input at once: that is small to keep, uint8 (N, C, H, W)."""
        scale = None if self.detector.crops_given else self.model.spec.crop_scale
        return self.model.prepare(crop_faces(frame.image, detections, scale=scale))

    def read_crops(self, inputs: UInt8) -> Readings:
        """What the model says of what `crop` gave."""
        return self.interpret(self.model.run(inputs))

    def read(self, inputs: UInt8) -> tuple[Readings, npt.NDArray[Any]]:
        """As `read_crops`, and a row a face of what the temporal model reads, (N, 0) without one."""
        found = self.model.run(inputs)
        if self.temporal is None:
            return self.interpret(found), np.zeros((len(inputs), 0), np.float32)
        return self.interpret(found), inputs if self.temporal.reads_crops else found[EMBEDDING]

    def interpret(self, outputs: Mapping[str, Float32]) -> Readings:
        """What the model's `run` gave, in the users' vocabulary."""
        shares = self.model.shares(outputs[self.head], self.head)
        shown = project(self.model.balanced(shares, self.head), self.model.heads[self.head], self.labels)
        # Mostly the same head, whose shares need not be made twice.
        same = self.head == self.model.head_of_words
        return Readings(shown, self.model.estimate_affect(outputs, shares=shares if same else None))

    def inspect(self, frame: Frame, detections: Detections, inputs: UInt8) -> Inspection:
        """How well the faces of a frame can be seen, and their geometry; `inputs` is what `crop` gave."""
        given = self.detector.crops_given
        shapes = None if self.geometry is None else self.geometry.read(frame.image, detections, whole=given)
        return Inspection(judge(detections, inputs, shapes), shapes)

    def is_unsure(self, confidence: float, quality: float) -> bool:
        """Whether a face with such a confidence and score of its quality is to be shown as not sure."""
        return bool(confidence < self.min_confidence or quality < self.min_quality)

    def describe(
        self, shape: tuple[int, ...], detections: Detections, readings: Readings, inspection: Inspection
    ) -> list[Face]:
        """Faces as users get them: boxes inside a picture of this shape (H, W, …), probabilities by label."""
        # Clipped only for users: crops are framed by the whole box, even beyond the edge.
        boxes = clip_boxes(detections.boxes, *shape[:2])
        affect, source = readings.affect.tolist(), self.model.affect_source
        shapes = inspection.geometry
        faces = []
        for index, row in enumerate(readings.probabilities):
            points, quality = detections.landmarks[index], inspection.qualities[index]
            x1, y1, x2, y2 = boxes[index].tolist()
            faces.append(
                Face(
                    box=(x1, y1, x2, y2),
                    detection_score=float(detections.scores[index]),
                    probabilities=dict(zip(self.labels, row.tolist(), strict=True)),
                    landmarks=() if np.isnan(points).any() else tuple((x, y) for x, y in points.tolist()),
                    abstained=self.is_unsure(row.max(), quality.score),
                    model=self.model.title,
                    detector=self.detector.name,
                    index=index,
                    affect=to_affect(affect[index], source),
                    quality=quality.word,
                    quality_score=quality.score,
                    **({} if shapes is None else to_fields(shapes, index)),
                )
            )
        return faces
