"""What quality words are worth: how often the bundled model is right on faces called so, and on faces made worse.

    python studies/quality.py web_faces/ [--rows 400] [--detector yunet]

The folder holds labels.csv (image, emotion in FER+'s words) and images.zip. The largest face of each photograph counts,
disgust is left out. First all photographs as they are, by word; then some of them, made worse in one way at a time,
with the box of the untouched photograph: accuracy, and the share that gets each word. Last the same photographs turned,
as `--rotate auto` and `--rotate 0` read them.
"""

from __future__ import annotations

import argparse
import csv
import time
import zipfile
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from mien import Pipeline
from mien.faces.turning import turned
from mien.images.pictures import decode
from mien.structures import Detections, Face, Frame
from mien.workshop.evaluation.metrics import wilson_interval

UInt8 = npt.NDArray[np.uint8]
Spoil = Callable[[UInt8, Detections], tuple[UInt8, Detections]]

WORDS = {
    "happiness": "happy", "anger": "angry", "sadness": "sad", "neutral": "neutral", "surprise": "surprise",
    "fear": "fear", "contempt": "contempt",
}  # fmt: skip


def blur(sigma: float) -> Spoil:
    """Gaussian, in pixels of a face of 48."""
    return lambda image, found: (cv2.GaussianBlur(image, (0, 0), sigma * _height(found) / 48).astype(np.uint8), found)


def dim(divisor: int) -> Spoil:
    """A part of the light."""
    return lambda image, found: ((image // divisor).astype(np.uint8), found)


def shrink(height_px: float) -> Spoil:
    """The face so high."""

    def spoil(image: UInt8, found: Detections) -> tuple[UInt8, Detections]:
        ratio = height_px / _height(found)
        small = cv2.resize(image, None, fx=ratio, fy=ratio, interpolation=cv2.INTER_AREA).astype(np.uint8)
        return small, Detections(found.boxes * ratio, found.scores, found.landmarks * ratio)

    return spoil


def cover(part: str, colour: tuple[int, int, int]) -> Spoil:
    """A bar over both eyes, an ellipse over the mouth, or a mask from the nose down, in one colour."""

    def spoil(image: UInt8, found: Detections) -> tuple[UInt8, Detections]:
        out, (right, left, nose, one, other) = image.copy(), found.landmarks[0]
        x1, _, x2, y2 = found.boxes[0]
        if part == "eyes":
            apart, turn = float(np.linalg.norm(left - right)), float(np.degrees(np.arctan2(*(left - right)[::-1])))
            middle = ((right + left) / 2).tolist()
            bar = cv2.boxPoints((middle, (2.1 * apart, 0.75 * apart), turn))
            cv2.fillConvexPoly(out, bar.astype(np.int32), colour)
        elif part == "mouth":
            size = (0.75 * float(x2 - x1), 0.55 * float(x2 - x1))
            cv2.ellipse(out, (((one + other) / 2).tolist(), size, 0.0), colour, -1)
        else:
            low = (nose[1] + y2) / 2
            corners = [(x1, nose[1]), (x2, nose[1]), (x2, low), ((x1 + x2) / 2, y2), (x1, low)]
            cv2.fillConvexPoly(out, np.array(corners).astype(np.int32), colour)
        return out, found

    return spoil


def _height(found: Detections) -> float:
    return float(found.boxes[0, 3] - found.boxes[0, 1])


COLOURS = {"black": (15, 15, 15), "grey": (128, 128, 128), "white": (230, 230, 230), "skin": (205, 160, 135)}
CONDITIONS: dict[str, Spoil] = {
    "as they are": lambda image, found: (image, found),
    **{f"{height} px high": shrink(height) for height in (48, 32, 24, 20, 16, 12)},
    **{f"blur of {sigma:g} px at 48": blur(sigma) for sigma in (0.5, 1, 1.5, 2, 3)},
    **{f"1/{divisor} of the light": dim(divisor) for divisor in (4, 8, 16, 32)},
    **{
        f"{part} behind {name}": cover(part, colour)
        for part in ("eyes", "mouth", "mask")
        for name, colour in COLOURS.items()
    },
}


def read(pipeline: Pipeline, image: UInt8, found: Detections) -> Face:
    """The face where a detector has found it."""
    frame = Frame(image)
    inputs = pipeline.crop(frame, found)
    inspection = pipeline.inspect(frame, found, inputs)
    (face,) = pipeline.describe(image.shape, found, pipeline.read_crops(inputs), inspection)
    return face


def load(folder: Path, pipeline: Pipeline) -> list[tuple[UInt8, Detections, str]]:
    """Photographs with their largest face and its label."""
    with (folder / "labels.csv").open(newline="", encoding="utf-8") as file:
        labels = {row["image"]: WORDS.get(row["emotion"]) for row in csv.DictReader(file)}
    photographs = []
    with zipfile.ZipFile(folder / "images.zip") as archive:
        for name in sorted(archive.namelist()):
            label = labels.get(name.rsplit("/", 1)[-1])
            if label is None:
                continue
            image = decode(archive.read(name), name=name)
            found = pipeline.detector.detect(image)
            if len(found):
                largest = int((found.boxes[:, 3] - found.boxes[:, 1]).argmax())
                photographs.append((image, found[largest : largest + 1], label))
    return photographs


def compare_turned(options: argparse.Namespace, photographs: list[tuple[UInt8, Detections, str]]) -> None:
    """Faces found and read rightly in turned photographs, with the search for their turn and without, and its time."""
    print("\n| turned by | found, % | right, % | ms a photo | found without | right without | ms without |")
    print("|---|---:|---:|---:|---:|---:|---:|")
    pipelines = [Pipeline(detector=options.detector, threads=1, rotate=rotate) for rotate in ("auto", 0)]
    for quarters in range(4):
        cells = [f"{90 * quarters}°"]
        for pipeline in pipelines:
            started = time.process_time()
            read = [pipeline.analyze(turned(image, quarters)) for image, _, _ in photographs]
            each_ms = 1000 * (time.process_time() - started) / len(photographs)
            found = np.mean([len(result) > 0 for result in read])
            right = np.mean(
                [
                    bool(result) and result[0].top == label
                    for result, (_, _, label) in zip(read, photographs, strict=True)
                ]
            )
            cells += [f"{100 * found:.1f}", f"{100 * right:.1f}", f"{each_ms:.0f}"]
        print(f"| {' | '.join(cells)} |", flush=True)


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--rows", type=int, default=400, help="of the photographs that are made worse")
    parser.add_argument("--detector", default="yunet")
    options = parser.parse_args()
    pipeline = Pipeline(detector=options.detector, threads=1, geometry=True, rotate=0)
    photographs = load(options.data, pipeline)
    faces = [read(pipeline, image, found) for image, found, _ in photographs]
    right = np.array([face.top == label for face, (_, _, label) in zip(faces, photographs, strict=True)])
    print("| quality | faces | right, % (95 %) |\n|---|---:|---:|")
    for word in ("all", *sorted({face.quality for face in faces})):
        these = np.array([word in ("all", face.quality) for face in faces])
        low, high = wilson_interval(int(right[these].sum()), int(these.sum()))
        print(f"| {word} | {these.sum():,} | {100 * right[these].mean():.1f} ({100 * low:.1f}–{100 * high:.1f}) |")
    some = np.random.default_rng(0).permutation(len(photographs))[: options.rows].tolist()
    print(f"\n| {len(some)} faces | right, % | called |\n|---|---:|---|")
    for name, spoil in CONDITIONS.items():
        spoiled = [read(pipeline, *spoil(*photographs[row][:2])) for row in some]
        share = np.mean([face.top == photographs[row][2] for face, row in zip(spoiled, some, strict=True)])
        words = Counter(face.quality for face in spoiled).most_common()
        called = ", ".join(f"{word} {100 * count / len(some):.0f} %" for word, count in words)
        print(f"| {name} | {100 * share:.1f} | {called} |", flush=True)
    compare_turned(options, [photographs[row] for row in some])


if __name__ == "__main__":
    main()
