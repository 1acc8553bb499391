"""The files of a source by name, in a folder or in a zip archive; nothing is ever unpacked to disk."""

from __future__ import annotations

import hashlib
import os
import zipfile
from pathlib import Path, PurePosixPath

from mien.errors import ConfigError, DataError, SourceError
from mien.images.pictures import MAX_BYTES


class Files:
    """Files below a folder or in a zip archive, by their relative names; may be shared by threads.

    Args:
        path: the folder or archive.

    Raises:
        DataError: the archive is damaged, encrypted, or names files outside itself.
        ConfigError: it is neither.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._zip: zipfile.ZipFile | None = None
        if path.is_dir():
            self.names = _names_below(path)
        elif path.suffix.lower() == ".zip":
            self._zip = _open_zip(path)
            self.names = sorted(info.filename for info in self._zip.infolist() if not info.is_dir())
        else:
            raise ConfigError(f"{path}: expected a folder or a .zip with the pictures")
        self._known = set(self.names)
        self._by_base: dict[str, list[str]] = {}
        for name in self.names:
            self._by_base.setdefault(PurePosixPath(name).name, []).append(name)

    def find(self, name: str) -> str | None:
        """The file of that name; where it is not there, the only one of that base name in any folder."""
        if name in self._known:
            return name
        if "/" in name:
            return None
        found = self._by_base.get(name, [])
        return found[0] if len(found) == 1 else None

    def read(self, name: str) -> bytes:
        """The content of a file.

        Raises:
            SourceError: it cannot be read, or is over `images.MAX_BYTES`.
        """
        label = f"{self.path}/{name}"
        try:
            if self._zip is None:
                with (self.path / name).open("rb") as file:
                    data = file.read(MAX_BYTES + 1)
            else:
                with self._zip.open(name) as member:
                    data = member.read(MAX_BYTES + 1)
        except (OSError, zipfile.BadZipFile, NotImplementedError, RuntimeError, EOFError) as error:
            raise SourceError(f"{label}: cannot be read: {error}") from error
        if len(data) > MAX_BYTES:
            raise SourceError(f"{label}: has more than {MAX_BYTES:,} bytes")
        return data

    def path_of(self, name: str) -> Path:
        """The file on disk.

        Raises:
            ConfigError: it is in an archive.
        """
        if self._zip is not None:
            raise ConfigError(f"{self.path}: videos are read from a folder, not from an archive: unpack it")
        return self.path / name

    def stamp(self) -> str:
        """A hash that changes when a file is added, removed or written."""
        if self._zip is not None:
            lines = [f"{info.filename} {info.file_size} {info.CRC}" for info in self._zip.infolist()]
        else:
            stats = [(name, (self.path / name).stat()) for name in self.names]
            lines = [f"{name} {stat.st_size} {stat.st_mtime_ns}" for name, stat in stats]
        return hashlib.sha256("\n".join(lines).encode("utf-8", "surrogateescape")).hexdigest()

    def close(self) -> None:
        """Close the archive."""
        if self._zip is not None:
            self._zip.close()


def _names_below(folder: Path) -> list[str]:
    """Relative names of all files, those that start with a dot or an underscore passed over."""
    found = []
    for place, folders, files in os.walk(folder):
        folders[:] = [name for name in folders if not name.startswith((".", "_"))]
        below = Path(place).relative_to(folder)
        found += [(below / name).as_posix() for name in files if not name.startswith((".", "_"))]
    return sorted(found)


def _open_zip(path: Path) -> zipfile.ZipFile:
    try:
        archive = zipfile.ZipFile(path)
    except (OSError, zipfile.BadZipFile) as error:
        raise DataError(f"{path} cannot be read as a zip archive: {error}") from error
    for info in archive.infolist():
        name = PurePosixPath(info.filename.replace("\\", "/"))
        wrong = None
        if name.is_absolute() or ".." in name.parts or ":" in name.parts[0]:
            wrong = "names a file outside the archive"
        elif info.flag_bits & 1:
            wrong = "is encrypted"
        if wrong:
            archive.close()
            raise DataError(f"{path}: its member {info.filename!r} {wrong}: such an archive is not read")
    return archive
