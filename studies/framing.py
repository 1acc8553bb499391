"""How FER2013 frames a face: where YuNet finds eyes, nose, mouth and box in its training pictures.

    python studies/framing.py ../shared/data/fer2013.csv --yunet face_detection_yunet_2023mar.onnx

Each picture is enlarged and set into a border, because the faces fill the pictures and reach beyond them.
All figures are in sides of the picture: 0 is left or top, 1 is right or bottom.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from mien.faces.yunet import YuNet
from mien.images.pictures import resize, to_rgb
from mien.workshop.data.factory import load_dataset

Float32 = npt.NDArray[np.float32]
QUARTILES = (5, 25, 50, 75, 95)
SIDE_PX, BORDER_PX = 240, 80


def find_face(detector: YuNet, image: npt.NDArray[np.uint8]) -> tuple[Float32, Float32] | None:
    """Box (4,) and landmarks (5, 2) of the surest face in a 48×48 picture, in its sides."""
    large = resize(to_rgb(image), SIDE_PX, SIDE_PX)
    found = detector.detect(cv2.copyMakeBorder(large, *[BORDER_PX] * 4, cv2.BORDER_REPLICATE))
    if len(found) == 0:
        return None
    return (found.boxes[0] - BORDER_PX) / SIDE_PX, (found.landmarks[0] - BORDER_PX) / SIDE_PX


def describe(boxes: Float32, landmarks: Float32) -> dict[str, Float32]:
    """The measures (N,) of N faces."""
    across = landmarks[:, 1] - landmarks[:, 0]
    centre = (boxes[:, :2] + boxes[:, 2:]) / 2
    eyes, mouth = landmarks[:, :2].mean(axis=1), landmarks[:, 3:].mean(axis=1)
    return {
        "box height": boxes[:, 3] - boxes[:, 1],
        "box width": boxes[:, 2] - boxes[:, 0],
        "box centre x": centre[:, 0],
        "box centre y": centre[:, 1],
        "side / box height": 1 / (boxes[:, 3] - boxes[:, 1]),
        "right eye x": landmarks[:, 0, 0],
        "left eye x": landmarks[:, 1, 0],
        "eyes y": eyes[:, 1],
        "nose y": landmarks[:, 2, 1],
        "mouth y": mouth[:, 1],
        "eye distance": np.hypot(across[:, 0], across[:, 1]),
        "roll, degrees": np.degrees(np.arctan2(across[:, 1], across[:, 0])),
    }


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path, help="fer2013.csv, or what else `mien data show` takes")
    parser.add_argument("--yunet", type=Path, required=True, help="the detector's .onnx file")
    parser.add_argument("--rows", type=int, default=2000, help="pictures drawn from the training split")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    train = load_dataset(options.data).part("train")
    rows = np.random.default_rng(options.seed).choice(len(train), min(options.rows, len(train)), replace=False)
    detector = YuNet(options.yunet, min_score=0.6)
    faces = [face for row in rows if (face := find_face(detector, train.images[row]))]
    print(f"{len(faces)} faces found in {len(rows)} training pictures\n")
    print(f"| {'measure':17} | " + " | ".join(f"{q:4} %" for q in QUARTILES) + " |")
    print(f"|{'-' * 19}|" + "|".join(["-------:"] * len(QUARTILES)) + "|")
    for name, values in describe(*(np.stack(part) for part in zip(*faces, strict=True))).items():
        print(f"| {name:17} | " + " | ".join(f"{v:6.2f}" for v in np.percentile(values, QUARTILES)) + " |")


if __name__ == "__main__":
    main()
