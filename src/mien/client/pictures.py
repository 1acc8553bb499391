"""Pictures as the client takes them: files, bytes, arrays; arrays become PNG by the standard library alone."""

from __future__ import annotations

import os
import struct
import zlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

from mien.errors import ConfigError, SourceError


@runtime_checkable
class Array(Protocol):
    """What NumPy's arrays and those like them have."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Length of each axis."""
        ...

    @property
    def dtype(self) -> Any:
        """Type of the values."""
        ...

    def tobytes(self) -> bytes:
        """The values, row by row."""
        ...


Picture = str | os.PathLike[str] | bytes | Array

TOGETHER = 8
TOGETHER_BYTES = 16 * 2**20
"""Pictures of one request: so many, but no more than make so many bytes."""


@dataclass(frozen=True)
class Upload:
    """A picture file's bytes, and what results call it."""

    name: str
    data: bytes


def open_picture(picture: Picture, number: int) -> Upload:
    """A picture ready to be sent.

    Raises:
        SourceError: the file cannot be read.
        ConfigError: it is no picture of a kind that is taken.
    """
    if isinstance(picture, bytes):
        return Upload(f"picture {number}", picture)
    if isinstance(picture, str | os.PathLike):
        name = os.fspath(picture)
        try:
            return Upload(name, Path(name).read_bytes())
        except OSError as error:
            raise SourceError(f"{name}: cannot be read: {error.strerror or error}") from error
    if isinstance(picture, Array):
        return Upload(f"picture {number}", encode_png(picture))
    raise ConfigError(f"expected a path, a file's bytes or a uint8 array, not {type(picture).__name__}")


def as_list(pictures: Picture | Iterable[Picture]) -> list[Picture]:
    """One picture as a list of one; an array is one picture."""
    if isinstance(pictures, str | os.PathLike | bytes | Array):
        return [pictures]
    return list(pictures)


def is_full(waiting: Sequence[Upload], further: Upload) -> bool:
    """Whether the pictures that wait are to be sent before a further one joins them."""
    size = sum(len(upload.data) for upload in waiting) + len(further.data)
    return bool(waiting) and (len(waiting) >= TOGETHER or size > TOGETHER_BYTES)


def encode_png(array: Array) -> bytes:
    """RGB uint8 (H, W, 3) or grey (H, W) as a PNG file.

    Raises:
        ConfigError: another shape or type.
    """
    shape: Sequence[int] = array.shape
    channels = shape[2] if len(shape) == 3 else 1
    if str(array.dtype) != "uint8" or len(shape) not in (2, 3) or channels not in (1, 3) or 0 in shape:
        raise ConfigError(f"expected RGB uint8 (H, W, 3) or grey (H, W), not {array.dtype} {tuple(shape)}")
    height, width = shape[0], shape[1]
    data, stride = array.tobytes(), width * channels
    lines = b"".join(b"\0" + data[row * stride : (row + 1) * stride] for row in range(height))
    header = struct.pack(">IIBBBBB", width, height, 8, 2 if channels == 3 else 0, 0, 0, 0)
    parts = [(b"IHDR", header), (b"IDAT", zlib.compress(lines, 1)), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(_chunk(kind, content) for kind, content in parts)


def _chunk(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))
