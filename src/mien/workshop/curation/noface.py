"""Pictures in which no upright face fills the frame, found by a model that learns it from the data set itself.

Most pictures of a data set of faces show a face. Synthetic negatives are made from them, and a logistic
regression learns to tell both apart from gradients (HOG) and from what a model's last maps hold. Nobody's
votes or labels take part. The pictures that it takes for synthetic ones are suspects; less so if Haar's
cascade, or YuNet where its file is present, sees a face in them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from mien.arrays import Float32, Float64, UInt8
from mien.errors import MissingExtraError
from mien.images.pictures import resize
from mien.workshop.curation.issues import Finding
from mien.workshop.curation.similarity import Embedding
from mien.workshop.progress import OnProgress

# This module's figures were chosen on FER2013 with its NF votes in sight (docs/guide/curation.md).
ROUNDS = 3
"""Each learns without the pictures that the one before found most suspicious."""

SUSPICIOUS_SHARE = 0.04
LEARNT_FROM, MADE = 20_000, 10_000
STRENGTH = 0.01
"""scikit-learn's C, the inverse weight of the penalty."""

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

Random = np.random.Generator
_BORDERS = (cv2.BORDER_REFLECT_101, cv2.BORDER_REPLICATE, cv2.BORDER_CONSTANT)
_LETTERS = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789!?.,      "


@dataclass(frozen=True)
class Faceless:
    """How little of a face each picture shows.

    Args:
        odds: float32 (N,), logarithm of the odds that it is no face.
        seen: float32 (N,), what the detectors subtract from it; 0 where they did not look or saw nothing.
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
    on_progress: OnProgress | None = None,
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
    # Too few to learn from, so nothing is suspicious.
    if len(images) < _FEWEST:
        return Faceless(np.full(len(images), -np.inf, np.float32), np.zeros(len(images), np.float32))
    made = make_negatives(images, min(MADE, len(images)), seed=seed)
    scale = _Scale(embedding)
    odds = _learn(scale.features(images, embedding), scale.features(made, embed(made)), seed)
    seen = np.zeros(len(images), np.float32)
    order = np.argsort(-odds, kind="stable")[: max(_FEWEST, int(LOOKED_AT_SHARE * len(images)))]
    for place, row in enumerate(order.tolist()):
        large = resize(images[row], _LARGE_PX, _LARGE_PX)
        seen[row] = sum(weight * look(large) for look, weight in detectors)
        if on_progress and place % 100 == 0:
            on_progress(place, len(order))
    return Faceless(odds, seen)


def find_faceless(judged: Faceless) -> list[Finding]:
    """Findings `no-face`; the most certain are suggested to be dropped."""
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
        # The cascade looks for a face with something around it; crops are filled by theirs.
        padded = np.pad(resize(image, inner, inner), _PAD_PX, mode="edge")
        # No agreement of neighbouring windows is asked for, because their number is the measure.
        return float(np.log1p(len(cascade.detectMultiScale(padded, 1.1, 0, minSize=least))))

    return look


def yunet(path: str) -> Sees:
    """The score of the best face that YuNet finds, 0–1."""
    # A low least score: even a faint face makes a picture less suspicious.
    net = cv2.FaceDetectorYN.create(path, "", (_LARGE_PX, _LARGE_PX), 0.02, 0.3, 5000)

    def look(image: UInt8) -> float:
        rows = net.detect(cv2.cvtColor(image, cv2.COLOR_GRAY2BGR))[1]
        # A row is box, five landmarks, score.
        return 0.0 if rows is None else float(rows[:, 14].max())

    return look


class _Scale:
    """Brings gradients and maps to a common scale, that of the data set's own pictures."""

    def __init__(self, embedding: Embedding) -> None:
        self.use_maps = embedding.maps.shape[1] > 0
        sample = self._values(embedding)[:: max(1, len(embedding.vectors) // 8192)].astype(np.float32)
        self.mean = sample.mean(axis=0)
        # A value that never changes is not divided by nothing.
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
        # The most suspicious would teach it that they are faces.
        learnt = picked[trusted[picked]]
        truth = np.repeat([0, 1], [len(learnt), len(made)])
        model = LogisticRegression(C=STRENGTH, max_iter=100, tol=1e-3)
        model.fit(np.concatenate([faces[learnt], made]), truth)
        odds = (faces @ model.coef_[0].astype(np.float32) + np.float32(model.intercept_[0])).astype(np.float32)
        trusted = odds < np.quantile(odds, 1 - SUSPICIOUS_SHARE)
    return odds


def make_negatives(images: UInt8, count: int, *, seed: int = 0) -> UInt8:
    """Pictures (count, H, W): faces turned over, cut off, far away, too near or taken apart; lettering, shapes, blanks.

    Args:
        images: grey uint8 (N, H, W), N at least 1.
        count: how many to make.
        seed: the same one makes the same pictures.
    """
    random = np.random.default_rng(seed)
    # Each picture is used about equally often.
    sources = random.permutation(np.resize(np.arange(len(images)), count))
    recipe = [RECIPES[place % len(RECIPES)] for place in range(count)]
    return np.stack([make(images[source], random) for source, make in zip(sources, recipe, strict=True)])


def _turned(image: UInt8, random: Random) -> UInt8:
    angle = random.choice([-1, 1]) * random.uniform(55, 180)
    return _warp(image, random, angle=angle, scale=random.uniform(0.7, 1.3), shift=random.uniform(-0.15, 0.15, 2))


def _cut_off(image: UInt8, random: Random) -> UInt8:
    angle, far = random.uniform(0, 2 * np.pi), random.uniform(0.35, 0.65)
    shift = far * np.array([np.cos(angle), np.sin(angle)])
    return _warp(image, random, angle=random.uniform(-15, 15), scale=random.uniform(0.8, 1.4), shift=shift)


def _far(image: UInt8, random: Random) -> UInt8:
    scale = random.uniform(0.3, 0.6)
    shift = random.uniform(-0.5, 0.5, 2) * (1 - scale)
    return _warp(image, random, angle=random.uniform(-25, 25), scale=scale, shift=shift)


def _near(image: UInt8, random: Random) -> UInt8:
    scale = random.uniform(1.8, 3)
    shift = random.uniform(-0.4, 0.4, 2) * (scale - 1)
    return _warp(image, random, angle=random.uniform(-20, 20), scale=scale, shift=shift)


def _apart(image: UInt8, random: Random) -> UInt8:
    """Tiles in another order."""
    tiles = int(random.choice([2, 3, 4]))
    high, wide = image.shape[0] // tiles, image.shape[1] // tiles
    parts = [image[i * high : (i + 1) * high, j * wide : (j + 1) * wide] for i in range(tiles) for j in range(tiles)]
    order = random.permutation(len(parts))
    rows = [np.hstack([parts[place] for place in order[i * tiles : (i + 1) * tiles]]) for i in range(tiles)]
    return _fit(np.vstack(rows), image.shape)


def _lettered(image: UInt8, random: Random) -> UInt8:
    """Lines of words on one colour, with or without a second colour below."""
    ground = random.choice(np.array([0, 40, 128, 200, 255, int(random.integers(256))]))
    sheet = np.full((192, 192), ground, np.uint8)
    if random.random() < 0.3:
        sheet[int(random.integers(192)) :] = random.integers(256)
    size, colour = random.uniform(0.3, 2.5), int(random.integers(256))
    font, left, top = int(random.integers(0, 8)), int(random.integers(-60, 60)), int(random.integers(0, 60))
    for line in range(int(random.integers(1, 9))):
        words = "".join(random.choice(list(_LETTERS), random.integers(4, 40)))
        place = (left, top + int(line * 34 * size * random.uniform(0.9, 1.4)))
        cv2.putText(sheet, words, place, font, size, colour, int(random.integers(1, 4)), cv2.LINE_AA)
    return _fit(sheet, image.shape)


def _shapes(image: UInt8, random: Random) -> UInt8:
    sheet = np.full((96, 96), random.integers(256), np.uint8)
    for _ in range(int(random.integers(1, 5))):
        colour, kind = int(random.integers(256)), random.integers(3)
        if kind == 0:
            corners = random.integers(-20, 116, (2, 2)).tolist()
            cv2.rectangle(sheet, corners[0], corners[1], colour, int(random.choice([-1, 1, 3])), cv2.LINE_AA)
        elif kind == 1:
            middle = random.integers(0, 96, 2).tolist()
            cv2.circle(sheet, middle, int(random.integers(3, 50)), colour, int(random.choice([-1, 2, 4])), cv2.LINE_AA)
        else:
            cv2.fillPoly(sheet, [random.integers(-10, 106, (3, 2)).astype(np.int32)], colour, cv2.LINE_AA)
    return _fit(sheet, image.shape)


def _blank(image: UInt8, random: Random) -> UInt8:
    """One colour or two that run into each other, clean or with noise."""
    first, second = random.integers(0, 256, 2)
    ramp = np.linspace(first, second if random.random() < 0.5 else first, image.shape[1])
    sheet = np.broadcast_to(ramp, image.shape)
    sheet = sheet if random.random() < 0.5 else sheet.T
    noise = random.normal(0, random.choice([0, 0, 2, 8]), image.shape)
    return np.clip(np.resize(sheet, image.shape) + noise, 0, 255).astype(np.uint8)


def _warp(image: UInt8, random: Random, *, angle: float, scale: float, shift: Float64) -> UInt8:
    """Turned by degrees, scaled, shifted by shares of the side; what comes in is mirrored, drawn out or one colour."""
    height, width = image.shape
    matrix = cv2.getRotationMatrix2D(((width - 1) / 2, (height - 1) / 2), float(angle), float(scale))
    matrix[:, 2] = matrix[:, 2] + shift * np.array([width, height])
    # All kinds of borders, or it would learn the border and not the missing face.
    colour = float(random.choice(np.array([0.0, 255.0, float(image.mean()), float(random.integers(256))])))
    border = _BORDERS[random.integers(len(_BORDERS))]
    warped = cv2.warpAffine(
        image, matrix, (width, height), flags=cv2.INTER_LINEAR, borderMode=border, borderValue=colour
    )
    return np.asarray(warped, np.uint8)


def _fit(sheet: UInt8, shape: tuple[int, ...]) -> UInt8:
    return np.asarray(cv2.resize(sheet, (shape[1], shape[0]), interpolation=cv2.INTER_AREA), np.uint8)


RECIPES: tuple[Callable[[UInt8, Random], UInt8], ...] = (
    _turned, _cut_off, _far, _lettered, _near, _turned, _far, _apart, _shapes, _cut_off, _far, _lettered, _turned,
    _near, _blank,
)  # fmt: skip
"""Used in turn: what is here more than once is made more often."""
