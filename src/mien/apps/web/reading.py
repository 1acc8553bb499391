"""One picture read: what is kept of it, and how it is shown and given out."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from mien.errors import ImageTooLargeError, SourceError
from mien.faces.detection import shrink
from mien.images.pictures import UInt8, decode, encode, resize
from mien.reading.drawing import draw_faces
from mien.reading.pipeline import Pipeline
from mien.reading.results import Result, Row, columns, rows
from mien.sinks.tables import csv_text
from mien.structures import Face, Frame

PREVIEW_PX = 1280
"""Longer side of what a browser gets to see."""
CROP_PX = 176
CROP_SCALE = 1.25
_NOTHING = np.zeros((1, 1, 3), np.uint8)


@dataclass(frozen=True)
class Reading:
    """What came of one picture; of its pixels only what is shown.

    Args:
        name: the file's name.
        error: why it could not be read, in a sentence; empty when it was.
        width, height: of the picture, pixels.
        preview: the picture without marks, JPEG, its longer side up to PREVIEW_PX.
        crops: a JPEG a face.
        faces: with boxes in pixels of the whole picture.
        detector, model: names.
    """

    name: str
    error: str = ""
    width: int = 0
    height: int = 0
    preview: bytes = b""
    crops: tuple[bytes, ...] = ()
    faces: tuple[Face, ...] = ()
    detector: str = ""
    model: str = ""

    def judged(self, threshold: float) -> Reading:
        """The same, with faces whose highest probability is under the threshold as not sure."""
        faces = tuple(replace(face, abstained=face.confidence < threshold) for face in self.faces)
        return replace(self, faces=faces)


def read_picture(data: bytes, name: str, pipeline: Pipeline) -> Reading:
    """Read a picture file; one that cannot be read gives a reading with its error."""
    try:
        image = decode(data, name=name, max_pixels=pipeline.max_pixels)
    except ImageTooLargeError:
        limit = f"{pipeline.max_pixels / 1e6:.0f} million pixels"
        return Reading(name, error=f"{name} has more than {limit}: make it smaller first.")
    except SourceError as error:
        return Reading(name, error=_sentence(str(error)))
    faces = pipeline.analyze_frame(Frame(image, name))
    height, width = image.shape[:2]
    return Reading(
        name=name,
        width=width,
        height=height,
        preview=encode(shrink(image, PREVIEW_PX)[0], "jpeg", quality=90),
        crops=tuple(encode(_crop(image, face), "jpeg", quality=85) for face in faces),
        faces=tuple(faces),
        detector=pipeline.detector.name,
        model=pipeline.model.title,
    )


def marked(reading: Reading) -> bytes:
    """The preview with its faces marked, JPEG."""
    image = decode(reading.preview)
    scale = image.shape[1] / reading.width
    return encode(draw_faces(image, _scaled(reading.faces, scale), panels=False), "jpeg", quality=88)


def mark_frame(image: UInt8, faces: Sequence[Face], longest_px: int, *, panels: bool = False) -> UInt8:
    """A frame reduced to a longer side, with its faces marked."""
    small = shrink(image, longest_px)[0]
    return draw_faces(small, _scaled(faces, small.shape[1] / image.shape[1]), panels=panels)


def table(readings: Sequence[Reading], labels: tuple[str, ...]) -> list[Row]:
    """Tidy rows: one a face, and one for a picture without; none for what could not be read."""
    return [row for reading in readings if not reading.error for row in rows(_result(reading), labels)]


def to_csv(readings: Sequence[Reading], labels: tuple[str, ...]) -> str:
    """The rows as CSV."""
    found = table(readings, labels)
    return csv_text([columns(labels), *(list(row.values()) for row in found)])


def to_json(readings: Sequence[Reading]) -> str:
    """An object a picture with its faces, or its error."""
    return json.dumps([_document(reading) for reading in readings], ensure_ascii=False, indent=2) + "\n"


def to_png(data: bytes, reading: Reading) -> bytes:
    """The whole picture with its faces and all probabilities marked, PNG.

    Args:
        data: the file that was read.
    """
    image = decode(data, name=reading.name)
    return encode(draw_faces(image, reading.faces), "png")


def to_zip(files: Mapping[str, bytes], readings: Sequence[Reading]) -> bytes:
    """The marked pictures of all files, in a ZIP.

    Args:
        files: the files that were read, by the name of their reading.
    """
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as archive:
        for number, reading in enumerate(readings, 1):
            if not reading.error:
                archive.writestr(f"{number:02}-{stem(reading.name)}.png", to_png(files[reading.name], reading))
    return buffer.getvalue()


def stem(name: str) -> str:
    """A file's name without folder and ending, fit for the name of a download.

    >>> stem("../ho: liday.JPG")
    'ho_ liday'
    """
    last = name.replace("\\", "/").rsplit("/", 1)[-1]
    kept = "".join(sign if sign.isalnum() or sign in " -_.()" else "_" for sign in last)
    return kept.rsplit(".", 1)[0].strip(" .") or "picture"


def _result(reading: Reading) -> Result:
    return Result(reading.name, Frame(_NOTHING, reading.name), list(reading.faces))


def _document(reading: Reading) -> dict[str, Any]:
    if reading.error:
        return {"source": reading.name, "error": reading.error}
    return {
        "source": reading.name,
        "width": reading.width,
        "height": reading.height,
        "faces": [face.to_dict() for face in reading.faces],
    }


def _scaled(faces: Sequence[Face], scale: float) -> list[Face]:
    def sized(face: Face) -> Face:
        x1, y1, x2, y2 = (scale * side for side in face.box)
        return replace(face, box=(x1, y1, x2, y2))

    return [sized(face) for face in faces]


def _crop(image: UInt8, face: Face) -> UInt8:
    """The face with some of what is around it, square where the picture allows, up to CROP_PX."""
    height, width = image.shape[:2]
    x1, y1, x2, y2 = face.box
    half = max(CROP_SCALE * max(x2 - x1, y2 - y1) / 2, 1.0)
    half = min(half, width / 2, height / 2)
    x = min(max((x1 + x2) / 2, half), width - half)
    y = min(max((y1 + y2) / 2, half), height - half)
    left, top, side = int(x - half), int(y - half), max(int(2 * half), 1)
    part = image[top : top + side, left : left + side]
    return resize(part, min(CROP_PX, part.shape[0]), min(CROP_PX, part.shape[1]))


def _sentence(text: str) -> str:
    """An error's message as a sentence for a page."""
    return text if text.endswith(".") else f"{text}."
