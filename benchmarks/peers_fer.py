"""The side of `fer` in peers.py: run by the Python of fer's own environment, speaks through files alone.

    python peers_fer.py FOLDER

Reads FOLDER/job.json (`photos`: paths, `repeats`), frame.npy (a frame, BGR uint8 (H, W, 3)) and, where it is there,
faces.npy (crops, grey uint8 (N, 48, 48)). Writes answer.json and, for crops, probabilities.npy, float32 (N, 7).
"""

from __future__ import annotations

import json
import statistics
import sys
import time
from importlib.metadata import version
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from fer.fer import FER

BATCH = 256
SIDE_PX = 64


def classify(detector: Any, faces: np.ndarray) -> np.ndarray:
    """fer's classifier without its detector: the steps of `FER.detect_emotions` from the crop on, unrounded."""
    parts = []
    for start in range(0, len(faces), BATCH):
        resized = [cv2.resize(face, (SIDE_PX, SIDE_PX)) for face in faces[start : start + BATCH]]
        scaled = (np.array(resized, "float32") / 255.0 - 0.5) * 2.0
        parts.append(np.asarray(detector._classify_emotions(scaled), np.float32))
    return np.concatenate(parts)


def read_faces(detector: Any, picture: Any) -> list[dict[str, Any]]:
    """Box (xyxy) and top expression of every face that fer finds in a picture or file."""
    faces = []
    for face in detector.detect_emotions(picture):
        x, y, width, height = (int(value) for value in face["box"])
        top = max(face["emotions"], key=face["emotions"].get)
        faces.append({"box": [x, y, x + width, y + height], "top": top})
    return faces


def frame_ms(detector: Any, frame: np.ndarray, repeats: int) -> float:
    """Median milliseconds of a frame from array to expressions."""
    took = []
    for _ in range(repeats + 2):
        started = time.perf_counter()
        detector.detect_emotions(frame)
        took.append(1000 * (time.perf_counter() - started))
    return statistics.median(took[2:])


def main() -> None:
    folder = Path(sys.argv[1])
    job = json.loads((folder / "job.json").read_text(encoding="utf-8"))
    detector = FER()
    frame = np.load(folder / "frame.npy", allow_pickle=False)
    labels = detector._get_labels()
    answer = {
        "versions": {name: version(name) for name in ("fer", "tensorflow", "opencv-contrib-python", "numpy")},
        "labels": [labels[index] for index in range(len(labels))],
        "frame_ms": frame_ms(detector, frame, job["repeats"]),
        "frame_faces": len(read_faces(detector, frame)),
        "photos": {name: read_faces(detector, path) for name, path in job["photos"].items()},
    }
    if (folder / "faces.npy").is_file():
        faces = np.load(folder / "faces.npy", allow_pickle=False)
        np.save(folder / "probabilities.npy", classify(detector, faces), allow_pickle=False)
    (folder / "answer.json").write_text(json.dumps(answer), encoding="utf-8")


if __name__ == "__main__":
    main()
