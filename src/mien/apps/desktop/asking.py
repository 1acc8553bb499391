"""How the window asks for files and folders: by the system's own dialogs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from PySide6.QtWidgets import QFileDialog, QWidget

from mien.images.pictures import SUFFIXES
from mien.sources.factory import VIDEO_SUFFIXES


def ask_file(parent: QWidget) -> str | None:
    """A video or picture."""
    kinds = " ".join(f"*{suffix}" for suffix in sorted({*VIDEO_SUFFIXES, *SUFFIXES}))
    path, _ = QFileDialog.getOpenFileName(parent, "Open a file", "", f"Videos and pictures ({kinds});;All files (*)")
    return path or None


def ask_folder(parent: QWidget, title: str, start: Path) -> Path | None:
    """A folder."""
    path = QFileDialog.getExistingDirectory(parent, title, str(start))
    return Path(path) if path else None


@dataclass(frozen=True)
class Asking:
    """What asks; each gives None when the user does not want to say."""

    file: Callable[[QWidget], str | None] = ask_file
    folder: Callable[[QWidget, str, Path], Path | None] = ask_folder
