"""Files that are there as a whole or, after an error or a kill, as they were before."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import IO


def write_whole(path: Path, content: bytes) -> None:
    """Write a file, or replace one.

    Raises:
        OSError: it cannot be written; an older file stays.
    """
    with replacing(path) as file:
        file.write(content)


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[IO[bytes]]:
    """A new file that takes the place of `path` when the block ends well, and goes when it does not.

    Raises:
        OSError: it cannot be written; an older file stays.
    """
    # Random rather than the process's number: threads, and machines that share a folder, may write at the same time.
    partial = path.with_name(f".{path.name}.{os.urandom(4).hex()}.part")
    try:
        with partial.open("xb") as file:
            yield file
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)
