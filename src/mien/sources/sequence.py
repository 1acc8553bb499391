"""Pictures in a row as frames: a folder or pattern of files, and frames or arrays from Python."""

from __future__ import annotations

import glob
import itertools
import re
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np

from mien.closing import Closing
from mien.errors import ConfigError, SourceError
from mien.images.pictures import MAX_PIXELS, SUFFIXES, read, to_rgb
from mien.sources.container import check_size
from mien.sources.stream import FrameSource, Sampler, Sampling, StreamInfo
from mien.structures import Frame, UInt8

DEFAULT_RATE_HZ = 25.0


class ImageSequence(Closing):
    """Picture files as the frames of a film, in natural order: frame_2 before frame_10.

    Args:
        source: a folder, whose own pictures are taken, or a pattern (`shot_*.png`, `shot_%04d.png`).
        sampling: which frames are taken; all, if not given.
        rate_hz: how many make a second.
        max_pixels: limit on width × height of a picture.

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
        self._height, self._width = read(self._paths[0], max_pixels=max_pixels).shape[:2]

    @property
    def info(self) -> StreamInfo:
        """What is known beforehand."""
        count = len(self._paths)
        return StreamInfo(self._name, self._width, self._height, self._rate_hz, count, count / self._rate_hz)

    def __iter__(self) -> Iterator[Frame]:
        """The frames that were asked for; the pictures between are not opened.

        Raises:
            SourceError: a picture cannot be read, or has another size than the first.
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
                "expected frames of one size (pictures of their own are read one by one, not as a sequence)"
            )
        return image


class FrameSequence(Closing):
    """Frames or arrays that a program makes itself, one by one as they are needed.

    Args:
        items: frames, which keep their index and time, or RGB uint8 (H, W, 3) or grey (H, W) arrays, which are
            numbered and timed by `rate_hz`; a source of frames is closed along with this one.
        sampling: which frames are taken; all, if not given.
        rate_hz: how many arrays make a second.
        max_pixels: limit on width × height of a frame.

    Raises:
        SourceError: when there is none, or the first is no picture.
    """

    def __init__(
        self, items: FrameSource | Iterable[Frame] | Iterable[UInt8], sampling: Sampling | None = None, *,
        rate_hz: float = DEFAULT_RATE_HZ, max_pixels: int = MAX_PIXELS,
    ) -> None:  # fmt: skip
        self._items, self._rate_hz, self._max_pixels = items, check_rate(rate_hz), max_pixels
        self._sampling = sampling or Sampling()
        self._closed = False
        frames = self._number()
        first = next(frames, None)
        if first is None:
            raise SourceError("expected frames or RGB arrays, there are none")
        self._frames = itertools.chain([first], frames)
        known = getattr(items, "info", None)
        height, width = first.image.shape[:2]
        self._info = known if isinstance(known, StreamInfo) else StreamInfo(first.source, width, height, rate_hz)

    @property
    def info(self) -> StreamInfo:
        """What is known beforehand."""
        return self._info

    def __iter__(self) -> Iterator[Frame]:
        """The frames that were asked for.

        Raises:
            SourceError: what comes is no picture.
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
        if isinstance(getattr(self._items, "info", None), StreamInfo):
            self._items.close()  # type: ignore[union-attr]

    def _number(self) -> Iterator[Frame]:
        for index, item in enumerate(self._items):
            frame = item if isinstance(item, Frame) else _frame_of(item, index, index / self._rate_hz)
            check_size(frame.image.shape[1], frame.image.shape[0], f"frame {frame.index}", self._max_pixels)
            yield frame


def find_pictures(source: str) -> list[Path]:
    """The pictures of a folder or pattern in natural order.

    Raises:
        SourceError: when there are none.
    """
    if Path(source).is_dir():
        paths = [path for path in Path(source).iterdir() if not path.name.startswith(".")]
        missing = "a folder without pictures"
    else:
        paths = _matches(source)
        missing = "no picture matches this pattern"
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
    return tuple((0, int(part), "") if part.isdigit() and part.isascii() else (1, 0, part) for part in parts)


def is_pattern(source: str) -> bool:
    """Whether this stands for several files: it has `*`, `?`, `[…]` or a number like `%04d`, and is itself no file."""
    return (glob.has_magic(source) or NUMBER.search(source) is not None) and not Path(source).exists()


def check_rate(rate_hz: float) -> float:
    """A rate above 0, or a ConfigError."""
    if not rate_hz > 0:
        raise ConfigError(f"expected a rate above 0 frames a second, not {rate_hz}")
    return rate_hz


NUMBER = re.compile(r"%(?:0(\d+))?d")


def _matches(pattern: str) -> list[Path]:
    # Path.glob takes no absolute pattern.
    found = NUMBER.search(pattern)
    if found is None:
        return [Path(path) for path in glob.glob(pattern, recursive=True)]  # noqa: PTH207
    before, after = pattern[: found.start()], pattern[found.end() :]
    digits = rf"\d{{{int(found[1])},}}" if found[1] else r"\d+"
    named = re.compile(re.escape(before) + digits + re.escape(after), re.ASCII)
    paths = glob.glob(glob.escape(before) + "*" + glob.escape(after))  # noqa: PTH207
    return [Path(path) for path in paths if named.fullmatch(path)]


def _frame_of(item: object, index: int, time_s: float) -> Frame:
    name = f"frame {index}"
    if not isinstance(item, np.ndarray):
        raise SourceError(f"{name}: expected a Frame or an RGB uint8 array (H, W, 3), not {type(item).__name__}")
    if item.dtype != np.uint8 or item.ndim not in (2, 3) or item.shape[2:] not in ((), (1,), (3,)) or 0 in item.shape:
        raise SourceError(f"{name}: expected an RGB uint8 array (H, W, 3), not {item.dtype} {item.shape}")
    return Frame(np.ascontiguousarray(to_rgb(item)), "frames", index, time_s)
