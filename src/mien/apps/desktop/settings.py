"""What the window remembers (choices and sizes, never an image, a file name or an address), and its file dialogs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from PySide6.QtCore import QByteArray, QSettings, QStandardPaths
from PySide6.QtWidgets import QFileDialog, QWidget

from mien.apps.desktop.theme import THEMES
from mien.artifact import store
from mien.faces.detectors import DETECTORS
from mien.images.pictures import SUFFIXES
from mien.labels import USER_LABELS
from mien.reading.shape_drawing import DRAWINGS
from mien.sources.container import VIDEO_SUFFIXES


class Settings:
    """Typed access to the settings file; an invalid value counts as not set."""

    def __init__(self, path: Path | None = None) -> None:
        self._store = QSettings(str(path or store.home() / "desktop.ini"), QSettings.Format.IniFormat)
        # Of this time alone: it fits one model, which the next start may not have.
        self.temporal: str | None = None

    def save(self) -> None:
        """Write the settings file."""
        self._store.sync()

    def choice(self, name: str, valid: tuple[str, ...], default: str) -> str:
        """One of the valid words, else the default."""
        value = str(self._store.value(name, default))
        return value if value in valid else default

    def flag(self, name: str, default: bool) -> bool:
        """A yes-or-no setting."""
        # An INI file gives everything back as text.
        return str(self._store.value(name, default)).lower() == "true"

    def _share(self, name: str) -> float:
        try:
            return min(1.0, max(0.0, float(str(self._store.value(name, 0.0)))))
        except ValueError:
            return 0.0

    def put(self, name: str, value: str | bool | float | QByteArray) -> None:
        """Remember a value."""
        self._store.setValue(name, value)

    @property
    def theme(self) -> str:
        """`system`, `light` or `dark`."""
        return self.choice("theme", THEMES, "system")

    @property
    def detector(self) -> str:
        """A detector's name."""
        return self.choice("detector", tuple(DETECTORS), "auto")

    @property
    def labels(self) -> str:
        """A label set's name."""
        return self.choice("labels", tuple(USER_LABELS), "seven")

    @property
    def threshold(self) -> float:
        """A face whose confidence is below this is `not sure`, 0–1."""
        return self._share("threshold")

    @property
    def balance(self) -> float | None:
        """As `Pipeline` takes it, 0–1; None for the model's own rule."""
        return self._share("balance") if self._store.value("balance", "") != "" else None

    @property
    def draw(self) -> tuple[str, ...]:
        """What is drawn of each face's geometry; see `mien.reading.shape_drawing`."""
        kept = str(self._store.value("draw", "")).split(",")
        return tuple(name for name in DRAWINGS if name in kept)

    @property
    def model(self) -> str | None:
        """A bundled name or a folder; None for the default."""
        return str(self._store.value("model", "")) or None

    @property
    def save_folder(self) -> Path | None:
        """Where snapshots and recordings are saved; None until one is chosen."""
        value = str(self._store.value("save_folder", ""))
        return Path(value) if value else None

    @property
    def geometry(self) -> QByteArray:
        """The window's position and size in Qt's own format."""
        value = self._store.value("geometry", QByteArray())
        # The file may have been edited by hand.
        return value if isinstance(value, QByteArray) else QByteArray()


def pictures_folder() -> Path:
    """The system's pictures folder, suggested for snapshots and recordings."""
    place = QStandardPaths.writableLocation(QStandardPaths.StandardLocation.PicturesLocation)
    return Path(place) if place else Path.home()


def ask_file(parent: QWidget) -> str | None:
    """The path of a video or photo; None if cancelled."""
    kinds = " ".join(f"*{suffix}" for suffix in sorted({*VIDEO_SUFFIXES, *SUFFIXES}))
    path, _ = QFileDialog.getOpenFileName(parent, "Open file", "", f"Videos and photos ({kinds});;All files (*)")
    return path or None


def ask_folder(parent: QWidget, title: str, start: Path) -> Path | None:
    """A folder; None if cancelled."""
    path = QFileDialog.getExistingDirectory(parent, title, str(start))
    return Path(path) if path else None


@dataclass(frozen=True)
class Dialogs:
    """The file dialogs of the window; each returns None when the user cancels."""

    file: Callable[[QWidget], str | None] = ask_file
    folder: Callable[[QWidget, str, Path], Path | None] = ask_folder
