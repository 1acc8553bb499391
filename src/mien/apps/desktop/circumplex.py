"""The circumplex in the window: where a face is, with the trail of its last seconds."""

from __future__ import annotations

import itertools

from PySide6.QtCore import QPointF, QRectF, QSize, Qt
from PySide6.QtGui import QColor, QFont, QPainter, QPaintEvent, QPen
from PySide6.QtWidgets import QWidget

from mien.apps.desktop.history import History, Moment
from mien.apps.desktop.theme import LIGHT, Theme, label_colour
from mien.reading.affect import CIRCUMPLEX

TRAIL_S = 5.0
SIDE_PX = 148
_TEXT_PX = 12
_WORDS_PX = 116
"""In a smaller circle the words on the horizontal axis would lie on one another."""


class Circumplex(QWidget):
    """Valence to the right, arousal upwards; a square of the words in their places."""

    def __init__(self, history: History) -> None:
        super().__init__()
        self.setFixedWidth(SIDE_PX)
        self.setAccessibleName("Circumplex")
        self.setToolTip(
            "Where people would put the face: pleasant to the right, excited at the top; trail of 5 seconds"
        )
        self.track: int | None = None
        self._history = history
        self._theme = LIGHT

    def set_theme(self, theme: Theme) -> None:
        """Apply a theme."""
        self._theme = theme
        self.update()

    def sizeHint(self) -> QSize:  # noqa: N802
        """As wide as it is; its height is that of the layers beside it."""
        return QSize(SIDE_PX, 0)

    def show_track(self, track: int | None) -> None:
        """Draw this face's newest values, or an empty circle for None."""
        self.track = track
        latest = self._history.current(track) if track is not None else None
        affect = latest.affect if latest else None
        words = "no face" if affect is None else f"valence {affect[0]:+.2f}, arousal {affect[1]:+.2f}"
        self.setAccessibleDescription(words)
        self.update()

    def plot(self) -> QRectF:
        """The square around the circle."""
        side = min(self.width(), self.height()) - 2 * _TEXT_PX - 4
        return QRectF((self.width() - side) / 2, (self.height() - side) / 2, side, side)

    def place(self, affect: tuple[float, float]) -> QPointF:
        """Where a valence and arousal are drawn."""
        plot = self.plot()
        radius = plot.width() / 2
        return plot.center() + QPointF(affect[0] * radius, -affect[1] * radius)

    def paintEvent(self, event: QPaintEvent) -> None:  # noqa: N802
        """Paint circle, words and trail."""
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        font = QFont()
        font.setPixelSize(10)
        painter.setFont(font)
        self._paint_circle(painter)
        moments = [] if self.track is None else self._history.recent(self.track, TRAIL_S)
        self._paint_trail(painter, [moment for moment in moments if moment.affect is not None])
        painter.end()

    def _paint_circle(self, painter: QPainter) -> None:
        plot, theme = self.plot(), self._theme
        painter.setPen(QPen(QColor(theme.border), 1))
        painter.setBrush(QColor(theme.window))
        painter.drawEllipse(plot)
        painter.drawLine(QPointF(plot.left(), plot.center().y()), QPointF(plot.right(), plot.center().y()))
        painter.drawLine(QPointF(plot.center().x(), plot.top()), QPointF(plot.center().x(), plot.bottom()))
        painter.setPen(Qt.PenStyle.NoPen)
        for word, place in CIRCUMPLEX.items():
            painter.setBrush(label_colour(word))
            at = self.place(place)
            painter.drawRect(QRectF(at.x() - 1.5, at.y() - 1.5, 3, 3))
        painter.setPen(QColor(theme.muted))
        centre = Qt.AlignmentFlag.AlignCenter
        painter.drawText(QRectF(0, plot.top() - _TEXT_PX - 2, self.width(), _TEXT_PX), centre, "excited")
        painter.drawText(QRectF(0, plot.bottom() + 1, self.width(), _TEXT_PX), centre, "calm")
        if plot.width() < _WORDS_PX:
            return
        line = QRectF(plot.left() + 3, plot.center().y() + 1, plot.width() - 6, _TEXT_PX)
        painter.drawText(line, Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignVCenter, "unpleasant")
        painter.drawText(line, Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter, "pleasant")

    def _paint_trail(self, painter: QPainter, moments: list[Moment]) -> None:
        if not moments:
            return
        top = max(moments[-1].probabilities, key=moments[-1].probabilities.__getitem__)
        colour = label_colour(top)
        for before, moment in itertools.pairwise(moments):
            assert before.affect is not None
            assert moment.affect is not None
            faded = QColor(colour)
            faded.setAlphaF(max(0.0, 0.75 * (1 - (self._history.now_s - moment.time_s) / TRAIL_S)))
            painter.setPen(QPen(faded, 2.5, Qt.PenStyle.SolidLine, Qt.PenCapStyle.RoundCap))
            painter.drawLine(self.place(before.affect), self.place(moment.affect))
        assert moments[-1].affect is not None
        painter.setPen(QPen(QColor(self._theme.surface), 1.5))
        painter.setBrush(colour)
        painter.drawEllipse(self.place(moments[-1].affect), 5.5, 5.5)
