"""Files that exist as a whole or, after an error or a kill, stay as they were; locks; archives read with care."""

from __future__ import annotations

import contextlib
import errno
import math
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from mien.errors import OutputError

if TYPE_CHECKING:
    import numpy.typing as npt

LARGEST_RATIO, SMALL_BYTES = 100, 1 << 26
"""An archive may unpack to so many times its size; a small one to `SMALL_BYTES` in any case."""


def require_free(
    path: Path, *, overwrite: bool = False, advice: str = "choose another name, or add --overwrite"
) -> None:
    """Check that an output may be written: long work checks that before it begins.

    Raises:
        OutputError: it already exists and is not to be overwritten, or it is a folder.
    """
    if path.exists() and not overwrite:
        raise OutputError(f"{path} already exists: {advice}")
    if path.is_dir():
        raise OutputError(f"{path} is a folder: choose another name")


def write_whole(path: Path, content: bytes, *, sync: bool = False) -> None:
    """Write a file, or replace one; see `replacing`."""
    with replacing(path, sync=sync) as file:
        file.write(content)


@contextlib.contextmanager
def replacing(path: Path, *, sync: bool = False) -> Iterator[IO[bytes]]:
    """A new file that takes the place of `path` when the block ends well, and is removed when it does not.

    Args:
        path: in an existing folder.
        sync: wait until content and name are on the disk, so that a power failure cannot undo them.

    Raises:
        OSError: it cannot be written, with the file's name; an older file stays.
    """
    # Random rather than the process's number: threads, and machines that share a folder, may write at the same time.
    partial = path.with_name(f".{path.name}.{os.urandom(4).hex()}.part")
    try:
        # x: two writers that drew the same name must not share the file.
        with partial.open("xb") as file:
            yield file
            if sync:
                file.flush()
                os.fsync(file.fileno())
        # In the same folder, since only within a file system a rename is atomic.
        partial.replace(path)
        if sync:
            _sync_folder(path.parent)
    except OSError as error:
        # A full disk shows in `write`, which knows no name; and the other one's is nobody's business.
        if error.filename in (None, str(partial)):
            error.filename = str(path)
        raise
    finally:
        partial.unlink(missing_ok=True)


def try_lock(file: IO[Any]) -> bool:
    """Take an open file for this process until it is closed, also by a kill; whether it could be had.

    A file system without locks, as some of a network are, gives it to everyone: one writer is then the user's care.

    Raises:
        OSError: the system refuses for another reason.
    """
    if sys.platform == "win32":
        import msvcrt

        # Far behind what is written: others may read a file whose first bytes are not locked.
        file.seek(1 << 30)
        try:
            msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
        except OSError:
            return False
        return True
    import fcntl

    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError as error:
        if error.errno not in (errno.ENOLCK, errno.ENOTSUP, errno.ENOSYS):
            raise
    return True


def _sync_folder(folder: Path) -> None:
    """Have a new name on the disk before the next file is written, where the system can."""
    # Windows cannot open a folder, and some network file systems cannot sync one.
    with contextlib.suppress(OSError):
        number = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(number)
        finally:
            os.close(number)


def read_npz(
    source: Path | IO[bytes], names: tuple[str, ...] | None = None, *, optional: tuple[str, ...] = ()
) -> dict[str, npt.NDArray[Any]]:
    """The arrays of an npz archive, by name.

    What is pickled, what unpacks to more than `LARGEST_RATIO` times its size, and headers that promise more than the
    archive holds are refused before anything is unpacked.

    Args:
        source: a file, or its path.
        names: arrays that must be there; all of the archive's if None.
        optional: further ones, which may be missing.

    Raises:
        OSError: it cannot be read.
        ValueError: it is damaged or refused, or an array is missing.
    """
    # Here, because reading a photo opens no archive and a command should start quickly.
    import zipfile
    import zlib

    import numpy as np

    with contextlib.ExitStack() as stack:
        file = stack.enter_context(source.open("rb")) if isinstance(source, Path) else source
        try:
            archive = stack.enter_context(zipfile.ZipFile(file))
            members = {info.filename.removesuffix(".npy"): info for info in archive.infolist()}
            # The sizes that the archive's index states; `_require_honest` compares each with its array.
            size, unpacked = file.seek(0, os.SEEK_END), sum(info.file_size for info in members.values())
            if unpacked > max(SMALL_BYTES, LARGEST_RATIO * size):
                raise ValueError(f"{size:,} bytes unpack to {unpacked:,}, more than {LARGEST_RATIO} times as many")
            wanted = list(members) if names is None else [*names, *(name for name in optional if name in members)]
            missing = [name for name in wanted if name not in members]
            if missing:
                raise ValueError(
                    f"no array {', '.join(missing)}: expected {', '.join(wanted)}, found {', '.join(members)}"
                )
            found = {}
            for name in wanted:
                with archive.open(members[name]) as member:
                    # Before NumPy makes room for what a header promises.
                    _require_honest(name, member, members[name].file_size)
                with archive.open(members[name]) as member:
                    found[name] = np.lib.format.read_array(member, allow_pickle=False)
            return found
        # zipfile raises RuntimeError for encrypted members, NotImplementedError for unknown compressions.
        except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError) as error:
            raise ValueError(f"not a whole npz archive: {error}") from error


def _require_honest(name: str, member: IO[bytes], size: int) -> None:
    """Raise ValueError unless an array's header promises just the bytes that follow it, and no pickle."""
    from numpy.lib import format as form

    readers = {(1, 0): form.read_array_header_1_0, (2, 0): form.read_array_header_2_0}
    version = form.read_magic(member)
    # Format 3.0 only adds field names beyond Latin-1, and plain arrays have no fields.
    if version not in readers:
        raise ValueError(f"{name}: an array of format {version}, expected 1.0 or 2.0")
    try:
        shape, _, kind = readers[version](member)
    except Exception as error:
        # The header is Python, which NumPy takes apart with Python's own tools, and they raise what they like.
        raise ValueError(f"{name}: its header is damaged: {error}") from error
    if kind.hasobject:
        raise ValueError(f"{name}: holds pickled objects, which can run code when they are opened")
    # NumPy allocates what the header promises before it reads a byte.
    promised, there = math.prod(shape) * kind.itemsize, size - member.tell()
    if promised != there:
        raise ValueError(f"{name}: {promised:,} bytes promised, {there:,} there")
