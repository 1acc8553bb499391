"""Mien estimates facial expressions in images, videos and live sources, with a small calibrated model of its own.

    import mien

    for face in mien.analyze("photo.jpg"):
        print(face.top, face.confidence, face.box)

    for result in mien.Pipeline().stream("video.mp4"):
        print(result.frame.time_s, [(face.track_id, face.top) for face in result])

Importing the package loads nothing: each name is loaded when it is first used.
"""

from __future__ import annotations

import importlib
import os
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mien.errors import (
        ArtifactError,
        ConfigError,
        DataError,
        DownloadError,
        ImageTooLargeError,
        MienError,
        MissingExtraError,
        SourceError,
        TrackingError,
        TrainingError,
    )
    from mien.reading.classifier import Model, load_model
    from mien.reading.drawing import draw_faces
    from mien.reading.pipeline import Pipeline, analyze
    from mien.reading.results import Result, Results
    from mien.reading.streaming import StreamOptions
    from mien.sinks.formats import create_sink
    from mien.sinks.resume import read_table
    from mien.sources.stream import Sampling
    from mien.structures import Detections, Face, Frame

__version__ = "0.1.0"

# ONNX Runtime writes a device's number and a list of events under HOME when it is imported, and sends them later; only
# this, set before, stops it. Whoever imports it after Mien, in this process or one that it starts, is covered as well.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")

__all__ = [
    "ArtifactError", "ConfigError", "DataError", "Detections", "DownloadError", "Face", "Frame", "ImageTooLargeError",
    "MienError", "MissingExtraError", "Model", "Pipeline", "Result", "Results", "Sampling", "SourceError",
    "StreamOptions", "TrackingError", "TrainingError", "__version__", "analyze", "create_sink", "draw_faces",
    "load_model", "read_table",
]  # fmt: skip

_HOMES = {
    "mien.errors": (
        "ArtifactError", "ConfigError", "DataError", "DownloadError", "ImageTooLargeError", "MienError",
        "MissingExtraError", "SourceError", "TrackingError", "TrainingError",
    ),
    "mien.reading.classifier": ("Model", "load_model"),
    "mien.reading.drawing": ("draw_faces",),
    "mien.reading.pipeline": ("Pipeline", "analyze"),
    "mien.reading.results": ("Result", "Results"),
    "mien.reading.streaming": ("StreamOptions",),
    "mien.sinks.formats": ("create_sink",),
    "mien.sinks.resume": ("read_table",),
    "mien.sources.stream": ("Sampling",),
    "mien.structures": ("Detections", "Face", "Frame"),
}  # fmt: skip


def __getattr__(name: str) -> Any:
    home = next((module for module, names in _HOMES.items() if name in names), None)
    if home is None:
        raise AttributeError(f"module 'mien' has no attribute {name!r}")
    value = getattr(importlib.import_module(home), name)
    # Kept, so that this function is called once a name.
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
