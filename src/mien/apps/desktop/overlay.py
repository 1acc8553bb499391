"""Cards over the window: the keys, and what Mien is. A click or Esc closes them."""

from __future__ import annotations

from PySide6.QtCore import QEvent, QObject, Qt
from PySide6.QtGui import QMouseEvent
from PySide6.QtWidgets import QFrame, QGridLayout, QLabel, QVBoxLayout, QWidget

from mien import __version__

KEYS = (
    ("Space", "Play or pause"),
    ("← →", "Five seconds back or forth in a file"),
    ("S", "Save the annotated picture"),
    ("Shift+S", "Save the plain picture"),
    ("R", "Start or stop recording"),
    ("O", "Open a file"),
    ("C", "Start the first camera"),
    ("F", "Full screen"),
    ("P", "Show or hide the settings"),
    ("T", "Change between light and dark"),
    ("?", "Show this"),
    ("Ctrl+Q", "Quit"),
)

ABOUT = (
    f"Mien {__version__} reads facial expressions.",
    "A probability says how many of a hundred people, asked to name the expression in a still picture, would choose "
    "that word. An expression is not an inner feeling: people smile when they are sad and frown when they think.",
    "Pictures are read on this computer. Nothing is stored or sent; only a snapshot or a recording that you start "
    "yourself is written, into the folder that you choose.",
    "In many places the law restricts the reading of emotions, at work and in schools above all. Ask the people "
    "you look at.",
)


class Overlay(QFrame):
    """A card in the middle of a veiled window."""

    def __init__(self, parent: QWidget, name: str) -> None:
        super().__init__(parent)
        self._parent = parent
        self.setObjectName("veil")
        self.setAccessibleName(name)
        self.card = QFrame()
        self.card.setObjectName("card")
        self.card.setMaximumWidth(460)
        self.body = QVBoxLayout(self.card)
        self.body.setContentsMargins(24, 20, 24, 20)
        self.body.setSpacing(12)
        title = QLabel(name)
        title.setObjectName("title")
        self.body.addWidget(title)
        outer = QVBoxLayout(self)
        outer.addWidget(self.card, 0, Qt.AlignmentFlag.AlignCenter)
        parent.installEventFilter(self)
        self.hide()

    def open(self) -> None:
        """Show it over everything."""
        self._cover()
        self.raise_()
        self.show()
        self.setFocus()

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:  # noqa: N802
        """Grow with the window."""
        if event.type() == QEvent.Type.Resize:
            self._cover()
        return False

    def _cover(self) -> None:
        self.setGeometry(self._parent.rect())

    def mousePressEvent(self, event: QMouseEvent) -> None:  # noqa: N802
        """A click anywhere closes it."""
        self.hide()


def create_help(parent: QWidget) -> Overlay:
    """The card with the keys."""
    overlay = Overlay(parent, "Keys")
    grid = QGridLayout()
    grid.setHorizontalSpacing(16)
    grid.setVerticalSpacing(7)
    for row, (key, text) in enumerate(KEYS):
        label = QLabel(key)
        label.setObjectName("key")
        grid.addWidget(label, row, 0, Qt.AlignmentFlag.AlignLeft)
        grid.addWidget(QLabel(text), row, 1)
    grid.setColumnStretch(1, 1)
    overlay.body.addLayout(grid)
    return overlay


def create_about(parent: QWidget) -> Overlay:
    """The card that says what Mien is, and what it is not."""
    overlay = Overlay(parent, "About Mien")
    for paragraph in ABOUT:
        label = QLabel(paragraph)
        label.setWordWrap(True)
        label.setMinimumWidth(380)
        overlay.body.addWidget(label)
    return overlay
