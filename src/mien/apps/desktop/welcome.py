"""What the window shows while nothing plays: what one can do, and what is missing."""

from __future__ import annotations

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QHBoxLayout, QLabel, QPushButton, QVBoxLayout, QWidget

from mien.apps.desktop.icons import draw_icon
from mien.apps.desktop.theme import Theme

PROMISE = "An expression is not an inner feeling. Nothing is sent, and nothing is stored unless you save it."


class Welcome(QWidget):
    """The empty state: a button to open a file, one for the camera if there is one."""

    def __init__(self) -> None:
        super().__init__()
        self.setObjectName("welcome")
        self.icon = QLabel()
        self.title = QLabel("Which faces shall Mien read?")
        self.title.setObjectName("title")
        self.text = QLabel()
        self.text.setObjectName("caption")
        self.text.setWordWrap(True)
        self.open_file = QPushButton("Open a file…")
        self.open_file.setToolTip("Open a video or a picture (O)")
        self.open_camera = QPushButton("Start the camera")
        self.open_camera.setToolTip("Read the faces before the first camera")
        buttons = QHBoxLayout()
        buttons.setSpacing(10)
        for button in (self.open_file, self.open_camera):
            buttons.addWidget(button)
        column = QVBoxLayout(self)
        column.setContentsMargins(24, 12, 24, 12)
        column.setSpacing(12)
        column.addStretch()
        for label in (self.icon, self.title, self.text):
            label.setAlignment(Qt.AlignmentFlag.AlignHCenter)
            column.addWidget(label)
        column.addSpacing(4)
        column.addLayout(buttons)
        buttons.setAlignment(Qt.AlignmentFlag.AlignHCenter)
        column.addStretch()
        self.set_cameras(0)

    def set_cameras(self, count: int) -> None:
        """Say whether there is a camera."""
        self.open_camera.setVisible(count > 0)
        self.open_file.setObjectName("outlined" if count else "primary")
        self.open_camera.setObjectName("primary")
        self.text.setText(
            "Start the camera, or drop a video or a picture here."
            if count
            else "No camera was found. Drop a video or a picture here, or plug a camera in and choose it above."
        )
        for button in (self.open_file, self.open_camera):
            button.style().unpolish(button)
            button.style().polish(button)

    def set_theme(self, theme: Theme) -> None:
        """Wear a theme."""
        pixmap = draw_icon("camera", theme.muted, round(56 * self.devicePixelRatioF()))
        pixmap.setDevicePixelRatio(self.devicePixelRatioF())
        self.icon.setPixmap(pixmap)
