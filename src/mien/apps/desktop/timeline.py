"""The timeline: how one face's probabilities went over the last half minute, as layers that fill the height."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from PySide6.QtCore import QRectF, QSize, Qt, Signal
from PySide6.QtGui import QColor, QFont, QImage, QPainter, QPaintEvent, QPen
from PySide6.QtWidgets import QComboBox, QHBoxLayout, QLabel, QVBoxLayout, QWidget

from mien.apps.desktop.choice import Choice
from mien.apps.desktop.history import Float32, History
from mien.apps.desktop.theme import LIGHT, Theme, label_colour
from mien.labels import SEVEN

SPANS_S = (30, 60)
UInt8 = npt.NDArray[np.uint8]
_LARGEST = "Largest face"


def render_layers(series: Float32, height: int, colours: UInt8, back: tuple[int, int, int]) -> UInt8:
    """Layers of probability as a picture, smooth along their edges.

    Args:
        series: (W, K), each row sums to 1; NaN where there is nothing to show.
        height: rows of the picture.
        colours: RGB uint8 (K, 3), from the lowest layer to the highest.
        back: RGB where there is nothing.

    Returns:
        RGB uint8 (height, W, 3).
    """
    known = ~np.isnan(series).any(axis=1)
    tops = np.cumsum(np.nan_to_num(series), axis=1)[:, :-1].clip(0, 1) * np.float32(height)
    row = np.arange(height, dtype=np.float32)[::-1, None, None]
    # How much of each pixel lies under the top of each layer; what no layer covers is the highest one's.
    under = (tops - row).clip(0, 1)
    steps = np.diff(colours.astype(np.float32), axis=0)
    picture = colours[-1] - under @ steps
    picture[:, ~known] = back
    return np.ascontiguousarray((picture + 0.5).astype(np.uint8))


class Chart(QWidget):
    """The drawing itself, with a legend that gives the present values."""

    LEGEND_PX = 138

    def __init__(self, history: History) -> None:
        super().__init__()
        self.setMinimumHeight(7 * 15 + 20)
        self.labels: tuple[str, ...] = SEVEN
        self.track: int | None = None
        self.span_s = float(SPANS_S[0])
        self._history = history
        self._theme = LIGHT
        self._layers: UInt8 | None = None

    def set_theme(self, theme: Theme) -> None:
        """Wear a theme."""
        self._theme = theme
        self.update()

    def sizeHint(self) -> QSize:  # noqa: N802
        """Room for the legend's rows."""
        return QSize(600, 7 * 16 + 20)

    def plot(self) -> QRectF:
        """Where the layers lie."""
        return QRectF(12, 4, max(10, self.width() - self.LEGEND_PX - 24), max(10, self.height() - 24))

    def paintEvent(self, event: QPaintEvent) -> None:  # noqa: N802
        """Qt asks for the picture."""
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        font = QFont()
        font.setPixelSize(11)
        painter.setFont(font)
        self._paint_layers(painter)
        self._paint_axis(painter)
        self._paint_legend(painter)
        painter.end()

    def _paint_layers(self, painter: QPainter) -> None:
        plot, ratio = self.plot(), self.devicePixelRatioF()
        columns, rows = round(plot.width() * ratio), round(plot.height() * ratio)
        painter.fillRect(plot, QColor(self._theme.window))
        if self.track is None:
            painter.setPen(QColor(self._theme.muted))
            painter.drawText(plot, Qt.AlignmentFlag.AlignCenter, "Probabilities appear here when a face is seen.")
            return
        # From the lowest layer up, so that the layers stand in the order of the legend.
        labels = self.labels[::-1]
        series = self._history.series(self.track, labels, columns=columns, span_s=self.span_s)
        colours = np.array([_rgb(label_colour(label)) for label in labels], np.uint8)
        self._layers = render_layers(series, rows, colours, _rgb(QColor(self._theme.window)))
        stride = self._layers.strides[0]
        painter.drawImage(plot, QImage(self._layers.data, columns, rows, stride, QImage.Format.Format_RGB888))

    def _paint_axis(self, painter: QPainter) -> None:
        plot = self.plot()
        painter.setPen(QPen(QColor(self._theme.border), 1))
        painter.setBrush(Qt.BrushStyle.NoBrush)
        painter.drawRect(plot)
        painter.setPen(QColor(self._theme.muted))
        step_s = 10 if self.span_s <= 30 else 20
        for ago_s in range(0, int(self.span_s) + 1, step_s):
            x = plot.right() - plot.width() * ago_s / self.span_s
            text = "now" if ago_s == 0 else f"−{ago_s} s"
            place = QRectF(x - 30, plot.bottom() + 3, 60, 14)
            place.moveLeft(max(plot.left(), min(place.left(), plot.right() - 60)))
            side = Qt.AlignmentFlag.AlignHCenter
            if ago_s == 0:
                side = Qt.AlignmentFlag.AlignRight
            elif ago_s == self.span_s:
                side = Qt.AlignmentFlag.AlignLeft
            painter.drawText(place, side, text)

    def _paint_legend(self, painter: QPainter) -> None:
        moment = self._history.latest(self.track) if self.track is not None else None
        left, row = self.width() - self.LEGEND_PX, (self.height() - 12) / len(self.labels)
        for line, label in enumerate(self.labels):
            y = 4 + line * row
            painter.setPen(Qt.PenStyle.NoPen)
            painter.setBrush(label_colour(label))
            painter.drawRoundedRect(QRectF(left, y + row / 2 - 5, 10, 10), 3, 3)
            painter.setPen(QColor(self._theme.text))
            painter.drawText(QRectF(left + 17, y, 70, row), Qt.AlignmentFlag.AlignVCenter, label)
            if moment is not None:
                value = f"{moment.probabilities.get(label, 0.0):.0%}"
                place = QRectF(left + 80, y, 42, row)
                painter.drawText(place, Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter, value)


class Timeline(QWidget):
    """The chart under a line in which one chooses the face and the span."""

    chosen = Signal(object)

    def __init__(self, history: History) -> None:
        super().__init__()
        self.setObjectName("timeline")
        self.setAttribute(Qt.WidgetAttribute.WA_StyledBackground)
        self.setAccessibleName("Timeline")
        self.chart = Chart(history)
        self._history = history
        self._largest: int | None = None
        self.faces = Choice("Face", "Whose probabilities are drawn; a click on a face in the picture chooses it too")
        self.faces.addItem(_LARGEST, None)
        self.faces.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToContents)
        self.faces.currentIndexChanged.connect(self._choose)
        self.span = Choice("Span", "How much of the past is drawn")
        for span_s in SPANS_S:
            self.span.addItem(f"{span_s} s", span_s)
        self.span.currentIndexChanged.connect(self._set_span)
        self._lay_out()

    def _lay_out(self) -> None:
        heading = QLabel("Timeline")
        heading.setObjectName("heading")
        line = QHBoxLayout()
        line.setContentsMargins(12, 0, 12, 0)
        line.addWidget(heading)
        line.addSpacing(8)
        line.addWidget(self.faces)
        line.addWidget(self.span)
        line.addStretch()
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 6, 0, 2)
        column.setSpacing(4)
        column.addLayout(line)
        column.addWidget(self.chart)

    @property
    def track(self) -> int | None:
        """The track that is drawn."""
        return self.chart.track

    def refresh(self, largest: int | None, labels: tuple[str, ...]) -> None:
        """Draw the newest values; `largest` is the track of the largest face in the picture."""
        self._largest = largest if largest is not None else self._largest
        self.chart.labels = labels
        self._list_faces()
        self._follow()

    def choose(self, track: int | None) -> None:
        """Draw this face from now on; None for the largest."""
        self._list_faces()
        self.faces.setCurrentIndex(max(0, self.faces.findData(track)))

    def _list_faces(self) -> None:
        tracks = self._history.tracks
        listed = tuple(self.faces.itemData(i) for i in range(1, self.faces.count()))
        if tracks == listed:
            return
        current = self.faces.currentData()
        self.faces.blockSignals(True)
        while self.faces.count() > 1:
            self.faces.removeItem(1)
        for track in tracks:
            self.faces.addItem(f"Face #{track}", track)
        self.faces.setCurrentIndex(max(0, self.faces.findData(current)))
        self.faces.blockSignals(False)

    def _follow(self) -> None:
        chosen = self.faces.currentData()
        track = self._largest if chosen is None else chosen
        self.chart.track = track if track in self._history.tracks else None
        told = "no face" if self.chart.track is None else f"face {self.chart.track}"
        self.chart.setAccessibleDescription(told)
        self.chart.update()

    def _choose(self) -> None:
        self._follow()
        self.chosen.emit(self.faces.currentData())

    def _set_span(self) -> None:
        self.chart.span_s = float(self.span.currentData())
        self.chart.update()


def _rgb(colour: QColor) -> tuple[int, int, int]:
    return colour.red(), colour.green(), colour.blue()
