"""Pictures in which no upright face fills the frame, found by a model that learns it from the data set itself.

Most pictures of a data set of faces show a face. Out of them pictures are made that do not (`counterfeits`), and a
logistic regression learns to tell both apart from gradients (HOG) and from what a model's last maps hold. Nobody's
votes or labels take part. The pictures that it takes for made ones are suspects; those in which Haar's cascade, and
YuNet where its file is there, see a face are less so.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from mien.errors import MissingExtraError
from mien.images.pictures import resize
from mien.workshop.curation.counterfeits import make_counterfeits
from mien.workshop.curation.embedding import Embedding
from mien.workshop.curation.findings import Advance, Finding

UInt8 = npt.NDArray[np.uint8]
Float32 = npt.NDArray[np.float32]

ROUNDS = 3
"""Each learns without the pictures that the one before held for the most suspicious."""

SUSPICIOUS_SHARE = 0.04
LEARNT_FROM, MADE = 20_000, 10_000
STRENGTH = 0.01
"""The inverse weight of the penalty, C of scikit-learn."""

LOOKED_AT_SHARE = 0.1
"""The share of the pictures, the most suspicious, that the detectors look at."""

HAAR_WEIGHT, YUNET_WEIGHT = 1.5, 2.0
REPORTED_FROM = 0.5
DROPPED_FROM = 0.999

_HOG_WEIGHT, _MAP_WEIGHT = 5.0, 0.3
_SIDE_PX, _LARGE_PX, _PAD_PX = 48, 96, 10
_BLOCK = 2048
_FEWEST = 40

Sees = Callable[[UInt8], float]
"""What a detector sees in a grey picture of 96 px: 0 for no face, more for more of one."""


@dataclass(frozen=True)
class Faceless:
    """How little of a face each picture shows.

    Args:
        odds: float32 (N,), logarithm of the odds that it is no face.
        seen: float32 (N,), what the detectors took off that; 0 where they did not look or saw nothing.
    """

    odds: Float32
    seen: Float32


def judge(
    images: UInt8,
    embedding: Embedding,
    embed: Callable[[UInt8], Embedding],
    detectors: tuple[tuple[Sees, float], ...] = (),
    *,
    seed: int = 0,
    advance: Advance | None = None,
) -> Faceless:
    """Learn what is no face, judge every picture, and ask the detectors about the most suspicious.

    Args:
        images: grey uint8 (N, H, W).
        embedding: of these pictures.
        embed: gives the embedding of other pictures.
        detectors: each with the weight of what it sees.
        seed: picks what is made and learnt from.

    Raises:
        MissingExtraError: without scikit-learn.
    """
    if len(images) < _FEWEST:
        return Faceless(np.full(len(images), -np.inf, np.float32), np.zeros(len(images), np.float32))
    made = make_counterfeits(images, min(MADE, len(images)), seed=seed)
    scale = _Scale(embedding)
    odds = _learn(scale.features(images, embedding), scale.features(made, embed(made)), seed)
    seen = np.zeros(len(images), np.float32)
    order = np.argsort(-odds, kind="stable")[: max(_FEWEST, int(LOOKED_AT_SHARE * len(images)))]
    for place, row in enumerate(order.tolist()):
        large = resize(images[row], _LARGE_PX, _LARGE_PX)
        seen[row] = sum(weight * look(large) for look, weight in detectors)
        if advance and place % 100 == 0:
            advance(place, len(order))
    return Faceless(odds, seen)


def find_faceless(judged: Faceless) -> list[Finding]:
    """Findings `no-face`, the surest suggested to be dropped."""
    odds = judged.odds - judged.seen
    score = 1 / (1 + np.exp(-np.clip(odds.astype(np.float64), -30, 30)))
    found = []
    for row in np.flatnonzero(score >= REPORTED_FROM).tolist():
        nothing = judged.seen[row] == 0
        said = "no detector sees a face" if nothing else "a detector sees something like a face"
        suggestion = "drop" if score[row] >= DROPPED_FROM and nothing else "keep"
        found.append(Finding("no-face", (row,), float(score[row]), suggestion, "", f"unlike the other faces; {said}"))
    return found


def haar() -> Sees:
    """How many windows OpenCV's frontal cascade takes for a face, as log(1 + n)."""
    cascade = cv2.CascadeClassifier(cv2.data.haarcascades + "haarcascade_frontalface_alt2.xml")  # type: ignore[attr-defined]
    inner = _LARGE_PX - 2 * _PAD_PX
    least = (_LARGE_PX // 2, _LARGE_PX // 2)

    def look(image: UInt8) -> float:
        padded = np.pad(resize(image, inner, inner), _PAD_PX, mode="edge")
        return float(np.log1p(len(cascade.detectMultiScale(padded, 1.1, 0, minSize=least))))

    return look


def yunet(path: str) -> Sees:
    """The score of the best face that YuNet finds, 0–1."""
    net = cv2.FaceDetectorYN.create(path, "", (_LARGE_PX, _LARGE_PX), 0.02, 0.3, 5000)

    def look(image: UInt8) -> float:
        rows = net.detect(cv2.cvtColor(image, cv2.COLOR_GRAY2BGR))[1]
        return 0.0 if rows is None else float(rows[:, 14].max())

    return look


class _Scale:
    """Brings gradients and maps to a common scale, that of the data set's own pictures."""

    def __init__(self, embedding: Embedding) -> None:
        self.use_maps = embedding.maps.shape[1] > 0
        sample = self._values(embedding)[:: max(1, len(embedding.vectors) // 8192)].astype(np.float32)
        self.mean = sample.mean(axis=0)
        self.spread = np.maximum(sample.std(axis=0), 1e-3)

    def _values(self, embedding: Embedding) -> npt.NDArray[np.floating]:
        return embedding.maps if self.use_maps else embedding.vectors

    def features(self, images: UInt8, embedding: Embedding) -> Float32:
        """Float32 (N, F): HOG, then the maps or, where a graph pools nothing, the vectors."""
        values = self._values(embedding)
        hog = cv2.HOGDescriptor((_SIDE_PX, _SIDE_PX), (16, 16), (8, 8), (8, 8), 9)
        edges = int(hog.getDescriptorSize())
        out = np.empty((len(images), edges + values.shape[1]), np.float32)
        for start in range(0, len(images), _BLOCK):
            rows = slice(start, start + _BLOCK)
            described = [np.ravel(hog.compute(resize(image, _SIDE_PX, _SIDE_PX))) for image in images[rows]]
            out[rows, :edges] = np.stack(described) * _HOG_WEIGHT
            out[rows, edges:] = (values[rows].astype(np.float32) - self.mean) / self.spread * _MAP_WEIGHT
        return out


def _learn(faces: Float32, made: Float32, seed: int) -> Float32:
    """Logarithm of the odds (N,) that each of `faces` is like those that were made."""
    try:
        from sklearn.linear_model import LogisticRegression
    except ImportError as error:
        raise MissingExtraError("scikit-learn", "train") from error
    random = np.random.default_rng(seed)
    picked = random.permutation(len(faces))[:LEARNT_FROM]
    odds = np.zeros(len(faces), np.float32)
    trusted = np.ones(len(faces), bool)
    for _ in range(ROUNDS):
        learnt = picked[trusted[picked]]
        truth = np.repeat([0, 1], [len(learnt), len(made)])
        model = LogisticRegression(C=STRENGTH, max_iter=100, tol=1e-3)
        model.fit(np.concatenate([faces[learnt], made]), truth)
        odds = (faces @ model.coef_[0].astype(np.float32) + np.float32(model.intercept_[0])).astype(np.float32)
        trusted = odds < np.quantile(odds, 1 - SUSPICIOUS_SHARE)
    return odds
