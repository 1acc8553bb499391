"""What Python reads, for the tests of the package in the browser: numbers by file name, and a few small pictures.

    python web/tests/write_golden.py [FOLDER OF PHOTOS]

Writes `golden/own.json` with its pictures, made of scikit-image's astronaut (NASA, public domain), and with a folder
`golden/photos.json`, which holds numbers alone: the photos stay where they are. Run it after every change of the
bundled model or detector.
"""

from __future__ import annotations

import hashlib
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import skimage.data

from mien.artifact.catalog import DEFAULT_MODEL
from mien.errors import SourceError
from mien.faces.detection import UPRIGHT_DEG, lean_of
from mien.images.pictures import SUFFIXES, read, resize, write
from mien.reading.pipeline import Pipeline
from mien.reading.results import Result, rows
from mien.reading.streaming import StreamOptions
from mien.sources.stream import StreamInfo
from mien.structures import Frame, UInt8

HERE = Path(__file__).resolve().parent
GOLDEN = HERE / "golden"
WHOLE_PX, WINDOW_PX, STEP_S = 320, 160, 0.1


class Windows:
    """A source of frames: windows that wander over a picture, with a gap in which the face is out of view."""

    def __init__(self, image: UInt8, places: list[tuple[int, int]]) -> None:
        self._image, self._places = image, places
        self.info = StreamInfo("windows", WINDOW_PX, WINDOW_PX)

    def __iter__(self) -> Iterator[Frame]:
        for index, (x, y) in enumerate(self._places):
            window = self._image[y : y + WINDOW_PX, x : x + WINDOW_PX]
            yield Frame(np.ascontiguousarray(window), "windows", index, round(index * STEP_S, 4))

    def close(self) -> None:
        pass

    def __enter__(self) -> Windows:
        return self

    def __exit__(self, *_: object) -> None:
        pass


def lean(image: UInt8, degrees: float) -> UInt8:
    """A picture turned about its middle."""
    size = image.shape[1::-1]
    turn = cv2.getRotationMatrix2D((size[0] / 2, size[1] / 2), degrees, 1)
    return np.asarray(cv2.warpAffine(image, turn, size, borderMode=cv2.BORDER_REPLICATE), np.uint8)


def make_pictures() -> dict[str, UInt8]:
    """A few looks at one face: whole, cut by the edge, small in a large picture, filling it, leaning, and none."""
    whole = np.asarray(skimage.data.astronaut())
    height, width = whole.shape[:2]
    large = np.full((900, 1400, 3), 90, np.uint8)
    large[500:644, 900:1044] = resize(whole, 144, 144)
    return {
        "whole.png": resize(whole, WHOLE_PX, WHOLE_PX),
        "cut.png": whole[60 : height // 2, width // 2 - 48 : width - 80],
        "small.png": large,
        "close.png": whole[50:210, 140:300],
        "leaning.png": lean(whole[20:260, 90:330], 45),
        "none.png": whole[-120:, :160],
    }


def describe(result: Result) -> dict[str, Any]:
    """Numbers of a result, unrounded enough to compare."""
    assert result.frame is not None
    faces = [
        {
            "box": [round(value, 2) for value in face.box],
            "score": round(face.detection_score, 4),
            "probabilities": {label: round(p, 5) for label, p in face.probabilities.items()},
            "top": face.top,
            "leaning": bool(abs(lean_of(np.float32(face.landmarks))) > np.radians(UPRIGHT_DEG)),
            **({} if face.track_id is None else {"track": face.track_id}),
        }
        for face in result.faces
    ]
    height, width = result.frame.image.shape[:2]
    return {"width": width, "height": height, "faces": faces}


def follow(pipeline: Pipeline, image: UInt8) -> dict[str, Any]:
    """A stream of windows over a picture: its frames, and what Python makes of them."""
    places = [(30 + 5 * step, 2 * step) for step in range(12)] + [(0, 160)] * 4 + [(60, 20)] * 6
    results = list(pipeline.stream(Windows(image, places), StreamOptions()))
    frames = [describe(result) for result in results]
    return {"picture": "whole.png", "window_px": WINDOW_PX, "step_s": STEP_S, "places": places, "frames": frames}


def list_resizes() -> list[dict[str, Any]]:
    """What becomes of made-up pixels that are brought to another size, as digests: equal to the byte."""
    found = []
    for height, width, to_height, to_width in (
        (13, 17, 64, 64),
        (150, 90, 64, 64),
        (128, 128, 64, 64),
        (333, 500, 213, 320),
    ):
        for channels in (1, 3):
            places = np.arange(height * width * channels, dtype=np.int64)
            image = ((places * places * 31 + places * 17) % 256).astype(np.uint8).reshape(height, width, channels)
            digest = hashlib.sha256(resize(image, to_height, to_width).tobytes()).hexdigest()
            found.append({"from": [height, width, channels], "to": [to_height, to_width], "sha256": digest})
    return found


def list_rows(pipeline: Pipeline, path: Path) -> dict[str, Any]:
    """The rows of one picture as `mien analyze` writes them, a CSV's text included."""
    from mien.sinks.tables import csv_text

    found = rows(pipeline.analyze(path), pipeline.labels)
    text = csv_text([list(found[0]), *(list(row.values()) for row in found)])
    return {"picture": path.name, "csv": text.replace(str(path), path.name)}


def write_json(name: str, values: dict[str, Any]) -> None:
    text = json.dumps({"model": DEFAULT_MODEL, **values}, ensure_ascii=False, indent=1)
    (GOLDEN / name).write_text(text + "\n", encoding="utf-8")


def main(folder: str | None = None) -> None:
    pipeline = Pipeline(detector="mien")
    for name, image in make_pictures().items():
        write(GOLDEN / name, np.ascontiguousarray(image))
    photos = {name: describe(pipeline.analyze(GOLDEN / name)) for name in make_pictures()}
    table = list_rows(pipeline, GOLDEN / "whole.png")
    write_json(
        "own.json",
        {
            "photos": photos,
            "stream": follow(pipeline, read(GOLDEN / "whole.png")),
            "table": table,
            "resizes": list_resizes(),
        },
    )
    if folder is None:
        return
    found = {}
    for path in sorted(Path(folder).iterdir()):
        try:
            found[path.name] = describe(pipeline.analyze(path)) if path.suffix.lower() in SUFFIXES else None
        except SourceError:
            continue
    write_json("photos.json", {"photos": {name: values for name, values in found.items() if values}})


if __name__ == "__main__":
    main(*sys.argv[1:])
