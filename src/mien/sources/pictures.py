"""What users name, opened one by one: files, folders, patterns, standard input, arrays, bytes."""

from __future__ import annotations

import glob
import os
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from mien.errors import ConfigError, ImageTooLargeError, SourceError
from mien.images.pictures import MAX_BYTES, MAX_PIXELS, SUFFIXES, decode, read, to_rgb
from mien.structures import Frame

UInt8 = npt.NDArray[np.uint8]
Source = str | os.PathLike[str] | bytes | UInt8

STDIN = "-"


@dataclass(frozen=True)
class Item:
    """One picture that was named but not opened yet.

    Args:
        name: what to call it in results and messages.
        content: a path, the bytes of a file, an array, or the reason why there is nothing to read.
    """

    name: str
    content: Path | bytes | UInt8 | SourceError


def iter_items(sources: Source | Iterable[Source]) -> Iterator[Item]:
    """Name the pictures of all sources in order; nothing is opened yet.

    A folder stands for the pictures in it and below, sorted, hidden ones left out; a pattern (`*`, `?`,
    `[…]`, `**`) for the files that match, sorted; `-` for one picture on standard input. What leads to no
    picture is an item too, with its error.
    """
    if isinstance(sources, str | os.PathLike | bytes | np.ndarray):
        sources = [sources]
    for number, source in enumerate(sources):
        if isinstance(source, np.ndarray):
            yield Item(f"array {number}", source)
        elif isinstance(source, bytes):
            yield Item(f"bytes {number}", source)
        elif not isinstance(source, str | os.PathLike):
            raise ConfigError(f"expected a path, bytes or an array, not {type(source).__name__}")
        elif os.fspath(source) == STDIN:
            yield Item(STDIN, _read_stdin())
        else:
            yield from _iter_path(os.fspath(source))


def read_item(item: Item, *, max_pixels: int = MAX_PIXELS) -> Frame:
    """Open a picture.

    Raises:
        SourceError: when it cannot be read or is over `max_pixels`.
    """
    content = item.content
    if isinstance(content, SourceError):
        raise content
    if isinstance(content, np.ndarray):
        return Frame(_checked(content, item.name), item.name)
    if isinstance(content, bytes):
        return Frame(decode(content, name=item.name, max_pixels=max_pixels), item.name)
    return Frame(read(content, max_pixels=max_pixels), item.name)


def _iter_path(name: str) -> Iterator[Item]:
    path = Path(name)
    if path.is_dir():
        yield from _iter_folder(name)
    elif glob.has_magic(name) and not path.exists():
        yield from _iter_pattern(name)
    else:
        yield Item(name, path)


def _iter_folder(name: str) -> Iterator[Item]:
    empty = True
    for item in _walk(name):
        empty = False
        yield item
    if empty:
        kinds = ", ".join(sorted(SUFFIXES))
        yield Item(name, SourceError(f"{name}: a folder without pictures ({kinds})"))


def _walk(name: str) -> Iterator[Item]:
    closed: list[OSError] = []
    for folder, below, files in os.walk(name, onerror=closed.append):
        below[:] = sorted(child for child in below if not child.startswith("."))
        for file in sorted(files):
            if Path(file).suffix.lower() in SUFFIXES and not file.startswith("."):
                path = Path(folder, file)
                yield Item(str(path), path)
    for error in closed:
        yield Item(str(error.filename), SourceError(f"{error.filename}: cannot be opened: {error.strerror}"))


def _iter_pattern(pattern: str) -> Iterator[Item]:
    # Path.glob takes no absolute pattern.
    found = glob.glob(pattern, recursive=True)  # noqa: PTH207
    paths = sorted(path for path in found if not Path(path).is_dir())
    for path in paths:
        yield Item(path, Path(path))
    if not paths:
        yield Item(pattern, SourceError(f"{pattern}: no file matches this pattern"))


def _read_stdin() -> bytes | SourceError:
    data = sys.stdin.buffer.read(MAX_BYTES + 1)
    if len(data) > MAX_BYTES:
        return ImageTooLargeError(f"standard input: over {MAX_BYTES:,} bytes, expected one picture")
    return data


def _checked(image: UInt8, name: str) -> UInt8:
    if image.dtype != np.uint8:
        raise SourceError(f"{name}: expected uint8 values 0–255, not {image.dtype}")
    if image.ndim not in (2, 3) or image.shape[2:] not in ((), (1,), (3,)) or 0 in image.shape:
        raise SourceError(f"{name}: expected an RGB (H, W, 3) or grey (H, W) array, not {image.shape}")
    return np.ascontiguousarray(to_rgb(image))
