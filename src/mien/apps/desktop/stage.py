"""The middle of the window: the welcome or the picture, messages over either, and the layout around them."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable

from PySide6.QtCore import QEvent, QObject, Qt
from PySide6.QtGui import QResizeEvent
from PySide6.QtWidgets import QHBoxLayout, QLabel, QPushButton, QSplitter, QStackedLayout, QVBoxLayout, QWidget

from mien.apps.desktop.messages import Banner
from mien.apps.desktop.picture import PictureView
from mien.apps.desktop.theme import Theme, create_label, draw_icon, restyle

MARGIN_PX, LINE_PX = 12, 44
WINDOW_S = 2.0
"""The speed shown is that of so many last seconds."""
KEPT = 1000


class Stage(QWidget):
    """Stacks welcome and picture, with the banner over them."""

    def __init__(self, on_painted: Callable[[float], None]) -> None:
        super().__init__()
        self.picture = PictureView(on_painted)
        self.welcome = Welcome()
        self._stack = QStackedLayout(self)
        self._stack.addWidget(self.welcome)
        self._stack.addWidget(self.picture)
        self.banner = Banner()
        # Over the stack and not in it: it may cover either, so its place is set by hand.
        self.banner.setParent(self)
        self.banner.hide()
        self.banner.installEventFilter(self)

    def show_picture(self, shown: bool) -> None:
        """Show the picture, or the welcome."""
        self._stack.setCurrentWidget(self.picture if shown else self.welcome)
        self.banner.raise_()

    def set_theme(self, theme: Theme) -> None:
        """Apply a theme."""
        for part in (self.picture, self.welcome, self.banner):
            part.set_theme(theme)

    def resizeEvent(self, event: QResizeEvent) -> None:  # noqa: N802
        """Keep the banner as wide as the stage."""
        super().resizeEvent(event)
        self._place_banner()

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:  # noqa: N802
        """Fit the banner to a new message."""
        if event.type() in (QEvent.Type.LayoutRequest, QEvent.Type.Show):
            self._place_banner()
        return False

    def _place_banner(self) -> None:
        width = max(100, self.width() - 2 * MARGIN_PX)
        layout = self.banner.layout()
        # A size hint assumes one line; wrapped text needs its height for this width.
        wraps = layout is not None and layout.hasHeightForWidth()
        height = layout.totalHeightForWidth(width) if layout and wraps else self.banner.sizeHint().height()
        height = max(height, LINE_PX)
        self.banner.setGeometry(MARGIN_PX, self.height() - MARGIN_PX - height, width, height)
        self.banner.raise_()


class Welcome(QWidget):
    """The empty state: buttons to open a file and, if there is one, the camera."""

    def __init__(self) -> None:
        super().__init__()
        self.setObjectName("welcome")
        self.icon = QLabel()
        self.title = create_label("title", "Whose expressions would you like to see?")
        self.text = create_label("caption")
        self.text.setWordWrap(True)
        self.open_file = QPushButton("Open file…")
        self.open_file.setToolTip("Open a video or photo (O)")
        self.open_camera = QPushButton("Start camera")
        self.open_camera.setToolTip("Analyze the first camera (C)")
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
        """Show whether there is a camera."""
        self.open_camera.setVisible(count > 0)
        # Without a camera the file is the main way to begin.
        self.open_file.setObjectName("outlined" if count else "primary")
        self.open_camera.setObjectName("primary")
        self.text.setText(
            "Start the camera, or drop a video or photo here."
            if count
            else "No camera found. Drop a video or photo here, or connect a camera and choose it above."
        )
        for button in (self.open_file, self.open_camera):
            restyle(button)

    def set_theme(self, theme: Theme) -> None:
        """Apply a theme."""
        self.icon.setPixmap(draw_icon("camera", theme.muted, 56, self.devicePixelRatioF()))


def split(stage: QWidget, transport: QWidget, timeline: QWidget) -> QSplitter:
    """The picture and its controls above the timeline, with a movable divider."""
    above = QWidget()
    column = _column(above)
    column.addWidget(stage, 1)
    column.addWidget(transport)
    splitter = QSplitter(Qt.Orientation.Vertical)
    splitter.addWidget(above)
    splitter.addWidget(timeline)
    splitter.setStretchFactor(0, 1)
    # The timeline may be dragged away, the picture may not.
    splitter.setCollapsible(0, False)
    splitter.setHandleWidth(1)
    return splitter


def arrange(bar: QWidget, middle: QWidget, panel: QWidget) -> QWidget:
    """The bar at the top, the settings beside the middle."""
    row = QHBoxLayout()
    row.setSpacing(0)
    row.addWidget(middle, 1)
    row.addWidget(panel)
    body = QWidget()
    column = _column(body)
    column.addWidget(bar)
    column.addLayout(row, 1)
    return body


def _column(widget: QWidget) -> QVBoxLayout:
    column = QVBoxLayout(widget)
    column.setContentsMargins(0, 0, 0, 0)
    column.setSpacing(0)
    return column


class Meter:
    """Measures frame rate and latency.

    Args:
        latency_ms: of the last thousand frames, from the capture of a frame to the end of the paint that shows it.
    """

    def __init__(self) -> None:
        self.latency_ms: deque[float] = deque(maxlen=KEPT)
        self._painted: deque[float] = deque(maxlen=KEPT)
        self._captured = 0.0

    def arrived(self, captured: float) -> None:
        """A frame captured at this time, by `time.perf_counter`, is about to be painted."""
        self._captured = captured

    def painted(self, at: float) -> None:
        """The frame was painted at this time."""
        self._painted.append(at)
        self.latency_ms.append(1000 * (at - self._captured))

    def clear(self) -> None:
        """Start over for another source."""
        self._painted.clear()
        self.latency_ms.clear()

    def summary(self) -> str:
        """Frame rate and median latency of the last two seconds; empty without frames."""
        now = time.perf_counter()
        recent = [at for at in self._painted if at > now - WINDOW_S]
        if len(recent) < 2:
            return ""
        # The median: a single late frame says little.
        latency = sorted(list(self.latency_ms)[-len(recent) :])[len(recent) // 2]
        rate_hz = (len(recent) - 1) / max(recent[-1] - recent[0], 1e-6)
        return f"{rate_hz:.0f} frames/s · {latency:.0f} ms"
