"""One analyzed photo: what is kept of it, how it is shown, and its downloads."""

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
from mien.reading.shape_drawing import DRAWINGS
from mien.sinks.tables import csv_text
from mien.structures import Face, Frame

PREVIEW_PX = 1280
"""Longer side of the preview in the browser."""
CROP_PX = 176
CROP_SCALE = 1.25
# Rows need a frame, but none of its pixels.
_NOTHING = np.zeros((1, 1, 3), np.uint8)


@dataclass(frozen=True)
class Reading:
    """The result of one photo; of its pixels only what is shown.

    Args:
        name: the file's name.
        error: why it cannot be read, as a sentence; empty otherwise.
        notice: what was odd about it, as a sentence; empty otherwise.
        width, height: of the photo, in pixels.
        preview: the plain photo as JPEG, its longer side up to PREVIEW_PX.
        crops: one JPEG per face.
        faces: with boxes in pixels of the whole photo.
        detector, model: their names.
    """

    name: str
    error: str = ""
    notice: str = ""
    width: int = 0
    height: int = 0
    preview: bytes = b""
    crops: tuple[bytes, ...] = ()
    faces: tuple[Face, ...] = ()
    detector: str = ""
    model: str = ""

    def judged(self, threshold: float) -> Reading:
        """The same, with faces whose confidence is below the threshold as not sure."""
        faces = tuple(replace(face, abstained=face.confidence < threshold) for face in self.faces)
        return replace(self, faces=faces)


def read_photo(data: bytes, name: str, pipeline: Pipeline) -> Reading:
    """Analyze an image file; an unreadable one gives a reading with its error."""
    notices: list[str] = []
    try:
        image = decode(data, name=name, max_pixels=pipeline.max_pixels, on_notice=notices.append)
    except ImageTooLargeError:
        limit = f"{pipeline.max_pixels / 1e6:.0f} million pixels"
        return Reading(name, error=f"{name} has more than {limit}: reduce it first.")
    except SourceError as error:
        return Reading(name, error=f"{str(error).removesuffix('.')}.")
    faces = pipeline.analyze_frame(Frame(image, name))
    height, width = image.shape[:2]
    return Reading(
        name=name,
        notice=as_sentences(notices),
        width=width,
        height=height,
        preview=encode(shrink(image, PREVIEW_PX)[0], "jpeg", quality=90),
        crops=tuple(encode(_crop(image, face), "jpeg", quality=85) for face in faces),
        faces=tuple(faces),
        detector=pipeline.detector.name,
        model=pipeline.model.title,
    )


def as_sentences(notices: Sequence[str]) -> str:
    """Notices about a file as one text.

    >>> as_sentences(["a.mp4: 3 frames are damaged", "a.mp4: it ends early"])
    'a.mp4: 3 frames are damaged. a.mp4: it ends early.'
    """
    return " ".join(f"{notice.removesuffix('.')}." for notice in notices)


def annotated(reading: Reading, longest_px: int | None = None) -> bytes:
    """The annotated preview, JPEG; with a longest side, reduced first, so that its tags can be read at that size."""
    # Only the plain preview is kept, as the threshold may still move.
    image = decode(reading.preview)
    if longest_px is not None:
        image = shrink(image, longest_px)[0]
    scale = image.shape[1] / reading.width
    faces = _scaled(reading.faces, scale)
    if len(faces) > 1:
        # By the number of their cards; a tag begins with the number of a track.
        faces = [replace(face, track_id=number) for number, face in enumerate(faces, 1)]
    return encode(draw_faces(image, faces, panels=False, geometry=tuple(DRAWINGS)), "jpeg", quality=88)


def annotate_frame(image: UInt8, faces: Sequence[Face], longest_px: int, *, panels: bool = False) -> UInt8:
    """A frame, reduced to a longer side and annotated."""
    small = shrink(image, longest_px)[0]
    scaled = _scaled(faces, small.shape[1] / image.shape[1])
    return draw_faces(small, scaled, panels=panels, geometry=tuple(DRAWINGS))


def table(readings: Sequence[Reading], labels: tuple[str, ...]) -> list[Row]:
    """Tidy rows: one per face, one for a photo without a face, none for an unreadable file."""
    geometry = has_geometry(readings)
    return [
        row for reading in readings if not reading.error for row in rows(_result(reading), labels, geometry=geometry)
    ]


def to_csv(readings: Sequence[Reading], labels: tuple[str, ...]) -> str:
    """The rows as CSV."""
    found = table(readings, labels)
    return csv_text([columns(labels, geometry=has_geometry(readings)), *(list(row.values()) for row in found)])


def has_geometry(readings: Sequence[Reading]) -> bool:
    """Whether any face has landmarks, pose and blendshapes."""
    return any(face.pose is not None for reading in readings for face in reading.faces)


def to_json(readings: Sequence[Reading]) -> str:
    """One object per photo with its faces, or its error."""
    return json.dumps([_document(reading) for reading in readings], ensure_ascii=False, indent=2) + "\n"


def to_png(data: bytes, reading: Reading) -> bytes:
    """The whole photo with boxes and all probabilities, PNG.

    Args:
        data: the analyzed file.
    """
    image = decode(data, name=reading.name, on_notice=lambda text: None)
    return encode(draw_faces(image, reading.faces, geometry=tuple(DRAWINGS)), "png")


def to_zip(files: Mapping[str, bytes], readings: Sequence[Reading]) -> bytes:
    """The annotated photos as a ZIP file.

    Args:
        files: the analyzed files, by the name of their reading.
    """
    buffer = io.BytesIO()
    # Stored: PNG is compressed already.
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as archive:
        for number, reading in enumerate(readings, 1):
            if not reading.error:
                # Numbered, since different names may give the same stem.
                archive.writestr(f"{number:02}-{stem(reading.name)}.png", to_png(files[reading.name], reading))
    return buffer.getvalue()


def stem(name: str) -> str:
    """A file's name without folder and suffix, safe as the name of a download.

    >>> stem("../ho: liday.JPG")
    'ho_ liday'
    """
    last = name.replace("\\", "/").rsplit("/", 1)[-1]
    kept = "".join(sign if sign.isalnum() or sign in " -_.()" else "_" for sign in last)
    return kept.rsplit(".", 1)[0].strip(" .") or "photo"


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
        shapes = [tuple((scale * x, scale * y) for x, y in points) for points in (face.landmarks68, face.iris)]
        return replace(face, box=(x1, y1, x2, y2), landmarks68=shapes[0], iris=shapes[1])

    return [sized(face) for face in faces]


def _crop(image: UInt8, face: Face) -> UInt8:
    """The face with a margin, square if the photo allows, up to CROP_PX."""
    height, width = image.shape[:2]
    x1, y1, x2, y2 = face.box
    half = max(CROP_SCALE * max(x2 - x1, y2 - y1) / 2, 1.0)
    half = min(half, width / 2, height / 2)
    # At an edge the square moves inwards, so that it is not cut off.
    x = min(max((x1 + x2) / 2, half), width - half)
    y = min(max((y1 + y2) / 2, half), height - half)
    left, top, side = int(x - half), int(y - half), max(int(2 * half), 1)
    part = image[top : top + side, left : left + side]
    return resize(part, min(CROP_PX, part.shape[0]), min(CROP_PX, part.shape[1]))
