"""A second look at what the detector takes for faces: each candidate alone, upright and at one size."""

from __future__ import annotations

import math

import cv2
import numpy as np
import numpy.typing as npt

from mien.artifact.runtime import Session
from mien.structures import Detections

UInt8 = npt.NDArray[np.uint8]
Float32 = npt.NDArray[np.float32]

INPUT_NAME, OUTPUT_NAME = "squares", "faces"
"""The graph's input, grey uint8 (N, 40, 40), and its output, logits (N,)."""

SIDE_PX = 40
"""Of the squares that are judged."""

SURROUNDINGS = 1.5
"""Side of what is cut out, in sides of a square as large as the box."""

MOST = 256
"""Candidates judged at most, the best."""

BATCH = 64


CLOSE_UP_PX = 192
"""Longer side of pictures, as they are or reduced, in which a face may be expected to fill half of it."""

Fusion = tuple[float, float, float, float]
"""A constant, and what counts: the detector's logit, the verifier's, and that the face fills a close-up."""


class Verifier:
    """Judges candidates: a logistic regression on what both networks say.

    Args:
        graph: bytes of an ONNX file, squares uint8 (N, 40, 40) → logits (N,).
        fusion: the weights of that regression.
    """

    def __init__(self, graph: bytes, fusion: Fusion) -> None:
        self._session = Session(graph)
        self.fusion = fusion

    def judge(self, grey: UInt8, found: Detections) -> Detections:
        """The best of the candidates in a grey picture (H, W), the best first, with the scores that count."""
        found = found[:MOST]
        if not len(found):
            return found
        squares = cut_candidates(grey, found)
        seen = np.concatenate(
            [
                self._session.run({INPUT_NAME: squares[row : row + BATCH]})[OUTPUT_NAME]
                for row in range(0, len(found), BATCH)
            ]
        )
        values = np.clip(to_features(found, seen, grey.shape) @ np.asarray(self.fusion), -30, 30)
        scores = (1 / (1 + np.exp(-values))).astype(np.float32)
        order = np.argsort(-scores, kind="stable")
        return Detections(found.boxes, scores, found.landmarks)[order]


def to_features(found: Detections, seen: Float32, shape: tuple[int, ...]) -> npt.NDArray[np.float64]:
    """What the fusion weighs (N, 4).

    Args:
        found: candidates with the detector's own scores.
        seen: the verifier's logits (N,).
        shape: height and width of the picture.
    """
    own = np.clip(found.scores.astype(np.float64), 1e-6, 1 - 1e-6)
    heights = found.boxes[:, 3] - found.boxes[:, 1]
    fills = (heights >= min(shape) / 2) & (max(shape) <= CLOSE_UP_PX)
    return np.stack([np.ones(len(found)), np.log(own / (1 - own)), seen, fills], axis=1).astype(np.float64)


def cut_candidates(
    grey: UInt8, found: Detections, *, side_px: int = SIDE_PX, surroundings: float = SURROUNDINGS
) -> UInt8:
    """Each candidate turned upright by its landmarks: squares uint8 (N, side, side); beyond the edge it is repeated.

    Args:
        grey: the picture (H, W) in whose pixels the detections are.
        found: with landmarks.
        side_px: of the squares.
        surroundings: side of what is cut out, in sides of a square as large as the box.
    """
    levels = [grey]
    squares = np.empty((len(found), side_px, side_px), np.uint8)
    right_eye, left_eye, _, right_mouth, left_mouth = found.landmarks.transpose(1, 0, 2)
    eyes_to_mouth = right_mouth + left_mouth - right_eye - left_eye
    # Plain numbers from here on: for matrices of two rows NumPy's calls cost more than what they compute.
    for row, (box, (down_x, down_y)) in enumerate(zip(found.boxes.tolist(), eyes_to_mouth.tolist(), strict=True)):
        side = surroundings * math.sqrt(max((box[2] - box[0]) * (box[3] - box[1]), 1.0))
        # Shrinking by more than a half in one step would alias.
        depth = max(0, math.floor(math.log2(side / side_px) + 0.3))
        while len(levels) <= depth and min(levels[-1].shape) >= 2:
            height, width = levels[-1].shape
            smaller = cv2.resize(levels[-1], (width // 2, height // 2), interpolation=cv2.INTER_AREA)
            levels.append(smaller.astype(np.uint8, copy=False))
        level = levels[min(depth, len(levels) - 1)]
        length = math.hypot(down_x, down_y)
        known = math.isfinite(length) and length > 1e-3
        scale = side_px / side
        sine, cosine = (scale * down_x / length, scale * down_y / length) if known else (0.0, scale)
        across, along = grey.shape[1] / level.shape[1], grey.shape[0] / level.shape[0]
        # Pixel middles count, on both sides.
        x, y = 0.5 * (across - box[0] - box[2]), 0.5 * (along - box[1] - box[3])
        middle = side_px / 2 - 0.5
        matrix = np.array(
            [
                [cosine * across, -sine * along, cosine * x - sine * y + middle],
                [sine * across, cosine * along, sine * x + cosine * y + middle],
            ]
        )
        squares[row] = cv2.warpAffine(level, matrix, (side_px, side_px), borderMode=cv2.BORDER_REPLICATE)
    return squares
