"""Mien reads facial expressions in pictures, with a small calibrated model of its own.

    import mien

    for face in mien.analyze("photo.jpg"):
        print(face.top, face.confidence, face.box)

    for result in mien.Pipeline().stream("film.mp4"):
        print(result.frame.time_s, [(face.track_id, face.top) for face in result.faces])

Importing the package loads nothing: each name comes when it is first used.
"""

from __future__ import annotations

import importlib
import os
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mien.reading.classifier import load_model
    from mien.reading.pipeline import Pipeline, analyze
    from mien.reading.streaming import StreamOptions
    from mien.sources.stream import Sampling
    from mien.structures import Face

__version__ = "0.1.0"

# ONNX Runtime writes a device's number and a list of events under HOME when it is imported, and sends them later; only
# this, set before, stops it. Whoever imports it after Mien, in this process or one that it starts, is covered as well.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")

__all__ = ["Face", "Pipeline", "Sampling", "StreamOptions", "__version__", "analyze", "load_model"]

_HOMES = {
    "Face": "mien.structures",
    "Pipeline": "mien.reading.pipeline",
    "Sampling": "mien.sources.stream",
    "StreamOptions": "mien.reading.streaming",
    "analyze": "mien.reading.pipeline",
    "load_model": "mien.reading.classifier",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'mien' has no attribute {name!r}")
    value = getattr(importlib.import_module(_HOMES[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
