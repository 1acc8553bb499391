"""What a sink is, and a file that is whole at every moment."""

from __future__ import annotations

from pathlib import Path
from types import TracebackType
from typing import Protocol, Self

from mien.errors import ConfigError
from mien.structures import Result


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
        raise ConfigError(
            f"{path} is there already: choose another name, or allow it with --overwrite (overwrite=True)"
        )


def cannot_write(path: Path, error: OSError, remark: str = "") -> ConfigError:
    """The error to raise when the system refuses to write a file."""
    return ConfigError(f"cannot write {path}: {error.strerror or error}{remark}")


def part_of(path: Path) -> Path:
    """The file beside the target that is written until all is done."""
    return path.with_name(f"{path.name}.part")


class PartFile:
    """Writes to `<name>.part` beside the target and gives it the target's name when it is closed.

    Each text reaches the system at once and as a whole, so that a kill leaves all texts but at most a half last one.
    When the disk is full, a half text is cut off again.

    Args:
        path: the target.
        append: go on behind what the part holds.

    Raises:
        ConfigError: the file cannot be written.
    """

    def __init__(self, path: Path, *, append: bool = False) -> None:
        self.path = path
        self.part = part_of(path)
        try:
            self._file = self.part.open("ab" if append else "wb", buffering=0)
            self.size = self._file.seek(0, 2)
        except OSError as error:
            raise cannot_write(path, error) from error

    def write(self, text: str) -> None:
        """Add a text; odd bytes of a file name that is no Unicode are written as \\udcXX.

        Raises:
            ConfigError: it cannot be written; what was there before is whole.
        """
        data = memoryview(text.encode("utf-8", errors="backslashreplace"))
        done = 0
        try:
            while done < len(data):
                done += self._file.write(data[done:])
        except OSError as error:
            self._file.truncate(self.size)
            raise cannot_write(self.path, error, f"; what was written so far is in {self.part}") from error
        self.size += len(data)

    def release(self) -> None:
        """Close the part and let it lie."""
        self._file.close()

    def close(self) -> None:
        """Give the finished file its name."""
        self._file.close()
        try:
            self.part.replace(self.path)
        except OSError as error:
            raise cannot_write(self.path, error, f"; all rows are in {self.part}") from error
