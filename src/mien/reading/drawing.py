"""Annotated images: a box, the expression and all probabilities for each face."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import cv2
import numpy as np
import numpy.typing as npt

from mien.labels import percent
from mien.reading.lettering import text_mask
from mien.reading.shape_drawing import VALUES, draw_geometry
from mien.structures import Face

UInt8 = npt.NDArray[np.uint8]
Colour = tuple[int, int, int]

PALETTE: dict[str, Colour] = {
    "angry": (222, 84, 32), "disgust": (0, 158, 115), "fear": (204, 121, 167), "happy": (245, 178, 36),
    "sad": (46, 125, 200), "surprise": (96, 196, 240), "neutral": (190, 194, 200), "contempt": (170, 130, 96),
}  # fmt: skip
"""RGB after Okabe and Ito's colours, which colour-blind people can tell apart."""

UNSURE: Colour = (150, 152, 156)
"""Of a face that is not sure."""

_INK, _PAPER, _FAINT = (20, 22, 26), (250, 251, 252), (205, 208, 212)
_SMALLEST_SIDE_PX = 320
_ROW_PX = (11, 44)
_AROUND = 0.12
"""So much of a neighbour's box on each side is its head, which no panel may cover."""


class Rect(NamedTuple):
    """A rectangle in whole pixels, x2 and y2 outside of it."""

    x1: int
    y1: int
    x2: int
    y2: int

    def overlap(self, other: Rect) -> int:
        """Pixels in common."""
        width = min(self.x2, other.x2) - max(self.x1, other.x1)
        height = min(self.y2, other.y2) - max(self.y1, other.y1)
        return max(width, 0) * max(height, 0)

    def within(self, bounds: Rect) -> bool:
        """Whether all of it lies in `bounds`."""
        return self.area > 0 and self.overlap(bounds) == self.area

    @property
    def area(self) -> int:
        """Pixels in it."""
        return max(self.x2 - self.x1, 0) * max(self.y2 - self.y1, 0)


@dataclass
class _Canvas:
    """The picture being drawn on, and what is taken on it."""

    image: UInt8
    bounds: Rect
    taken: list[Rect]
    faces: Sequence[Rect] = ()

    def cost(self, place: Rect) -> float:
        """Share of a place that others have taken; more than any when it leaves the picture."""
        if not place.within(self.bounds):
            return float("inf")
        return sum(place.overlap(other) for other in self.taken) / place.area

    def best(self, places: Sequence[Rect]) -> tuple[Rect, float]:
        """The first place of the lowest cost."""
        return min(((place, self.cost(place)) for place in places), key=lambda found: found[1])


def draw_faces(image: UInt8, faces: Sequence[Face], *, panels: bool = True, geometry: Sequence[str] = ()) -> UInt8:
    """A copy of an image with its faces annotated.

    Each face gets a box, a tag with the expression in per cent, and a panel of all probabilities beside it;
    where there is no room for the panel, a strip in the box shows the probabilities as coloured parts.
    A face that is not sure is grey; in a video its track's number comes first.

    Args:
        image: RGB uint8 (H, W, 3).
        faces: with boxes in its pixels.
        panels: show all probabilities; without, boxes and tags alone.
        geometry: `landmarks` and `pose` of faces that were analyzed with `geometry`, and `values`: valence, arousal
            and intensity in words, where the model tells them.

    Returns:
        RGB uint8, of the same size; a picture under 320 pixels is enlarged first, so that text can be read.

    Raises:
        ConfigError: `geometry` names something else.
    """
    image = draw_geometry(image, faces, geometry)
    factor = max(1, -(-_SMALLEST_SIDE_PX // max(image.shape[:2])))
    # By whole factors, so that every pixel stays what it is.
    out = np.repeat(np.repeat(image, factor, axis=0), factor, axis=1) if factor > 1 else image.copy()
    canvas = _Canvas(out, Rect(0, 0, out.shape[1], out.shape[0]), [])
    boxes = [_clipped(face, factor, canvas.bounds) for face in faces]
    # All faces are marked as taken before anything is placed, so that no tag covers a face.
    canvas.faces = [box for box in boxes if box.area]
    canvas.taken = list(canvas.faces)
    # The largest first, so that smaller boxes are drawn over it and stay visible.
    order = sorted(range(len(faces)), key=lambda i: -boxes[i].area)
    for i in order:
        _draw_box(canvas, boxes[i], _colour(faces[i]))
    # All tags before the first panel: a face can do without its panel, not without its tag.
    tags = [(i, _draw_tag(canvas, boxes[i], faces[i])) for i in order if boxes[i].area]
    for i, _ in tags if VALUES in geometry else ():
        _draw_values(canvas, boxes[i], faces[i])
    for i, tag in tags if panels else ():
        _draw_probabilities(canvas, boxes[i], tag, faces[i])
    return canvas.image


def draw_text(image: UInt8, text: str, x: int, y: int, size_px: int, colour: Colour, *, bold: bool = False) -> int:
    """Write a line of ASCII into a picture, its upper left corner at x, y; the width that it takes, pixels."""
    mask = text_mask(text, size_px, bold=bold)
    _write(image, mask, x, y, colour)
    return int(mask.shape[1])


def text_size(text: str, size_px: int, *, bold: bool = False) -> int:
    """Width of a line of text in pixels."""
    return int(text_mask(text, size_px, bold=bold).shape[1])


def fitting_text(text: str, size_px: int, width_px: int, *, bold: bool = False) -> str:
    """The end of a text that is too long: of a path that is the name. Letters that cannot be drawn become `?`."""
    text = text.encode("ascii", "replace").decode()
    if text_size(text, size_px, bold=bold) <= width_px:
        return text
    while text and text_size(f"...{text}", size_px, bold=bold) > width_px:
        text = text[max(1, len(text) // 40) :]
    return f"...{text}"


def _clipped(face: Face, factor: int, bounds: Rect) -> Rect:
    x1, y1, x2, y2 = (round(side * factor) for side in face.box)
    return Rect(max(x1, 0), max(y1, 0), min(x2, bounds.x2), min(y2, bounds.y2))


def _colour(face: Face) -> Colour:
    return UNSURE if face.abstained else PALETTE.get(face.top, _PAPER)


def _row_px(canvas: _Canvas, box: Rect) -> int:
    """Height of a line of text: such that a panel is as high as the face, within what reads well."""
    low, high = _ROW_PX
    return int(np.clip((box.y2 - box.y1) / 7.6, low, np.clip(0.032 * min(canvas.image.shape[:2]), low + 4, high)))


def _draw_box(canvas: _Canvas, box: Rect, colour: Colour) -> None:
    if not box.area:
        return
    width = max(1, round(min(box.x2 - box.x1, box.y2 - box.y1) / 60), round(min(canvas.image.shape[:2]) / 400))
    halo = max(1, width // 2)
    # A dark rim first, or the box is lost on a background of its colour.
    for grown, ink, thickness in ((0, _INK, width + 2 * halo), (0, colour, width)):
        inset = thickness // 2 + grown
        first = (max(box.x1, inset), max(box.y1, inset))
        last = (min(box.x2, canvas.bounds.x2 - inset) - 1, min(box.y2, canvas.bounds.y2 - inset) - 1)
        cv2.rectangle(canvas.image, first, last, ink, thickness, cv2.LINE_AA)


def _draw_tag(canvas: _Canvas, box: Rect, face: Face) -> Rect:
    """The expression on a chip above the box, else below or inside it."""
    row = round(1.25 * _row_px(canvas, box))
    name = face.verdict if face.track_id is None else f"{face.track_id} {face.verdict}"
    text = f"{name} {percent(face.confidence)}"
    mask = text_mask(text, round(0.72 * row), bold=True)
    width, height = mask.shape[1] + row, row + row // 3
    left = int(np.clip(box.x1, 0, max(canvas.bounds.x2 - width, 0)))
    gap = max(2, row // 6)
    tops = (box.y1 - height - gap, box.y2 + gap, box.y1 + gap)
    place, _ = canvas.best([Rect(left, top, left + width, top + height) for top in tops])
    if not place.within(canvas.bounds):
        return box
    colour = _colour(face)
    _fill(canvas.image, place, colour, 1.0, radius=height // 4)
    middle = (place.y1 + place.y2 - mask.shape[0]) // 2 + row // 12
    _write(canvas.image, mask, place.x1 + row // 2, middle, _ink_on(colour))
    canvas.taken.append(place)
    return place


def _draw_values(canvas: _Canvas, box: Rect, face: Face) -> None:
    """Valence, arousal and intensity on a chip under the box, else over or inside it; nothing where nobody knows."""
    found = face.affect
    if found is None:
        return
    signed = {"valence": found.valence, "arousal": found.arousal}
    lines = [f"{name} {value:+.2f}" for name, value in signed.items() if value is not None]
    lines += [] if found.intensity is None else [f"intensity {percent(found.intensity)}"]
    row = _row_px(canvas, box)
    masks = [text_mask(line, round(0.74 * row)) for line in lines]
    pad, gap = max(4, row // 2), max(2, row // 6)
    width, height = max(mask.shape[1] for mask in masks) + 2 * pad, len(masks) * row + 2 * pad - row // 4
    left = int(np.clip(box.x1, 0, max(canvas.bounds.x2 - width, 0)))
    tops = (box.y2 + gap, box.y1 - height - gap, box.y2 - height - gap)
    place, _ = canvas.best([Rect(left, top, left + width, top + height) for top in tops])
    if not place.within(canvas.bounds):
        return
    _fill(canvas.image, place, _INK, 0.72, radius=pad)
    canvas.taken.append(place)
    for line, mask in enumerate(masks):
        y = place.y1 + pad + line * row
        _write(canvas.image, mask, place.x1 + pad, y + (row - row // 4 - mask.shape[0]) // 2 + row // 12, _PAPER)


def _draw_probabilities(canvas: _Canvas, box: Rect, tag: Rect, face: Face) -> None:
    row = _row_px(canvas, box)
    names = [text_mask(name, round(0.74 * row)) for name in face.probabilities]
    pad = max(4, row // 2)
    name_px, bar_px = max(mask.shape[1] for mask in names), 4 * row
    width, height = name_px + bar_px + 3 * pad, len(names) * row + 2 * pad - row // 4
    # A panel stands close to its own face, but off the heads of others.
    heads = [_head(other) for other in canvas.faces if other != box]
    around = replace(canvas, taken=[*canvas.taken, *heads])
    place, cost = around.best(_panel_places(canvas, box, tag, width, height, max(3, row // 3)))
    if cost > 0:
        _draw_strip(canvas, box, face)
        return
    _fill(canvas.image, place, _INK, 0.72, radius=pad)
    canvas.taken.append(place)
    for line, (mask, (name, p)) in enumerate(zip(names, face.probabilities.items(), strict=True)):
        y, x = place.y1 + pad + line * row, place.x1 + pad
        ink = _PAPER if name == face.top else _FAINT
        _write(canvas.image, mask, x, y + (row - row // 4 - mask.shape[0]) // 2 + row // 12, ink)
        track = Rect(x + name_px + pad, y, x + name_px + pad + bar_px, y + row - row // 4)
        _fill(canvas.image, track, _PAPER, 0.16, radius=row // 4)
        full = track._replace(x2=track.x1 + max(round(p * bar_px), 1))
        _fill(canvas.image, full, PALETTE.get(name, _PAPER), 1.0, radius=row // 4)


def _head(box: Rect) -> Rect:
    """A face's box with the hair and ears around it."""
    dx, dy = round(_AROUND * (box.x2 - box.x1)), round(_AROUND * (box.y2 - box.y1))
    return Rect(box.x1 - dx, box.y1 - 2 * dy, box.x2 + dx, box.y2 + dy)


def _panel_places(canvas: _Canvas, box: Rect, tag: Rect, width: int, height: int, gap: int) -> list[Rect]:
    """Right and left of the face from the top or the bottom, then under and over it."""
    highest = max(canvas.bounds.y2 - height, 0)
    tops = [int(np.clip(y, 0, highest)) for y in (box.y1, box.y2 - height, (box.y1 + box.y2 - height) // 2)]
    lefts = [int(np.clip(x, 0, max(canvas.bounds.x2 - width, 0))) for x in (box.x1, box.x2 - width)]
    sides = [(x, y) for x in (box.x2 + gap, box.x1 - gap - width) for y in tops]
    ends = [(x, y) for y in (max(box.y2, tag.y2) + gap, min(box.y1, tag.y1) - gap - height) for x in lefts]
    return [Rect(x, y, x + width, y + height) for x, y in sides + ends]


def _draw_strip(canvas: _Canvas, box: Rect, face: Face) -> None:
    """All probabilities as parts of one line inside the lower edge of the box."""
    height = max(3, (box.y2 - box.y1) // 14)
    inset = max(2, (box.x2 - box.x1) // 25)
    strip = Rect(box.x1 + inset, box.y2 - inset - height, box.x2 - inset, box.y2 - inset)
    if strip.area == 0 or strip.y1 < box.y1:
        return
    _fill(canvas.image, Rect(strip.x1 - 1, strip.y1 - 1, strip.x2 + 1, strip.y2 + 1), _INK, 0.8)
    # Ends are rounded rather than lengths, so that the parts leave no gaps.
    ends = np.cumsum([0, *face.probabilities.values()]) * (strip.x2 - strip.x1) + strip.x1
    for name, start, end in zip(face.probabilities, ends[:-1], ends[1:], strict=True):
        part = strip._replace(x1=round(start), x2=min(round(end), strip.x2))
        _fill(canvas.image, part, PALETTE.get(name, _PAPER), 1.0)


def _ink_on(colour: Colour) -> Colour:
    """Dark or light text, whichever is easier to read on `colour` (BT.601 luma)."""
    return _INK if 0.299 * colour[0] + 0.587 * colour[1] + 0.114 * colour[2] > 120 else _PAPER


def _fill(image: UInt8, place: Rect, colour: Colour, opacity: float, *, radius: int = 0) -> None:
    """Fill a rectangle, its corners rounded and smooth."""
    area = image[max(place.y1, 0) : max(place.y2, 0), max(place.x1, 0) : max(place.x2, 0)]
    if area.size == 0:
        return
    mask = _rounded(area.shape[1], area.shape[0], radius)
    _blend(area, mask * np.float32(opacity), colour)


@functools.lru_cache(maxsize=256)
def _rounded(width: int, height: int, radius: int) -> npt.NDArray[np.float32]:
    """Coverage (height, width) in 0–1 of a rectangle with round corners, smooth at their edge."""
    radius = min(radius, width // 2, height // 2)
    x = np.abs(np.arange(width) + 0.5 - width / 2) - (width / 2 - radius)
    y = np.abs(np.arange(height) + 0.5 - height / 2) - (height / 2 - radius)
    distance = np.hypot(np.maximum(x, 0)[None, :], np.maximum(y, 0)[:, None])
    if radius == 0:
        return np.ones((height, width), np.float32)
    return np.asarray(np.clip(radius - distance + 0.5, 0, 1), np.float32)


def _write(image: UInt8, mask: npt.NDArray[np.float32], x: int, y: int, colour: Colour) -> None:
    area = image[max(y, 0) : y + mask.shape[0], max(x, 0) : x + mask.shape[1]]
    _blend(area, mask[: area.shape[0], : area.shape[1]], colour)


def _blend(area: UInt8, coverage: npt.NDArray[np.float32], colour: Colour) -> None:
    alpha = coverage[:, :, None]
    ink = np.asarray(colour, np.float32)
    area[:] = (area * (1 - alpha) + ink * alpha + 0.5).astype(np.uint8)
