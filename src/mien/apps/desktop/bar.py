"""The line at the top: where pictures come from, and the window's own buttons."""

from __future__ import annotations

from collections.abc import Sequence

from PySide6.QtCore import QSize, Qt, Signal
from PySide6.QtWidgets import QHBoxLayout, QLineEdit, QMenu, QPushButton, QToolButton, QWidget, QWidgetAction

from mien.apps.desktop.cameras import Camera
from mien.apps.desktop.icons import create_icon
from mien.apps.desktop.theme import Theme

NARROW_PX = 700


class Bar(QWidget):
    """Camera, file, network at the left; settings, look, full screen, help at the right."""

    source_wanted = Signal(str)
    cameras_wanted = Signal()

    def __init__(self) -> None:
        super().__init__()
        self.setObjectName("bar")
        self.setAttribute(Qt.WidgetAttribute.WA_StyledBackground)
        self.camera = _button("Camera", "Read the faces before a camera (C: the first one)", text=True)
        self.file = _button("File…", "Open a video or a picture (O), or drop it on the window", text=True)
        self.network = _button("Network", "Open a network stream by its address", text=True)
        self.panel = _button("Settings", "Show or hide the settings (P)")
        self.look = _button("Light or dark", "Change between light and dark (T)")
        self.full = _button("Full screen", "Full screen (F); Esc leaves it")
        self.help = _button("Keys", "Show the keys (?)")
        self.about = _button("About", "What Mien is, and what it is not")
        self.panel.setCheckable(True)
        line = QHBoxLayout(self)
        line.setContentsMargins(10, 5, 10, 5)
        line.setSpacing(4)
        for button in (self.camera, self.file, self.network):
            line.addWidget(button)
        line.addStretch()
        for button in (self.look, self.full, self.help, self.about, self.panel):
            line.addWidget(button)
        self._fill_menus()

    def _fill_menus(self) -> None:
        self.cameras = QMenu(self)
        self.cameras.aboutToShow.connect(self.cameras_wanted)
        self.camera.setMenu(self.cameras)
        self.camera.setPopupMode(QToolButton.ToolButtonPopupMode.InstantPopup)
        self.address = QLineEdit()
        self.address.setPlaceholderText("rtsp://… or http://…")
        self.address.setAccessibleName("Network address")
        self.address.setMinimumWidth(260)
        self.address.returnPressed.connect(self._open_address)
        self.open_address = QPushButton("Open")
        self.open_address.setObjectName("outlined")
        self.open_address.clicked.connect(self._open_address)
        row = QWidget()
        line = QHBoxLayout(row)
        line.setContentsMargins(8, 8, 8, 8)
        line.addWidget(self.address)
        line.addWidget(self.open_address)
        menu = QMenu(self)
        action = QWidgetAction(menu)
        action.setDefaultWidget(row)
        menu.addAction(action)
        menu.aboutToShow.connect(self.address.setFocus)
        self.network.setMenu(menu)
        self.network.setPopupMode(QToolButton.ToolButtonPopupMode.InstantPopup)

    def set_cameras(self, cameras: Sequence[Camera]) -> None:
        """List the cameras in the menu."""
        self.cameras.clear()
        for camera in cameras:
            action = self.cameras.addAction(camera.name)
            action.setToolTip(camera.source)
            action.triggered.connect(lambda _=False, source=camera.source: self.source_wanted.emit(source))
        if not cameras:
            self.cameras.addAction("No camera was found").setEnabled(False)

    def set_theme(self, theme: Theme) -> None:
        """Wear a theme."""
        for name in ("camera", "file", "network", "panel", "full", "help", "about"):
            getattr(self, name).setIcon(create_icon(name, theme.text, disabled=theme.border))
        self.look.setIcon(create_icon("light" if theme.name == "dark" else "dark", theme.text))

    def fit(self, width: int) -> None:
        """Show icons alone where the window is narrow."""
        narrow = width < NARROW_PX
        style = Qt.ToolButtonStyle.ToolButtonIconOnly if narrow else Qt.ToolButtonStyle.ToolButtonTextBesideIcon
        for button in (self.camera, self.network):
            button.setToolButtonStyle(style)

    def _open_address(self) -> None:
        address = self.address.text().strip()
        if address:
            self.network.menu().close()
            self.source_wanted.emit(address)


def _button(name: str, tip: str, *, text: bool = False) -> QToolButton:
    button = QToolButton()
    button.setAccessibleName(name)
    button.setToolTip(tip)
    button.setIconSize(QSize(20, 20))
    button.setFocusPolicy(Qt.FocusPolicy.TabFocus)
    if text:
        button.setText(name)
        button.setToolButtonStyle(Qt.ToolButtonStyle.ToolButtonTextBesideIcon)
    return button
