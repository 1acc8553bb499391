"""Starts the window: says in a sentence what is missing where Qt would abort."""

from __future__ import annotations

import ctypes
import importlib
import os
import sys
from collections.abc import Mapping

from mien.apps.desktop.settings import Wishes
from mien.errors import ConfigError, MissingExtraError

NEEDED_BY_XCB = {"libxcb-cursor.so.0": "libxcb-cursor0", "libxkbcommon-x11.so.0": "libxkbcommon-x11-0"}
"""Libraries that Qt's plugin for X11 takes from the system, with Debian's names for their packages."""


def need_qt() -> None:
    """Raise MissingExtraError without PySide6, ConfigError where it cannot be loaded."""
    try:
        importlib.import_module("PySide6")
    except ModuleNotFoundError as error:
        raise MissingExtraError("PySide6", "desktop") from error
    try:
        importlib.import_module("PySide6.QtWidgets")
    except ImportError as error:
        raise ConfigError(
            f"Qt cannot be loaded, {error}: on Debian or Ubuntu, apt-get install libegl1 libgl1 libxkbcommon0"
        ) from error


def need_display(environment: Mapping[str, str]) -> None:
    """Raise ConfigError where there is no screen that a window could be shown on; Qt itself would abort.

    Args:
        environment: the process's variables.
    """
    if not sys.platform.startswith("linux") or environment.get("QT_QPA_PLATFORM", "xcb") not in ("xcb", "wayland"):
        return
    if environment.get("WAYLAND_DISPLAY"):
        return
    display = environment.get("DISPLAY")
    if not display:
        raise ConfigError(
            "there is no screen to show a window on (neither DISPLAY nor WAYLAND_DISPLAY is set): start it from a "
            "desktop, or read the source by `mien analyze`"
        )
    missing = [package for library, package in NEEDED_BY_XCB.items() if _load(library) is None]
    if missing:
        raise ConfigError(f"Qt lacks libraries of the system: on Debian or Ubuntu, apt-get install {' '.join(missing)}")
    if not _answers(display):
        raise ConfigError(f"the screen that DISPLAY={display} names does not answer: start it from a desktop")


def start(wishes: Wishes) -> int:
    """Show the window until it is closed; the exit code.

    Raises:
        MissingExtraError: without PySide6.
        ConfigError: without a screen, or Qt cannot be loaded.
    """
    need_qt()
    need_display(os.environ)
    from mien.apps.desktop.run import run

    return run(wishes)


def _load(library: str) -> ctypes.CDLL | None:
    try:
        return ctypes.CDLL(library)
    except OSError:
        return None


def _answers(display: str) -> bool:
    """Whether an X server takes a connection; yes where that cannot be asked."""
    xcb = _load("libxcb.so.1")
    if xcb is None:
        return True
    xcb.xcb_connect.restype = ctypes.c_void_p
    xcb.xcb_connect.argtypes = [ctypes.c_char_p, ctypes.c_void_p]
    xcb.xcb_connection_has_error.argtypes = [ctypes.c_void_p]
    xcb.xcb_disconnect.argtypes = [ctypes.c_void_p]
    connection = xcb.xcb_connect(display.encode(), None)
    failed = bool(xcb.xcb_connection_has_error(connection))
    xcb.xcb_disconnect(connection)
    return not failed
