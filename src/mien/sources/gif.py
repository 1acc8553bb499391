"""Whether a GIF is all there: FFmpeg takes what comes for the whole of it."""

from __future__ import annotations

from pathlib import Path
from typing import BinaryIO

IMAGE, EXTENSION = b"\x2c", b"\x21"


def breaks_off(path: str | Path) -> bool:
    """Whether a GIF file ends before its trailer; what is no block of a GIF counts as its end."""
    with Path(path).open("rb") as file:
        screen = file.read(13)
        if len(screen) < 13:
            return True
        file.seek(_table_bytes(screen[10]), 1)
        while kind := file.read(1):
            if kind == EXTENSION:
                file.seek(1, 1)
            elif kind == IMAGE:
                descriptor = file.read(9)
                if len(descriptor) < 9:
                    return True
                file.seek(_table_bytes(descriptor[8]) + 1, 1)
            else:
                return False
            if not _skip_blocks(file):
                return True
    return True


def _table_bytes(flags: int) -> int:
    return 3 << (flags & 7) + 1 if flags & 0x80 else 0


def _skip_blocks(file: BinaryIO) -> bool:
    """Go past the data of a block; False where the file ends in it."""
    while length := file.read(1):
        if length == b"\x00":
            return True
        file.seek(length[0], 1)
    return False
