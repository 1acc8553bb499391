"""Images that users name, opened one by one: files, folders, patterns, standard input, arrays, bytes."""

from __future__ import annotations

import glob
import itertools
import os
import re
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from mien.closing import Closing
from mien.errors import ConfigError, SourceError, shortened
from mien.images.header import sniff
from mien.images.pictures import MAX_PIXELS, SUFFIXES, Notify, decode, read, warn
from mien.sources.container import check_size, head_of
from mien.sources.inputs import (
    bytes_from_file,
    bytes_from_text,
    check_color,
    image_from_array,
    image_from_pillow,
    is_one_image,
    is_pillow,
    read_stdin,
    refusal,
)  # fmt: skip
from mien.sources.stream import FrameSource, Sampler, Sampling, StreamInfo
from mien.structures import Frame, UInt8

if TYPE_CHECKING:
    from PIL.Image import Image

    from mien.sources.inputs import ImageInput

STDIN = "-"
NUMBER = re.compile(r"%(?:0(\d+))?d")
DEFAULT_RATE_HZ = 25.0


@dataclass(frozen=True)
class Item:
    """One image that was named but not opened yet.

    Args:
        name: what to call it in results and messages.
        content: a path, the bytes of a file, an array, a Pillow image, an open file, or the reason why there is none.
        color: the order of an array's channels.
    """

    name: str
    content: Any
    color: str = "rgb"


def iter_items(
    sources: ImageInput | Iterable[ImageInput], *, color: str = "rgb", on_notice: Notify | None = None
) -> Iterator[Item]:
    """Name the images of all sources in order; nothing is opened yet.

    A folder stands for the images in it and below, sorted, hidden ones left out; a pattern (`*`, `?`, `[…]`, `**`) for
    the files that match, sorted; `-` for one image on standard input; an array (N, H, W, C) for N images. What leads
    to no image is an item too, with its error.

    Args:
        sources: one or several of: path, bytes, binary file, Pillow image, array.
        color: the order of the channels of arrays, `rgb` or `bgr`.
        on_notice: hears of the files of a folder that are skipped.

    Raises:
        ConfigError: neither an image nor several.
    """
    check_color(color)
    each = [sources] if is_one_image(sources) else cast("Iterable[Any]", sources)
    for number, source in enumerate(each):
        item = name_item(source, number, color=color)
        # A wrong object among the sources is the caller's mistake, unlike a name that leads nowhere.
        if each is not sources and isinstance(item.content, SourceError) and not isinstance(source, str):
            raise ConfigError(str(refusal(source, "sources")))
        # Only the text: Path("-") is a file of that name.
        if item.name == STDIN and isinstance(source, str):
            yield Item(STDIN, read_stdin())
        elif isinstance(item.content, Path):
            yield from _iter_path(item, on_notice)
        else:
            yield item


def name_item(source: Any, number: int = 0, *, color: str = "rgb") -> Item:
    """One source as one item: a folder or pattern stays a path."""
    if isinstance(source, str | os.PathLike):
        return _name_path(os.fsdecode(source))
    if isinstance(source, bytes | bytearray | memoryview):
        return Item(f"bytes {number}", bytes(source))
    if isinstance(source, np.ndarray):
        return Item(f"array {number}", source, color)
    if is_pillow(source):
        return Item(str(getattr(source, "filename", "")) or f"image {number}", source)
    if hasattr(source, "read"):
        name = getattr(source, "name", None)
        return Item(name if isinstance(name, str) else f"file {number}", source)
    return Item(f"item {number}", refusal(source, f"item {number}"))


def read_item(item: Item, *, max_pixels: int = MAX_PIXELS, on_notice: Notify | None = None) -> Frame:
    """Open an image.

    Raises:
        SourceError: it cannot be read or is over `max_pixels`.
    """
    content, name = item.content, item.name
    if isinstance(content, SourceError):
        raise content
    if isinstance(content, np.ndarray):
        return Frame(image_from_array(content, name, color=item.color), name)
    if is_pillow(content):
        return Frame(image_from_pillow(content, name), name)
    if isinstance(content, Path):
        return Frame(read(content, max_pixels=max_pixels, on_notice=on_notice), name)
    data = content if isinstance(content, bytes) else bytes_from_file(content, name)
    return Frame(decode(data, name=name, max_pixels=max_pixels, on_notice=on_notice), name)


def _name_path(name: str) -> Item:
    if not name:
        return Item(name, SourceError("expected the path of an image, not an empty text"))
    try:
        # An existing file wins, even if its name could be base64.
        data = None if exists(name) else bytes_from_text(name)
    except SourceError as error:
        return Item(shortened(name, 40), error)
    return Item(name, Path(name)) if data is None else Item(shortened(name, 40), data)


def _iter_path(item: Item, on_notice: Notify | None) -> Iterator[Item]:
    name = item.name
    if exists(name) and item.content.is_dir():
        yield from _iter_folder(name, on_notice)
    elif glob.has_magic(name) and not exists(name):
        # A file may have brackets in its name.
        yield from _iter_pattern(name)
    else:
        yield item


def exists(name: str) -> bool:
    """Whether there is such a file or folder; False for an impossible name."""
    try:
        return Path(name).exists()
    except (OSError, ValueError):
        return False


def _iter_folder(name: str, on_notice: Notify | None) -> Iterator[Item]:
    empty = True
    skipped: Counter[str] = Counter()
    for item in _walk(name, skipped):
        empty = False
        yield item
    if empty:
        others = f" ({describe_skipped(skipped)})" if skipped else ""
        yield Item(name, SourceError(f"{name}: a folder without images{others}"))
    elif skipped:
        (on_notice or warn)(f"{name}: {describe_skipped(skipped)}")


def describe_skipped(skipped: Counter[str]) -> str:
    """How many files were skipped, by their endings.

    >>> describe_skipped(Counter({".mp4": 2, ".txt": 1}))
    '3 files skipped: 2 .mp4, 1 .txt'
    """
    kinds = ", ".join(f"{count} {suffix}" for suffix, count in skipped.most_common(6))
    more = ", …" if len(skipped) > 6 else ""
    return f"{skipped.total()} file{'' if skipped.total() == 1 else 's'} skipped: {kinds}{more}"


def _walk(name: str, skipped: Counter[str]) -> Iterator[Item]:
    closed: list[OSError] = []
    # Without `onerror`, os.walk silently skips folders that it cannot open.
    for folder, below, files in os.walk(name, onerror=closed.append):
        # In place: os.walk descends into what is left in this list.
        below[:] = sorted(child for child in below if not child.startswith("."))
        for file in sorted(files):
            if file.startswith("."):
                continue
            path = Path(folder, file)
            # The name first: it opens no file.
            if path.suffix.lower() in SUFFIXES or sniff(head_of(path) or b"") is not None:
                yield Item(str(path), path)
            else:
                skipped[path.suffix.lower() or "without an ending"] += 1
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


class ImageSequence(Closing):
    """Image files as the frames of a video, in natural order: frame_2 before frame_10.

    Args:
        source: a folder (not those below it), or a pattern (`shot_*.png`, `shot_%04d.png`).
        sampling: which frames are taken; all, if not given.
        rate_hz: frames per second.
        max_pixels: limit on width × height of an image.

    Raises:
        SourceError: when there are none, or the first one cannot be read.
    """

    def __init__(
        self, source: str, sampling: Sampling | None = None, *, rate_hz: float = DEFAULT_RATE_HZ,
        max_pixels: int = MAX_PIXELS,
    ) -> None:  # fmt: skip
        self._name, self._rate_hz, self._max_pixels = source, check_rate(rate_hz), max_pixels
        self._sampling = sampling or Sampling()
        self._paths = find_pictures(source)
        self._closed = False
        # Read again in its turn: `info` has to state the size before the iteration begins.
        self._height, self._width = read(self._paths[0], max_pixels=max_pixels).shape[:2]

    @property
    def info(self) -> StreamInfo:
        """What is known before the first frame."""
        count = len(self._paths)
        return StreamInfo(self._name, self._width, self._height, self._rate_hz, count, count / self._rate_hz)

    def __iter__(self) -> Iterator[Frame]:
        """The frames that were asked for; images in between are not opened.

        Raises:
            SourceError: an image cannot be read, or its size differs from the first one.
        """
        sampler = Sampler(self._sampling)
        for index, path in enumerate(self._paths):
            time_s = index / self._rate_hz
            if self._closed or sampler.is_over(time_s):
                return
            if sampler.takes(time_s):
                yield Frame(self._read(path), self._name, index, time_s)

    def close(self) -> None:
        """End the iteration; no file is held open."""
        self._closed = True

    def _read(self, path: Path) -> UInt8:
        image = read(path, max_pixels=self._max_pixels)
        height, width = image.shape[:2]
        if (height, width) != (self._height, self._width):
            raise SourceError(
                f"{path}: {width} × {height} pixels, the sequence began with {self._width} × {self._height}; "
                "expected frames of one size (to analyze separate images, pass them one by one)"
            )
        return image


class FrameSequence(Closing):
    """Frames or arrays that a program makes itself, one by one as they are needed.

    Args:
        items: frames, which keep their index and time, or RGB uint8 (H, W, 3) or grey (H, W) arrays, which are
            numbered and timed by `rate_hz`; a source of frames is closed along with this one.
        sampling: which frames are taken; all, if not given.
        rate_hz: arrays per second.
        max_pixels: limit on width × height of a frame.
        color: the order of the channels of arrays, `rgb` or `bgr`.

    Raises:
        SourceError: when there is none, or the first is not an image.
    """

    def __init__(
        self, items: FrameSource | Iterable[Frame] | Iterable[UInt8], sampling: Sampling | None = None, *,
        rate_hz: float = DEFAULT_RATE_HZ, max_pixels: int = MAX_PIXELS, color: str = "rgb",
    ) -> None:  # fmt: skip
        check_color(color)
        self._color = color
        self._items, self._rate_hz, self._max_pixels = items, check_rate(rate_hz), max_pixels
        self._sampling = sampling or Sampling()
        self._closed = False
        frames = self._number()
        first = next(frames, None)
        if first is None:
            raise SourceError("expected frames or RGB arrays, got none")
        self._frames = itertools.chain([first], frames)
        known = getattr(items, "info", None)
        height, width = first.image.shape[:2]
        self._info = known if isinstance(known, StreamInfo) else StreamInfo(first.source, width, height, rate_hz)

    @property
    def info(self) -> StreamInfo:
        """What is known before the first frame."""
        return self._info

    def __iter__(self) -> Iterator[Frame]:
        """The frames that were asked for.

        Raises:
            SourceError: an item is not an image.
        """
        sampler = Sampler(self._sampling)
        try:
            for frame in self._frames:
                if self._closed or sampler.is_over(frame.time_s):
                    return
                if sampler.takes(frame.time_s):
                    yield frame
        finally:
            self.close()

    def close(self) -> None:
        """End the iteration, and close what the frames come from if it can be closed."""
        self._closed = True
        # A list or generator stays the caller's to close.
        if isinstance(getattr(self._items, "info", None), StreamInfo):
            self._items.close()  # type: ignore[union-attr]

    def _number(self) -> Iterator[Frame]:
        for index, item in enumerate(self._items):
            frame = item if isinstance(item, Frame) else _frame_of(item, index, index / self._rate_hz, self._color)
            check_size(frame.image.shape[1], frame.image.shape[0], f"frame {frame.index}", self._max_pixels)
            yield frame


def find_pictures(source: str) -> list[Path]:
    """The images of a folder or pattern in natural order.

    Raises:
        SourceError: when there are none.
    """
    if Path(source).is_dir():
        paths = [path for path in Path(source).iterdir() if not path.name.startswith(".")]
        missing = "a folder without images"
    else:
        paths = _matches(source)
        missing = "no image matches this pattern"
    pictures = [path for path in paths if path.suffix.lower() in SUFFIXES and path.is_file()]
    if not pictures:
        raise SourceError(f"{source}: {missing} ({', '.join(sorted(SUFFIXES))})")
    return sorted(pictures, key=natural_key)


def natural_key(path: Path) -> tuple[tuple[int, int, str], ...]:
    """Sorts names as people do, numbers by their value.

    >>> [path.name for path in sorted([Path("b1.png"), Path("a10.png"), Path("a9.png")], key=natural_key)]
    ['a9.png', 'a10.png', 'b1.png']
    """
    parts = re.findall(r"\d+|\D+", str(path).lower(), re.ASCII)
    # Tuples of one shape: Python cannot compare int with str. `isascii`, because int() refuses digits such as ².
    return tuple((0, int(part), "") if part.isdigit() and part.isascii() else (1, 0, part) for part in parts)


def is_pattern(source: str) -> bool:
    """Whether this names several files: it has `*`, `?`, `[…]` or a number like `%04d`, and there is no such file."""
    return (glob.has_magic(source) or NUMBER.search(source) is not None) and not Path(source).exists()


def check_rate(rate_hz: float) -> float:
    """A rate above 0, or a ConfigError."""
    if not rate_hz > 0:
        raise ConfigError(f"expected a rate above 0 frames per second, not {rate_hz}")
    return rate_hz


def _matches(pattern: str) -> list[Path]:
    # Path.glob takes no absolute pattern.
    found = NUMBER.search(pattern)
    if found is None:
        return [Path(path) for path in glob.glob(pattern, recursive=True)]  # noqa: PTH207
    before, after = pattern[: found.start()], pattern[found.end() :]
    # %04d pads to four digits and writes longer numbers in full.
    digits = rf"\d{{{int(found[1])},}}" if found[1] else r"\d+"
    named = re.compile(re.escape(before) + digits + re.escape(after), re.ASCII)
    # `*` matches more than digits; the pattern below drops the rest.
    paths = glob.glob(glob.escape(before) + "*" + glob.escape(after))  # noqa: PTH207
    return [Path(path) for path in paths if named.fullmatch(path)]


def _frame_of(item: object, index: int, time_s: float, color: str) -> Frame:
    name = f"frame {index}"
    if isinstance(item, np.ndarray):
        return Frame(image_from_array(item, name, color=color), "frames", index, time_s)
    if is_pillow(item):
        return Frame(image_from_pillow(cast("Image", item), name), "frames", index, time_s)
    raise SourceError(f"{name}: expected a Frame, an array or a Pillow image, not {type(item).__name__}")
