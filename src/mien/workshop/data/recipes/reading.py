"""Pictures and clips read, faces found and cropped: in threads, in pieces that are kept for a build that is stopped."""

from __future__ import annotations

import threading
import zipfile
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from mien.errors import SourceError
from mien.faces.crops import crop_square
from mien.faces.detection import Detector
from mien.faces.factory import create_detector
from mien.files import replacing
from mien.images import pictures as images
from mien.sources.stream import Sampling
from mien.sources.video import VideoFile
from mien.workshop.data.recipes.files import Files
from mien.workshop.data.recipes.listing import Item
from mien.workshop.data.recipes.recipe import Output, Source

UInt8 = npt.NDArray[np.uint8]
Progress = Callable[[str, int, int], None]
"""Told the step, how much of it is done, and of how much."""

PIECE = 128
"""Pictures that are read and kept together; a video is a piece of its own."""


@dataclass(frozen=True)
class Piece:
    """What some items of a source gave.

    Args:
        images: uint8 (N, H, W) or (N, H, W, 3), in the size of the output.
        items: int64 (N,), which item of the source each is from.
        times_s: float64 (N,), when in its clip; NaN for pictures.
        boxes: float32 (N, 4), xyxy pixels of the original; NaN for what was a crop already.
        lost_items: int64 (M,), items or frames that gave no face.
        lost_times_s: float64 (M,), when in its clip; NaN for pictures.
        lost_reasons, lost_details: str (M,); see `rows.REASONS`.
    """

    images: UInt8
    items: npt.NDArray[np.int64]
    times_s: npt.NDArray[np.float64]
    boxes: npt.NDArray[np.float32]
    lost_items: npt.NDArray[np.int64]
    lost_times_s: npt.NDArray[np.float64]
    lost_reasons: npt.NDArray[np.str_]
    lost_details: npt.NDArray[np.str_]


class Reader:
    """Brings the items of one source to the size of the output.

    Args:
        source: how its pictures are taken.
        files: where they are.
        output: what is made of them.
    """

    def __init__(self, source: Source, files: Files, output: Output) -> None:
        self.source, self.files, self.output = source, files, output
        self._detectors = threading.local()

    def read(self, items: Sequence[Item], first: int) -> Piece:
        """The faces of some items, the number of whose first is `first`."""
        found, lost = _Found(self.output), _Lost()
        for number, item in enumerate(items, start=first):
            if self.source.kind == "video":
                self._read_clip(number, item, found, lost)
                continue
            try:
                picture = images.decode(self.files.read(item.file), name=item.file)
            except SourceError as error:
                lost.add(number, np.nan, "unreadable", str(error))
                continue
            self._take(picture, number, np.nan, found, lost)
        return Piece(**found.arrays(), **lost.arrays())

    def _read_clip(self, number: int, item: Item, found: _Found, lost: _Lost) -> None:
        time_s = np.nan
        try:
            with VideoFile(self.files.path_of(item.file), Sampling(rate_hz=1 / self.source.every_s)) as frames:
                for frame in frames:
                    time_s = frame.time_s
                    self._take(frame.image, number, time_s, found, lost)
        except SourceError as error:
            lost.add(number, time_s, "unreadable", str(error))

    def _take(self, picture: UInt8, number: int, time_s: float, found: _Found, lost: _Lost) -> None:
        if not self.source.detect:
            found.add(picture, number, time_s, np.full(4, np.nan, np.float32))
            return
        faces = self._detector().detect(picture)
        if len(faces) == 0:
            lost.add(number, time_s, "no face", f"{picture.shape[1]} × {picture.shape[0]} pixels")
        elif len(faces) > 1 and self.source.several == "drop":
            lost.add(number, time_s, "several faces", f"{len(faces)} faces")
        else:
            sides = faces.boxes[:, 2:] - faces.boxes[:, :2]
            box = faces.boxes[int(sides.prod(axis=1).argmax())]
            found.add(crop_square(picture, box, scale=self.output.crop_scale), number, time_s, box)

    def _detector(self) -> Detector:
        """One a thread: a shared one would let a single picture in at a time."""
        if not hasattr(self._detectors, "own"):
            self._detectors.own = create_detector(self.output.detector)
        own: Detector = self._detectors.own
        return own


class _Found:
    """Faces as they come."""

    def __init__(self, output: Output) -> None:
        self.output = output
        self.images: list[UInt8] = []
        self.items: list[int] = []
        self.times_s: list[float] = []
        self.boxes: list[npt.NDArray[np.float32]] = []

    def add(self, crop: UInt8, item: int, time_s: float, box: npt.NDArray[np.float32]) -> None:
        side = self.output.size
        picture = images.to_grey(crop) if self.output.channels == 1 else images.to_rgb(crop)
        self.images.append(images.resize(picture, side, side))
        self.items.append(item)
        self.times_s.append(time_s)
        self.boxes.append(box)

    def arrays(self) -> dict[str, Any]:
        side, rgb = self.output.size, (3,) if self.output.channels == 3 else ()
        return {
            "images": np.array(self.images, np.uint8).reshape(-1, side, side, *rgb),
            "items": np.array(self.items, np.int64),
            "times_s": np.array(self.times_s, np.float64),
            "boxes": np.array(self.boxes, np.float32).reshape(-1, 4),
        }


class _Lost:
    """What gave no face, as it comes."""

    def __init__(self) -> None:
        self.rows: list[tuple[int, float, str, str]] = []

    def add(self, item: int, time_s: float, reason: str, detail: str) -> None:
        self.rows.append((item, time_s, reason, detail))

    def arrays(self) -> dict[str, Any]:
        items, times_s, reasons, details = zip(*self.rows, strict=True) if self.rows else ((), (), (), ())
        return {
            "lost_items": np.array(items, np.int64),
            "lost_times_s": np.array(times_s, np.float64),
            "lost_reasons": np.array(reasons, np.str_),
            "lost_details": np.array(details, np.str_),
        }


def read_items(reader: Reader, items: Sequence[Item], folder: Path, *, workers: int, progress: Progress) -> list[Piece]:
    """All pieces of a source, in order; those that lie in `folder` are not made again.

    Args:
        reader: of the source.
        items: of the source.
        folder: where pieces are kept.
        workers: threads.
        progress: told how many items are done.

    Raises:
        OSError: the disk is full, or not to be written to; what was kept stays.
    """
    size = 1 if reader.source.kind == "video" else PIECE
    starts = range(0, len(items), size)
    step = f"read {reader.source.name}"
    done = 0

    def make(start: int) -> Piece:
        path = folder / f"{reader.source.name}-{start:08d}.npz"
        kept = _load(path)
        if kept is not None:
            return kept
        piece = reader.read(items[start : start + size], start)
        with replacing(path) as file:
            np.savez(file, allow_pickle=False, **vars(piece))
        return piece

    pieces: dict[int, Piece] = {}
    with ThreadPoolExecutor(workers) as pool:
        running: dict[Future[Piece], int] = {pool.submit(make, start): start for start in starts}
        try:
            while running:
                for future in wait(running, return_when=FIRST_COMPLETED).done:
                    start = running.pop(future)
                    pieces[start] = future.result()
                    done += min(size, len(items) - start)
                    progress(step, done, len(items))
        except BaseException:
            pool.shutdown(wait=True, cancel_futures=True)
            raise
    return [pieces[start] for start in starts]


def _load(path: Path) -> Piece | None:
    """A piece that was kept, or None where there is none or it is damaged."""
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as archive:
            return Piece(**{name: archive[name] for name in Piece.__dataclass_fields__})
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
        return None
