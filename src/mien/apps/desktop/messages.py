"""Text over and under the picture: the message banner, the help and about cards, the status bar.

Nothing opens a dialog that must be clicked away.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from PySide6.QtCore import QEvent, QObject, QSize, Qt, QTimer
from PySide6.QtGui import QMouseEvent
from PySide6.QtWidgets import (
    QFrame,
    QGridLayout,
    QHBoxLayout,
    QLabel,
    QPushButton,
    QStatusBar,
    QToolButton,
    QVBoxLayout,
    QWidget,
)

from mien import __version__
from mien.apps.desktop.panel import DETECTOR_NAMES
from mien.apps.desktop.playback import Opened
from mien.apps.desktop.theme import LIGHT, Theme, create_icon, create_label, draw_icon, restyle

INFO_MS = 6000
PROMISE = "An expression is not an inner feeling. Nothing is uploaded, and nothing is stored unless you save it."
_ICONS = {"info": "about", "warning": "warning", "error": "warning"}


class Banner(QWidget):
    """Shows one message at a time, optionally with a button; mere information disappears by itself."""

    def __init__(self) -> None:
        super().__init__()
        self.setObjectName("banner")
        self.setAttribute(Qt.WidgetAttribute.WA_StyledBackground)
        self.setAccessibleName("Message")
        self._theme = LIGHT
        self._level = "info"
        self._action: Callable[[], object] | None = None
        self.icon = QLabel()
        self.text = QLabel()
        self.text.setWordWrap(True)
        # A file's name must not count as markup.
        self.text.setTextFormat(Qt.TextFormat.PlainText)
        # Selectable, so that an error can be copied.
        self.text.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        self.button = QPushButton()
        self.button.setObjectName("outlined")
        self.button.setAccessibleName("Action")
        self.button.clicked.connect(self._act)
        self.dismiss = QToolButton()
        self.dismiss.setAccessibleName("Close message")
        self.dismiss.setToolTip("Close message (Esc)")
        self.dismiss.clicked.connect(self.hide)
        line = QHBoxLayout(self)
        line.setContentsMargins(12, 6, 6, 6)
        line.setSpacing(10)
        line.addWidget(self.icon)
        line.addWidget(self.text, 1)
        line.addWidget(self.button)
        line.addWidget(self.dismiss)
        self._timer = QTimer(self)
        self._timer.setSingleShot(True)
        self._timer.timeout.connect(self.hide)
        self.hide()

    def set_theme(self, theme: Theme) -> None:
        """Apply a theme."""
        self._theme = theme
        self.dismiss.setIcon(create_icon("close", theme.muted))
        self._dress()

    def show_message(
        self, text: str, *, level: str = "info", action: str = "", on_action: Callable[[], object] | None = None
    ) -> None:
        """Show a message of level info, warning or error; `action` is a button's text, `on_action` what it does."""
        self._level, self._action = level, on_action
        self.text.setText(text)
        self.setAccessibleDescription(text)
        self.button.setText(action)
        self.button.setAccessibleName(action or "Action")
        self.button.setVisible(on_action is not None)
        self._dress()
        self.show()
        self._timer.stop()
        # Warnings and errors stay until they are closed.
        if level == "info":
            self.fade()

    def fade(self) -> None:
        """Hide the message after a while."""
        self._timer.start(INFO_MS)

    def _act(self) -> None:
        # Hidden first: the action may show a message of its own.
        action = self._action
        self.hide()
        if action is not None:
            action()

    def _dress(self) -> None:
        colour = self._theme.danger if self._level == "error" else self._theme.text
        self.icon.setPixmap(draw_icon(_ICONS[self._level], colour, 20, self.devicePixelRatioF()))
        self.icon.setFixedSize(QSize(20, 20))
        self.setProperty("level", self._level)
        restyle(self)


KEYS = (
    ("Space", "Play or pause"), ("← →", "Back or forward five seconds"), ("S", "Save the annotated frame"),
    ("Shift+S", "Save the plain frame"), ("R", "Start or stop recording"), ("O", "Open a file"),
    ("C", "Start the first camera"), ("F", "Full screen"), ("P", "Show or hide the settings"),
    ("T", "Switch between light and dark"), ("L", "Draw landmarks"), ("H", "Draw the pose of each head"),
    ("?", "Show these shortcuts"), ("Ctrl+Q", "Quit"),
)  # fmt: skip

ABOUT = (
    f"Mien {__version__} reads facial expressions.",
    "A probability estimates how many of a hundred people would choose that word for the expression in a still image. "
    "An expression is not an inner feeling: people smile when they are sad and frown when they concentrate.",
    "Everything is analyzed on this computer. Nothing is uploaded. Nothing is stored except the snapshots and "
    "recordings that you save yourself, in the folder that you choose.",
    "Many places restrict emotion recognition by law, especially at work and in schools. Ask people before you "
    "analyze them.",
)


class Overlay(QFrame):
    """A card over the dimmed window."""

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
        self.body.addWidget(create_label("title", name))
        outer = QVBoxLayout(self)
        outer.addWidget(self.card, 0, Qt.AlignmentFlag.AlignCenter)
        # It is in no layout, so it follows the size of its parent by itself.
        parent.installEventFilter(self)
        self.hide()

    def open(self) -> None:
        """Show it over everything."""
        self._cover()
        self.raise_()
        self.show()
        self.setFocus()

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:  # noqa: N802
        """Keep covering the window."""
        if event.type() == QEvent.Type.Resize:
            self._cover()
        return False

    def _cover(self) -> None:
        self.setGeometry(self._parent.rect())

    def mousePressEvent(self, event: QMouseEvent) -> None:  # noqa: N802
        """A click anywhere closes it."""
        self.hide()


def create_help(parent: QWidget) -> Overlay:
    """The card with the keyboard shortcuts."""
    overlay = Overlay(parent, "Keyboard shortcuts")
    grid = QGridLayout()
    grid.setHorizontalSpacing(16)
    grid.setVerticalSpacing(7)
    for row, (key, text) in enumerate(KEYS):
        grid.addWidget(create_label("key", key), row, 0, Qt.AlignmentFlag.AlignLeft)
        grid.addWidget(QLabel(text), row, 1)
    grid.setColumnStretch(1, 1)
    overlay.body.addLayout(grid)
    return overlay


def create_about(parent: QWidget) -> Overlay:
    """The card about what Mien is and is not."""
    overlay = Overlay(parent, "About Mien")
    for paragraph in ABOUT:
        label = QLabel(paragraph)
        label.setWordWrap(True)
        label.setMinimumWidth(380)
        overlay.body.addWidget(label)
    return overlay


class Status(QStatusBar):
    """The source on the left, speed, faces, model and detector on the right."""

    def __init__(self) -> None:
        super().__init__()
        self.source = QLabel(PROMISE)
        self.figures = QLabel()
        self.figures.setAccessibleName("Frames per second, latency, faces, model, detector")
        self.figures.setStatusTip(PROMISE)
        self.setSizeGripEnabled(False)
        self.addWidget(self.source, 1)
        self.addPermanentWidget(self.figures)

    def set_source(self, opened: Opened | None) -> None:
        """Name the source; without one, say what Mien does not do."""
        info = None if opened is None else opened.info
        self.source.setText(PROMISE if info is None else f"{short(info.name)} · {info.width}×{info.height}")

    def set_figures(self, opened: Opened | None, faces: int, speed: str) -> None:
        """Show speed, number of faces, model and detector; nothing without a source."""
        if opened is None:
            self.figures.setText("")
            return
        count = f"{faces} face{'' if faces == 1 else 's'}"
        detector = DETECTOR_NAMES.get(opened.detector, opened.detector)
        self.figures.setText(" · ".join(filter(None, (speed, count, opened.model, detector))))


def short(name: str) -> str:
    """A file without its folder, an address without its password."""
    if "://" in name:
        # A camera's address often contains its password.
        scheme, _, rest = name.partition("://")
        return f"{scheme}://{rest.rpartition('@')[2]}"
    return Path(name).name or name
