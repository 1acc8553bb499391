"""The window: assembles its parts and connects their signals."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

from PySide6.QtCore import QSize, QTimer
from PySide6.QtGui import (
    QCloseEvent,
    QDragEnterEvent,
    QDropEvent,
    QGuiApplication,
    QKeySequence,
    QResizeEvent,
    QShortcut,
)
from PySide6.QtWidgets import QApplication, QMainWindow

from mien.apps.desktop.controls import Bar, Camera, Transport, find_cameras
from mien.apps.desktop.history import History, track_of
from mien.apps.desktop.messages import Status, create_about, create_help, short
from mien.apps.desktop.panel import Panel
from mien.apps.desktop.playback import Opened, Player, Reading, Shown
from mien.apps.desktop.saving import Keeper, Saver
from mien.apps.desktop.settings import Dialogs, Settings, pictures_folder
from mien.apps.desktop.stage import Meter, Stage, arrange, split
from mien.apps.desktop.theme import apply_theme, choose_theme
from mien.apps.desktop.timeline import Timeline

TICK_MS = 100
ROOMY_PX = 860
"""From this width on the settings are shown, unless the user closed them."""
STEP_S = 5.0
BACK_S = 1.0
"""A frame this long after a notice is a new one: the camera is back."""


class Window(QMainWindow):
    """The main window of `mien watch`.

    Args:
        settings: what is remembered.
        player: plays sources; closes with the window.
        dialogs: how files and folders are chosen.
        find_cameras: lists the cameras.
    """

    def __init__(
        self,
        settings: Settings,
        player: Player | None = None,
        *,
        saver: Saver | None = None,
        dialogs: Dialogs | None = None,
        find_cameras: Callable[[], list[Camera]] = find_cameras,
    ) -> None:
        super().__init__()
        self.setWindowTitle("Mien")
        self.setAcceptDrops(True)
        self.setMinimumSize(QSize(560, 420))
        self.meter = Meter()
        self._noticed_s: float | None = None
        self.settings = settings
        self.dialogs = dialogs or Dialogs()
        self.player = player or Player()
        self.saver = saver or Saver(self._ask_save_folder, settings.save_folder)
        self.history = History()
        self.opened: Opened | None = None
        self.source = ""
        self._find_cameras = find_cameras
        self._theme_name = settings.theme
        self._lay_out()
        self.keeper = Keeper(self.saver, self.player, self.stage, self.transport)
        self._connect()
        self._add_shortcuts()
        self._restore()
        self._timer = QTimer(self)
        self._timer.timeout.connect(self._tick)
        self._timer.start(TICK_MS)

    def _lay_out(self) -> None:
        self.bar, self.panel, self.transport = Bar(), Panel(), Transport()
        self.stage = Stage(self.meter.painted)
        self.picture, self.welcome, self.banner = self.stage.picture, self.stage.welcome, self.stage.banner
        self.timeline = Timeline(self.history)
        self.splitter = split(self.stage, self.transport, self.timeline)
        body = arrange(self.bar, self.splitter, self.panel)
        self.setCentralWidget(body)
        self.status = Status()
        self.setStatusBar(self.status)
        self.source_label, self.figures = self.status.source, self.status.figures
        self.help, self.about = create_help(body), create_about(body)

    def _connect(self) -> None:
        bar, panel, transport, player = self.bar, self.panel, self.transport, self.player
        bar.source_wanted.connect(self.open)
        bar.cameras_wanted.connect(self.refresh_cameras)
        bar.file.clicked.connect(self.ask_for_file)
        bar.panel.toggled.connect(panel.setVisible)
        bar.look.clicked.connect(self.toggle_theme)
        bar.full.clicked.connect(self.toggle_full_screen)
        bar.help.clicked.connect(self.help.open)
        bar.about.clicked.connect(self.about.open)
        self.welcome.open_file.clicked.connect(self.ask_for_file)
        self.welcome.open_camera.clicked.connect(self.open_first_camera)
        panel.reading_changed.connect(self.change_reading)
        panel.threshold_changed.connect(self.set_threshold)
        panel.theme_changed.connect(self.set_theme)
        panel.model_folder_wanted.connect(self._ask_model_folder)
        panel.save_folder_wanted.connect(self.saver.choose_folder)
        transport.play.clicked.connect(self.toggle_play)
        transport.sought.connect(self.seek)
        transport.snapshot.clicked.connect(self.snapshot)
        transport.record.clicked.connect(self.toggle_recording)
        self.picture.chosen.connect(self.timeline.choose)
        self.timeline.chosen.connect(self.picture.choose)
        player.opened.connect(self._on_opened)
        player.arrived.connect(self._on_arrived)
        player.ended.connect(self._on_ended)
        player.failed.connect(self._on_failed)
        player.noticed.connect(self._on_noticed)
        self.saver.folder_chosen.connect(self._on_folder)
        # The desktop may switch while the window is open; only `system` follows it.
        QGuiApplication.styleHints().colorSchemeChanged.connect(self._on_scheme)

    def _add_shortcuts(self) -> None:
        for keys, act in {
            "Space": self.toggle_play, "S": self.snapshot, "Shift+S": lambda: self.snapshot(plain=True),
            "R": self.toggle_recording, "O": self.ask_for_file, "C": self.open_first_camera,
            "F": self.toggle_full_screen, "P": self.bar.panel.toggle, "T": self.toggle_theme,
            "L": self.panel.draw["landmarks"].toggle, "H": self.panel.draw["pose"].toggle, "?": self.help.open,
            "F1": self.help.open, "Esc": self.escape, "Ctrl+Q": self.close,
            "Left": lambda: self.skip(-STEP_S), "Right": lambda: self.skip(STEP_S),
        }.items():  # fmt: skip
            QShortcut(QKeySequence(keys), self).activated.connect(act)

    def _restore(self) -> None:
        settings = self.settings
        self.panel.set_reading(
            Reading(
                settings.model,
                settings.detector,
                settings.labels,
                settings.flag("smooth", True),
                settings.balance,
                settings.draw,
                settings.temporal,
            )
        )
        self.panel.set_threshold(settings.threshold)
        self.panel.set_save_folder(self.saver.folder)
        if not self.restoreGeometry(settings.geometry):
            self.resize(1120, 760)
        self.splitter.setSizes([600, 160])
        # In a small window the picture comes first.
        self.bar.panel.setChecked(settings.flag("panel", True) and self.width() >= ROOMY_PX)
        self.panel.setVisible(self.bar.panel.isChecked())
        self.set_theme(settings.theme)
        self.refresh_cameras()

    def open(self, source: str, *, start_s: float = 0.0) -> None:
        """Play a source, named as for `open_source`."""
        # A recording has one source, and one set of labels.
        self.keeper.stop()
        self._forget()
        # Unknown until the player reports it: until then nothing can be sought or recorded.
        self.source, self.opened = source, None
        self.banner.hide()
        self.source_label.setText(f"Opening {source} …")
        self.player.open(source, self.panel.reading, start_s=start_s)

    def ask_for_file(self) -> None:
        """Open a file of the user's choice."""
        path = self.dialogs.file(self)
        if path:
            self.open(path)

    def open_first_camera(self) -> None:
        """Open the first camera found."""
        cameras = self.refresh_cameras()
        if cameras:
            self.open(cameras[0].source)
        else:
            self.banner.show_message(
                "No camera found: connect one, or open a file.", level="warning",
                action="Open file…", on_action=self.ask_for_file,
            )  # fmt: skip

    def refresh_cameras(self) -> list[Camera]:
        """List the cameras again."""
        cameras = self._find_cameras()
        self.bar.set_cameras(cameras)
        self.welcome.set_cameras(len(cameras))
        return cameras

    def toggle_play(self) -> None:
        """Pause, resume, or play again from the start."""
        state = self.transport.state
        if state in ("playing", "paused"):
            self.player.pause(state == "playing")
            self.transport.set_state("paused" if state == "playing" else "playing")
        elif state == "ended" and self.source:
            self.seek(0.0)

    def seek(self, time_s: float) -> None:
        """Go to another time of a file; not while recording."""
        if self.opened is None or self.opened.info.live or self.keeper.is_recording:
            return
        # After an error the thread has ended, so the source is opened anew.
        if not self.player.is_alive:
            self.open(self.source, start_s=time_s)
            return
        self.player.seek(time_s)
        if self.transport.state == "ended":
            self.player.pause(False)
            self.transport.set_state("playing")

    def skip(self, seconds: float) -> None:
        """Move forward, or back if negative, in a file."""
        if self.opened is not None and self.opened.info.duration_s is not None:
            self.seek(min(max(0.0, self.time_s + seconds), self.opened.info.duration_s))

    def snapshot(self, *, plain: bool = False) -> Path | None:
        """Save the frame on screen."""
        return self.keeper.snapshot(plain=plain)

    def toggle_recording(self) -> None:
        """Start or stop recording."""
        if self.keeper.is_recording:
            self.keeper.stop()
        elif self.opened is not None and self.transport.state in ("playing", "paused"):
            self.keeper.start(self.opened)

    def change_reading(self, reading: Reading) -> None:
        """Analyze with other settings."""
        if self.opened is None and not self.source:
            return
        self.keeper.stop()
        if self.player.is_alive and self.transport.state != "ended":
            self.player.change_reading(reading, self.time_s)
        elif self.source:
            self.open(self.source, start_s=0.0)

    def set_threshold(self, threshold: float) -> None:
        """Apply the `not sure` threshold at once, to the frame on screen too."""
        self.picture.set_threshold(threshold)
        self.keeper.set_threshold(threshold)

    def set_theme(self, name: str) -> None:
        """Use the `light`, the `dark` or the `system`'s theme."""
        self._theme_name = name
        self.theme = choose_theme(name)
        app = QApplication.instance()
        assert isinstance(app, QApplication)
        apply_theme(app, self.theme)
        self.panel.set_theme_name(name)
        for part in (self.bar, self.transport, self.stage, self.timeline):
            part.set_theme(self.theme)
        # A theme resets the record button, also during a recording.
        self.keeper.show()

    def toggle_theme(self) -> None:
        """Switch between light and dark."""
        self.set_theme("light" if self.theme.name == "dark" else "dark")

    def toggle_full_screen(self) -> None:
        """Show only the picture and its controls, or everything again."""
        full = not self.isFullScreen()
        for part in (self.bar, self.timeline, self.statusBar()):
            part.setVisible(not full)
        self.panel.setVisible(not full and self.bar.panel.isChecked())
        self.showFullScreen() if full else self.showNormal()

    def escape(self) -> None:
        """Close what covers the window, else leave full screen."""
        # Esc closes one thing at a time.
        over = next((part for part in (self.help, self.about, self.banner) if part.isVisible()), None)
        if over is not None:
            over.hide()
        elif self.isFullScreen():
            self.toggle_full_screen()

    @property
    def time_s(self) -> float:
        """The time of the frame on screen."""
        result = self.picture.result
        return 0.0 if result is None or result.frame is None else result.frame.time_s

    def _on_opened(self, opened: Opened) -> None:
        self.opened = opened
        self.picture.draw = opened.draw
        info = opened.info
        # A photo needs no seek bar.
        self.transport.set_source(live=info.live, duration_s=None if info.frames == 1 else info.duration_s)
        self.transport.set_state("paused" if self.player.paused else "playing")
        self.status.set_source(opened)
        self.setWindowTitle(f"{short(info.name)} – Mien")
        self.stage.show_picture(True)
        if self.picture.result is not None:
            # After a seek its first frame may be on screen already: a report that was still waiting has taken it.
            self.transport.set_time(self.time_s)

    def _on_arrived(self, shown: Shown) -> None:
        self.meter.arrived(shown.captured)
        if self._noticed_s is not None and time.monotonic() > self._noticed_s + BACK_S:
            # Frames arrive again: the warning about a lost camera is outdated.
            self._noticed_s = None
            self.banner.fade()
        result = shown.result
        self.picture.show_result(result)
        self.history.add(self.time_s, result.faces)
        # With the picture: the values in the legend are of the faces in the boxes.
        self.timeline.chart.show_values()
        self.transport.set_time(self.time_s)

    def _on_noticed(self, text: str) -> None:
        self._noticed_s = time.monotonic()
        self.banner.show_message(text, level="warning")

    def _on_ended(self) -> None:
        self.keeper.stop()
        self.transport.set_state("ended")

    def _on_failed(self, text: str) -> None:
        self.keeper.stop()
        self.status.set_source(None)
        self.transport.set_state("idle" if self.picture.result is None else "ended")
        if self.picture.result is None:
            self.stage.show_picture(False)
        self.banner.show_message(text, level="error", action="Open file…", on_action=self.ask_for_file)

    def _on_scheme(self) -> None:
        self.set_theme(self._theme_name)

    def _on_folder(self, folder: Path) -> None:
        self.settings.put("save_folder", str(folder))
        self.panel.set_save_folder(folder)

    def _tick(self) -> None:
        faces = self.picture.faces
        largest = max(faces, key=lambda face: (face.box[2] - face.box[0]) * (face.box[3] - face.box[1]), default=None)
        # While another source opens, the timeline keeps its labels.
        labels = self.opened.labels if self.opened else self.timeline.chart.labels
        self.timeline.refresh(None if largest is None else track_of(largest), labels)
        if self.keeper.is_recording:
            self.keeper.show()
        self.status.set_figures(
            self.opened, len(faces), self.meter.summary() if self.transport.state == "playing" else ""
        )

    def _forget(self) -> None:
        self.picture.show_result(None)
        self.history.clear()
        self.meter.clear()
        self.timeline.choose(None)

    def _ask_save_folder(self) -> Path | None:
        start = self.saver.folder or pictures_folder()
        return self.dialogs.folder(self, "Folder for snapshots and recordings", start)

    def _ask_model_folder(self) -> None:
        folder = self.dialogs.folder(self, "Model folder", Path.home())
        if folder is not None:
            self.panel.use_model_folder(folder)

    def dragEnterEvent(self, event: QDragEnterEvent) -> None:  # noqa: N802
        """Accept files."""
        if any(url.isLocalFile() for url in event.mimeData().urls()):
            event.acceptProposedAction()

    def dropEvent(self, event: QDropEvent) -> None:  # noqa: N802
        """Open the first dropped file."""
        paths = [url.toLocalFile() for url in event.mimeData().urls() if url.isLocalFile()]
        if paths:
            event.acceptProposedAction()
            self.open(paths[0])

    def resizeEvent(self, event: QResizeEvent) -> None:  # noqa: N802
        """Adapt the bar to the width."""
        super().resizeEvent(event)
        self.bar.fit(event.size().width())

    def closeEvent(self, event: QCloseEvent) -> None:  # noqa: N802
        """Stop all threads and save the choices."""
        self._timer.stop()
        self.keeper.stop()
        self.player.close()
        self.saver.close()
        self._remember()
        super().closeEvent(event)

    def _remember(self) -> None:
        reading, put = self.panel.reading, self.settings.put
        put("theme", self._theme_name)
        put("model", reading.model or "")
        put("detector", reading.detector)
        put("labels", reading.labels)
        put("balance", "" if reading.balance is None else reading.balance)
        put("smooth", reading.smooth)
        put("draw", ",".join(reading.draw))
        put("threshold", self.picture.threshold)
        put("panel", self.bar.panel.isChecked())
        if not self.isFullScreen():
            # Of the window, not of the screen that it filled.
            put("geometry", self.saveGeometry())
        self.settings.save()
