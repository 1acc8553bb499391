"""What the service answers, as plain dataclasses. Fields that a newer service adds are passed over."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from mien.client.problems import ServiceError, from_document

Row = dict[str, Any]


@dataclass(frozen=True)
class Box:
    """Where a face is, pixels of the picture."""

    x: float
    y: float
    width: float
    height: float


@dataclass(frozen=True)
class FaceResult:
    """One face with its expression, as the face shows it: not what a person feels.

    Args:
        top: the likeliest label; None if only boxes were asked for.
        confidence: its probability, 0–1.
        probabilities: by label, summing to 1.
        box: where it is.
        landmarks: right eye, left eye, nose, right and left corner of the mouth, (x, y) each; may be empty.
        detection_score: how sure the detector is of the face, 0–1.
        abstained: `confidence` is under the `min_confidence` that was asked for.
        index: its number in the picture, from 0.
    """

    top: str | None
    confidence: float | None
    probabilities: dict[str, float]
    box: Box
    landmarks: tuple[tuple[float, float], ...]
    detection_score: float
    abstained: bool
    index: int

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> FaceResult:
        """From the service's JSON."""
        box = values["box"]
        return cls(
            top=values["top"], confidence=values["confidence"], probabilities=dict(values["probabilities"] or {}),
            box=Box(box["x"], box["y"], box["width"], box["height"]),
            landmarks=tuple((x, y) for x, y in values["landmarks"]), detection_score=values["detection_score"],
            abstained=values["abstained"], index=values["face"],
        )  # fmt: skip


@dataclass(frozen=True)
class PictureResult:
    """What came of one picture.

    Args:
        source: its name: the path that was given, or `picture N`.
        faces: those found in it, the surest first; may be empty.
        width, height: in pixels; None when it could not be read.
        model, detector: which ones read it.
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
    def from_dict(cls, source: str, values: Mapping[str, Any], answer: Mapping[str, Any]) -> PictureResult:
        """From a picture of the service's JSON, and the whole of it."""
        return cls(
            source=source, faces=tuple(FaceResult.from_dict(face) for face in values["faces"]),
            width=values["width"], height=values["height"], model=answer["model"], detector=answer["detector"],
            error=None if values["error"] is None else from_document(values["error"]),
        )  # fmt: skip


@dataclass(frozen=True)
class ModelInfo:
    """A model that the service reads with; `scores` say each their data set, split and rows."""

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
        return cls(
            values["name"], values["version"], values["default"], values["licence"], values["parameters"], heads,
            tuple(values["scores"]),
        )  # fmt: skip


@dataclass(frozen=True)
class JobStatus:
    """How a video's job stands.

    Args:
        id: its number.
        state: `queued`, `running`, `done`, `failed`, `cancelled` or `expired`.
        name: the file's name.
        progress: 0–1.
        frames, faces: read so far.
        eta_s: seconds until it should be done; None where that cannot be told.
        ahead: jobs that wait before it; None once it runs.
        notice: what is to be said about the result, such as a video that breaks off.
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
        """It goes on no more."""
        return self.state not in ("queued", "running")

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> JobStatus:
        """From the service's JSON."""
        return cls(
            values["id"], values["state"], values["name"], values["progress"], values["frames"], values["faces"],
            values["eta_s"], values["ahead"], values["notice"],
            None if values["error"] is None else from_document(values["error"]),
        )  # fmt: skip


@dataclass(frozen=True)
class Episode:
    """A stretch of time in which a face showed one expression, seconds."""

    track_id: int
    start_s: float
    end_s: float
    label: str
    mean_confidence: float
    frames: int


@dataclass(frozen=True)
class VideoResult:
    """What came of a video.

    Args:
        source: its name.
        labels: of the probabilities.
        rows: one a frame and face, and one with `success` 0 for a frame without a face; by column name.
        episodes: by their start.
        summary: figures of each face: how long it was there, what it showed.
        notice: what is to be said about it, or None.
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
        names = Episode.__dataclass_fields__
        episodes = [Episode(**{name: entry[name] for name in names}) for entry in values["episodes"]]
        return cls(
            values["source"], tuple(values["labels"]), list(values.get("rows", [])), episodes, values["summary"],
            values["model"], values["detector"], values["notice"],
        )  # fmt: skip
