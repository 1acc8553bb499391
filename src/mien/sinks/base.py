"""What a sink is, and a file that is whole at every moment and has one writer."""

from __future__ import annotations

import sys
from pathlib import Path
from types import TracebackType
from typing import IO, Protocol, Self

from mien.errors import ConfigError
from mien.files import try_lock
from mien.reading.results import Result


class Sink(Protocol):
    """Takes results one by one; what was written is complete after `close`."""

    def write(self, result: Result) -> None:
        """Add a result."""
        ...

    def close(self) -> None:
        """Finish the file."""
        ...

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...


def refuse_existing(path: Path, *, overwrite: bool) -> None:
    """Raise ConfigError when there is a file that may not be replaced."""
    if path.exists() and not overwrite:
        raise ConfigError(f"{path} already exists: choose another name, or allow it with --overwrite (overwrite=True)")


def refuse_unfinished(path: Path) -> None:
    """Raise ConfigError when an earlier run has left the part of a file, so that its rows are not lost unasked."""
    part = part_of(path)
    # An empty part has no rows to lose.
    if part.exists() and part.stat().st_size:
        raise ConfigError(
            f"{part} holds the rows of a run that did not finish: add --resume to continue it, or --overwrite "
            "(overwrite=True) to start over"
        )


def cannot_write(path: Path, error: OSError, remark: str = "") -> ConfigError:
    """The error to raise when the system refuses to write a file."""
    return ConfigError(f"cannot write {path}: {error.strerror or error}{remark}")


def part_of(path: Path) -> Path:
    """The file beside the target that is written until all is done."""
    return path.with_name(f"{path.name}.part")


def lock(file: IO[bytes], path: Path) -> None:
    """Take a file for this process until it is closed, also by a kill.

    Raises:
        ConfigError: another run has it, or the system refuses.
    """
    try:
        mine = try_lock(file)
    except OSError as error:
        raise cannot_write(path, error) from error
    if not mine:
        raise ConfigError(f"{path} is being written by another run: wait for it, or choose another name")


class PartFile:
    """Writes to `<name>.part` beside the target and gives it the target's name when it is closed.

    Each text reaches the system at once and as a whole, so that a kill leaves all texts but at most a half last one.
    When the disk is full, a half text is cut off again.

    Args:
        path: the target.
        append: append to the part.

    Raises:
        ConfigError: the file cannot be written, or another run is writing it.
    """

    def __init__(self, path: Path, *, append: bool = False) -> None:
        self.path = path
        self.part = part_of(path)
        try:
            # Emptied only once it is locked: the part may be another run's.
            self._file = self.part.open("ab", buffering=0)
        except OSError as error:
            raise cannot_write(path, error) from error
        try:
            lock(self._file, path)
            if not append:
                self._file.truncate(0)
            self.size = self._file.seek(0, 2)
        except OSError as error:
            self._file.close()
            raise cannot_write(path, error) from error
        except ConfigError:
            self._file.close()
            raise

    def write(self, text: str) -> None:
        """Add a text; odd bytes of a file name that is no Unicode are written as \\udcXX.

        Raises:
            ConfigError: it cannot be written; what was there before is whole.
        """
        data = memoryview(text.encode("utf-8", errors="backslashreplace"))
        done = 0
        try:
            # An unbuffered file may accept only part of the data.
            while done < len(data):
                done += self._file.write(data[done:])
        except OSError as error:
            self._file.truncate(self.size)
            raise cannot_write(self.path, error, f"; what was written so far is in {self.part}") from error
        self.size += len(data)

    def release(self) -> None:
        """Close the part and leave it there."""
        self._file.close()

    def close(self) -> None:
        """Give the finished file its name."""
        # Windows cannot rename an open file.
        if sys.platform == "win32":
            self._file.close()
        try:
            self.part.replace(self.path)
        except OSError as error:
            raise cannot_write(self.path, error, f"; all rows are in {self.part}") from error
        finally:
            # Renamed while it is still locked: nobody may empty the part in between.
            self._file.close()
