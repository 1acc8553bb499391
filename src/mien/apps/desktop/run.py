"""Makes the Qt application and its window."""

from __future__ import annotations

import signal
import sys

from PySide6.QtWidgets import QApplication

from mien.apps.desktop.settings import Settings, Wishes
from mien.apps.desktop.window import Window


def run(wishes: Wishes) -> int:
    """Show the window until it is closed; the exit code."""
    app = QApplication(sys.argv[:1])
    app.setApplicationName("Mien")
    app.setDesktopFileName("mien")
    settings = Settings()
    for name in ("model", "detector", "labels", "theme", "balance"):
        if (value := getattr(wishes, name)) is not None:
            settings.put(name, value)
    if wishes.min_confidence is not None:
        settings.put("threshold", wishes.min_confidence)
    window = Window(settings)
    # An interrupt from the terminal closes the window as a click would.
    signal.signal(signal.SIGINT, lambda *_: window.close())
    window.show()
    if wishes.source is not None:
        window.open(wishes.source)
    return app.exec()
