"""What is kept of the picture: the buttons for snapshots and recordings, and what is told of them."""

from __future__ import annotations

from pathlib import Path

from PySide6.QtCore import QUrl
from PySide6.QtGui import QDesktopServices

from mien.apps.desktop.playback import Opened, Player
from mien.apps.desktop.saving import Saver
from mien.apps.desktop.stage import Stage
from mien.apps.desktop.transport import Transport


class Keeper:
    """Lets the saver take what is shown.

    Args:
        saver: writes files.
        player: its results go to the saver during a recording.
        stage: has the picture, and the banner that tells what was saved.
        transport: shows how long a recording is.
    """

    def __init__(self, saver: Saver, player: Player, stage: Stage, transport: Transport) -> None:
        self.saver, self.player, self.transport = saver, player, transport
        self.picture, self.banner = stage.picture, stage.banner
        saver.saved.connect(self._on_saved)
        saver.failed.connect(self._on_failed)

    @property
    def is_recording(self) -> bool:
        """Whether a recording runs, or is still being completed."""
        return self.saver.recorder is not None

    def snapshot(self, *, plain: bool = False) -> Path | None:
        """Save the picture that is shown."""
        result = self.picture.result
        if result is None or result.frame is None:
            return None
        return self.saver.snapshot(result.frame.image, self.picture.faces, plain=plain is True)

    def start(self, opened: Opened) -> None:
        """Record from now on."""
        if self.saver.start(opened, self.picture.threshold) is not None:
            self.player.tap = self.saver.put
            self.transport.set_recording(0.0)

    def stop(self) -> None:
        """End a recording, if there is one."""
        self.player.tap = None
        self.saver.stop()
        self.transport.set_recording(None)

    def set_threshold(self, threshold: float) -> None:
        """Faces under it are `not sure`, also in what is recorded from now on."""
        if self.saver.recorder is not None:
            self.saver.recorder.threshold = threshold

    def show(self) -> None:
        """Show how long the recording is, or that there is none."""
        recorder = self.saver.recorder
        self.transport.set_recording(None if recorder is None else recorder.elapsed_s)
        if recorder is None:
            self.player.tap = None

    def _on_failed(self, text: str) -> None:
        self.show()
        self.banner.tell(text, level="error")

    def _on_saved(self, text: str, folder: Path) -> None:
        self.show()
        url = QUrl.fromLocalFile(str(folder))
        self.banner.tell(text, action="Show the folder", on_action=lambda: QDesktopServices.openUrl(url))
