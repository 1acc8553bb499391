"""What the service answers, as OpenAPI describes it."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from mien.apps.service.engine import Reading
from mien.apps.service.problems import ProblemDocument
from mien.reading.classifier import Model
from mien.structures import Face

FACE_EXAMPLE: dict[str, Any] = {
    "face": 0,
    "top": "happy",
    "confidence": 0.9897,
    "abstained": False,
    "probabilities": {
        "angry": 0.0004, "disgust": 0.0006, "fear": 0.0006, "happy": 0.9897, "sad": 0.0006, "surprise": 0.0022,
        "neutral": 0.0059,
    },
    "box": {"x": 178.2, "y": 62.9, "width": 89.9, "height": 113.3},
    "landmarks": [[200.1, 101.8], [247.1, 102.6], [220.4, 124.5], [198.6, 142.8], [239.7, 143.6]],
    "detection_score": 0.9323,
}  # fmt: skip
"""The face of scikit-image's astronaut.png."""


class Box(BaseModel):
    """A face's place in pixels of the picture, upright as EXIF says; the origin is the upper left corner."""

    x: float
    y: float
    width: float
    height: float


class FaceReading(BaseModel):
    """One face with its expression, as the face shows it: not what a person feels."""

    model_config = ConfigDict(json_schema_extra={"examples": [FACE_EXAMPLE]})

    face: int = Field(description="Number in its picture from 0, the detector's surest first.")
    top: str | None = Field(description="The likeliest expression; null if only boxes were asked for.")
    confidence: float | None = Field(description="The probability of `top`, 0–1.")
    abstained: bool = Field(description="`confidence` is under the `min_confidence` that was asked for.")
    probabilities: dict[str, float] | None = Field(description="Calibrated probability of each label; they sum to 1.")
    box: Box
    landmarks: list[tuple[float, float]] = Field(
        description="Right eye, left eye, nose, right and left corner of the mouth; empty if the detector gives none."
    )
    detection_score: float = Field(description="How sure the detector is of the face, 0–1.")


class PictureReading(BaseModel):
    """What came of one picture."""

    source: int = Field(description="Number of the picture in the request, from 0.")
    name: str | None = Field(description="The last part of the file name that was sent, if any.")
    width: int | None = Field(description="In pixels, upright; null if the picture could not be read.")
    height: int | None
    faces: list[FaceReading]
    seconds: dict[str, float] = Field(description="Time by stage: queue, decode, detect, classify.")
    error: ProblemDocument | None = Field(None, description="Why this picture could not be read; null if it was.")


class Analysis(BaseModel):
    """The expressions of the faces in one or several pictures."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "pictures": [
                        {
                            "source": 0,
                            "name": "astronaut.png",
                            "width": 512,
                            "height": 512,
                            "faces": [FACE_EXAMPLE],
                            "seconds": {"queue": 0.0002, "decode": 0.0031, "detect": 0.0142, "classify": 0.0035},
                            "error": None,
                        }
                    ],
                    "model": "mien-s 0.1.0",
                    "detector": "yunet",
                    "labels": ["angry", "disgust", "fear", "happy", "sad", "surprise", "neutral"],
                    "seconds": 0.0213,
                }
            ]
        }
    )

    pictures: list[PictureReading]
    model: str = Field(description="Name and version of the model.")
    detector: str = Field(description="The detector that looked for faces.")
    labels: list[str]
    seconds: float = Field(description="Time from the whole request to the answer.")


class Input(BaseModel):
    """The face crops that a model takes."""

    height: int
    width: int
    channels: int
    crop_scale: float


class ModelCard(BaseModel):
    """A served model: what it is, and how well it did on which data."""

    name: str
    version: str
    default: bool = Field(description="It reads when no model is asked for.")
    created: str
    licence: str
    parameters: int
    sha256: str = Field(description="Of the graph.")
    input: Input
    heads: dict[str, list[str]] = Field(description="The classes of each output.")
    default_head: str
    scores: list[dict[str, Any]] = Field(description="One object a figure, with its data set, split and rows.")
    notes: str


class ModelCards(BaseModel):
    """The models that this service reads with."""

    models: list[ModelCard]
    detectors: list[str] = Field(description="The detectors that can be asked for.")


class Health(BaseModel):
    """Whether the service is up."""

    status: str
    version: str


def read_face(face: Face, *, boxes_only: bool) -> FaceReading:
    """A face as clients get it."""
    values = face.to_dict()
    if boxes_only:
        values |= {"top": None, "confidence": None, "abstained": False, "probabilities": None}
    return FaceReading(**{name: values[name] for name in FaceReading.model_fields})


def read_picture(source: int, name: str | None, reading: Reading, *, boxes_only: bool) -> PictureReading:
    """A picture as clients get it."""
    return PictureReading(
        source=source, name=name, width=reading.width, height=reading.height,
        faces=[read_face(face, boxes_only=boxes_only) for face in reading.faces],
        seconds={stage: round(value, 4) for stage, value in reading.seconds.items()},
        error=None,
    )  # fmt: skip


def describe_model(model: Model, *, default: bool) -> ModelCard:
    """A model as its manifest tells it; how it was trained is left out."""
    manifest, spec = model.manifest, model.spec
    return ModelCard(
        name=manifest.name, version=manifest.version, default=default, created=manifest.created,
        licence=manifest.licence, parameters=manifest.parameters, sha256=manifest.sha256,
        input=Input(height=spec.height, width=spec.width, channels=spec.channels, crop_scale=spec.crop_scale),
        heads={name: list(labels) for name, labels in model.heads.items()}, default_head=manifest.default_head,
        scores=[dict(score) for score in manifest.scores], notes=manifest.notes,
    )  # fmt: skip
