"""What the framing of a face is worth on foreign pictures: side of the crop, place, alignment, fill.

    python studies/crop_scale.py ../shared/data/web_faces --yunet face_detection_yunet_2023mar.onnx [--fer2013 DATA]

The folder holds images.zip and labels.csv (image,emotion). Each picture's face nearest the middle is classified by the
crowd head, projected on the seven; a check of the framing that studies/framing.py found, not a search for a better one.
Beside it stand FER2013's test faces, framed as wide: their crops, which are the training's own frame, are resampled,
and what a wider frame would show beyond them repeats their edge.
"""

from __future__ import annotations

import argparse
import csv
import zipfile
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from mien.faces.detection import crop_faces
from mien.faces.yunet import YuNet
from mien.images.pictures import decode
from mien.labels import SEVEN, canonical, project
from mien.reading.classifier import Model, load_model
from mien.structures import Detections
from mien.workshop.data.factory import load_dataset
from mien.workshop.data.fer2013 import majority
from mien.workshop.evaluation.corruptions import box_size

UInt8 = npt.NDArray[np.uint8]
FRAME = 0.95
SCALES = (0.8, 0.9, 0.95, 1.0, 1.05, 1.1, 1.2)


def load_faces(folder: Path, detector: YuNet) -> tuple[list[UInt8], list[Detections], npt.NDArray[np.int64]]:
    """Pictures with their middle face (one row) and its label; those without a face or a label of the seven are out."""
    pictures, faces, labels = [], [], []
    with zipfile.ZipFile(folder / "images.zip") as archive, (folder / "labels.csv").open(newline="") as table:
        for row in csv.DictReader(table):
            try:
                label = SEVEN.index(canonical(row["emotion"]))
            except (KeyError, ValueError):
                continue
            picture = decode(archive.read(f"images/{row['image']}"), name=row["image"])
            found = detector.detect(picture)
            if len(found):
                centres = (found.boxes[:, :2] + found.boxes[:, 2:]) / 2
                middle = np.array(picture.shape[1::-1]) / 2
                nearest = int(np.linalg.norm(centres - middle, axis=1).argmin())
                pictures.append(picture)
                faces.append(found[[nearest]])
                labels.append(label)
    return pictures, faces, np.array(labels)


def warped(picture: UInt8, face: Detections, scale: float, *, upright: bool, border: int) -> UInt8:
    """A crop by an affine warp: turned upright by the eyes, or with another fill outside the picture."""
    x1, y1, x2, y2 = face.boxes[0]
    side = max(1, round(scale * float(y2 - y1)))
    right, left = face.landmarks[0, :2]
    turn = float(np.degrees(np.arctan2(left[1] - right[1], left[0] - right[0]))) if upright else 0.0
    middle = (float(x1 + x2) / 2, float(y1 + y2) / 2)
    matrix = cv2.getRotationMatrix2D(middle, turn, 1.0)
    matrix[:, 2] += side / 2 - np.array(middle)
    return np.asarray(cv2.warpAffine(picture, matrix, (side, side), borderMode=border), np.uint8)


class Fer2013:
    """The test faces, and how many of them a model reads when they are framed otherwise."""

    def __init__(self, data: Path) -> None:
        rows = load_dataset(data).part("validation", "test")
        self.rows = rows
        crowd = majority(rows.votes) if rows.votes is not None else np.full(len(rows), -1)
        self.crowd = np.where(rows.split == rows.split.max(), crowd, -1)

    def cells(self, model: Model, scale: float) -> str:
        """Per cent right of FER+'s majority on PrivateTest by head crowd, and of all labels by head fer2013."""
        crops = box_size(self.rows.images, np.random.default_rng(0), scale=scale / FRAME)
        logits = model.run(model.prepare(crops))
        kept = self.crowd >= 0
        shares = [
            np.mean(logits[head][chosen].argmax(axis=1) == truth[chosen])
            for head, truth, chosen in (
                ("crowd", self.crowd, kept),
                ("fer2013", self.rows.labels, self.rows.labels >= 0),
            )
        ]
        return " ".join(f"{100 * share:{width}.1f} |" for share, width in zip(shares, (14, 10), strict=True))


def report(
    name: str, model: Model, crops: list[UInt8], labels: npt.NDArray[np.int64], *, head: str = "crowd", more: str = ""
) -> None:
    probabilities = project(model.predict(crops, head), model.heads[head], SEVEN)
    right = probabilities.argmax(axis=1) == labels
    recalls = [right[labels == label].mean() for label in np.unique(labels)]
    loss = -np.log(np.maximum(probabilities[np.arange(len(labels)), labels], 1e-6)).mean()
    seen = labels != SEVEN.index("disgust")
    print(
        f"| {name:22} | {100 * right.mean():8.1f} | {100 * right[seen].mean():15.1f} | {100 * np.mean(recalls):11.1f} "
        f"| {loss:6.3f} | {more}".rstrip(),
        flush=True,
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--yunet", type=Path, required=True)
    parser.add_argument("--model")
    parser.add_argument("--fer2013", type=Path, metavar="DATA", help="its csv or a folder with it and ferplus.csv")
    options = parser.parse_args()
    model = load_model(options.model)
    pictures, faces, labels = load_faces(options.folder, YuNet(options.yunet))
    print(f"{model.name} {model.version}, {len(labels)} faces")
    fer = Fer2013(options.fer2013) if options.fer2013 else None
    more = ("", "") if fer is None else (" FER+ majority | FER2013    |", "--------------:|-----------:|")
    print(f"| {'crop':22} | accuracy | without disgust | mean recall | loss   |{more[0]}")
    print(f"|{'-' * 24}|---------:|----------------:|------------:|-------:|{more[1]}")
    pairs = list(zip(pictures, faces, strict=True))
    for scale in SCALES:
        crops = [crop_faces(picture, face, scale=scale)[0] for picture, face in pairs]
        report(f"{scale:g} box heights", model, crops, labels, more="" if fer is None else fer.cells(model, scale))
    crops = [crop_faces(picture, face, scale=FRAME)[0] for picture, face in pairs]
    report("0.95, head fer2013", model, crops, labels, head="fer2013")
    for name, upright, border in (
        ("0.95, warped", False, cv2.BORDER_REPLICATE),
        ("0.95, upright", True, cv2.BORDER_REPLICATE),
        ("0.95, black outside", False, cv2.BORDER_CONSTANT),
    ):
        crops = [warped(picture, face, 0.95, upright=upright, border=border) for picture, face in pairs]
        report(name, model, crops, labels)


if __name__ == "__main__":
    main()
