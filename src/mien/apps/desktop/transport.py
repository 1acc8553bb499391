"""The line under the picture: play, place in the file, snapshot, record."""

from __future__ import annotations

from PySide6.QtCore import QSize, Qt, Signal
from PySide6.QtGui import QMouseEvent
from PySide6.QtWidgets import QHBoxLayout, QLabel, QSlider, QStyle, QStyleOptionSlider, QToolButton, QWidget

from mien.apps.desktop.icons import create_icon
from mien.apps.desktop.theme import LIGHT, Theme

STEPS_A_SECOND = 100


def clock(seconds: float) -> str:
    """`1:05`, or `1:02:03` from an hour on."""
    whole = int(max(0.0, seconds))
    hours, rest = divmod(whole, 3600)
    minutes, left = divmod(rest, 60)
    return f"{hours}:{minutes:02}:{left:02}" if hours else f"{minutes}:{left:02}"


class SeekBar(QSlider):
    """A slider that goes where it is clicked."""

    def __init__(self) -> None:
        super().__init__(Qt.Orientation.Horizontal)
        self.setAccessibleName("Place in the file")
        self.setToolTip("Place in the file (← → move by five seconds)")
        self.setFocusPolicy(Qt.FocusPolicy.TabFocus)

    def mousePressEvent(self, event: QMouseEvent) -> None:  # noqa: N802
        """Go to the click, then drag from there."""
        if event.button() == Qt.MouseButton.LeftButton and not self._on_handle(event):
            share = event.position().x() / max(1, self.width())
            self.setSliderPosition(round(self.minimum() + share * (self.maximum() - self.minimum())))
        super().mousePressEvent(event)

    def _on_handle(self, event: QMouseEvent) -> bool:
        option = QStyleOptionSlider()
        self.initStyleOption(option)
        control, part = QStyle.ComplexControl.CC_Slider, QStyle.SubControl.SC_SliderHandle
        return self.style().subControlRect(control, option, part, self).contains(event.position().toPoint())


class Transport(QWidget):
    """Buttons and the seek bar; says by signals what was asked for."""

    sought = Signal(float)

    def __init__(self) -> None:
        super().__init__()
        self.setObjectName("transport")
        self.setAttribute(Qt.WidgetAttribute.WA_StyledBackground)
        self._theme = LIGHT
        self._state = "idle"
        self._duration_s: float | None = None
        self.play = _button("Play or pause", "Play or pause (Space)")
        self.time = QLabel("")
        self.time.setObjectName("caption")
        self.time.setAccessibleName("Time")
        self.seek = SeekBar()
        self.live = QLabel("● Live")
        self.live.setObjectName("figure")
        self.snapshot = _button("Snapshot", "Save the annotated picture (S), the plain one (Shift+S)")
        self.record = _button("Record", "Record the annotated video and a table of the values (R)")
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
        """Wear a theme."""
        self._theme = theme
        self.snapshot.setIcon(create_icon("snapshot", theme.text, disabled=theme.border))
        self.set_state(self._state)
        self.set_recording(None)

    def set_state(self, state: str) -> None:
        """Show what the play button would do now."""
        self._state = state
        icon, name = {"playing": ("pause", "Pause"), "ended": ("replay", "Play again")}.get(state, ("play", "Play"))
        self.play.setIcon(create_icon(icon, self._theme.text, disabled=self._theme.border))
        self.play.setAccessibleName(name)
        self.play.setToolTip(f"{name} (Space)")
        for button in (self.play, self.snapshot, self.record):
            button.setEnabled(state != "idle")

    def set_source(self, *, live: bool, duration_s: float | None) -> None:
        """Fit a new source: a seek bar for a file whose length is known."""
        self._duration_s = None if live else duration_s
        self.live.setVisible(live)
        self.seek.setVisible(self._duration_s is not None)
        self.seek.setRange(0, round((self._duration_s or 0) * STEPS_A_SECOND))
        self.seek.setSingleStep(5 * STEPS_A_SECOND)
        self.seek.setPageStep(5 * STEPS_A_SECOND)
        self.time.setText("")

    def set_time(self, time_s: float) -> None:
        """Show the time of the frame in the picture."""
        if self._duration_s is None:
            self.time.setText(clock(time_s) if time_s else "")
            return
        self.time.setText(f"{clock(time_s)} / {clock(self._duration_s)}")
        if not self.seek.isSliderDown():
            self.seek.setValue(round(time_s * STEPS_A_SECOND))

    def set_recording(self, elapsed_s: float | None) -> None:
        """Show that it records, and for how long; None for not."""
        recording = elapsed_s is not None
        self.record.setText(f"Recording {clock(elapsed_s)}" if elapsed_s is not None else "Record")
        self.record.setAccessibleName("Stop recording" if recording else "Record")
        colour = self._theme.on_accent if recording else self._theme.danger
        self.seek.setEnabled(not recording)
        if self.record.property("recording") != recording or not recording:
            self.record.setIcon(create_icon("stop" if recording else "record", colour, disabled=self._theme.border))
            self.record.setProperty("recording", recording)
            self.record.style().unpolish(self.record)
            self.record.style().polish(self.record)

    def _seek(self, position: int) -> None:
        self.sought.emit(position / STEPS_A_SECOND)

    def _step(self, action: int) -> None:
        if action != QSlider.SliderAction.SliderMove.value:
            self._seek(self.seek.sliderPosition())


def _button(name: str, tip: str) -> QToolButton:
    button = QToolButton()
    button.setAccessibleName(name)
    button.setToolTip(tip)
    button.setIconSize(QSize(20, 20))
    button.setFocusPolicy(Qt.FocusPolicy.TabFocus)
    return button
