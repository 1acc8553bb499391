"""A window on fakes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from desk_fakes import FakePipeline, FakeSource
from PySide6.QtCore import QCoreApplication, QEvent

from mien.apps.desktop.controls import Camera
from mien.apps.desktop.playback import Player, Reading
from mien.apps.desktop.saving import Saver
from mien.apps.desktop.settings import Dialogs, Settings
from mien.apps.desktop.window import Window


def discard(window: Window) -> None:
    """Close a window and delete it at once: outside of Qt's own loop what is deleted later stays."""
    window.close()
    window.deleteLater()
    QCoreApplication.sendPostedEvents(None, QEvent.Type.DeferredDelete.value)


class Desk:
    """A window on fakes, and what they were asked."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.sources: dict[str, FakeSource | Exception] = {}
        self.opened: list[tuple[str, float]] = []
        self.readings: list[Reading] = []
        self.files: list[str | None] = []
        self.notice: Callable[[str], None] = print
        self.pipeline = FakePipeline()
        self.cameras: list[Camera] = []
        self.player = Player(open_source=self._open, create_pipeline=self._create)
        self.saver = Saver(lambda: folder, None)
        dialogs = Dialogs(lambda _: self.files.pop(0), lambda *_: folder)
        self.window = Window(
            Settings(folder / "desktop.ini"), self.player, saver=self.saver, dialogs=dialogs,
            find_cameras=lambda: self.cameras,
        )  # fmt: skip

    def _open(self, source: str, start_s: float, on_notice: Callable[[str], None]) -> FakeSource:
        self.opened.append((source, start_s))
        self.notice = on_notice
        found = self.sources[source]
        if isinstance(found, Exception):
            raise found
        return found.starting_at(start_s)

    def _create(self, reading: Reading) -> FakePipeline:
        self.readings.append(reading)
        return self.pipeline
