"""The files of a data set below a folder or in a zip archive, by name, before any of them is opened."""

from __future__ import annotations

import hashlib
import os
import zipfile
import zlib
from collections import Counter
from collections.abc import Iterable
from functools import cached_property
from pathlib import Path, PurePosixPath

from mien.errors import ConfigError, DataError, SourceError
from mien.images.pictures import MAX_BYTES
from mien.images.pictures import SUFFIXES as PICTURE_SUFFIXES
from mien.sources.container import VIDEO_SUFFIXES

HIDDEN = (".", "_")
"""Names that begin so are of file managers and archivers, and are never looked at."""

SAMPLED = 12
"""Files of each folder and ending that are looked at to recognise a layout: a folder may hold a million."""


class FileTree:
    """Files below a folder or in a zip archive, by their relative names; may be shared by threads.

    Args:
        path: the folder or archive.

    Raises:
        DataError: it cannot be listed, or the archive is damaged, encrypted, or names files outside itself.
        ConfigError: it is neither.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._zip: zipfile.ZipFile | None = None
        if path.is_dir():
            self.names = _names_below(path)
        elif path.suffix.lower() == ".zip":
            self._zip = _open_zip(path)
            names = (name for name in self._zip.namelist() if not name.endswith("/") and not _hidden(name))
            self.names = sorted(names, key=_parts)
        else:
            raise ConfigError(f"{path}: expected a folder or a .zip with the pictures")
        self.known = frozenset(self.names)

    @property
    def archive(self) -> Path | None:
        """The zip archive, or None for a folder."""
        return None if self._zip is None else self.path

    @cached_property
    def samples(self) -> list[str]:
        """Some files of every folder and ending, those of upper folders first."""
        counts: Counter[tuple[str, str]] = Counter()
        found = []
        for name in self.names:
            folder, _, base = name.rpartition("/")
            key = folder, base.rpartition(".")[2]
            counts[key] += 1
            if counts[key] <= SAMPLED:
                found.append(name)
        return sorted(found, key=lambda name: (name.count("/"), name))

    @cached_property
    def _by_base(self) -> dict[str, list[str]]:
        found: dict[str, list[str]] = {}
        for name in self.names:
            found.setdefault(name.rpartition("/")[2], []).append(name)
        return found

    def find(self, name: str) -> str | None:
        """The file of that name; where it is not there, the only one of that base name in any folder."""
        if name in self.known:
            return name
        # A path that is not there is wrong; a bare name may be in any folder.
        if "/" in name:
            return None
        found = self._by_base.get(name, [])
        return found[0] if len(found) == 1 else None

    def find_end(self, name: str) -> str | None:
        """The only file whose path ends so, in whatever folders."""
        found = [entry for entry in self._by_base.get(name.rpartition("/")[2], []) if entry.endswith(f"/{name}")]
        return found[0] if len(found) == 1 else None

    def below(self, folder: str) -> list[str]:
        """The files of a folder and its subfolders; the folder ends in a slash, or is empty for all."""
        return self.names if not folder else [name for name in self.names if name.startswith(folder)]

    def read(self, name: str) -> bytes:
        """The content of a file.

        Raises:
            SourceError: it cannot be read, or is over `images.MAX_BYTES`.
        """
        return read_file(f"{self.path}/{name}", self.path / name if self._zip is None else name, self._zip)

    def read_text(self, name: str) -> str:
        """The content of a small text file.

        Raises:
            DataError: it cannot be read, or is not text.
        """
        try:
            # Some editors begin a file with a byte-order mark.
            return self.read(name).decode("utf-8-sig")
        except SourceError as error:
            raise DataError(str(error)) from error
        except UnicodeDecodeError as error:
            raise DataError(f"{self.path}/{name}: expected a text file, found bytes that are no text") from error

    def path_of(self, name: str) -> Path:
        """The file on disk.

        Raises:
            ConfigError: it is in an archive.
        """
        if self._zip is not None:
            raise ConfigError(f"{self.path}: videos are read from a folder, not from an archive: unpack it")
        return self.path / name

    def stamp(self, names: Iterable[str] | None = None, *, replaced: bool = False) -> str:
        """A hash that changes when one of these files, or any, is added, removed or written.

        With `replaced` also when one takes another's place with its size and time: by a copy of the same, too.
        """
        digest = hashlib.sha256()
        for name in self.names if names is None else names:
            if self._zip is not None:
                # The archive's own checksums spare reading it.
                info = self._zip.getinfo(name)
                line = f"{name} {info.file_size} {info.CRC}\n"
            else:
                stat = (self.path / name).stat()
                inode = f" {stat.st_ctime_ns} {stat.st_ino}" if replaced else ""
                line = f"{name} {stat.st_size} {stat.st_mtime_ns}{inode}\n"
            digest.update(line.encode("utf-8", "surrogateescape"))
        return digest.hexdigest()

    def close(self) -> None:
        """Close the archive."""
        if self._zip is not None:
            self._zip.close()


def is_picture(name: str) -> bool:
    """Whether a file is a still image by its ending."""
    return PurePosixPath(name).suffix.lower() in PICTURE_SUFFIXES


def is_video(name: str) -> bool:
    """Whether a file is a video by its ending."""
    return PurePosixPath(name).suffix.lower() in VIDEO_SUFFIXES


def count_endings(names: Iterable[str]) -> str:
    """How many files there are of each ending, the most frequent first.

    >>> count_endings(["a.heic", "b.HEIC", "c.mp4", "LICENSE"])
    '2 .heic, 1 .mp4, 1 without an ending'
    """
    counts = Counter(PurePosixPath(name).suffix.lower() for name in names)
    return ", ".join(f"{count:,} {ending or 'without an ending'}" for ending, count in counts.most_common())


def read_file(label: str, place: Path | str, archive: zipfile.ZipFile | None) -> bytes:
    """The content of a file, or of an entry of an archive.

    Raises:
        SourceError: it cannot be read, or is over `images.MAX_BYTES`; the message begins with the label.
    """
    try:
        with place.open("rb") if isinstance(place, Path) else archive.open(place) as file:  # type: ignore[union-attr]
            # One byte more than allowed is enough to refuse it; an archive's own figures of sizes are not believed.
            data = file.read(MAX_BYTES + 1)
    # An encrypted entry and an unknown compression are RuntimeErrors, damage is what zlib and zipfile make of it.
    except (OSError, RuntimeError, EOFError, ValueError, zipfile.BadZipFile, zlib.error) as error:
        raise SourceError(f"{label}: cannot be read: {error}") from error
    if len(data) > MAX_BYTES:
        raise SourceError(f"{label}: over {MAX_BYTES:,} bytes, expected one picture")
    return data


def _hidden(name: str) -> bool:
    return any(part.startswith(HIDDEN) for part in name.split("/"))


def _names_below(folder: Path) -> list[str]:
    found: list[str] = []

    def fail(error: OSError) -> None:
        # Without it `os.walk` passes over what it may not enter.
        raise DataError(f"{error.filename} cannot be read: {error.strerror or error}") from error

    for place, folders, files in os.walk(folder, onerror=fail):
        # In place, which is how `os.walk` learns what not to enter.
        folders[:] = [name for name in folders if not name.startswith(HIDDEN)]
        below = Path(place).relative_to(folder).as_posix()
        before = "" if below == "." else f"{below}/"
        found += [f"{before}{name}" for name in files if not name.startswith(HIDDEN)]
    return sorted(found, key=_parts)


def _parts(name: str) -> list[str]:
    """Names are sorted as paths are, folder by folder."""
    return name.split("/")


def _open_zip(path: Path) -> zipfile.ZipFile:
    try:
        archive = zipfile.ZipFile(path)
    except (OSError, zipfile.BadZipFile) as error:
        raise DataError(f"{path} cannot be read as a zip archive: {error}") from error
    for info in archive.infolist():
        name = PurePosixPath(info.filename.replace("\\", "/"))
        wrong = None
        # A colon is the drive of a Windows path.
        if name.is_absolute() or ".." in name.parts or ":" in name.parts[0]:
            wrong = "names a file outside the archive"
        # The first bit of the flags of an entry says that it is encrypted.
        elif info.flag_bits & 1:
            wrong = "is encrypted"
        if wrong:
            archive.close()
            raise DataError(f"{path}: its member {info.filename!r} {wrong}: such an archive is not read")
    return archive
