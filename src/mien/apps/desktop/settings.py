"""What the window remembers: choices and sizes, never a picture, a file's name or an address."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from PySide6.QtCore import QByteArray, QSettings, QStandardPaths

from mien.apps.desktop.theme import THEMES
from mien.artifact import store
from mien.faces.factory import DETECTORS
from mien.labels import USER_LABELS


class Settings:
    """Typed access to the settings file; whatever is not valid there counts as not set."""

    def __init__(self, path: Path | None = None) -> None:
        self._store = QSettings(str(path or store.home() / "desktop.ini"), QSettings.Format.IniFormat)

    def save(self) -> None:
        """Write what was set."""
        self._store.sync()

    def choice(self, name: str, valid: tuple[str, ...], default: str) -> str:
        """A word out of a list."""
        value = str(self._store.value(name, default))
        return value if value in valid else default

    def flag(self, name: str, default: bool) -> bool:
        """Yes or no."""
        return str(self._store.value(name, default)).lower() == "true"

    def _part(self, name: str) -> float:
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
        """Under this probability a face is `not sure`, 0–1."""
        return self._part("threshold")

    @property
    def balance(self) -> float:
        """How equally frequent expressions are taken to be, 0–1."""
        return self._part("balance")

    @property
    def model(self) -> str | None:
        """A bundled name or a folder; None for the default."""
        return str(self._store.value("model", "")) or None

    @property
    def save_folder(self) -> Path | None:
        """Where snapshots and recordings go; None until it was chosen."""
        value = str(self._store.value("save_folder", ""))
        return Path(value) if value else None

    @property
    def geometry(self) -> QByteArray:
        """The window's place and size, as Qt keeps it."""
        value = self._store.value("geometry", QByteArray())
        return value if isinstance(value, QByteArray) else QByteArray()


def pictures_folder() -> Path:
    """Where the system keeps pictures: what is proposed for snapshots and recordings."""
    place = QStandardPaths.writableLocation(QStandardPaths.StandardLocation.PicturesLocation)
    return Path(place) if place else Path.home()


@dataclass(frozen=True)
class Wishes:
    """What the command line asks for; None leaves what was chosen last time."""

    source: str | None = None
    model: str | None = None
    detector: str | None = None
    labels: str | None = None
    min_confidence: float | None = None
    balance: float | None = None
    theme: str | None = None
