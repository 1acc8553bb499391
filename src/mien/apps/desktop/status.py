"""The line under everything: what plays, how fast, and what reads it."""

from __future__ import annotations

from pathlib import Path

from PySide6.QtWidgets import QLabel, QStatusBar

from mien.apps.desktop.panel import DETECTOR_NAMES
from mien.apps.desktop.playback import Opened
from mien.apps.desktop.welcome import PROMISE


class Status(QStatusBar):
    """The source on the left, figures on the right."""

    def __init__(self) -> None:
        super().__init__()
        self.source = QLabel(PROMISE)
        self.figures = QLabel()
        self.figures.setAccessibleName("Frames a second, latency, faces, model, detector")
        self.figures.setStatusTip(PROMISE)
        self.setSizeGripEnabled(False)
        self.addWidget(self.source, 1)
        self.addPermanentWidget(self.figures)

    def set_source(self, opened: Opened | None) -> None:
        """Name what plays, or promise what is never done with it."""
        info = None if opened is None else opened.info
        self.source.setText(PROMISE if info is None else f"{short(info.name)} · {info.width}×{info.height}")

    def set_figures(self, opened: Opened | None, faces: int, speed: str) -> None:
        """Tell frames a second and latency, faces, model and detector; nothing without a source."""
        if opened is None:
            self.figures.setText("")
            return
        count = f"{faces} face{'' if faces == 1 else 's'}"
        detector = DETECTOR_NAMES.get(opened.detector, opened.detector)
        self.figures.setText(" · ".join(filter(None, (speed, count, opened.model, detector))))


def short(name: str) -> str:
    """A file by its name alone, an address without a password."""
    if "://" in name:
        scheme, _, rest = name.partition("://")
        return f"{scheme}://{rest.rpartition('@')[2]}"
    return Path(name).name or name
