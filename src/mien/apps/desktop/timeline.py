"""The timeline: one face's recent probabilities as stacked layers, and its place on the circumplex beside them."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from PySide6.QtCore import QRectF, QSize, Qt, Signal
from PySide6.QtGui import QColor, QFont, QImage, QPainter, QPaintEvent, QPen, QResizeEvent
from PySide6.QtWidgets import QComboBox, QHBoxLayout, QVBoxLayout, QWidget

from mien.apps.desktop.circumplex import Circumplex
from mien.apps.desktop.history import History
from mien.apps.desktop.theme import LIGHT, Choice, Theme, create_label, label_colour
from mien.labels import SEVEN, percent

SPANS_S = (30, 60)
UInt8 = npt.NDArray[np.uint8]
_LARGEST = "Largest face"
ROOMY_PX = 560
"""From this width on there is room for the circumplex."""
Float32 = npt.NDArray[np.float32]


def render_layers(series: Float32, height: int, colours: UInt8, back: tuple[int, int, int]) -> UInt8:
    """Stacked layers of probability as an image with smooth edges.

    Args:
        series: (W, K), each row sums to 1; NaN where nothing is known.
        height: rows of the image.
        colours: RGB uint8 (K, 3), from the lowest layer to the highest.
        back: RGB of the background.

    Returns:
        RGB uint8 (height, W, 3).
    """
    known = ~np.isnan(series).any(axis=1)
    tops = np.cumsum(np.nan_to_num(series), axis=1)[:, :-1].clip(0, 1) * np.float32(height)
    row = np.arange(height, dtype=np.float32)[::-1, None, None]
    # How much of each pixel is below the top of each layer; the rest belongs to the highest layer.
    under = (tops - row).clip(0, 1)
    steps = np.diff(colours.astype(np.float32), axis=0)
    picture = colours[-1] - under @ steps
    picture[:, ~known] = back
    return np.ascontiguousarray((picture + 0.5).astype(np.uint8))


class Chart(QWidget):
    """The drawing itself, with a legend that shows the current values."""

    LEGEND_PX = 138

    def __init__(self, history: History) -> None:
        super().__init__()
        self.setMinimumHeight(7 * 15 + 20)
        self.labels: tuple[str, ...] = SEVEN
        self.track: int | None = None
        self.span_s = float(SPANS_S[0])
        self._history = history
        self._theme = LIGHT

    def set_theme(self, theme: Theme) -> None:
        """Apply a theme."""
        self._theme = theme
        self.update()

    def sizeHint(self) -> QSize:  # noqa: N802
        """Room for all rows of the legend."""
        return QSize(600, 7 * 16 + 20)

    def plot(self) -> QRectF:
        """Where the layers are drawn."""
        return QRectF(12, 4, max(10, self.width() - self.LEGEND_PX - 24), max(10, self.height() - 24))

    def show_values(self) -> None:
        """Show the newest values at once; the layers, which take longer to draw, follow at the next refresh."""
        self.update(self.width() - self.LEGEND_PX, 0, self.LEGEND_PX, self.height())

    def paintEvent(self, event: QPaintEvent) -> None:  # noqa: N802
        """Paint layers, axis and legend; the legend alone where nothing else is to be painted."""
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        font = QFont()
        font.setPixelSize(11)
        painter.setFont(font)
        if event.rect().left() < self.width() - self.LEGEND_PX:
            self._paint_layers(painter)
            self._paint_axis(painter)
        self._paint_legend(painter)
        painter.end()

    def _paint_layers(self, painter: QPainter) -> None:
        plot, ratio = self.plot(), self.devicePixelRatioF()
        # In device pixels, so that edges stay sharp on a dense screen.
        columns, rows = round(plot.width() * ratio), round(plot.height() * ratio)
        painter.fillRect(plot, QColor(self._theme.window))
        if self.track is None:
            painter.setPen(QColor(self._theme.muted))
            painter.drawText(plot, Qt.AlignmentFlag.AlignCenter, "Probabilities appear here when a face is found.")
            return
        # From the lowest layer up, so that the layers are in the order of the legend.
        labels = self.labels[::-1]
        series = self._history.series(self.track, labels, columns=columns, span_s=self.span_s)
        colours = np.array([_rgb(label_colour(label)) for label in labels], np.uint8)
        layers = render_layers(series, rows, colours, _rgb(QColor(self._theme.window)))
        # The stride is given, since Qt would assume rows that are padded to four bytes.
        image = QImage(layers.data, columns, rows, layers.strides[0], QImage.Format.Format_RGB888)
        painter.drawImage(plot, image)

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
            # The first and last text stay inside the plot.
            place.moveLeft(max(plot.left(), min(place.left(), plot.right() - 60)))
            side = Qt.AlignmentFlag.AlignHCenter
            if ago_s == 0:
                side = Qt.AlignmentFlag.AlignRight
            elif ago_s == self.span_s:
                side = Qt.AlignmentFlag.AlignLeft
            painter.drawText(place, side, text)

    def _paint_legend(self, painter: QPainter) -> None:
        moment = self._history.current(self.track) if self.track is not None else None
        left, row = self.width() - self.LEGEND_PX, (self.height() - 12) / len(self.labels)
        for line, label in enumerate(self.labels):
            y = 4 + line * row
            painter.setPen(Qt.PenStyle.NoPen)
            painter.setBrush(label_colour(label))
            painter.drawRoundedRect(QRectF(left, y + row / 2 - 5, 10, 10), 3, 3)
            painter.setPen(QColor(self._theme.text))
            painter.drawText(QRectF(left + 17, y, 70, row), Qt.AlignmentFlag.AlignVCenter, label)
            if moment is not None:
                value = percent(moment.probabilities.get(label, 0.0))
                place = QRectF(left + 80, y, 42, row)
                painter.drawText(place, Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter, value)


class Timeline(QWidget):
    """The chart, under a line for choosing the face and the time span."""

    chosen = Signal(object)

    def __init__(self, history: History) -> None:
        super().__init__()
        self.setObjectName("timeline")
        self.setAttribute(Qt.WidgetAttribute.WA_StyledBackground)
        self.setAccessibleName("Timeline")
        self.chart = Chart(history)
        self.circumplex = Circumplex(history)
        self._history = history
        self._largest: int | None = None
        self.faces = Choice("Face", "The face to draw; clicking a face in the picture selects it too")
        self.faces.addItem(_LARGEST, None)
        self.faces.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToContents)
        self.faces.currentIndexChanged.connect(self._choose)
        self.span = Choice("Span", "The time span to draw")
        for span_s in SPANS_S:
            self.span.addItem(f"{span_s} s", span_s)
        self.span.currentIndexChanged.connect(self._set_span)
        self._lay_out()

    def _lay_out(self) -> None:
        line = QHBoxLayout()
        line.setContentsMargins(12, 0, 12, 0)
        line.addWidget(create_label("heading", "Timeline"))
        line.addSpacing(8)
        line.addWidget(self.faces)
        line.addWidget(self.span)
        line.addStretch()
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 6, 0, 2)
        column.setSpacing(4)
        column.addLayout(line)
        row = QHBoxLayout()
        row.setContentsMargins(0, 0, 12, 0)
        row.setSpacing(0)
        row.addWidget(self.chart, 1)
        row.addWidget(self.circumplex)
        column.addLayout(row)

    @property
    def track(self) -> int | None:
        """The track on display."""
        return self.chart.track

    def refresh(self, largest: int | None, labels: tuple[str, ...]) -> None:
        """Draw the newest values; `largest` is the track of the largest face on screen."""
        # Without a face it stays with the last one, whose layers are still to be seen.
        self._largest = largest if largest is not None else self._largest
        self.chart.labels = labels
        self._list_faces()
        self._follow()

    def choose(self, track: int | None) -> None:
        """Switch to this face; None for the largest."""
        self._list_faces()
        self.faces.setCurrentIndex(max(0, self.faces.findData(track)))

    def _list_faces(self) -> None:
        tracks = self._history.tracks
        listed = tuple(self.faces.itemData(i) for i in range(1, self.faces.count()))
        if tracks == listed:
            return
        current = self.faces.currentData()
        # Rebuilding the list is no choice of the user.
        self.faces.blockSignals(True)
        while self.faces.count() > 1:
            self.faces.removeItem(1)
        for track in tracks:
            self.faces.addItem(f"Face {track}", track)
        self.faces.setCurrentIndex(max(0, self.faces.findData(current)))
        self.faces.blockSignals(False)

    def _follow(self) -> None:
        chosen = self.faces.currentData()
        track = self._largest if chosen is None else chosen
        self.chart.track = track if track in self._history.tracks else None
        self.chart.setAccessibleDescription("no face" if self.chart.track is None else f"face {self.chart.track}")
        self.chart.update()
        self.circumplex.show_track(self.chart.track)

    def resizeEvent(self, event: QResizeEvent) -> None:  # noqa: N802
        """In a narrow window the layers come first."""
        super().resizeEvent(event)
        self.circumplex.setVisible(self.width() >= ROOMY_PX)

    def set_theme(self, theme: Theme) -> None:
        """Apply a theme."""
        self.chart.set_theme(theme)
        self.circumplex.set_theme(theme)

    def _choose(self) -> None:
        self._follow()
        self.chosen.emit(self.faces.currentData())

    def _set_span(self) -> None:
        self.chart.span_s = float(self.span.currentData())
        self.chart.update()


def _rgb(colour: QColor) -> tuple[int, int, int]:
    return colour.red(), colour.green(), colour.blue()
