"""Results of a made-up video."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from mien.labels import SEVEN
from mien.reading.results import Result
from mien.structures import Face, Frame

IMAGE = np.zeros((120, 160, 3), np.uint8)


def make_face(label: str = "happy", track_id: int | None = 1, *, x: float = 10.0, raw: str | None = None) -> Face:
    def probabilities(top: str) -> dict[str, float]:
        return {name: 0.7 if name == top else 0.05 for name in SEVEN}

    return Face(
        (x, 20.0, x + 30, 60.0), 0.9, probabilities(label), model="toy 1.0", detector="fake",
        track_id=track_id, raw=probabilities(raw or label),
    )  # fmt: skip


def make_result(index: int, faces: Sequence[Face] = (), *, rate_hz: float = 10.0, source: str = "clip.mp4") -> Result:
    return Result(source, Frame(IMAGE, source, index, index / rate_hz), list(faces))


def make_video(*labels: str | None, rate_hz: float = 10.0, source: str = "clip.mp4") -> list[Result]:
    """One face, or none where the label is None."""
    return [
        make_result(index, [make_face(label)] if label else [], rate_hz=rate_hz, source=source)
        for index, label in enumerate(labels)
    ]
