"""Mien's own face detector: small, in the wheel, taught by YuNet on composed pictures (`mien.workshop.detection`)."""

from __future__ import annotations

import functools
import hashlib
import json
import os
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
import numpy.typing as npt

from mien.artifact.runtime import Session
from mien.errors import ArtifactError
from mien.faces.detection import MIN_FACE_PX, choose_larger_look, join, keep_inside, overlaps, shrink_in_turn, suppress
from mien.faces.verification import CLOSE_UP_PX, Fusion, Verifier
from mien.images.pictures import to_grey
from mien.structures import Detections

UInt8 = npt.NDArray[np.uint8]
Float32 = npt.NDArray[np.float32]

STRIDES = (8, 16, 32)
"""Pixels of the picture between two points of each level."""

BUNDLED = Path(__file__).parent / "bundled" / "mien-face"
"""The weights that come with Mien."""

INPUT_NAME, OUTPUT_NAME = "image", "faces"
"""The graph's input, grey uint8 (1, H, W) with sides that every stride divides, and its output, float32 (1, P, 15)."""

LONGEST_PX = 640
SMALLEST_PX = 24
"""Height of the lowest face that is found reliably at working size."""

LARGEST_FACE_PX = 256
"""Height of the highest one."""

SAME_FACE = 0.4
"""Intersection over union from which detections of two looks are one face."""

UNSEEN, LOW_COSTS = -3.0, 1.6
"""The logit that a look gives to a face which it does not see; what lower faces than `SMALLEST_PX` have less."""

MAX_OVERLAP = 0.35
CANDIDATES = 2000


# All frames of a video have the same points.
@lru_cache(maxsize=16)
def make_points(height: int, width: int) -> tuple[Float32, Float32]:
    """Middles (P, 2) and strides (P, 1) of the graph's points in pixels, level by level, row by row."""
    middles, strides = [], []
    for stride in STRIDES:
        rows, columns = np.mgrid[: height // stride, : width // stride]
        middles.append(np.stack([columns.ravel(), rows.ravel()], axis=1) * stride + stride / 2)
        strides.append(np.full((len(middles[-1]), 1), stride))
    return np.concatenate(middles).astype(np.float32), np.concatenate(strides).astype(np.float32)


def decode(outputs: Float32, height: int, width: int, min_score: float) -> Detections:
    """Faces from the graph's outputs (P, 15) for a picture of that size, before overlapping ones are dropped.

    A row holds the score's logit, the middle (2) and the logarithm of the size (2) and five landmarks (10), in
    strides from the point.
    """
    # The threshold as a logit: only the few rows above it need their probability.
    floor = np.float32(np.log(max(min_score, 1e-4) / max(1 - min_score, 1e-4)))
    chosen = np.flatnonzero(outputs[:, 0] >= floor)
    # `suppress` compares each with each, so a pattern full of hits must not reach it whole.
    if len(chosen) > CANDIDATES:
        chosen = chosen[np.argpartition(-outputs[chosen, 0], CANDIDATES)[:CANDIDATES]]
    rows = outputs[chosen]
    middles, strides = (part[chosen] for part in make_points(height, width))
    centre = middles + rows[:, 1:3] * strides
    # Clipped, so that an odd output cannot overflow.
    half = np.exp(np.clip(rows[:, 3:5], -4, 5)) * strides / 2
    landmarks = middles[:, None] + rows[:, 5:].reshape(-1, 5, 2) * strides[:, None]
    scores = 1 / (1 + np.exp(-rows[:, 0]))
    boxes = np.hstack([centre - half, centre + half])
    return Detections(boxes.astype(np.float32), scores.astype(np.float32), landmarks.astype(np.float32))


def agree(looks: list[Detections], scales: list[float]) -> Detections:
    """What several looks at a picture found, each with the mean of the logits that looks give it who should see it.

    Those are the look that found it, and each other one in which it is 24 to 256 px high; a look that does not see it
    counts as -3. A torso may pass for a face at one size; a face is one at all sizes. What is lower than 24 px in all
    looks counts 1.6 less: with that none of 100 scenes that training never saw has a false face of such a height.

    Args:
        looks: candidates of each, in pixels of the picture.
        scales: pixels of each look by those of the picture.
    """
    found = functools.reduce(join, looks)
    if not len(found):
        return found
    scores = np.clip(found.scores.astype(np.float64), 1e-6, 1 - 1e-6)
    logits = np.log(scores / (1 - scores))
    same = overlaps(found.boxes, found.boxes) > SAME_FACE
    heights = found.boxes[:, 3] - found.boxes[:, 1]
    own = np.repeat(np.arange(len(looks)), [len(each) for each in looks])
    total, count = logits.copy(), np.ones(len(found))
    for look, scale in enumerate(scales):
        theirs = np.where(same & (own == look)[None], logits[None], UNSEEN).max(axis=1, initial=UNSEEN)
        asked = (own != look) & (heights * scale >= SMALLEST_PX) & (heights * scale <= LARGEST_FACE_PX)
        total += np.where(asked, theirs, 0)
        count += asked
    low = heights * max(scales) < SMALLEST_PX
    agreed = (1 / (1 + np.exp(LOW_COSTS * low - total / count))).astype(np.float32)
    # Of looks that agree, the one that is surer has the better landmarks.
    order = np.lexsort([-logits, -agreed])
    return Detections(found.boxes, agreed, found.landmarks)[order]


@dataclass(frozen=True)
class DetectorManifest:
    """What travels with the detector's graph.

    Args:
        name: what the weights are called.
        version: theirs.
        sha256: hex digest of the graph.
        min_score: the score from which a detection is taken for a face.
        licence: of the weights.
        teachers: whose predictions they repeat, each with its licence.
        trained_on: the pictures behind them.
        verifier_sha256: hex digest of the verifier's graph.
        candidate_score: the detector's own score from which a candidate is judged by the verifier.
        fusion: how both networks' scores count together.
    """

    name: str
    version: str
    sha256: str
    min_score: float
    licence: str
    teachers: tuple[str, ...]
    trained_on: str
    verifier_sha256: str
    candidate_score: float
    fusion: Fusion

    @classmethod
    def read(cls, path: Path) -> DetectorManifest:
        """From a .json file.

        Raises:
            ArtifactError: it is missing, or is no such manifest.
        """
        try:
            values = json.loads(path.read_text("utf-8"))
            return cls(**{**values, **{name: tuple(values[name]) for name in ("teachers", "fusion")}})
        except (OSError, ValueError, TypeError, KeyError) as error:
            raise ArtifactError(f"{path} is not the manifest of a face detector: {error}") from error


def _read_graph(path: Path, sha256: str) -> bytes:
    try:
        graph = path.read_bytes()
    except OSError as error:
        raise ArtifactError(f"{path.parent}: the detector's graph cannot be read: {error.strerror or error}") from error
    if (found := hashlib.sha256(graph).hexdigest()) != sha256:
        raise ArtifactError(f"{path} is damaged: sha256 {found}, not {sha256}; install Mien again")
    return graph


class MienDetector:
    """Boxes and five landmarks by Mien's own networks, on the CPU; they look at brightness alone.

    One network searches the picture, a second one judges each candidate alone, upright and enlarged.

    Pictures are reduced to a longer side of 640 px. More looks follow: one at 192 px, for a face that fills the
    picture; and one at a larger size where a face of `min_face_px` would be lower than 24 px at 640, for groups in
    large pictures.

    Args:
        folder: with `detector.onnx`, `verifier.onnx` and `manifest.json`; default the weights that come with Mien.
        min_score: faces under this score are left out, 0–1; default the manifest's.
        longest_px: pictures are reduced to this longer side.
        min_face_px: height of the smallest face wanted, in pixels of the original picture.

    Raises:
        ArtifactError: the weights are missing, damaged or not a face detector.
    """

    name = "mien"
    crops_given = False

    def __init__(
        self,
        folder: str | os.PathLike[str] | None = None,
        *,
        min_score: float | None = None,
        longest_px: int = LONGEST_PX,
        min_face_px: float = MIN_FACE_PX,
    ) -> None:
        place = BUNDLED if folder is None else Path(folder)
        self.manifest = DetectorManifest.read(place / "manifest.json")
        self._session = Session(_read_graph(place / "detector.onnx", self.manifest.sha256))
        self._verifier = Verifier(
            _read_graph(place / "verifier.onnx", self.manifest.verifier_sha256), self.manifest.fusion
        )
        self.min_score = self.manifest.min_score if min_score is None else min_score
        self.longest_px, self.min_face_px = longest_px, min_face_px

    def detect(self, image: UInt8, *, longest_px: int | None = None) -> Detections:
        """The faces in an RGB uint8 picture (H, W, 3), the best score first; `longest_px` reduces it further."""
        height, width = image.shape[:2]
        if height == 0 or width == 0:
            return Detections.empty()
        longest = max(height, width)
        sides = [longest_px or self.longest_px]
        if longest_px is None:
            larger = choose_larger_look(longest, self.longest_px, SMALLEST_PX / self.min_face_px)
            sides += [larger] if larger else []
            sides += [CLOSE_UP_PX] if longest > CLOSE_UP_PX else []
        # Grey first: shrinking in colour is more work, and only brightness counts.
        looks = [self._look(small, back) for small, back in shrink_in_turn(to_grey(image), sides)]
        found = agree(looks, [min(1.0, side / longest) for side in sides])
        found = found[found.scores >= self.min_score]
        # Faces found by more than one look meet here.
        return keep_inside(suppress(found, MAX_OVERLAP), height, width)

    def _look(self, small: UInt8, back: Float32) -> Detections:
        # Every stride has to divide the sides; the rest is filled with black.
        height, width = (-(-side // STRIDES[-1]) * STRIDES[-1] for side in small.shape)
        grey = np.zeros((1, height, width), np.uint8)
        grey[0, : small.shape[0], : small.shape[1]] = small
        outputs = self._session.run({INPUT_NAME: grey})[OUTPUT_NAME][0]
        candidates = suppress(decode(outputs, height, width, self.manifest.candidate_score), MAX_OVERLAP)
        found = self._verifier.judge(small, candidates)
        scale = np.concatenate([back, back]).astype(np.float32)
        return Detections(found.boxes * scale, found.scores, found.landmarks * back)
