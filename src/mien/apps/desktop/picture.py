"""The picture with its faces: the widget, and the marks that are drawn into it and into files."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

import cv2
import numpy as np
from PySide6.QtCore import QPointF, QRectF, QSize, Qt, Signal
from PySide6.QtGui import QColor, QFont, QFontMetricsF, QImage, QMouseEvent, QPainter, QPaintEvent, QPen
from PySide6.QtWidgets import QWidget

from mien.apps.desktop.history import track_of
from mien.apps.desktop.theme import Theme, label_colour
from mien.labels import NOT_SURE, percent
from mien.reading.pipeline import UInt8
from mien.reading.results import Result
from mien.reading.shape_drawing import HIDDEN, IRIS, LINE, axes, outline, size_of
from mien.structures import Face

TEXT_PX = 13.0
SMALLEST_TAG = 0.75
"""The smallest tag text, as a share of the usual height."""
_INK, _PAPER, _FAINT = QColor(20, 22, 26), QColor(250, 251, 252), QColor(205, 208, 212)
_HALO, _PANEL, _TRACK = QColor(0, 0, 0, 120), QColor(20, 22, 26, 190), QColor(250, 251, 252, 42)


class PictureView(QWidget):
    """Shows the newest result as large as possible; a click on a face selects it."""

    chosen = Signal(int)

    def __init__(self, on_painted: Callable[[float], None]) -> None:
        """`on_painted` gets the time, by `time.perf_counter`, at which a new frame was painted."""
        super().__init__()
        self.setAccessibleName("Picture")
        self.setMinimumSize(QSize(240, 135))
        # Moves count without a pressed button too, for the hand cursor.
        self.setMouseTracking(True)
        self.faces: list[Face] = []
        self.threshold = 0.0
        self.draw: tuple[str, ...] = ()
        self.chosen_track: int | None = None
        self._on_painted = on_painted
        self._result: Result | None = None
        self._is_new = False
        self._sides: dict[int, int] = {}
        self._back = QColor("#000000")
        self._scaled: tuple[UInt8, QImage, UInt8] | None = None

    def set_theme(self, theme: Theme) -> None:
        """Apply a theme."""
        self._back = QColor(theme.sunken)
        self.update()

    @property
    def result(self) -> Result | None:
        """The result on screen."""
        return self._result

    def show_result(self, result: Result | None) -> None:
        """Show a frame and its faces; None clears the picture."""
        self._result = result
        self._is_new = result is not None
        self._judge()

    def set_threshold(self, threshold: float) -> None:
        """Faces whose confidence is below this are `not sure`."""
        self.threshold = threshold
        self._judge()

    def choose(self, track: int | None) -> None:
        """Highlight the box of this track."""
        if track != self.chosen_track:
            self.chosen_track = track
            self.update()

    def _judge(self) -> None:
        self.faces = judge(self._result.faces, self.threshold) if self._result else []
        here = {track_of(face) for face in self.faces}
        self._sides = {track: side for track, side in self._sides.items() if track in here}
        texts = ", ".join(caption(face) for face in self.faces)
        self.setAccessibleDescription(texts or ("no face" if self._result else "no picture"))
        self.update()

    def target(self) -> QRectF:
        """Where the picture is in the widget; empty without one."""
        if self._result is None or self._result.frame is None:
            return QRectF()
        height, width = self._result.frame.image.shape[:2]
        scale = min(self.width() / width, self.height() / height)
        w, h = scale * width, scale * height
        return QRectF(round((self.width() - w) / 2), round((self.height() - h) / 2), w, h)

    def marks(self) -> Marks:
        """The marks at the present size."""
        target = self.target()
        width = self._result.frame.image.shape[1] if self._result and self._result.frame else 1
        scale = target.width() / width
        return Marks(target, scale, chosen=self.chosen_track, sides=self._sides, geometry=self.draw)

    def face_at(self, point: QPointF) -> Face | None:
        """The smallest face under a point of the widget."""
        marks = self.marks()
        hit = [face for face in self.faces if marks.box(face).contains(point)]
        # The smallest, or a face in front of a larger one could not be selected.
        return min(hit, key=lambda face: marks.box(face).width(), default=None)

    def paintEvent(self, event: QPaintEvent) -> None:  # noqa: N802
        """Paint the frame and its marks."""
        painter = QPainter(self)
        painter.fillRect(self.rect(), self._back)
        if self._result is not None and self._result.frame is not None:
            target = self.target()
            painter.drawImage(target, self._fitted(self._result.frame.image, target))
            self.marks().draw(painter, self.faces)
        painter.end()
        # A frame may be painted again, but its latency is that of the first time.
        if self._is_new:
            self._is_new = False
            self._on_painted(time.perf_counter())

    def _fitted(self, image: UInt8, target: QRectF) -> QImage:
        """The frame in device pixels: OpenCV scales it better and faster than a painter."""
        ratio = self.devicePixelRatioF()
        size = (max(1, round(target.width() * ratio)), max(1, round(target.height() * ratio)))
        kept = self._scaled
        # Another paint of the same frame, for a selection or a message, scales nothing again.
        if kept is None or kept[0] is not image or kept[1].size() != QSize(*size):
            smaller = size[0] < image.shape[1]
            method = cv2.INTER_AREA if smaller else cv2.INTER_LINEAR
            pixels = np.ascontiguousarray(cv2.resize(image, size, interpolation=method), np.uint8)
            # The image borrows the array's memory, so both are kept together.
            view = QImage(pixels.data, size[0], size[1], pixels.strides[0], QImage.Format.Format_RGB888)
            kept = self._scaled = (image, view, pixels)
        return kept[1]

    def mousePressEvent(self, event: QMouseEvent) -> None:  # noqa: N802
        """Select the clicked face."""
        face = self.face_at(event.position())
        if event.button() == Qt.MouseButton.LeftButton and face is not None:
            self.chosen.emit(track_of(face))

    def mouseMoveEvent(self, event: QMouseEvent) -> None:  # noqa: N802
        """Show a hand over a face."""
        over = self.face_at(event.position()) is not None
        self.setCursor(Qt.CursorShape.PointingHandCursor if over else Qt.CursorShape.ArrowCursor)


def judge(faces: Sequence[Face], threshold: float) -> list[Face]:
    """The faces with `abstained` by this threshold: whether the confidence is below it."""
    return [replace(face, abstained=face.confidence < threshold) for face in faces]


def caption(face: Face) -> str:
    """The text at a face: its number, its label and the confidence."""
    number = "" if face.track_id is None else f"{face.track_id} "
    return f"{number}{NOT_SURE}" if face.abstained else f"{number}{face.top} {percent(face.confidence)}"


@dataclass
class Marks:
    """Draws boxes, tags and bars into a rectangle that shows a frame.

    Args:
        target: where the whole frame is.
        scale: painter units per pixel of the frame.
        text_px: text height in painter units.
        chosen: the track whose box is highlighted.
        sides: the side of each track's bars; kept as long as there is room, so that they do not jump.
        geometry: what to draw of faces that have it, of `mien.reading.shape_drawing.DRAWINGS`.
    """

    target: QRectF
    scale: float
    text_px: float = TEXT_PX
    chosen: int | None = None
    sides: dict[int, int] = field(default_factory=dict)
    geometry: tuple[str, ...] = ()
    _taken: list[QRectF] = field(default_factory=list)

    def box(self, face: Face) -> QRectF:
        """A face's box in painter units."""
        x1, y1, x2, y2 = (side * self.scale for side in face.box)
        left, top = self.target.left(), self.target.top()
        return QRectF(QPointF(left + x1, top + y1), QPointF(left + x2, top + y2)).intersected(self.target)

    def draw(self, painter: QPainter, faces: Sequence[Face]) -> None:
        """Draw all faces; the tags of larger ones are placed first."""
        painter.save()
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        boxes = [self.box(face) for face in faces]
        # Whoever comes first gets the best places.
        order = sorted(range(len(faces)), key=lambda i: -boxes[i].width() * boxes[i].height())
        order = [i for i in order if not boxes[i].isEmpty()]
        # Boxes first: a text should hide no face, not even one whose tag comes later.
        self._taken = [boxes[i] for i in order]
        for i in order:
            self._draw_shape(painter, faces[i])
            self._draw_box(painter, boxes[i], faces[i])
        # All tags before any bars: without its label a face says nothing, without bars a little less.
        tags = [self._place_tag(boxes[i], faces[i]) for i in order]
        for i, tag in zip(order, tags, strict=True):
            bars = self._place_bars(boxes[i], faces[i])
            self._draw_tag(painter, tag, faces[i], text_px=self._tag_px(boxes[i]), strip=bars is None)
            if bars is not None:
                self._draw_bars(painter, bars, faces[i])
        painter.restore()

    def _draw_shape(self, painter: QPainter, face: Face) -> None:
        size = self.scale * size_of(face)
        if "landmarks" in self.geometry:
            for start, end, seen in outline(face):
                painter.setPen(QPen(QColor(*(LINE if seen else HIDDEN)), max(1.0, size / 150)))
                painter.drawLine(self._point(start), self._point(end))
            painter.setPen(Qt.PenStyle.NoPen)
            painter.setBrush(QColor(*IRIS))
            for centre in face.iris:
                painter.drawEllipse(self._point(centre), max(1.0, size / 60), max(1.0, size / 60))
        if "pose" in self.geometry:
            for start, end, colour in axes(face):
                painter.setPen(QPen(QColor(*colour), max(1.5, size / 70)))
                painter.drawLine(self._point(start), self._point(end))

    def _point(self, place: tuple[float, float]) -> QPointF:
        return self.target.topLeft() + QPointF(*place) * self.scale

    def _draw_box(self, painter: QPainter, box: QRectF, face: Face) -> None:
        unit = self.text_px / TEXT_PX
        width = unit * (3 if track_of(face) == self.chosen else 2)
        radius = min(6 * unit, box.width() / 6)
        painter.setBrush(Qt.BrushStyle.NoBrush)
        # The halo keeps light colours visible on light pictures.
        for colour, pen_width in ((_HALO, width + 2 * unit), (_face_colour(face), width)):
            painter.setPen(QPen(colour, pen_width))
            painter.drawRoundedRect(box, radius, radius)

    def _tag_px(self, box: QRectF) -> float:
        """Text height of a tag: smaller for small faces, which are often close together."""
        return self.text_px * min(1.0, max(SMALLEST_TAG, 0.26 * box.height() / self.text_px))

    def _place_tag(self, box: QRectF, face: Face) -> QRectF:
        """Above the box, else below or beside it; if all are occupied, where it covers least."""
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
        # `min` takes the first of equally free places, so the order above is that of preference.
        place = min((self._inside(QRectF(x, y, width, height)) for x, y in corners), key=self._covered)
        self._taken.append(place)
        return place

    def _inside(self, place: QRectF) -> QRectF:
        """The place, moved into the frame."""
        x = max(self.target.left(), min(place.left(), self.target.right() - place.width()))
        y = max(self.target.top(), min(place.top(), self.target.bottom() - place.height()))
        return QRectF(x, y, place.width(), place.height())

    def _covered(self, place: QRectF) -> float:
        """The area of other marks that a place would cover, in painter units squared."""
        shared = (place.intersected(other) for other in self._taken if place.intersects(other))
        return sum(part.width() * part.height() for part in shared)

    def _draw_tag(self, painter: QPainter, place: QRectF, face: Face, *, text_px: float, strip: bool) -> None:
        """The caption; `strip` adds the probabilities along its foot, for a face without room for bars."""
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
        """Right or left of the face, on the same side as before if possible; None without room."""
        unit = self.text_px / TEXT_PX
        width = self._names_width(face) + 1.8 * 7 * unit + 64 * unit + 7 * unit
        height = len(face.probabilities) * 1.25 * self.text_px + 14 * unit
        # A panel that is taller than the picture, or much larger than its face, hides more than it tells.
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
    """Draws faces onto the frames of one video; may be used in any one thread.

    Args:
        geometry: what to draw of theirs, as `Marks` takes it.
    """

    def __init__(self, geometry: tuple[str, ...] = ()) -> None:
        self._geometry = geometry
        self._sides: dict[int, int] = {}

    def draw(self, image: UInt8, faces: Sequence[Face]) -> UInt8:
        """A copy of an image, RGB uint8 (H, W, 3), with marks as in the window and text in proportion."""
        out = image.copy()
        height, width = out.shape[:2]
        # The canvas borrows the array's memory: what is painted is in `out`.
        canvas = QImage(out.data, width, height, out.strides[0], QImage.Format.Format_RGB888)
        painter = QPainter(canvas)
        text_px = max(TEXT_PX, min(height, width) / 36)
        marks = Marks(QRectF(0, 0, width, height), 1.0, text_px=text_px, sides=self._sides, geometry=self._geometry)
        marks.draw(painter, faces)
        painter.end()
        return out


def _fill_bar(painter: QPainter, track: QRectF, share: float, colour: QColor) -> None:
    radius = track.height() / 2
    painter.setPen(Qt.PenStyle.NoPen)
    painter.setBrush(_TRACK)
    painter.drawRoundedRect(track, radius, radius)
    painter.setBrush(colour)
    # At least as long as high, or the rounded ends would overlap.
    full = QRectF(track.left(), track.top(), max(share * track.width(), track.height()), track.height())
    painter.drawRoundedRect(full, radius, radius)


def _face_colour(face: Face) -> QColor:
    return label_colour(face.top, abstained=face.abstained)


def _ink_on(colour: QColor) -> QColor:
    """Dark or light text, whichever is easier to read on `colour`, by BT.601 luma."""
    return _INK if 0.299 * colour.red() + 0.587 * colour.green() + 0.114 * colour.blue() > 120 else _PAPER


def _font(height_px: float, *, bold: bool = False) -> QFont:
    font = QFont()
    font.setPixelSize(max(1, round(height_px)))
    font.setBold(bold)
    return font
