"""Starts the window; names what is missing where Qt would abort."""

from __future__ import annotations

import ctypes
import importlib
import os
import signal
import sys
from collections.abc import Mapping
from dataclasses import dataclass

from mien.errors import ConfigError, MissingExtraError

NEEDED_BY_QT = {
    "libGL.so.1": "libgl1", "libEGL.so.1": "libegl1", "libX11.so.6": "libx11-6", "libdbus-1.so.3": "libdbus-1-3",
    "libfontconfig.so.1": "libfontconfig1", "libfreetype.so.6": "libfreetype6", "libglib-2.0.so.0": "libglib2.0-0",
    "libgthread-2.0.so.0": "libglib2.0-0", "libxkbcommon.so.0": "libxkbcommon0",
}  # fmt: skip
NEEDED_BY_XCB = {
    "libxkbcommon-x11.so.0": "libxkbcommon-x11-0", "libX11-xcb.so.1": "libx11-xcb1", "libxcb.so.1": "libxcb1",
    "libxcb-cursor.so.0": "libxcb-cursor0", "libxcb-icccm.so.4": "libxcb-icccm4", "libxcb-image.so.0": "libxcb-image0",
    "libxcb-keysyms.so.1": "libxcb-keysyms1", "libxcb-randr.so.0": "libxcb-randr0",
    "libxcb-render.so.0": "libxcb-render0", "libxcb-render-util.so.0": "libxcb-render-util0",
    "libxcb-shape.so.0": "libxcb-shape0", "libxcb-shm.so.0": "libxcb-shm0", "libxcb-sync.so.1": "libxcb-sync1",
    "libxcb-util.so.1": "libxcb-util1", "libxcb-xfixes.so.0": "libxcb-xfixes0", "libxcb-xkb.so.1": "libxcb-xkb1",
}  # fmt: skip
"""Libraries of the system that Qt and its X11 plugin load, with the Debian packages that hold them."""


@dataclass(frozen=True)
class WindowOptions:
    """What the command line asks for; None keeps the choice of the last time, but for `temporal`, which is not kept."""

    source: str | None = None
    model: str | None = None
    detector: str | None = None
    labels: str | None = None
    min_confidence: float | None = None
    balance: float | None = None
    theme: str | None = None
    draw: tuple[str, ...] | None = None
    temporal: str | None = None


def need_qt() -> None:
    """Raise MissingExtraError without PySide6, ConfigError where it cannot be loaded."""
    try:
        importlib.import_module("PySide6")
    except ModuleNotFoundError as error:
        raise MissingExtraError("PySide6", "desktop") from error
    try:
        # The package itself loads no library of the system; this module does.
        importlib.import_module("PySide6.QtWidgets")
    except ImportError as error:
        # All at once: the loader names only the first.
        packages = _missing(NEEDED_BY_QT) if sys.platform.startswith("linux") else ""
        advice = f"; on Debian or Ubuntu: apt-get install {packages}" if packages else ""
        raise ConfigError(f"Qt cannot be loaded ({error}){advice}") from error


def need_display(environment: Mapping[str, str]) -> None:
    """Raise ConfigError if there is no screen for the window; Qt itself would abort.

    Args:
        environment: the environment variables.
    """
    # Other platforms of Qt, such as `offscreen`, need no screen.
    if not sys.platform.startswith("linux") or environment.get("QT_QPA_PLATFORM", "xcb") not in ("xcb", "wayland"):
        return
    if environment.get("WAYLAND_DISPLAY"):
        return
    display = environment.get("DISPLAY")
    if not display:
        raise ConfigError(
            "no screen to show a window on (neither DISPLAY nor WAYLAND_DISPLAY is set): start it from a desktop, "
            "or use `mien analyze`"
        )
    if packages := _missing(NEEDED_BY_QT | NEEDED_BY_XCB):
        raise ConfigError(f"Qt needs system libraries; on Debian or Ubuntu: apt-get install {packages}")
    if not _answers(display):
        raise ConfigError(f"no X server answers at DISPLAY={display}: start the window from a desktop")


def start(options: WindowOptions) -> int:
    """Show the window until it is closed; the exit code.

    Raises:
        MissingExtraError: without PySide6.
        ConfigError: without a screen, or Qt cannot be loaded.
    """
    need_qt()
    need_display(os.environ)
    from PySide6.QtWidgets import QApplication

    from mien.apps.desktop.settings import Settings
    from mien.apps.desktop.window import Window

    # Only the name: Qt would take the other arguments for its own.
    app = QApplication(sys.argv[:1])
    app.setApplicationName("Mien")
    app.setDesktopFileName("mien")
    settings = Settings()
    for name in ("model", "detector", "labels", "theme", "balance"):
        if (value := getattr(options, name)) is not None:
            settings.put(name, value)
    if options.min_confidence is not None:
        settings.put("threshold", options.min_confidence)
    if options.draw is not None:
        settings.put("draw", ",".join(options.draw))
    settings.temporal = options.temporal
    window = Window(settings)
    # An interrupt from the terminal closes the window as a click would. Python sees it at the next tick of the
    # window's timer: Qt's own loop runs no Python.
    signal.signal(signal.SIGINT, lambda *_: window.close())
    window.show()
    if options.source is not None:
        window.open(options.source)
    return app.exec()


def _missing(libraries: Mapping[str, str]) -> str:
    """The packages of those that cannot be loaded, each once."""
    return " ".join(dict.fromkeys(package for library, package in libraries.items() if _load(library) is None))


def _load(library: str) -> ctypes.CDLL | None:
    try:
        return ctypes.CDLL(library)
    except OSError:
        return None


def _answers(display: str) -> bool:
    """Whether an X server accepts a connection; True where that cannot be tested."""
    xcb = _load("libxcb.so.1")
    if xcb is None:
        return True
    # A pointer; without this ctypes cuts it to 32 bits.
    xcb.xcb_connect.restype = ctypes.c_void_p
    xcb.xcb_connect.argtypes = [ctypes.c_char_p, ctypes.c_void_p]
    xcb.xcb_connection_has_error.argtypes = [ctypes.c_void_p]
    xcb.xcb_disconnect.argtypes = [ctypes.c_void_p]
    # Never null, even on failure, so it must be asked for errors and freed in any case.
    connection = xcb.xcb_connect(display.encode(), None)
    failed = bool(xcb.xcb_connection_has_error(connection))
    xcb.xcb_disconnect(connection)
    return not failed
