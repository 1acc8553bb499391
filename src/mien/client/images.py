"""Images to upload: files, bytes and arrays; the standard library turns arrays into PNG."""

from __future__ import annotations

import os
import struct
import zlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

from mien.errors import ConfigError, SourceError


@runtime_checkable
class Array(Protocol):
    """NumPy arrays and the like."""

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


Image = str | os.PathLike[str] | bytes | Array

BATCH = 8
BATCH_BYTES = 16 * 2**20
"""The limits of one request."""


@dataclass(frozen=True)
class Upload:
    """The bytes of an image file, and its name in results."""

    name: str
    data: bytes


def open_image(image: Image, number: int) -> Upload:
    """An image ready to upload; `number` names one without a path.

    Raises:
        SourceError: the file cannot be read.
        ConfigError: its type is not supported.
    """
    if isinstance(image, bytes):
        return Upload(f"image {number}", image)
    if isinstance(image, str | os.PathLike):
        name = os.fspath(image)
        try:
            return Upload(name, Path(name).read_bytes())
        except OSError as error:
            raise SourceError(f"{name}: cannot be read: {error.strerror or error}") from error
    if isinstance(image, Array):
        return Upload(f"image {number}", encode_png(image))
    raise ConfigError(f"expected a path, a file's bytes or a uint8 array, not {type(image).__name__}")


def as_list(images: Image | Iterable[Image]) -> list[Image]:
    """A list of images; an array is one image."""
    # Names, bytes and arrays can be iterated too.
    if isinstance(images, str | os.PathLike | bytes | Array):
        return [images]
    return list(images)


def iter_batches(images: Iterable[Image]) -> Iterator[list[Upload]]:
    """The images of one request each; raises like `open_image`."""
    waiting: list[Upload] = []
    for number, image in enumerate(images, 1):
        upload = open_image(image, number)
        size = sum(len(other.data) for other in waiting) + len(upload.data)
        if waiting and (len(waiting) >= BATCH or size > BATCH_BYTES):
            yield waiting
            waiting = []
        waiting.append(upload)
    if waiting:
        yield waiting


def encode_png(array: Array) -> bytes:
    """RGB uint8 (H, W, 3) or gray (H, W) as a PNG file; ConfigError for another shape or type."""
    shape: Sequence[int] = array.shape
    channels = shape[2] if len(shape) == 3 else 1
    if str(array.dtype) != "uint8" or len(shape) not in (2, 3) or channels not in (1, 3) or 0 in shape:
        raise ConfigError(f"expected RGB uint8 (H, W, 3) or gray (H, W), not {array.dtype} {tuple(shape)}")
    height, width = shape[0], shape[1]
    data, stride = array.tobytes(), width * channels
    # Each row of a PNG begins with its filter; 0 is none.
    lines = b"".join(b"\0" + data[row * stride : (row + 1) * stride] for row in range(height))
    header = struct.pack(">IIBBBBB", width, height, 8, 2 if channels == 3 else 0, 0, 0, 0)
    parts = [(b"IHDR", header), (b"IDAT", zlib.compress(lines, 1)), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(_chunk(kind, content) for kind, content in parts)


def _chunk(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))
