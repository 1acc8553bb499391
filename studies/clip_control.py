"""How much of a temporal model's gain is time: a classifier of single frames fitted to the same clips, smoothed best.

    python studies/clip_control.py CLIPS [--model mien-s]

A temporal model learns two things from clips: what faces look like when they are badly filmed, and how they change.
A logistic regression on the same features of the same frames can only learn the first. Its penalty and its smoothing
are chosen on validation; the figures are of test.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from mien.workshop.data.clip_folder import read_clips
from mien.workshop.temporal.clip_config import parse_temporal
from mien.workshop.temporal.evaluation import HOLDS_S, SMOOTHINGS_S, smooth_grid
from mien.workshop.temporal.sequences import Describer, describe_clips

PENALTIES = (0.001, 0.01)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("clips", type=Path)
    parser.add_argument("--model", default="mien-s")
    options = parser.parse_args()
    dataset = read_clips(options.clips)
    describer = Describer(parse_temporal({"clips": {"frames": options.model}}))
    parts = {}
    for split in ("train", "validation", "test"):
        clips = dataset.part(split)
        seen = describe_clips(clips, describer)
        parts[split] = [
            (one.vectors[0], clip.labels[one.frames], one.times_s) for clip, one in zip(clips.clips, seen, strict=True)
        ]
    x = np.concatenate([vectors for vectors, *_ in parts["train"]])
    y = np.concatenate([labels for _, labels, _ in parts["train"]])
    tried = []
    for penalty in PENALTIES:
        machine = make_pipeline(StandardScaler(), LogisticRegression(C=penalty, max_iter=300)).fit(x, y)
        right, _ = measure(machine, parts["validation"])
        tried.append((right.max(), penalty, machine, np.unravel_index(int(right.argmax()), right.shape)))
    _, penalty, machine, best = max(tried, key=lambda entry: entry[0])
    right, changes_hz = measure(machine, parts["test"])
    print(f"C {penalty}, smoothed for {SMOOTHINGS_S[best[0]]:g} s, held for {HOLDS_S[best[1]]:g} s")
    print(f"single frames {100 * right[0, 0]:.2f} %, {changes_hz[0, 0]:.2f} changes a second")
    print(f"best smoothing {100 * right[best]:.2f} %, {changes_hz[best]:.2f} changes a second")


def measure(machine: object, part: list[tuple[np.ndarray, np.ndarray, np.ndarray]]) -> tuple[np.ndarray, np.ndarray]:
    """Frame accuracy and label changes a second, (S, H)."""
    right, changes, frames, seconds = 0, 0, 0, 0.0
    for vectors, labels, times_s in part:
        shown = smooth_grid(machine.predict_proba(vectors).astype(np.float32), times_s, SMOOTHINGS_S, HOLDS_S)
        right = right + (shown == labels[:, None, None]).sum(axis=0)
        changes = changes + (shown[1:] != shown[:-1]).sum(axis=0)
        frames, seconds = frames + len(labels), seconds + times_s[-1] - times_s[0]
    return right / frames, changes / seconds


if __name__ == "__main__":
    main()
