"""Clips of noisy squares whose upper half is bright while they are happy, for the toy artifact of conftest."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from mien.workshop.data.clips import Clip, ClipDataset
from mien.workshop.temporal.clip_config import TemporalConfig, parse_temporal

HAPPY, NEUTRAL, RATE_HZ = 3, 6, 10.0


def make_clip(number: int, split: int, *, frames: int = 24, noise: float = 60.0) -> Clip:
    rng = np.random.default_rng([split, number])
    labels = np.where((np.arange(frames) + rng.integers(0, 16)) // 8 % 2, HAPPY, NEUTRAL)
    faces = np.full((frames, 48, 48), 120.0)
    faces[labels == HAPPY, :24] += 40
    # The whole face trembles as well: single frames hardly tell.
    faces += rng.normal(0, noise, (frames, 48, 48)) + rng.normal(0, 15, (frames, 1, 1))
    valence = np.where(labels == HAPPY, 0.8, -0.2).astype(np.float32)
    main = HAPPY if (labels == HAPPY).mean() > 0.5 else NEUTRAL
    return Clip(
        f"{split}-{number}", split, faces.clip(0, 255).astype(np.uint8), rate_hz=RATE_HZ, person=f"{split}-{number}",
        label=main, labels=labels.astype(np.int64), valence=valence, arousal=-valence,
    )  # fmt: skip


def make_clips(train: int = 12, validation: int = 4, test: int = 4) -> ClipDataset:
    counts = (train, validation, test)
    clips = [make_clip(number, split) for split, count in enumerate(counts) for number in range(count)]
    return ClipDataset("toy clips", tuple(clips), "ab" * 32)


def make_config(frames: Path, kind: str = "gru", *, causal: bool = True, **sections: dict[str, Any]) -> TemporalConfig:
    values: dict[str, Any] = {
        "clips": {"frames": str(frames), "rate_hz": RATE_HZ, "length_s": 2.0},
        "model": {"kind": kind, "causal": causal, "width": 8, "layers": 2, "kernel": 3, "lookahead_s": 0.5},
        "fit": {"epochs": 2, "batch_size": 4},
    }
    for name, section in sections.items():
        values[name] = values.get(name, {}) | section
    return parse_temporal(values)


def quick(epochs: int = 7) -> dict[str, dict[str, Any]]:
    """Sections with which the toy is learnt in some twenty steps."""
    return {"fit": {"epochs": epochs, "ema": 0.0}, "optim": {"name": "adamw", "lr": 0.02}}
