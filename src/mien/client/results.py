"""What the service answers: plain dataclasses for results, exceptions for refusals. Unknown fields are ignored.

ServiceError                 any answer with a status from 400
├── InvalidRequestError      400, 415, 422: the request cannot be used
├── UnauthorizedError        401, 403: no key, or not a known one
├── NotFoundError            404, 410: it does not exist, or was deleted
├── TooLargeError            413: over a limit of bytes, pixels or images
├── RateLimitedError         429: too many requests, even after the retries
├── OverloadedError          503: too busy, even after the retries
└── JobFailedError           a video job ended without a result
ConnectionFailedError        no answer, or not one of Mien's service
WaitedTooLongError           a job is not done in time
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any, TypeVar

from mien.errors import MienError

PREFIX = "urn:mien:problem:"
Row = dict[str, Any]


class ConnectionFailedError(MienError):
    """The service cannot be reached, or something else answers."""


class WaitedTooLongError(MienError):
    """A job was not done within the client's time limit; it keeps going."""


class ServiceError(MienError):
    """The service refuses a request.

    Args:
        kind: the problem's name, such as `not-an-image`.
        title: the kind in words.
        detail: what happened this time.
        status: the HTTP status.
        request_id: the request's ID in the service's log.
        errors: one entry per parameter or image that cannot be used.
    """

    def __init__(
        self, kind: str, title: str, detail: str, *, status: int, request_id: str | None = None,
        errors: tuple[Mapping[str, Any], ...] = (),
    ) -> None:  # fmt: skip
        super().__init__(f"{title}: {detail}" if detail else title)
        self.kind, self.title, self.detail, self.status = kind, title, detail, status
        self.request_id, self.errors = request_id, errors


class InvalidRequestError(ServiceError):
    """The request cannot be used."""


class UnauthorizedError(ServiceError):
    """No key, or not a known one."""


class NotFoundError(ServiceError):
    """It does not exist, or was deleted."""


class TooLargeError(ServiceError):
    """Over a limit of bytes, pixels or images."""


class RateLimitedError(ServiceError):
    """Too many requests."""


class OverloadedError(ServiceError):
    """The service is too busy."""


class JobFailedError(ServiceError):
    """A job ended without a result: it failed or was cancelled."""


# By status and not by kind, so that kinds of a newer service have a class too.
BY_STATUS: dict[int, type[ServiceError]] = {
    400: InvalidRequestError, 401: UnauthorizedError, 403: UnauthorizedError, 404: NotFoundError, 410: NotFoundError,
    413: TooLargeError, 415: InvalidRequestError, 422: InvalidRequestError, 429: RateLimitedError,
    503: OverloadedError,
}  # fmt: skip


def from_document(document: Mapping[str, Any]) -> ServiceError:
    """The exception for a problem document."""
    status = int(document.get("status", 500))
    name = str(document.get("type", "")).removeprefix(PREFIX)
    # By its kind: the same status, 409, means "not done yet" too.
    chosen = JobFailedError if name == "job-failed" else BY_STATUS.get(status, ServiceError)
    instance = document.get("instance")
    return chosen(
        name, str(document.get("title", "The service failed")), str(document.get("detail", "")), status=status,
        request_id=None if instance is None else str(instance).rpartition(":")[2],
        errors=tuple(document.get("errors") or ()),
    )  # fmt: skip


@dataclass(frozen=True)
class Box:
    """Where a face is, in pixels of the image."""

    x: float
    y: float
    width: float
    height: float


@dataclass(frozen=True)
class FaceResult:
    """One face and its expression: what it shows, not what the person feels.

    Args:
        top: the most probable label; None with `boxes_only`.
        confidence: its probability, 0–1.
        probabilities: by label; they sum to 1.
        box: where the face is.
        landmarks: right eye, left eye, nose, right and left corner of the mouth, (x, y) each; may be empty.
        detection_score: the detector's score of the face, 0–1.
        abstained: `confidence` is below the requested `min_confidence`: the answer is "not sure".
        index: its number in the image, counted from 0.
        valence: where people would put it, from -1, unpleasant, to 1, pleasant; with `boxes_only`, and where the model
            cannot tell, these and the others are null.
        arousal: the same from -1, calm, to 1, excited.
        intensity: share of annotators who see any expression, 0–1.
        valence_sd, arousal_sd, intensity_sd: standard deviation of each.
        affect_source: the output heads that they are from.
        quality: how well it can be seen, in a word; `good` or what troubles it.
        quality_score: the same as a number, 0–1.
        landmarks68: iBUG's 68 points, (x, y) each; this and what follows is empty or None without `geometry`.
        iris: centres of the person's right and left iris.
        visible: probability that each of the 68 is seen, 0–1.
        pose: `yaw`, `pitch` and `roll` of the head, degrees.
        blendshapes: ARKit's blendshapes by name, 0–1.
    """

    top: str | None
    confidence: float | None
    probabilities: dict[str, float]
    box: Box
    landmarks: tuple[tuple[float, float], ...]
    detection_score: float
    abstained: bool
    index: int
    valence: float | None = None
    arousal: float | None = None
    intensity: float | None = None
    valence_sd: float | None = None
    arousal_sd: float | None = None
    intensity_sd: float | None = None
    affect_source: str | None = None
    quality: str = ""
    quality_score: float = 1.0
    landmarks68: tuple[tuple[float, float], ...] = ()
    iris: tuple[tuple[float, float], ...] = ()
    visible: tuple[float, ...] = ()
    pose: Mapping[str, float] | None = None
    blendshapes: Mapping[str, float] | None = None

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> FaceResult:
        """From the service's JSON."""
        return _fill(
            cls, values, probabilities=dict(values["probabilities"] or {}), box=_fill(Box, values["box"]),
            index=values["face"], visible=tuple(values.get("visible") or ()),
            **{name: _points(values.get(name)) for name in ("landmarks", "landmarks68", "iris")},
        )  # fmt: skip


@dataclass(frozen=True)
class ImageResult:
    """The faces of one image.

    Args:
        source: its name: the path that was passed, or `image N`.
        faces: the faces found, highest detection score first; may be empty.
        width, height: in pixels; None if it could not be read.
        model, detector: which ones were used.
        error: why it could not be read, or None.
    """

    source: str
    faces: tuple[FaceResult, ...]
    width: int | None = None
    height: int | None = None
    model: str = ""
    detector: str = ""
    error: ServiceError | None = None

    @classmethod
    def from_dict(cls, source: str, values: Mapping[str, Any], answer: Mapping[str, Any]) -> ImageResult:
        """From one image of the service's JSON, and the whole of it."""
        return _fill(
            cls, values, source=source, faces=tuple(FaceResult.from_dict(face) for face in values["faces"]),
            model=answer["model"], detector=answer["detector"], error=_error(values),
        )  # fmt: skip


@dataclass(frozen=True)
class ModelInfo:
    """A model that the service offers; each of its `scores` names its data set, split and rows."""

    name: str
    version: str
    default: bool
    licence: str
    parameters: int
    heads: dict[str, tuple[str, ...]]
    scores: tuple[Mapping[str, Any], ...]

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> ModelInfo:
        """From the service's JSON."""
        heads = {name: tuple(labels) for name, labels in values["heads"].items()}
        return _fill(cls, values, heads=heads, scores=tuple(values["scores"]))


@dataclass(frozen=True)
class JobStatus:
    """The state of a video job.

    Args:
        id: its ID.
        state: `queued`, `running`, `done`, `failed`, `cancelled` or `expired`.
        name: the file's name.
        progress: 0–1.
        frames, faces: analyzed so far.
        eta_s: estimated seconds until it is done; None if unknown.
        ahead: jobs queued before it; None once it runs.
        notice: a remark on the result, such as that the video is truncated.
        error: why it failed.
    """

    id: str
    state: str
    name: str
    progress: float
    frames: int
    faces: int
    eta_s: float | None = None
    ahead: int | None = None
    notice: str | None = None
    error: ServiceError | None = None

    @property
    def is_over(self) -> bool:
        """Whether it has ended, in whatever way."""
        return self.state not in ("queued", "running")

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> JobStatus:
        """From the service's JSON."""
        return _fill(cls, values, error=_error(values))


@dataclass(frozen=True)
class Episode:
    """The time, in seconds, during which a face showed one expression."""

    track_id: int
    start_s: float
    end_s: float
    label: str
    mean_confidence: float
    frames: int


@dataclass(frozen=True)
class VideoResult:
    """The result of a video.

    Args:
        source: its name.
        labels: those of the probabilities.
        rows: one per frame and face, and one with `success` 0 for a frame without a face; by column name.
        episodes: the expression intervals, by start.
        summary: figures of each face: how long it was visible, what it showed.
        notice: a remark on the result, or None.
    """

    source: str
    labels: tuple[str, ...]
    rows: list[Row] = field(repr=False)
    episodes: list[Episode]
    summary: Mapping[str, Any] = field(repr=False)
    model: str = ""
    detector: str = ""
    notice: str | None = None

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> VideoResult:
        """From the service's JSON."""
        episodes = [_fill(Episode, entry) for entry in values["episodes"]]
        return _fill(
            cls, values, labels=tuple(values["labels"]), rows=list(values.get("rows", [])), episodes=episodes
        )  # fmt: skip


def _points(values: Sequence[Sequence[float]] | None) -> tuple[tuple[float, float], ...]:
    return tuple((x, y) for x, y in values or ())


Dataclass = TypeVar("Dataclass")


def _fill(cls: type[Dataclass], values: Mapping[str, Any], **given: Any) -> Dataclass:
    """A dataclass from the JSON values of its fields, except those given."""
    # A newer service may send more, and an older one less.
    names = {entry.name for entry in fields(cls)} & set(values)  # type: ignore[arg-type]
    return cls(**({name: values[name] for name in names} | given))


def _error(values: Mapping[str, Any]) -> ServiceError | None:
    return None if values["error"] is None else from_document(values["error"])
