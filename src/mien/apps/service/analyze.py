"""`/v1/analyze`: images in, faces with expressions out."""

from __future__ import annotations

import asyncio
import time
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query
from pydantic import BaseModel, ConfigDict, Field
from starlette.requests import Request
from starlette.responses import Response

from mien.apps.service.engine import AnalyzeOptions, Reading
from mien.apps.service.problems import Problem, ProblemDocument, describe_problems, problem_of
from mien.apps.service.state import GUARDS, Service, ServiceOf, unless_gone
from mien.apps.service.uploads import BINARY, ImageUpload, describe_body, read_images
from mien.errors import SourceError
from mien.faces.quality import WORDS
from mien.labels import user_labels
from mien.structures import Face

router = APIRouter(prefix="/v1", tags=["images"], dependencies=GUARDS)


FACE_EXAMPLE: dict[str, Any] = {
    "face": 0,
    "top": "happy",
    "confidence": 0.9897,
    "abstained": False,
    "probabilities": {
        "angry": 0.0004, "disgust": 0.0006, "fear": 0.0006, "happy": 0.9897, "sad": 0.0006, "surprise": 0.0022,
        "neutral": 0.0059,
    },
    "valence": 0.4901, "arousal": 0.0545, "intensity": 0.9939, "valence_sd": 0.1066, "arousal_sd": 0.2071,
    "intensity_sd": 0.0318, "affect_source": "crowd",
    "box": {"x": 178.2, "y": 62.9, "width": 89.9, "height": 113.3},
    "landmarks": [[200.1, 101.8], [247.1, 102.6], [220.4, 124.5], [198.6, 142.8], [239.7, 143.6]],
    "detection_score": 0.9323,
    "quality": "good",
    "quality_score": 1.0,
}  # fmt: skip
"""The face of scikit-image's astronaut.png."""


class Box(BaseModel):
    """Where a face is, in pixels of the upright image (EXIF orientation applied), from its upper left corner."""

    x: float
    y: float
    width: float
    height: float


class HeadPose(BaseModel):
    """Where a head faces, in degrees."""

    yaw: float = Field(description="Positive to the right of the image, which is the person's left.")
    pitch: float = Field(description="Positive when it looks down.")
    roll: float = Field(description="Positive when it leans to the left of the image.")


class FaceReading(BaseModel):
    """One face and its expression: what it shows, not what the person feels."""

    model_config = ConfigDict(json_schema_extra={"examples": [FACE_EXAMPLE]})

    face: int = Field(description="Index in the image, counted from 0, highest detection score first.")
    top: str | None = Field(description="The most probable label; null with `boxes_only`.")
    confidence: float | None = Field(description="The probability of `top`, 0–1.")
    abstained: bool = Field(
        description='`confidence` is below the requested `min_confidence`: the answer is "not sure".'
    )
    probabilities: dict[str, float] | None = Field(
        description="Calibrated probability of each label, summing to 1; null with `boxes_only`."
    )
    valence: float | None = Field(
        description="Where people would put the face, from -1, unpleasant, to 1, pleasant; null with `boxes_only`."
    )
    arousal: float | None = Field(description="The same from -1, calm, to 1, excited.")
    intensity: float | None = Field(description="Share of annotators who see any expression, 0–1.")
    valence_sd: float | None = Field(description="Standard deviation of `valence`, about the mean of many raters.")
    arousal_sd: float | None = Field(description="The same of `arousal`.")
    intensity_sd: float | None = Field(description="The same of `intensity`.")
    affect_source: str | None = Field(
        description="The output heads that these are from: of `crowd`, or another head of words, by its words."
    )
    box: Box
    landmarks: list[tuple[float, float]] = Field(
        description="Right eye, left eye, nose, right and left corner of the mouth; empty if the detector finds none."
    )
    detection_score: float = Field(description="The detector's score of the face, 0–1.")
    quality: str = Field(description=f"How well it can be seen: {', '.join(f'`{word}`' for word in WORDS)}.")
    quality_score: float = Field(description="The same as a number, 0–1; `good` from 0.5.")
    landmarks68: list[tuple[float, float]] | None = Field(
        None, description="iBUG's 68 landmarks, in pixels; this and what follows with `geometry`, else null."
    )
    iris: list[tuple[float, float]] | None = Field(None, description="Centres of the person's right and left iris.")
    visible: list[float] | None = Field(None, description="Probability that each of the 68 is seen, 0–1.")
    pose: HeadPose | None = None
    blendshapes: dict[str, float] | None = Field(
        None, description="ARKit's blendshapes by name, 0–1; they are no action units."
    )


class ImageReading(BaseModel):
    """The result of one image."""

    source: int = Field(description="Index of the image in the request, counted from 0.")
    name: str | None = Field(description="The file name, without folders, if one was sent.")
    width: int | None = Field(description="In pixels, upright; null if the image is unreadable.")
    height: int | None
    faces: list[FaceReading]
    seconds: dict[str, float] = Field(description="Time by stage: queue, decode, detect, classify.")
    error: ProblemDocument | None = Field(None, description="Why this image is unreadable; null if it is not.")


class Analysis(BaseModel):
    """The faces of one or more images, with their expressions."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{
            "images": [{
                "source": 0, "name": "astronaut.png", "width": 512, "height": 512, "faces": [FACE_EXAMPLE],
                "seconds": {"queue": 0.0002, "decode": 0.0031, "detect": 0.0142, "classify": 0.0035}, "error": None,
            }],
            "model": "mien-s 0.1.0", "detector": "mien",
            "labels": ["angry", "disgust", "fear", "happy", "sad", "surprise", "neutral"], "seconds": 0.0213,
        }]}
    )  # fmt: skip

    images: list[ImageReading]
    model: str = Field(description="Name and version of the model.")
    detector: str = Field(description="The detector used.")
    labels: list[str]
    seconds: float = Field(description="Time from the complete request to the answer.")


class AnalyzeQuery(BaseModel):
    """The options of an analysis."""

    # A misspelt option must not pass for its default.
    model_config = ConfigDict(extra="forbid")

    model: str | None = Field(None, description="A served model, `name` or `name@version`; the default if omitted.")
    detector: Literal["auto", "mien", "yunet", "haar", "none"] | None = Field(
        None, description="What finds the faces; `none` treats each image as one face."
    )
    labels: Literal["seven", "eight"] = Field("seven", description="`eight` adds contempt.")
    head: str | None = Field(None, description="Output head to use.")
    min_confidence: float = Field(0.0, ge=0, le=1, description='Answer "not sure" if the confidence is below this.')
    min_quality: float = Field(0.0, ge=0, le=1, description='Answer "not sure" if `quality_score` is below this.')
    max_faces: int | None = Field(None, ge=1, description="Most faces per image, highest detection score first.")
    boxes_only: bool = Field(False, description="Find faces without classifying their expressions.")
    geometry: bool = Field(False, description="Add landmarks, head pose and blendshapes.")


BODY = describe_body(
    "Images: JPEG, PNG, WebP, BMP, TIFF or GIF (of an animation, the first frame).", "image/jpeg", "image/png",
    field="files", schema={"type": "array", "minItems": 1, "items": BINARY},
    form="`file` works too. Options belong in the query string.",
)  # fmt: skip
PROBLEMS = describe_problems(
    "malformed-request", "no-image", "receive-timeout", "body-too-large", "image-too-large", "too-many-images",
    "unsupported-media-type", "unknown-model", "not-an-image", "damaged-image", "overloaded", "not-ready", "timeout",
)  # fmt: skip


@router.post("/analyze", response_model=Analysis, responses=PROBLEMS, openapi_extra=BODY)
async def analyze(request: Request, query: Annotated[AnalyzeQuery, Query()], service: ServiceOf) -> Response:
    """Find the faces in one or more images and estimate their expressions.

    Send the images as form parts named `file` or `files`, or one image as the body. Unreadable images don't affect the
    others: each has an `error` in the answer. If no image is readable, the answer is the first one's problem.
    """
    options = AnalyzeOptions(**query.model_dump())
    # Checked before the body is read: a wrong option costs no upload.
    service.engine.choose_model(options.model).choose_head(options.head)
    service.admission.refuse_if_late()
    with service.admission.memory() as memory:
        uploads = await read_images(request, service.settings, memory)
        started = time.perf_counter()
        service.metrics.received.inc(memory.held)
        request.state.received = memory.held
        with service.admission.places("images", len(uploads)):
            readings = await unless_gone(request, _read_all(service, uploads, options))
    answer = _answer(service, options, uploads, readings)
    # Last, so that the description of the faces counts too.
    answer.seconds = round(time.perf_counter() - started, 4)
    request.state.faces = sum(len(image.faces) for image in answer.images)
    return Response(answer.model_dump_json(), media_type="application/json")


async def _read_all(service: Service, uploads: list[ImageUpload], options: AnalyzeOptions) -> list[Reading | Problem]:
    """The result of each image, in order; a Problem is raised if they take too long."""
    timeout_s = service.settings.request_timeout_s
    try:
        async with asyncio.timeout(timeout_s), asyncio.TaskGroup() as group:
            tasks = [
                group.create_task(_read_one(service, upload, options, f"image {index}"))
                for index, upload in enumerate(uploads)
            ]
    except TimeoutError as error:
        raise Problem("timeout", f"not finished after {timeout_s:g} s; send fewer or smaller images") from error
    except ExceptionGroup as errors:
        # A task group wraps what its tasks raise; clients get the problem itself.
        raise errors.exceptions[0] from None
    return [task.result() for task in tasks]


async def _read_one(service: Service, upload: ImageUpload, options: AnalyzeOptions, name: str) -> Reading | Problem:
    images = service.metrics.images
    try:
        reading = await service.engine.read(upload.data, options, name=name)
    except (SourceError, Problem) as error:
        problem = problem_of(error)
        images.labels(problem.kind).inc()
        return problem
    images.labels("read").inc()
    return reading


def _answer(
    service: Service, options: AnalyzeOptions, uploads: list[ImageUpload], readings: list[Reading | Problem]
) -> Analysis:
    model = service.engine.choose_model(options.model)
    done = [reading for reading in readings if isinstance(reading, Reading)]
    if not done and isinstance(first := readings[0], Problem):
        raise first
    return Analysis(
        images=[
            _describe(source, upload.name, reading, boxes_only=options.boxes_only)
            for source, (upload, reading) in enumerate(zip(uploads, readings, strict=True))
        ],
        model=model.title,
        # The one that `auto` has chosen.
        detector=done[0].detector,
        labels=list(user_labels(options.labels)),
        seconds=0.0,
    )


def _describe(source: int, name: str | None, reading: Reading | Problem, *, boxes_only: bool) -> ImageReading:
    if isinstance(reading, Problem):
        error = reading.document()
        return ImageReading(source=source, name=name, width=None, height=None, faces=[], seconds={}, error=error)
    return ImageReading(
        source=source, name=name, width=reading.width, height=reading.height,
        faces=[_describe_face(face, boxes_only=boxes_only) for face in reading.faces],
        seconds={stage: round(value, 4) for stage, value in reading.seconds.items()},
        error=None,
    )  # fmt: skip


def _describe_face(face: Face, *, boxes_only: bool) -> FaceReading:
    values = face.to_dict()
    if boxes_only:
        values |= {"top": None, "confidence": None, "abstained": False, "probabilities": None}
    return FaceReading(**{name: values[name] for name in FaceReading.model_fields if name in values})
