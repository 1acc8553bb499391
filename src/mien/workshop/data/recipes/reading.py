"""Pictures and clips read, faces found and cropped: in threads, in pieces that are kept for a build that is stopped."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from mien.arrays import Float32, Float64, Int64, Str, UInt8
from mien.errors import DataError, SourceError
from mien.faces.detection import Detector, crop_square
from mien.faces.detectors import create_detector
from mien.files import read_npz, replacing
from mien.images import pictures as images
from mien.labels import SEVEN, VOTE_COLUMNS
from mien.sources.stream import Sampling
from mien.sources.video import VideoFile
from mien.workshop.data.base import NO_LABEL, FaceDataset
from mien.workshop.data.factory import load_dataset
from mien.workshop.data.fer2013 import majority
from mien.workshop.data.file_tree import FileTree, count_endings
from mien.workshop.data.recipes.listing import Item, crowd_numbers, label_numbers, list_items
from mien.workshop.data.recipes.recipe import FREE, Ledger, LoadedRecipe, Loss, Output, Rows, Source

Progress = Callable[[str, int, int], None]
"""Called as `progress(step, done, total)`."""

PIECE = 128
"""Pictures that are read and kept together; a video is a piece of its own."""

UNKNOWN, NF = VOTE_COLUMNS.index("unknown"), VOTE_COLUMNS.index("NF")
_MAX_NAMED = 5


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
    items: Int64
    times_s: Float64
    boxes: Float32
    lost_items: Int64
    lost_times_s: Float64
    lost_reasons: Str
    lost_details: Str


class Reader:
    """Brings the items of one source to the size of the output."""

    def __init__(self, source: Source, files: FileTree, output: Output) -> None:
        self.source, self.files, self.output = source, files, output
        self._detectors = threading.local()

    def read(self, items: Sequence[Item], first: int) -> Piece:
        """The faces of some items, the number of whose first is `first`."""
        pile = _Pile(self.output)
        for number, item in enumerate(items, start=first):
            if self.source.kind == "video":
                self._read_clip(number, item, pile)
                continue
            try:
                picture = images.decode(self.files.read(item.file), name=item.file)
            except SourceError as error:
                pile.lose(number, np.nan, "unreadable", str(error))
                continue
            self._take(picture, number, np.nan, pile)
        return pile.piece()

    def _read_clip(self, number: int, item: Item, pile: _Pile) -> None:
        # Of the last frame that could be read, where the clip breaks off.
        time_s = np.nan
        try:
            with VideoFile(self.files.path_of(item.file), Sampling(rate_hz=1 / self.source.every_s)) as frames:
                for frame in frames:
                    time_s = frame.time_s
                    self._take(frame.image, number, time_s, pile)
        except SourceError as error:
            pile.lose(number, time_s, "unreadable", str(error))

    def _take(self, picture: UInt8, number: int, time_s: float, pile: _Pile) -> None:
        if not self.source.detect:
            pile.add(picture, number, time_s, np.full(4, np.nan, np.float32))
            return
        faces = self._detector().detect(picture)
        if len(faces) == 0:
            pile.lose(number, time_s, "no face", f"{picture.shape[1]} × {picture.shape[0]} pixels")
        elif len(faces) > 1 and self.source.several == "drop":
            pile.lose(number, time_s, "several faces", f"{len(faces)} faces")
        else:
            sides = faces.boxes[:, 2:] - faces.boxes[:, :2]
            box = faces.boxes[int(sides.prod(axis=1).argmax())]
            pile.add(crop_square(picture, box, scale=self.output.crop_scale), number, time_s, box)

    def _detector(self) -> Detector:
        """One a thread: a shared one would let a single picture in at a time."""
        if not hasattr(self._detectors, "own"):
            self._detectors.own = create_detector(self.output.detector)
        own: Detector = self._detectors.own
        return own


class _Pile:
    """Faces, and what gave none, as they come."""

    def __init__(self, output: Output) -> None:
        self.output = output
        self.images: list[UInt8] = []
        self.found: list[tuple[int, float, Float32]] = []
        self.lost: list[tuple[int, float, str, str]] = []

    def add(self, crop: UInt8, item: int, time_s: float, box: Float32) -> None:
        picture = images.to_grey(crop) if self.output.channels == 1 else images.to_rgb(crop)
        self.images.append(images.resize(picture, self.output.size, self.output.size))
        self.found.append((item, time_s, box))

    def lose(self, item: int, time_s: float, reason: str, detail: str) -> None:
        self.lost.append((item, time_s, reason, detail))

    def piece(self) -> Piece:
        side, rgb = self.output.size, (3,) if self.output.channels == 3 else ()
        items, times_s, boxes = zip(*self.found, strict=True) if self.found else ((), (), ())
        lost = zip(*self.lost, strict=True) if self.lost else ((), (), (), ())
        lost_items, lost_times_s, reasons, details = lost
        # Types and shapes are given, because an empty list has neither.
        return Piece(
            np.array(self.images, np.uint8).reshape(-1, side, side, *rgb), np.array(items, np.int64),
            np.array(times_s, np.float64), np.array(boxes, np.float32).reshape(-1, 4),
            np.array(lost_items, np.int64), np.array(lost_times_s, np.float64),
            np.array(reasons, np.str_), np.array(details, np.str_),
        )  # fmt: skip


def read_items(reader: Reader, items: Sequence[Item], folder: Path, *, workers: int, progress: Progress) -> list[Piece]:
    """All pieces of a source, in order, made by so many threads; those kept in `folder` are not made again.

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
        # Whole or not at all: a kill must not leave half a piece to resume from.
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
        # Ctrl-C too: to leave the block would otherwise read all that is queued.
        except BaseException:
            pool.shutdown(wait=True, cancel_futures=True)
            raise
    return [pieces[start] for start in starts]


def _load(path: Path) -> Piece | None:
    """A piece that was kept, or None where there is none or it is damaged."""
    try:
        return Piece(**read_npz(path, tuple(Piece.__dataclass_fields__)))
    except (OSError, ValueError):
        return None


class Opened:
    """A source that was found: its FER2013, or its files with the items in them; `stamp` changes with its content."""

    def __init__(self, source: Source, path: Path, table: Path | None) -> None:
        self.source = source
        self.faces: FaceDataset | None = None
        self.files: FileTree | None = None
        self.items: list[Item] = []
        if source.kind == "fer2013":
            self.faces = _load_fer2013(source, path)
            self.stamp = self.faces.sha256
            self.labels = {name: SEVEN.index(name) for name in SEVEN}
        else:
            self.files = FileTree(path)
            self.items = list_items(source, self.files, table)
            self.labels = label_numbers(source, [item.label for item in self.items])
            self.stamp = hashlib.sha256((self.files.stamp() + repr(self.items)).encode("utf-8", "replace")).hexdigest()

    @property
    def passed_over(self) -> str:
        """How many of its files are no items, by their endings; empty where all are."""
        if self.files is None:
            return ""
        read = {item.file for item in self.items}
        return count_endings(name for name in self.files.names if name not in read)

    def close(self) -> None:
        """Let go of its files."""
        if self.files is not None:
            self.files.close()


def open_sources(loaded: LoadedRecipe) -> dict[str, Opened]:
    """Every source with pictures of its own, looked through but not read.

    Raises:
        DataError: a label is unknown, a table does not fit its pictures, or a source is empty.
    """
    real = [source for source in loaded.recipe.sources if source.kind != "synthetic"]
    return {s.name: Opened(s, loaded.paths[s.name], loaded.tables.get(s.name)) for s in real}


def gather(
    opened: Mapping[str, Opened], output: Output, folder: Path, ledger: Ledger, *, workers: int, progress: Progress
) -> Rows:
    """The labelled rows of all sources, one after the other.

    Raises:
        DataError: too many pictures of a source cannot be read, or nothing is left.
    """
    parts = []
    for one in opened.values():
        if one.faces is not None:
            rows = _fer2013_rows(one, output, ledger)
            progress(f"read {one.source.name}", len(one.faces), len(one.faces))
        else:
            assert one.files is not None
            reader = Reader(one.source, one.files, output)
            pieces = read_items(reader, one.items, folder, workers=workers, progress=progress)
            rows = _rows_of_pieces(one, pieces, ledger)
        parts.append(rows if one.source.keep_splits else _freed(rows))
    rows = Rows.joined(parts)
    if not len(rows):
        raise DataError(f"no face with a label is left of {sum(ledger.given.values()):,} pictures")
    return rows


def _load_fer2013(source: Source, path: Path) -> FaceDataset:
    faces = load_dataset(path)
    if source.labels_from == "majority":
        if faces.votes is None:
            raise DataError(
                f"source {source.name!r}: labels_from is majority, but {path} comes without FER+ votes: "
                'put fer2013new.csv (or ferplus.csv) beside the csv, or set labels_from = "labels"'
            )
        crowd_numbers(source)
    return faces


def _fer2013_rows(one: Opened, output: Output, ledger: Ledger) -> Rows:
    """FER2013 with the majority of the FER+ votes as its labels, or its own."""
    faces, source = one.faces, one.source
    assert faces is not None
    n = len(faces)
    ledger.given[source.name] = n
    votes = np.zeros((n, len(VOTE_COLUMNS)), np.uint8) if faces.votes is None else faces.votes
    rows = Rows(
        images=_sized(faces.images, output), labels=faces.labels, split=faces.split, ids=faces.ids,
        sources=np.full(n, source.name), persons=np.full(n, ""), clips=np.full(n, ""), votes=votes,
        boxes=np.full((n, 4), np.nan, np.float32), groups=np.arange(n),
    )  # fmt: skip
    if source.labels_from == "labels":
        numbers = label_numbers(source, SEVEN)
        # Rows without a label are −1, which picks the last entry.
        table = np.array([*(numbers[name] for name in SEVEN), NO_LABEL])
        return _labelled(rows, table[rows.labels], ledger)
    return _by_majority(rows, source, ledger)


def _by_majority(rows: Rows, source: Source, ledger: Ledger) -> Rows:
    top = majority(rows.votes)
    # A single vote counts as none, as in `majority`.
    counted = np.where(rows.votes > 1, rows.votes, 0)
    likeliest = counted.argmax(axis=1)
    likeliest[~counted.any(axis=1)] = -1
    details = [" ".join(map(str, vote)) for vote in rows.votes]
    reasons = np.full(len(rows), "no majority", object)
    reasons[likeliest == UNKNOWN] = "unclear"
    reasons[likeliest == NF] = "not a face"
    numbers = crowd_numbers(source)
    # Rows without a majority are −1, which picks the last entry.
    table = np.array([*(numbers[index] for index in range(len(numbers))), NO_LABEL])
    for reason in ("not a face", "unclear", "no majority"):
        lost = (top == NO_LABEL) & (reasons == reason)
        kept = ~lost
        rows = ledger.without(rows, lost, reason, details)
        top, reasons, details = top[kept], reasons[kept], [d for d, k in zip(details, kept, strict=True) if k]
    return _labelled(rows, table[top], ledger)


def _rows_of_pieces(one: Opened, pieces: list[Piece], ledger: Ledger) -> Rows:
    """The rows of what was read; each row is called after its file, a frame after its time too."""
    source, items = one.source, one.items
    lost = [loss for piece in pieces for loss in _losses(piece, source, items)]
    numbers = np.concatenate([piece.items for piece in pieces])
    given = len(numbers) + len(lost)
    ledger.given[source.name] = given
    ledger.losses += lost
    unreadable = [loss for loss in lost if loss.reason == "unreadable"]
    # A few damaged files are usual; many mean that the path or the format is wrong.
    if len(unreadable) > source.max_unreadable * given:
        named = "\n".join(loss.detail for loss in unreadable[:_MAX_NAMED])
        raise DataError(
            f"source {source.name!r}: {len(unreadable):,} of {given:,} pictures cannot be read, more than "
            f"max_unreadable = {source.max_unreadable:g} allows:\n{named}"
        )
    taken = [items[number] for number in numbers]
    times_s = np.concatenate([piece.times_s for piece in pieces])
    clips = [f"{source.name}/{item.file}" if source.kind == "video" else "" for item in taken]
    # With the source's name: people of two sources may be called alike.
    persons = [f"{source.name}/{item.person}" if item.person else "" for item in taken]
    rows = Rows(
        images=np.concatenate([piece.images for piece in pieces]),
        labels=np.zeros(len(taken), np.int64),
        split=np.array([item.split for item in taken], np.int8),
        ids=np.array([_id(item, time_s) for item, time_s in zip(taken, times_s, strict=True)], np.str_),
        sources=np.full(len(taken), source.name), persons=np.array(persons, np.str_), clips=np.array(clips, np.str_),
        votes=np.array([item.votes for item in taken], np.uint8).reshape(-1, len(VOTE_COLUMNS)),
        boxes=np.concatenate([piece.boxes for piece in pieces]), groups=np.arange(len(taken)),
    )  # fmt: skip
    words = np.array([item.label for item in taken], np.str_)
    labels = np.array([one.labels[word] for word in words], np.int64)
    return _labelled(rows, labels, ledger, words)


def _losses(piece: Piece, source: Source, items: list[Item]) -> list[Loss]:
    columns = zip(piece.lost_items, piece.lost_times_s, piece.lost_reasons, piece.lost_details, strict=True)
    return [Loss(source.name, _id(items[n], time_s), str(why), str(said)) for n, time_s, why, said in columns]


def _id(item: Item, time_s: float) -> str:
    return item.file if np.isnan(time_s) else f"{item.file}@{time_s:.3f}"


def _labelled(rows: Rows, labels: Int64, ledger: Ledger, words: Str | None = None) -> Rows:
    """The rows with these labels; those without one are written down."""
    labelled = Rows(**{**vars(rows), "labels": labels.astype(np.int64)})
    return ledger.without(labelled, labels == NO_LABEL, "label", words)


def _freed(rows: Rows) -> Rows:
    return Rows(**{**vars(rows), "split": np.full(len(rows), FREE, np.int8)})


def _sized(pictures: UInt8, output: Output) -> UInt8:
    if pictures.shape[1:] == (output.size, output.size) and output.channels == 1:
        return pictures
    to_channels = images.to_grey if output.channels == 1 else images.to_rgb
    return np.stack([images.resize(to_channels(picture), output.size, output.size) for picture in pictures])
