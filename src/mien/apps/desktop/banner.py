"""The line in the window that says what happened: nothing opens a dialog that must be clicked away."""

from __future__ import annotations

from collections.abc import Callable

from PySide6.QtCore import QSize, Qt, QTimer
from PySide6.QtWidgets import QHBoxLayout, QLabel, QPushButton, QToolButton, QWidget

from mien.apps.desktop.icons import create_icon, draw_icon
from mien.apps.desktop.theme import LIGHT, Theme

INFO_MS = 6000
_ICONS = {"info": "about", "warning": "warning", "error": "warning"}


class Banner(QWidget):
    """Shows one message at a time, with an action where there is one; a mere information goes by itself."""

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
        self.text.setTextFormat(Qt.TextFormat.PlainText)
        self.text.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        self.button = QPushButton()
        self.button.setObjectName("outlined")
        self.button.setAccessibleName("Action")
        self.button.clicked.connect(self._act)
        self.dismiss = QToolButton()
        self.dismiss.setAccessibleName("Close the message")
        self.dismiss.setToolTip("Close the message (Esc)")
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
        """Wear a theme."""
        self._theme = theme
        self.dismiss.setIcon(create_icon("close", theme.muted))
        self._dress()

    def tell(
        self, text: str, *, level: str = "info", action: str = "", on_action: Callable[[], object] | None = None
    ) -> None:
        """Show a message; `level` is info, warning or error. The action is a button's text and what it does."""
        self._level, self._action = level, on_action
        self.text.setText(text)
        self.setAccessibleDescription(text)
        self.button.setText(action)
        self.button.setAccessibleName(action or "Action")
        self.button.setVisible(on_action is not None)
        self._dress()
        self.show()
        self._timer.stop()
        if level == "info":
            self.fade()

    def fade(self) -> None:
        """Let the message go by itself."""
        self._timer.start(INFO_MS)

    def _act(self) -> None:
        action = self._action
        self.hide()
        if action is not None:
            action()

    def _dress(self) -> None:
        colour = self._theme.danger if self._level == "error" else self._theme.text
        pixmap = draw_icon(_ICONS[self._level], colour, round(20 * self.devicePixelRatioF()))
        pixmap.setDevicePixelRatio(self.devicePixelRatioF())
        self.icon.setPixmap(pixmap)
        self.icon.setFixedSize(QSize(20, 20))
        self.setProperty("level", self._level)
        self.style().unpolish(self)
        self.style().polish(self)
