"""A list to choose from, with a small arrow in the theme's colour."""

from __future__ import annotations

from PySide6.QtCore import QPointF, Qt
from PySide6.QtGui import QPainter, QPaintEvent, QPen
from PySide6.QtWidgets import QComboBox

_ARROW_PX = 4.0


class Choice(QComboBox):
    """A combo box; style sheets take Qt's own arrow away, so this draws one."""

    def __init__(self, name: str, tip: str) -> None:
        super().__init__()
        self.setAccessibleName(name)
        self.setToolTip(tip)

    def paintEvent(self, event: QPaintEvent) -> None:  # noqa: N802
        """Qt asks for the picture."""
        super().paintEvent(event)
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        pen = QPen(self.palette().placeholderText().color(), 1.6)
        pen.setCapStyle(Qt.PenCapStyle.RoundCap)
        painter.setPen(pen)
        x, y, a = self.width() - 14.0, self.height() / 2 - 1.5, _ARROW_PX
        painter.drawPolyline([QPointF(x - a, y), QPointF(x, y + a), QPointF(x + a, y)])
        painter.end()
