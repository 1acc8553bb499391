"""Where the picture is: the welcome while there is none, and messages over either."""

from __future__ import annotations

from collections.abc import Callable

from PySide6.QtCore import QEvent, QObject
from PySide6.QtGui import QResizeEvent
from PySide6.QtWidgets import QStackedLayout, QWidget

from mien.apps.desktop.banner import Banner
from mien.apps.desktop.picture import PictureView
from mien.apps.desktop.theme import Theme
from mien.apps.desktop.welcome import Welcome

MARGIN_PX, LINE_PX = 12, 44


class Stage(QWidget):
    """Stacks welcome and picture, and lays the banner over them."""

    def __init__(self, on_painted: Callable[[float], None]) -> None:
        super().__init__()
        self.picture = PictureView(on_painted)
        self.welcome = Welcome()
        self._stack = QStackedLayout(self)
        self._stack.addWidget(self.welcome)
        self._stack.addWidget(self.picture)
        self.banner = Banner()
        self.banner.setParent(self)
        self.banner.hide()
        self.banner.installEventFilter(self)

    def show_picture(self, shown: bool) -> None:
        """The picture, or the welcome."""
        self._stack.setCurrentWidget(self.picture if shown else self.welcome)
        self.banner.raise_()

    def set_theme(self, theme: Theme) -> None:
        """Wear a theme."""
        for part in (self.picture, self.welcome, self.banner):
            part.set_theme(theme)

    def resizeEvent(self, event: QResizeEvent) -> None:  # noqa: N802
        """Keep the banner as wide as the stage."""
        super().resizeEvent(event)
        self._place_banner()

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:  # noqa: N802
        """A new message may need another height."""
        if event.type() in (QEvent.Type.LayoutRequest, QEvent.Type.Show):
            self._place_banner()
        return False

    def _place_banner(self) -> None:
        width = max(100, self.width() - 2 * MARGIN_PX)
        layout = self.banner.layout()
        wraps = layout is not None and layout.hasHeightForWidth()
        height = layout.totalHeightForWidth(width) if layout and wraps else self.banner.sizeHint().height()
        height = max(height, LINE_PX)
        self.banner.setGeometry(MARGIN_PX, self.height() - MARGIN_PX - height, width, height)
        self.banner.raise_()
