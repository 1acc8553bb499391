"""Boxes, names and bars of probabilities over a picture, drawn by Qt so that text stays crisp at any size."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from PySide6.QtCore import QPointF, QRectF, Qt
from PySide6.QtGui import QColor, QFont, QFontMetricsF, QImage, QPainter, QPen

from mien.apps.desktop.history import track_of
from mien.apps.desktop.theme import label_colour
from mien.reading.pipeline import UInt8
from mien.structures import Face

NOT_SURE = "not sure"
TEXT_PX = 13.0
SMALLEST_TAG = 0.75
"""Of the height of text that a tag is reduced to at most."""
_INK, _PAPER, _FAINT = QColor(20, 22, 26), QColor(250, 251, 252), QColor(205, 208, 212)
_HALO, _PANEL, _TRACK = QColor(0, 0, 0, 120), QColor(20, 22, 26, 190), QColor(250, 251, 252, 42)


def judge(faces: Sequence[Face], threshold: float) -> list[Face]:
    """The faces with `abstained` as the threshold has it now: the shown label's probability is under it."""
    return [replace(face, abstained=face.confidence < threshold) for face in faces]


def caption(face: Face) -> str:
    """What stands at a face: its number, its label and how sure that is."""
    number = "" if face.track_id is None else f"#{face.track_id} "
    return f"{number}{NOT_SURE}" if face.abstained else f"{number}{face.top} {face.confidence:.0%}"


@dataclass
class Marks:
    """Draws faces into a rectangle that shows a picture.

    Args:
        target: where the whole picture lies.
        scale: units of the painter a pixel of the picture.
        text_px: height of text in the painter's units.
        chosen: the track whose box is drawn stronger.
        sides: on which side each track's bars stood last; they stay there as long as there is room.
    """

    target: QRectF
    scale: float
    text_px: float = TEXT_PX
    chosen: int | None = None
    sides: dict[int, int] = field(default_factory=dict)
    _taken: list[QRectF] = field(default_factory=list)

    def box(self, face: Face) -> QRectF:
        """Where a face's box lies for the painter."""
        x1, y1, x2, y2 = (side * self.scale for side in face.box)
        left, top = self.target.left(), self.target.top()
        return QRectF(QPointF(left + x1, top + y1), QPointF(left + x2, top + y2)).intersected(self.target)

    def draw(self, painter: QPainter, faces: Sequence[Face]) -> None:
        """Draw all faces, the larger ones' texts placed first."""
        painter.save()
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        boxes = [self.box(face) for face in faces]
        order = sorted(range(len(faces)), key=lambda i: -boxes[i].width() * boxes[i].height())
        order = [i for i in order if not boxes[i].isEmpty()]
        self._taken = [boxes[i] for i in order]
        for i in order:
            self._draw_box(painter, boxes[i], faces[i])
        tags = [self._place_tag(boxes[i], faces[i]) for i in order]
        for i, tag in zip(order, tags, strict=True):
            bars = self._place_bars(boxes[i], faces[i])
            self._draw_tag(painter, tag, faces[i], text_px=self._tag_px(boxes[i]), strip=bars is None)
            if bars is not None:
                self._draw_bars(painter, bars, faces[i])
        painter.restore()

    def _draw_box(self, painter: QPainter, box: QRectF, face: Face) -> None:
        unit = self.text_px / TEXT_PX
        width = unit * (3 if track_of(face) == self.chosen else 2)
        radius = min(6 * unit, box.width() / 6)
        painter.setBrush(Qt.BrushStyle.NoBrush)
        for colour, pen_width in ((_HALO, width + 2 * unit), (_face_colour(face), width)):
            painter.setPen(QPen(colour, pen_width))
            painter.drawRoundedRect(box, radius, radius)

    def _tag_px(self, box: QRectF) -> float:
        """Height of a tag's text: smaller at small faces, which often stand close."""
        return self.text_px * min(1.0, max(SMALLEST_TAG, 0.26 * box.height() / self.text_px))

    def _place_tag(self, box: QRectF, face: Face) -> QRectF:
        """Over the box, else under or beside it; where all is taken, where it covers least."""
        text_px = self._tag_px(box)
        unit = text_px / TEXT_PX
        width = QFontMetricsF(_font(text_px, bold=True)).horizontalAdvance(caption(face)) + 16 * unit
        height, gap = 23 * unit, 5 * unit
        left, middle = box.left() - unit, box.center().y() - height / 2
        corners = (
            (left, box.top() - height - gap), (left, box.bottom() + gap), (box.right() + gap, middle),
            (box.left() - gap - width, middle), (box.right() - width, box.top() - height - gap),
            (left + 2 * unit, box.top() + gap),
        )  # fmt: skip
        place = min((self._inside(QRectF(x, y, width, height)) for x, y in corners), key=self._covered)
        self._taken.append(place)
        return place

    def _inside(self, place: QRectF) -> QRectF:
        """The place moved into the picture."""
        x = max(self.target.left(), min(place.left(), self.target.right() - place.width()))
        y = max(self.target.top(), min(place.top(), self.target.bottom() - place.height()))
        return QRectF(x, y, place.width(), place.height())

    def _covered(self, place: QRectF) -> float:
        """How much of what is there already a place would cover, in its own units squared."""
        shared = (place.intersected(other) for other in self._taken if place.intersects(other))
        return sum(part.width() * part.height() for part in shared)

    def _draw_tag(self, painter: QPainter, place: QRectF, face: Face, *, text_px: float, strip: bool) -> None:
        """The caption; with a strip along its foot the probabilities of a face that has no room for bars."""
        unit = text_px / TEXT_PX
        colour = _face_colour(face)
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(colour)
        if strip:
            painter.setBrush(_INK)
            painter.drawRoundedRect(place.adjusted(-unit, -unit, unit, 3 * unit), 5 * unit, 5 * unit)
            self._draw_strip(painter, place.adjusted(4 * unit, place.height() - 2 * unit, -4 * unit, unit), face)
            painter.setBrush(colour)
            place = place.adjusted(0, 0, 0, -3 * unit)
        painter.drawRoundedRect(place, 5 * unit, 5 * unit)
        painter.setPen(_ink_on(colour))
        painter.setFont(_font(text_px, bold=True))
        painter.drawText(place, Qt.AlignmentFlag.AlignCenter, caption(face))

    def _draw_strip(self, painter: QPainter, strip: QRectF, face: Face) -> None:
        left = strip.left()
        for name, p in face.probabilities.items():
            painter.setBrush(label_colour(name))
            painter.drawRect(QRectF(left, strip.top(), p * strip.width(), strip.height()))
            left += p * strip.width()

    def _place_bars(self, box: QRectF, face: Face) -> QRectF | None:
        """Right or left of the face, where they stood last if they can; None without room."""
        unit = self.text_px / TEXT_PX
        width = self._names_width(face) + 1.8 * 7 * unit + 64 * unit + 7 * unit
        height = len(face.probabilities) * 1.25 * self.text_px + 14 * unit
        if height > self.target.height() or box.height() < 3.2 * self.text_px:
            return None
        top = max(self.target.top(), min(box.top(), self.target.bottom() - height))
        lefts = (box.right() + 6 * unit, box.left() - width - 6 * unit)
        track = track_of(face)
        for side in sorted((0, 1), key=lambda side: side != self.sides.get(track, 0)):
            place = QRectF(lefts[side], top, width, height)
            if self._is_free(place):
                self.sides[track] = side
                self._taken.append(place)
                return place
        return None

    def _draw_bars(self, painter: QPainter, place: QRectF, face: Face) -> None:
        unit = self.text_px / TEXT_PX
        row, pad = 1.25 * self.text_px, 7 * unit
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(_PANEL)
        painter.drawRoundedRect(place, 6 * unit, 6 * unit)
        painter.setFont(_font(0.88 * self.text_px))
        names = self._names_width(face)
        for line, (name, p) in enumerate(face.probabilities.items()):
            y = place.top() + pad + line * row
            painter.setPen(_PAPER if name == face.top else _FAINT)
            painter.drawText(QRectF(place.left() + pad, y, names, row), Qt.AlignmentFlag.AlignVCenter, name)
            left = place.left() + 1.8 * pad + names
            track = QRectF(left, y + 0.32 * row, place.right() - pad - left, 0.36 * row)
            _fill_bar(painter, track, p, label_colour(name))

    def _names_width(self, face: Face) -> float:
        metrics = QFontMetricsF(_font(0.88 * self.text_px))
        return max(metrics.horizontalAdvance(name) for name in face.probabilities)

    def _is_free(self, place: QRectF) -> bool:
        return self.target.contains(place) and not any(place.intersects(other) for other in self._taken)


class PicturePainter:
    """Draws faces on pictures themselves, one after another of a video; may be used in any one thread."""

    def __init__(self) -> None:
        self._sides: dict[int, int] = {}

    def draw(self, image: UInt8, faces: Sequence[Face]) -> UInt8:
        """A copy of a picture, RGB uint8 (H, W, 3), with its faces marked as in the window, texts in its proportion."""
        out = image.copy()
        height, width = out.shape[:2]
        canvas = QImage(out.data, width, height, out.strides[0], QImage.Format.Format_RGB888)
        painter = QPainter(canvas)
        text_px = max(TEXT_PX, min(height, width) / 36)
        Marks(QRectF(0, 0, width, height), 1.0, text_px=text_px, sides=self._sides).draw(painter, faces)
        painter.end()
        return out


def _fill_bar(painter: QPainter, track: QRectF, share: float, colour: QColor) -> None:
    radius = track.height() / 2
    painter.setPen(Qt.PenStyle.NoPen)
    painter.setBrush(_TRACK)
    painter.drawRoundedRect(track, radius, radius)
    painter.setBrush(colour)
    full = QRectF(track.left(), track.top(), max(share * track.width(), track.height()), track.height())
    painter.drawRoundedRect(full, radius, radius)


def _face_colour(face: Face) -> QColor:
    return label_colour(face.top, abstained=face.abstained)


def _ink_on(colour: QColor) -> QColor:
    """Dark or light text, whichever is easier to read on `colour` (BT.601 luma)."""
    return _INK if 0.299 * colour.red() + 0.587 * colour.green() + 0.114 * colour.blue() > 120 else _PAPER


def _font(height_px: float, *, bold: bool = False) -> QFont:
    font = QFont()
    font.setPixelSize(max(1, round(height_px)))
    font.setBold(bold)
    return font
