"""What travels between the parts: frames, detections, faces. Shapes are checked where they are built."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from mien.labels import NOT_SURE

Float32 = npt.NDArray[np.float32]
UInt8 = npt.NDArray[np.uint8]


# The generated repr would print the pixels.
@dataclass(frozen=True, repr=False)
class Frame:
    """One picture of a source.

    Args:
        image: RGB uint8 (H, W, 3).
        source: where it comes from, as the user named it.
        index: number of the frame in its source, from 0.
        time_s: presentation time in seconds from the start of the source.
    """

    image: UInt8
    source: str = ""
    index: int = 0
    time_s: float = 0.0

    def __post_init__(self) -> None:
        if self.image.dtype != np.uint8 or self.image.ndim != 3 or self.image.shape[2] != 3:
            raise ValueError(f"a frame's image is RGB uint8 (H, W, 3), not {self.image.dtype} {self.image.shape}")

    def __repr__(self) -> str:
        height, width = self.image.shape[:2]
        return f"Frame({self.source!r}, {width} × {height}, index {self.index}, {self.time_s:.3f} s)"


@dataclass(frozen=True)
class Detections:
    """The faces found in one picture, a row each; "no face" is an empty one.

    Args:
        boxes: xyxy pixels of the picture, float32 (N, 4).
        scores: the detector's own score, float32 (N,), in 0–1.
        landmarks: right eye, left eye, nose, right and left mouth corner (the person's right), float32 (N, 5, 2);
            NaN where the detector gives none.
    """

    boxes: Float32
    scores: Float32
    landmarks: Float32

    def __post_init__(self) -> None:
        n = len(self.boxes)
        if self.boxes.shape != (n, 4) or self.scores.shape != (n,) or self.landmarks.shape != (n, 5, 2):
            raise ValueError(
                "detections take boxes (N, 4), scores (N,) and landmarks (N, 5, 2), "
                f"not {self.boxes.shape}, {self.scores.shape} and {self.landmarks.shape}"
            )

    @classmethod
    def empty(cls) -> Detections:
        """No face."""
        return cls(np.zeros((0, 4), np.float32), np.zeros(0, np.float32), np.zeros((0, 5, 2), np.float32))

    @classmethod
    def from_boxes(cls, boxes: npt.ArrayLike, scores: npt.ArrayLike) -> Detections:
        """From a detector without landmarks: xyxy boxes and scores."""
        xyxy = np.asarray(boxes, np.float32).reshape(-1, 4)
        return cls(xyxy, np.asarray(scores, np.float32).reshape(-1), np.full((len(xyxy), 5, 2), np.nan, np.float32))

    def __len__(self) -> int:
        return len(self.boxes)

    def __getitem__(self, rows: Any) -> Detections:
        """The rows that a mask, slice or index array picks."""
        return Detections(self.boxes[rows], self.scores[rows], self.landmarks[rows])


class Pose(NamedTuple):
    """Where a head faces, in degrees: right-handed about x to the picture's right, y up, z towards the camera.

    Args:
        yaw: positive when the face turns to the picture's right, which is the person's left.
        pitch: positive when it looks down.
        roll: positive when the head leans to the picture's left, anti-clockwise.
    """

    yaw: float
    pitch: float
    roll: float


class Affect(NamedTuple):
    """Where people would put a face on the circumplex; see `mien.reading.affect`. None is what nobody can say.

    Args:
        valence: from -1, unpleasant, to 1, pleasant.
        arousal: from -1, calm, to 1, excited.
        intensity: share of annotators who see any expression, 0–1.
        valence_sd, arousal_sd, intensity_sd: standard deviation of each, about the mean of many raters.
        source: the model's output heads that it is from; of `crowd` or another head of words, by its words.
    """

    valence: float | None
    arousal: float | None
    intensity: float | None
    valence_sd: float | None = None
    arousal_sd: float | None = None
    intensity_sd: float | None = None
    source: str = ""


@dataclass(frozen=True)
class Readings:
    """What a model says of N faces, a row each.

    Args:
        probabilities: calibrated, in the users' vocabulary, float32 (N, K).
        affect: as `reading.affect.COLUMNS` has it, float32 (N, 6); NaN where the model does not tell.
    """

    probabilities: Float32
    affect: Float32

    def __post_init__(self) -> None:
        if self.probabilities.ndim != 2 or self.affect.shape != (len(self.probabilities), 6):
            raise ValueError(
                f"readings take probabilities (N, K) and affect (N, 6), not {self.probabilities.shape} and "
                f"{self.affect.shape}"
            )

    def __len__(self) -> int:
        return len(self.probabilities)

    def __getitem__(self, rows: Any) -> Readings:
        """The rows that a mask, slice or index array picks."""
        return Readings(self.probabilities[rows], self.affect[rows])


@dataclass(frozen=True)
class Face:
    """One face with its expression: what `mien.analyze` returns.

    Args:
        box: x1, y1, x2, y2 in pixels of the original picture.
        detection_score: the detector's score, 0–1.
        probabilities: calibrated probability of each label; they sum to 1.
        landmarks: five points (x, y), or none.
        abstained: the highest probability is under the threshold that was asked for.
        model: name and version of the model.
        detector: name of the detector.
        index: number of the face in its picture, from 0.
        track_id: who it is over time, from 1 in each source; None in a picture.
        raw: in a video, the probabilities of this frame alone, where `probabilities` are smoothed and held over time.
        affect: valence, arousal and intensity with their standard deviations.
        quality: how well it can be seen: `good`, or the worst of what troubles it; see `mien.faces.quality`.
        quality_score: the same as a number, 0–1; `good` from 0.5.
        landmarks68: iBUG's 68 points (x, y) in pixels of the original picture; this and what follows with `geometry`.
        iris: centres (x, y) of the person's right and left iris.
        visible: probability that each of the 68 is seen, not turned away, covered or out of the picture.
        pose: yaw, pitch and roll of the head in degrees.
        blendshapes: ARKit's blendshapes by name, 0–1, after MediaPipe's list.
    """

    box: tuple[float, float, float, float]
    detection_score: float
    probabilities: dict[str, float]
    landmarks: tuple[tuple[float, float], ...] = ()
    abstained: bool = False
    model: str = ""
    detector: str = ""
    index: int = field(default=0, kw_only=True)
    track_id: int | None = field(default=None, kw_only=True)
    raw: dict[str, float] | None = field(default=None, kw_only=True)
    affect: Affect | None = field(default=None, kw_only=True)
    quality: str = field(default="", kw_only=True)
    quality_score: float = field(default=1.0, kw_only=True)
    landmarks68: tuple[tuple[float, float], ...] = field(default=(), kw_only=True)
    iris: tuple[tuple[float, float], ...] = field(default=(), kw_only=True)
    visible: tuple[float, ...] = field(default=(), kw_only=True)
    pose: Pose | None = field(default=None, kw_only=True)
    blendshapes: dict[str, float] | None = field(default=None, kw_only=True)

    @property
    def top(self) -> str:
        """The label to show: the one with the highest probability."""
        return max(self.probabilities, key=self.probabilities.__getitem__)

    @property
    def confidence(self) -> float:
        """The probability of `top`."""
        return self.probabilities[self.top]

    @property
    def verdict(self) -> str:
        """What to show users: `top`, or `not sure` for a face whose confidence is below the threshold."""
        return NOT_SURE if self.abstained else self.top

    @property
    def valence(self) -> float | None:
        """How pleasant it looks, from -1 to 1; see `Affect`."""
        return self.affect and self.affect.valence

    @property
    def arousal(self) -> float | None:
        """How excited it looks, from -1 to 1; see `Affect`."""
        return self.affect and self.affect.arousal

    @property
    def intensity(self) -> float | None:
        """Share of annotators who see any expression, 0–1; see `Affect`."""
        return self.affect and self.affect.intensity

    @property
    def raw_top(self) -> str:
        """The likeliest label of this frame alone."""
        values = self.raw or self.probabilities
        return max(values, key=values.__getitem__)

    def to_dict(self) -> dict[str, Any]:
        """Plain numbers and strings, for JSON."""
        x1, y1, x2, y2 = (round(v, 1) for v in self.box)
        moving: dict[str, Any] = {} if self.track_id is None else {"track_id": self.track_id}
        if self.raw is not None:
            moving["raw"] = {name: round(p, 4) for name, p in self.raw.items()}
        return {
            "face": self.index,
            **moving,
            "top": self.top,
            "confidence": round(self.confidence, 4),
            "abstained": self.abstained,
            "probabilities": {name: round(p, 4) for name, p in self.probabilities.items()},
            **affect_values(self.affect),
            "box": {"x": x1, "y": y1, "width": round(x2 - x1, 1), "height": round(y2 - y1, 1)},
            "landmarks": [[round(x, 1), round(y, 1)] for x, y in self.landmarks],
            "detection_score": round(self.detection_score, 4),
            "quality": self.quality,
            "quality_score": round(self.quality_score, 4),
            "model": self.model,
            "detector": self.detector,
            **self._geometry(),
        }

    def _geometry(self) -> dict[str, Any]:
        if self.pose is None:
            return {}
        return {
            "landmarks68": [[round(x, 1), round(y, 1)] for x, y in self.landmarks68],
            "iris": [[round(x, 1), round(y, 1)] for x, y in self.iris],
            "visible": [round(p, 2) for p in self.visible],
            "pose": {name: round(angle, 1) for name, angle in self.pose._asdict().items()},
            "blendshapes": {name: round(value, 4) for name, value in (self.blendshapes or {}).items()},
        }

    def to_deepface(self) -> dict[str, Any]:
        """The shape of `DeepFace.analyze(actions=["emotion"])`: per cent, region as x, y, w, h."""
        x1, y1, x2, y2 = self.box
        region: dict[str, Any] = {
            "x": round(x1), "y": round(y1), "w": round(x2 - x1), "h": round(y2 - y1),
            "left_eye": None, "right_eye": None,
        }  # fmt: skip
        if self.landmarks:
            right, left = self.landmarks[:2]
            region["right_eye"] = (round(right[0]), round(right[1]))
            region["left_eye"] = (round(left[0]), round(left[1]))
        return {
            "emotion": {name: 100 * p for name, p in self.probabilities.items()},
            "dominant_emotion": self.top,
            "region": region,
            "face_confidence": round(self.detection_score, 2),
        }


def affect_values(affect: Affect | None) -> dict[str, Any]:
    """Its values rounded to four digits, and `affect_source`; None throughout for none."""
    values = affect or Affect(None, None, None)
    rounded = {name: value if value is None else round(value, 4) for name, value in values._asdict().items()
               if name != "source"}  # fmt: skip
    return {**rounded, "affect_source": values.source or None}
