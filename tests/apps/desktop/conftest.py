from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from desks import Desk
    from PySide6.QtWidgets import QApplication

os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")

try:
    import PySide6.QtWidgets  # noqa: F401
except ImportError:
    # Without the extra, or without the libraries that Qt takes from the system; tests/apps/cli/test_watch.py says so.
    collect_ignore_glob = ["test_*.py"]

PATIENCE_S = 180.0
"""For a machine that is busy with other things; a test that passes never waits so long."""


@pytest.fixture(scope="session")
def qt() -> QApplication:
    from PySide6.QtWidgets import QApplication

    return QApplication.instance() or QApplication(["mien"])


@pytest.fixture
def until(qt: QApplication) -> Callable[[Callable[[], object]], None]:
    """Handles events until something holds."""

    def wait(holds: Callable[[], object]) -> None:
        end = time.monotonic() + PATIENCE_S
        while not holds():
            assert time.monotonic() < end, "it never came to hold"
            qt.processEvents()
            time.sleep(0.002)

    return wait


@pytest.fixture
def desk(qt: QApplication, until: Callable[[Callable[[], object]], None], tmp_path: Path) -> Iterator[Desk]:
    from desks import Desk, discard

    made = Desk(tmp_path)
    made.window.resize(1000, 700)
    made.window.show()
    made.window.activateWindow()
    until(made.window.isActiveWindow)
    yield made
    discard(made.window)
    qt.setStyleSheet("")
