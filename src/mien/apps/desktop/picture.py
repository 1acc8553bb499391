"""The live picture with its faces."""

from __future__ import annotations

import time
from collections.abc import Callable

import cv2
import numpy as np
from PySide6.QtCore import QPointF, QRectF, QSize, Qt, Signal
from PySide6.QtGui import QColor, QImage, QMouseEvent, QPainter, QPaintEvent
from PySide6.QtWidgets import QWidget

from mien.apps.desktop.history import track_of
from mien.apps.desktop.marks import Marks, caption, judge
from mien.apps.desktop.theme import Theme
from mien.reading.pipeline import UInt8
from mien.structures import Face, Result


class PictureView(QWidget):
    """Shows the newest result as large as it fits; a click on a face chooses it."""

    chosen = Signal(int)

    def __init__(self, on_painted: Callable[[float], None]) -> None:
        """`on_painted` gets the time, by `time.perf_counter`, at which a new frame was on the screen."""
        super().__init__()
        self.setAccessibleName("Picture")
        self.setMinimumSize(QSize(240, 135))
        self.setMouseTracking(True)
        self.faces: list[Face] = []
        self.threshold = 0.0
        self.chosen_track: int | None = None
        self._on_painted = on_painted
        self._result: Result | None = None
        self._is_new = False
        self._sides: dict[int, int] = {}
        self._back = QColor("#000000")
        self._scaled: tuple[UInt8, QImage, UInt8] | None = None

    def set_theme(self, theme: Theme) -> None:
        """Wear a theme."""
        self._back = QColor(theme.sunken)
        self.update()

    @property
    def result(self) -> Result | None:
        """What is shown."""
        return self._result

    def show_result(self, result: Result | None) -> None:
        """Show a frame and its faces; None for none."""
        self._result = result
        self._is_new = result is not None
        self._judge()

    def set_threshold(self, threshold: float) -> None:
        """Faces under this probability are `not sure`."""
        self.threshold = threshold
        self._judge()

    def choose(self, track: int | None) -> None:
        """Draw this track's box stronger."""
        if track != self.chosen_track:
            self.chosen_track = track
            self.update()

    def _judge(self) -> None:
        self.faces = judge(self._result.faces, self.threshold) if self._result else []
        here = {track_of(face) for face in self.faces}
        self._sides = {track: side for track, side in self._sides.items() if track in here}
        told = ", ".join(caption(face) for face in self.faces)
        self.setAccessibleDescription(told or ("no face" if self._result else "no picture"))
        self.update()

    def target(self) -> QRectF:
        """Where the picture lies in the widget; empty without one."""
        if self._result is None or self._result.frame is None:
            return QRectF()
        height, width = self._result.frame.image.shape[:2]
        scale = min(self.width() / width, self.height() / height)
        w, h = scale * width, scale * height
        return QRectF(round((self.width() - w) / 2), round((self.height() - h) / 2), w, h)

    def marks(self) -> Marks:
        """What draws the faces at the present size."""
        target = self.target()
        width = self._result.frame.image.shape[1] if self._result and self._result.frame else 1
        return Marks(target, target.width() / width, chosen=self.chosen_track, sides=self._sides)

    def face_at(self, point: QPointF) -> Face | None:
        """The smallest face under a point of the widget."""
        marks = self.marks()
        hit = [face for face in self.faces if marks.box(face).contains(point)]
        return min(hit, key=lambda face: marks.box(face).width(), default=None)

    def paintEvent(self, event: QPaintEvent) -> None:  # noqa: N802
        """Qt asks for the picture."""
        painter = QPainter(self)
        painter.fillRect(self.rect(), self._back)
        if self._result is not None and self._result.frame is not None:
            target = self.target()
            painter.drawImage(target, self._fitted(self._result.frame.image, target))
            self.marks().draw(painter, self.faces)
        painter.end()
        if self._is_new:
            self._is_new = False
            self._on_painted(time.perf_counter())

    def _fitted(self, image: UInt8, target: QRectF) -> QImage:
        """The picture at the size of the screen's own pixels: OpenCV reduces it better and faster than a painter."""
        ratio = self.devicePixelRatioF()
        size = (max(1, round(target.width() * ratio)), max(1, round(target.height() * ratio)))
        kept = self._scaled
        if kept is None or kept[0] is not image or kept[1].size() != QSize(*size):
            smaller = size[0] < image.shape[1]
            method = cv2.INTER_AREA if smaller else cv2.INTER_LINEAR
            pixels = np.ascontiguousarray(cv2.resize(image, size, interpolation=method), np.uint8)
            # The image borrows the array's memory, so both are kept together.
            view = QImage(pixels.data, size[0], size[1], pixels.strides[0], QImage.Format.Format_RGB888)
            kept = self._scaled = (image, view, pixels)
        return kept[1]

    def mousePressEvent(self, event: QMouseEvent) -> None:  # noqa: N802
        """A click on a face chooses it."""
        face = self.face_at(event.position())
        if event.button() == Qt.MouseButton.LeftButton and face is not None:
            self.chosen.emit(track_of(face))

    def mouseMoveEvent(self, event: QMouseEvent) -> None:  # noqa: N802
        """Show that a face can be clicked."""
        over = self.face_at(event.position()) is not None
        self.setCursor(Qt.CursorShape.PointingHandCursor if over else Qt.CursorShape.ArrowCursor)
