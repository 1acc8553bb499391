"""Clips made of FER2013's faces, for trying temporal models: neutral → expression → neutral, badly filmed.

    python studies/synthetic_clips.py FER2013 OUT [--clips 500 120 240] [--seed 0]

FER2013, a folder with fer2013.csv and ferplus.csv, has no second picture of a person whose expression would be known.
So a "person" here is a neutral face and expressive ones *of other people*, chosen for similar landmarks and light, and
the clip morphs between them: each is warped to the landmarks in between (Mien's own 68, triangle by triangle) and the
two are blended. Identity therefore changes with the expression, which no video does. Only faces on whose word 60 % of
the FER+ annotators agree are taken, Training's for train, PublicTest's for validation, PrivateTest's for test.

A frame's label is the expression where its share in the morph is at least one half, else neutral. In train and
validation a tenth of the frames has a random label instead; those of test are true. What is wrong with the pictures,
each with its own course over time: the face crop wanders and trembles, the light drifts and jumps, a side light, sensor
noise, JPEG, spells of blur, spells in which something covers part of the face, and frames in which no face was found.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from scipy.interpolate import LinearNDInterpolator
from scipy.spatial import Delaunay

from mien.faces.geometry import bundled_reader
from mien.labels import CROWD, SEVEN
from mien.structures import Detections
from mien.workshop.data.base import SPLITS, FaceDataset
from mien.workshop.data.clip_folder import write_clips
from mien.workshop.data.clips import Clip, ClipDataset
from mien.workshop.data.factory import load_dataset

SIDE, RATE_HZ, SECONDS = 48, 15.0, 6.0
AGREED, LABEL_NOISE, LEVELS, CANDIDATES = 0.6, 0.1, 10, 24
NEUTRAL = SEVEN.index("neutral")
EDGE = np.float32([[x, y] for x in (0, 23.5, 47) for y in (0, 23.5, 47) if (x, y) != (23.5, 23.5)])
Rng = np.random.Generator


@dataclass
class Pool:
    """Faces of one split on which annotators agree, with landmarks (N, 68, 2) in pixels."""

    images: np.ndarray
    labels: np.ndarray
    ids: np.ndarray
    points: np.ndarray

    def of(self, label: int) -> np.ndarray:
        return np.flatnonzero(self.labels == label)


def make_pool(dataset: FaceDataset, split: str) -> Pool:
    rows = dataset.part(split)
    votes = rows.votes[:, :8].astype(float)
    share = votes / np.maximum(rows.votes.sum(axis=1, keepdims=True), 1)
    words = np.array([SEVEN.index(name) if name in SEVEN else -1 for name in CROWD])
    rows_kept = (share.max(axis=1) >= AGREED) & (words[share.argmax(axis=1)] >= 0) & (rows.images.std((1, 2)) > 10)
    labels = words[share.argmax(axis=1)][rows_kept]
    rows = rows[rows_kept]
    return Pool(rows.images, labels, rows.ids, np.zeros((len(rows), 68, 2), np.float32))


def measure(pool: Pool, rows: np.ndarray) -> None:
    """Find the landmarks of these rows, once each."""
    reader, whole = bundled_reader(), Detections.from_boxes([[0, 0, SIDE, SIDE]], [1.0])
    for row in rows:
        if not pool.points[row].any():
            picture = np.repeat(pool.images[row][:, :, None], 3, axis=2)
            pool.points[row] = np.clip(reader.read(picture, whole, whole=True).points[0][:68], 1, SIDE - 2)


def nearest_neutral(pool: Pool, expressive: list[int], rng: Rng) -> int:
    """The neutral face, of some, that is most like the expressive ones in landmarks and light."""
    others = rng.choice(pool.of(NEUTRAL), CANDIDATES, replace=False)
    measure(pool, [*expressive, *others])
    light = np.stack([cv2.resize(image, (6, 6), interpolation=cv2.INTER_AREA) for image in pool.images[others]])
    unlike = np.zeros(CANDIDATES)
    for row in expressive:
        own = cv2.resize(pool.images[row], (6, 6), interpolation=cv2.INTER_AREA).astype(float)
        unlike += np.abs(pool.points[others] - pool.points[row]).mean((1, 2)) / 4
        unlike += np.abs(light - own).mean((1, 2)) / 40
    return int(others[np.argmin(unlike)])


def morph(pool: Pool, first: int, second: int) -> np.ndarray:
    """From one face to another in LEVELS steps, uint8 (LEVELS + 1, 48, 48)."""
    ends = [np.concatenate([pool.points[row], EDGE]).astype(np.float64) for row in (first, second)]
    grid = np.stack(np.meshgrid(np.arange(SIDE), np.arange(SIDE)), axis=-1).reshape(-1, 2)
    both = np.concatenate(ends, axis=1)
    steps = []
    for share in np.linspace(0, 1, LEVELS + 1):
        between = (1 - share) * ends[0] + share * ends[1]
        places = LinearNDInterpolator(Delaunay(between), both)(grid).astype(np.float32).reshape(SIDE, SIDE, 4)
        faces = [
            cv2.remap(
                pool.images[row], places[..., at], places[..., at + 1], cv2.INTER_LINEAR, None, cv2.BORDER_REPLICATE
            )
            for row, at in ((first, 0), (second, 2))
        ]
        steps.append((1 - share) * faces[0] + share * faces[1])
    return np.stack(steps).round().astype(np.uint8)


def draw_course(rng: Rng, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Share of the expression in each frame (count,), and the number of its spell, 0 for the first."""
    share, spell = np.zeros(count), np.zeros(count, int)
    at, number = (rng.uniform(-1.5, 1.5), 0)
    while at < SECONDS:
        onset, apex, offset = rng.uniform(0.2, 0.6), rng.uniform(0.8, 2.5), rng.uniform(0.3, 0.9)
        marks = np.cumsum([at, onset, apex, offset])
        height = rng.uniform(0.8, 1.0)
        own = np.interp(np.arange(count) / RATE_HZ, marks, [0, height, height, 0])
        share, spell = np.maximum(share, own), np.where(own > 0, number, spell)
        at, number = marks[-1] + rng.uniform(0.6, 2.2), number + 1
    return share, spell


def wander(rng: Rng, count: int, spread: float, memory_s: float) -> np.ndarray:
    """A stationary first-order process (count,) with this standard deviation and time constant."""
    keep = np.exp(-1 / (RATE_HZ * memory_s))
    steps = rng.normal(0, spread * np.sqrt(1 - keep**2), count)
    values = np.empty(count)
    values[0] = rng.normal(0, spread)
    for n in range(1, count):
        values[n] = keep * values[n - 1] + steps[n]
    return values


def draw_spells(rng: Rng, count: int, a_second: float, seconds: tuple[float, float]) -> np.ndarray:
    """Number of the spell that each frame is in, 0 for none (count,)."""
    spells = np.zeros(count, int)
    for number in range(rng.poisson(a_second * SECONDS)):
        begin = rng.uniform(0, count)
        spells[int(begin) : int(begin + RATE_HZ * rng.uniform(*seconds)) + 1] = number + 1
    return spells


def film(rng: Rng, faces: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The faces as a bad camera gives them, and which of them were found (T,)."""
    count = len(faces)
    x, y = (wander(rng, count, 1.4, 0.4) + rng.normal(0, 0.6, count) for _ in "xy")
    turn, size = wander(rng, count, 5, 0.5), np.exp(wander(rng, count, 0.05, 0.4))
    light = np.exp(wander(rng, count, 0.2, 0.8)) * np.exp(
        rng.normal(0, 0.35, 99)[draw_spells(rng, count, 0.2, (0.3, 1.2))]
    )
    side = wander(rng, count, 0.25, 1.5)
    blurred, covered = draw_spells(rng, count, 0.35, (0.1, 0.5)), draw_spells(rng, count, 0.3, (0.15, 0.6))
    grain, quality, sigma = rng.uniform(4, 18), int(rng.uniform(25, 80)), rng.uniform(1.0, 2.4)
    covers = [draw_cover(rng) for _ in range(covered.max() + 1)]
    slope = np.linspace(-1, 1, SIDE)[None, :]
    out = np.empty_like(faces)
    for n, face in enumerate(faces):
        matrix = cv2.getRotationMatrix2D((23.5, 23.5), turn[n], size[n]) + np.array([[0, 0, x[n]], [0, 0, y[n]]])
        seen = cv2.warpAffine(face, matrix, (SIDE, SIDE), borderMode=cv2.BORDER_REPLICATE).astype(np.float64)
        if covered[n]:
            rows, columns, grey = covers[covered[n]]
            seen[rows, columns] = grey
        if blurred[n]:
            seen = cv2.GaussianBlur(seen, (0, 0), sigma)
        seen = seen * light[n] * (1 + side[n] * slope) + rng.normal(0, grain, seen.shape)
        sent = cv2.imencode(".jpg", seen.clip(0, 255).astype(np.uint8), [cv2.IMWRITE_JPEG_QUALITY, quality])[1]
        out[n] = cv2.imdecode(sent, cv2.IMREAD_GRAYSCALE)
    return out, draw_spells(rng, count, 0.25, (0.05, 0.4)) == 0


def draw_cover(rng: Rng) -> tuple[slice, slice, float]:
    """A hand, hair or glass before a quarter to a half of the face: rows, columns, grey."""
    high, wide = int(rng.uniform(16, 28)), int(rng.uniform(22, 48))
    top, left = int(rng.uniform(0, SIDE - high)), int(rng.uniform(0, SIDE - wide + 1))
    return slice(top, top + high), slice(left, left + wide), rng.uniform(30, 220)


def make_clip(pool: Pool, rng: Rng, split: int, number: int) -> Clip:
    count = round(SECONDS * RATE_HZ)
    share, spell = draw_course(rng, count)
    # Rarer words in proportion to the root of their faces: disgust has too few for an equal part.
    weights = np.sqrt([len(pool.of(label)) for label in range(NEUTRAL)])
    words = rng.choice(NEUTRAL, spell.max() + 1, p=weights / weights.sum())
    expressive = [int(rng.choice(pool.of(word))) for word in words]
    neutral = nearest_neutral(pool, expressive, rng)
    morphs = [morph(pool, neutral, row) for row in expressive]
    faces = np.stack([morphs[n][round(LEVELS * value)] for n, value in zip(spell, share, strict=True)])
    labels = np.where(share >= 0.5, words[spell], NEUTRAL)
    if SPLITS[split] != "test":
        wrong = rng.random(count) < LABEL_NOISE
        labels = np.where(wrong, rng.integers(0, len(SEVEN), count), labels)
    filmed, found = film(rng, faces)
    return Clip(
        f"{SPLITS[split]}-{number:05}", split, filmed[found], np.flatnonzero(found) / RATE_HZ, rate_hz=RATE_HZ,
        person=f"{SPLITS[split]}-{number:05}", labels=labels[found].astype(np.int64),
    )  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("fer2013", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--clips", type=int, nargs=3, default=(500, 120, 240), metavar=("TRAIN", "VALIDATION", "TEST"))
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    dataset, clips = load_dataset(options.fer2013), []
    for split, count in enumerate(options.clips):
        pool = make_pool(dataset, SPLITS[split])
        print(SPLITS[split], {word: len(pool.of(n)) for n, word in enumerate(SEVEN)}, flush=True)
        clips += [make_clip(pool, np.random.default_rng([options.seed, split, n]), split, n) for n in range(count)]
    write_clips(ClipDataset("synthetic clips", tuple(clips)), options.out)
    print(f"{len(clips)} clips, {sum(len(clip.source) for clip in clips):,} frames in {options.out}")


if __name__ == "__main__":
    main()
