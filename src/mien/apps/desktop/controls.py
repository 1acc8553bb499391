"""The bar at the top (sources and the window's own buttons), and the playback controls under the picture."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from PySide6.QtCore import QSize, Qt, Signal
from PySide6.QtGui import QMouseEvent
from PySide6.QtWidgets import (
    QHBoxLayout,
    QLineEdit,
    QMenu,
    QPushButton,
    QSlider,
    QStyle,
    QStyleOptionSlider,
    QToolButton,
    QWidget,
    QWidgetAction,
)

from mien.apps.desktop.theme import LIGHT, Theme, create_icon, create_label, restyle
from mien.reading import timeline

NARROW_PX = 700
STEPS_A_SECOND = 100
GUESSED = 2
"""Cameras offered where the system cannot list them without switching them on."""


@dataclass(frozen=True)
class Camera:
    """A camera: its name for `open_source`, and its name for people."""

    source: str
    name: str


def find_cameras(root: Path = Path("/sys/class/video4linux")) -> list[Camera]:
    """The cameras of this computer, without opening any; on systems other than Linux a guess: the first numbers."""
    if not sys.platform.startswith("linux"):
        return [Camera(f"camera:{number}", f"Camera {number}") for number in range(GUESSED)]
    found = []
    # By number: as text, video10 would come before video2.
    for folder in sorted(root.glob("video*"), key=lambda path: int(path.name.removeprefix("video"))):
        # A camera has further nodes, for metadata; only the first one delivers frames.
        if _read(folder / "index") in ("0", ""):
            number = folder.name.removeprefix("video")
            found.append(Camera(f"camera:{number}", _read(folder / "name") or f"Camera {number}"))
    return found


def _read(path: Path) -> str:
    try:
        return path.read_text(errors="replace").strip()
    except OSError:
        return ""


class Bar(QWidget):
    """Camera, file and network on the left; theme, full screen, help, about and settings on the right."""

    source_wanted = Signal(str)
    cameras_wanted = Signal()

    def __init__(self) -> None:
        super().__init__()
        self.setObjectName("bar")
        self.setAttribute(Qt.WidgetAttribute.WA_StyledBackground)
        self.camera = _button("Camera", "Analyze a camera (C starts the first one)", text=True)
        self.file = _button("File…", "Open a video or photo (O), or drop it on the window", text=True)
        self.network = _button("Network", "Open a network stream", text=True)
        self.panel = _button("Settings", "Show or hide the settings (P)")
        self.look = _button("Light or dark", "Switch between light and dark (T)")
        self.full = _button("Full screen", "Full screen (F); Esc to leave")
        self.help = _button("Shortcuts", "Keyboard shortcuts (?)")
        self.about = _button("About", "About Mien")
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
        # Listed when the menu opens: cameras come and go.
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
            # `triggered` passes whether it is checked; the source is bound now, not when it is clicked.
            action.triggered.connect(lambda _=False, source=camera.source: self.source_wanted.emit(source))
        if not cameras:
            self.cameras.addAction("No camera found").setEnabled(False)

    def set_theme(self, theme: Theme) -> None:
        """Apply a theme."""
        for name in ("camera", "file", "network", "panel", "full", "help", "about"):
            getattr(self, name).setIcon(create_icon(name, theme.text, disabled=theme.border))
        self.look.setIcon(create_icon("light" if theme.name == "dark" else "dark", theme.text))

    def fit(self, width: int) -> None:
        """Show only icons in a narrow window."""
        narrow = width < NARROW_PX
        style = Qt.ToolButtonStyle.ToolButtonIconOnly if narrow else Qt.ToolButtonStyle.ToolButtonTextBesideIcon
        for button in (self.camera, self.network):
            button.setToolButtonStyle(style)

    def _open_address(self) -> None:
        address = self.address.text().strip()
        if address:
            self.network.menu().close()
            self.source_wanted.emit(address)


def clock(seconds: float) -> str:
    """`1:05`, or `1:02:03` from one hour on; rounded down, so that it is never ahead of the picture."""
    return timeline.clock(int(seconds))


class SeekBar(QSlider):
    """A slider that jumps to where it is clicked."""

    def __init__(self) -> None:
        super().__init__(Qt.Orientation.Horizontal)
        self.setAccessibleName("Position")
        self.setToolTip("Position (← → move by five seconds)")
        self.setFocusPolicy(Qt.FocusPolicy.TabFocus)

    def mousePressEvent(self, event: QMouseEvent) -> None:  # noqa: N802
        """Jump to the click, then drag from there."""
        if event.button() == Qt.MouseButton.LeftButton and not self._on_handle(event):
            share = event.position().x() / max(1, self.width())
            # Qt would only move by a page towards the click.
            self.setSliderPosition(round(self.minimum() + share * (self.maximum() - self.minimum())))
        super().mousePressEvent(event)

    def _on_handle(self, event: QMouseEvent) -> bool:
        option = QStyleOptionSlider()
        self.initStyleOption(option)
        control, part = QStyle.ComplexControl.CC_Slider, QStyle.SubControl.SC_SliderHandle
        return self.style().subControlRect(control, option, part, self).contains(event.position().toPoint())


class Transport(QWidget):
    """Playback buttons and the seek bar; requests are signals."""

    sought = Signal(float)

    def __init__(self) -> None:
        super().__init__()
        self.setObjectName("transport")
        self.setAttribute(Qt.WidgetAttribute.WA_StyledBackground)
        self._theme = LIGHT
        self._state = "idle"
        self._duration_s: float | None = None
        self.play = _button("Play or pause", "Play or pause (Space)")
        self.time = create_label("caption")
        self.time.setAccessibleName("Time")
        self.seek = SeekBar()
        self.live = create_label("figure", "● Live")
        self.snapshot = _button("Snapshot", "Save the annotated frame (S) or the plain one (Shift+S)")
        self.record = _button("Record", "Record the annotated video and a table of probabilities (R)")
        self.record.setObjectName("record")
        self.record.setText("Record")
        self.record.setToolButtonStyle(Qt.ToolButtonStyle.ToolButtonTextBesideIcon)
        line = QHBoxLayout(self)
        line.setContentsMargins(10, 6, 10, 6)
        line.setSpacing(6)
        line.addWidget(self.play)
        line.addWidget(self.live)
        line.addWidget(self.seek, 1)
        line.addWidget(self.time)
        line.addStretch()
        line.addWidget(self.snapshot)
        line.addWidget(self.record)
        self.seek.sliderMoved.connect(self._seek)
        self.seek.sliderPressed.connect(lambda: self._seek(self.seek.sliderPosition()))
        self.seek.actionTriggered.connect(self._step)
        self.set_state("idle")
        self.set_source(live=False, duration_s=None)

    @property
    def state(self) -> str:
        """`idle`, `playing`, `paused` or `ended`."""
        return self._state

    def set_theme(self, theme: Theme) -> None:
        """Apply a theme."""
        self._theme = theme
        self.snapshot.setIcon(create_icon("snapshot", theme.text, disabled=theme.border))
        self.set_state(self._state)
        self.set_recording(None)

    def set_state(self, state: str) -> None:
        """Show what the play button does now."""
        self._state = state
        icon, name = {"playing": ("pause", "Pause"), "ended": ("replay", "Play again")}.get(state, ("play", "Play"))
        self.play.setIcon(create_icon(icon, self._theme.text, disabled=self._theme.border))
        self.play.setAccessibleName(name)
        self.play.setToolTip(f"{name} (Space)")
        for button in (self.play, self.snapshot, self.record):
            button.setEnabled(state != "idle")

    def set_source(self, *, live: bool, duration_s: float | None) -> None:
        """Adapt to a new source: a seek bar for a file of known length."""
        self._duration_s = None if live else duration_s
        self.live.setVisible(live)
        self.seek.setVisible(self._duration_s is not None)
        # Sliders count in whole numbers.
        self.seek.setRange(0, round((self._duration_s or 0) * STEPS_A_SECOND))
        self.seek.setSingleStep(5 * STEPS_A_SECOND)
        self.seek.setPageStep(5 * STEPS_A_SECOND)
        self.time.setText("")

    def set_time(self, time_s: float) -> None:
        """Show the time of the frame on screen."""
        if self._duration_s is None:
            self.time.setText(clock(time_s) if time_s else "")
            return
        self.time.setText(f"{clock(time_s)} / {clock(self._duration_s)}")
        # The handle must not be pulled away from the user.
        if not self.seek.isSliderDown():
            self.seek.setValue(round(time_s * STEPS_A_SECOND))

    def set_recording(self, elapsed_s: float | None) -> None:
        """Show the length of the recording; None when not recording."""
        recording = elapsed_s is not None
        self.record.setText(f"Recording {clock(elapsed_s)}" if elapsed_s is not None else "Record")
        self.record.setAccessibleName("Stop recording" if recording else "Record")
        colour = self._theme.on_accent if recording else self._theme.danger
        # A recording must not jump in time.
        self.seek.setEnabled(not recording)
        # While recording this runs with each tick, and only the time changes.
        if self.record.property("recording") != recording or not recording:
            self.record.setIcon(create_icon("stop" if recording else "record", colour, disabled=self._theme.border))
            self.record.setProperty("recording", recording)
            restyle(self.record)

    def _seek(self, position: int) -> None:
        self.sought.emit(position / STEPS_A_SECOND)

    def _step(self, action: int) -> None:
        # Keys and the wheel; a drag arrives by `sliderMoved` already.
        if action != QSlider.SliderAction.SliderMove.value:
            self._seek(self.seek.sliderPosition())


def _button(name: str, tip: str, *, text: bool = False) -> QToolButton:
    button = QToolButton()
    button.setAccessibleName(name)
    button.setToolTip(tip)
    button.setIconSize(QSize(20, 20))
    # Not by click, or Space would press the last button again instead of pausing.
    button.setFocusPolicy(Qt.FocusPolicy.TabFocus)
    if text:
        button.setText(name)
        button.setToolButtonStyle(Qt.ToolButtonStyle.ToolButtonTextBesideIcon)
    return button
