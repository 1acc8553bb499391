"""How well and how quickly faces are found and measured: photographs, turned photographs, scenes, frames.

    OMP_NUM_THREADS=1 python benchmarks/faces.py DATA [--out results.json]

DATA holds `photos` with truth.json, and `unlabelled` with faces.zip and scenes.zip, of whose pictures the last 250 and
the last 100 were not trained on. Times are processor time a call, the median of --repeats, in turns.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

# Before NumPy and OpenCV, whose threads would share a call's work.
os.environ.setdefault("OMP_NUM_THREADS", "1")

import cv2
import numpy as np
import numpy.typing as npt

from mien.errors import MienError
from mien.faces.detection import Detector, crop_faces, lean_of
from mien.faces.detectors import create_detector
from mien.faces.geometry import bundled_reader
from mien.images import pictures as images
from mien.reading.classifier import load_model
from mien.workshop.detection.report import count_photos
from mien.workshop.detection.teacher_labels import read_archive

UInt8 = npt.NDArray[np.uint8]

FACES, SCENES = 250, 100
QUARTERS = (0, 90, 180, 270)
LEAN = 30
"""Degrees by which a lean may be wrong and still be right."""


def count_turned(faces: list[UInt8], degrees: int, detector: Detector) -> str:
    """In how many turned photographs a face is found, and of how many the lean is right."""
    found = right = 0
    for face in faces:
        seen = detector.detect(np.ascontiguousarray(np.rot90(face, -degrees // 90)))
        found += len(seen) > 0
        if len(seen) and seen.landmarks is not None:
            best = int(np.argmax(seen.scores))
            wrong = np.degrees(lean_of(seen.landmarks[best])) - degrees
            right += abs((wrong + 180) % 360 - 180) <= LEAN
    return f"{found} found, {right} lean right"


def milliseconds(calls: dict[str, Callable[[], object]], repeats: int) -> dict[str, float]:
    """Median processor time of each."""
    spent: dict[str, list[float]] = {name: [] for name in calls}
    for _ in range(repeats + 3):
        for name, call in calls.items():
            begun = time.process_time()
            call()
            spent[name].append(1e3 * (time.process_time() - begun))
    return {name: statistics.median(values[3:]) for name, values in spent.items()}


def detectors() -> dict[str, Detector]:
    """Those that are there."""
    found = {}
    for name in ("mien", "yunet", "haar"):
        try:
            found[name] = create_detector(name)
        except MienError as error:
            print(f"{name} is left out: {error}")
    return found


def time_all(frames: dict[str, UInt8], judged: dict[str, Detector], repeats: int) -> dict[str, dict[str, float]]:
    """Processor time of every detector on each frame; of the geometry and mien-s on the face of the last."""
    rows = {
        name: milliseconds({who: lambda d=each, f=frame: d.detect(f) for who, each in judged.items()}, repeats)
        for name, frame in frames.items()
    }
    portrait, reader, model = list(frames.values())[-1], bundled_reader(), load_model("mien-s")
    face = judged["mien"].detect(portrait)
    crops = model.prepare(crop_faces(portrait, face, scale=model.spec.crop_scale))
    both = {"geometry": lambda: reader.read(portrait, face), "mien-s": lambda: model.run(crops)}
    return rows | {f"{len(face)} face": milliseconds(both, repeats)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--repeats", type=int, default=40)
    parser.add_argument("--out", type=Path)
    given = parser.parse_args()
    for name in ("photos/truth.json", "unlabelled/faces.zip", "unlabelled/scenes.zip"):
        if not (given.data / name).is_file():
            parser.error(f"{given.data}: expected {name} in it")
    cv2.setNumThreads(1)
    judged = detectors()
    faces = read_archive(given.data / "unlabelled/faces.zip")[-FACES:]
    scenes = read_archive(given.data / "unlabelled/scenes.zip")[-SCENES:]
    counts = {name: count_photos(given.data / "photos", each) for name, each in judged.items()}
    found: dict[str, Any] = {
        "photographs": {name: f"{one.found} of {one.faces}; {one.false} false" for name, one in counts.items()}
    }
    for degrees in QUARTERS:
        rows = {name: count_turned(faces, degrees, each) for name, each in judged.items()}
        found[f"{FACES} photographs turned by {degrees}°"] = rows
    found[f"boxes in {SCENES} scenes"] = {
        name: sum(len(each.detect(scene)) for scene in scenes) for name, each in judged.items()
    }
    portrait = images.read(given.data / "photos/astronaut.png")
    frames = {
        "4000×3000 scene, ms": images.resize(scenes[-1], 3000, 4000),
        "1280×720 scene, ms": images.resize(scenes[-1], 720, 1280),
        "1280×720 portrait, ms": images.resize(portrait, 720, 1280),
    }
    found |= time_all(frames, judged, given.repeats)
    for name, row in found.items():
        print(
            f"{name}: "
            + "; ".join(
                f"{who} {value:.2f}" if isinstance(value, float) else f"{who} {value}" for who, value in row.items()
            )
        )
    if given.out:
        given.out.write_text(json.dumps(found, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
