"""Rows out of every source of a recipe: read, labelled, and what gives no label written down."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import numpy.typing as npt

from mien.errors import DataError
from mien.images import pictures as images
from mien.labels import SEVEN, VOTE_COLUMNS
from mien.workshop.data.base import NO_LABEL, FaceDataset
from mien.workshop.data.factory import load_dataset
from mien.workshop.data.ferplus import majority
from mien.workshop.data.recipes.files import Files
from mien.workshop.data.recipes.listing import Item, crowd_numbers, label_numbers, list_items
from mien.workshop.data.recipes.reading import Piece, Progress, Reader, read_items
from mien.workshop.data.recipes.recipe import LoadedRecipe, Output, Source
from mien.workshop.data.recipes.rows import FREE, Ledger, Loss, Rows

UNKNOWN, NF = VOTE_COLUMNS.index("unknown"), VOTE_COLUMNS.index("NF")
_MAX_NAMED = 5


class Opened:
    """A source that was found: its FER2013, or its files with the items in them; `stamp` changes with its content."""

    def __init__(self, source: Source, path: Path, table: Path | None) -> None:
        self.source = source
        self.faces: FaceDataset | None = None
        self.files: Files | None = None
        self.items: list[Item] = []
        if source.kind == "fer2013":
            self.faces = _load_fer2013(source, path)
            self.stamp = self.faces.sha256
            self.labels = {name: SEVEN.index(name) for name in SEVEN}
        else:
            self.files = Files(path)
            self.items = list_items(source, self.files, table)
            self.labels = label_numbers(source, [item.label for item in self.items])
            self.stamp = hashlib.sha256((self.files.stamp() + repr(self.items)).encode("utf-8", "replace")).hexdigest()

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
    faces = load_dataset(path, check_counts=not source.any_size)
    if source.labels_from == "majority":
        if faces.votes is None:
            raise DataError(
                f"source {source.name!r}: labels_from is majority, but {path} comes without FER+ votes: "
                'put ferplus.csv beside the csv, or set labels_from = "labels"'
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
        table = np.array([*(numbers[name] for name in SEVEN), NO_LABEL])
        return _labelled(rows, table[rows.labels], ledger)
    return _by_majority(rows, source, ledger)


def _by_majority(rows: Rows, source: Source, ledger: Ledger) -> Rows:
    top = majority(rows.votes)
    counted = np.where(rows.votes > 1, rows.votes, 0)
    likeliest = counted.argmax(axis=1)
    likeliest[~counted.any(axis=1)] = -1
    details = [" ".join(map(str, vote)) for vote in rows.votes]
    reasons = np.full(len(rows), "no majority", object)
    reasons[likeliest == UNKNOWN] = "unclear"
    reasons[likeliest == NF] = "not a face"
    numbers = crowd_numbers(source)
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
    if len(unreadable) > source.max_unreadable * given:
        named = "\n".join(loss.detail for loss in unreadable[:_MAX_NAMED])
        raise DataError(
            f"source {source.name!r}: {len(unreadable):,} of {given:,} pictures cannot be read, more than "
            f"max_unreadable = {source.max_unreadable:g} allows:\n{named}"
        )
    taken = [items[number] for number in numbers]
    times_s = np.concatenate([piece.times_s for piece in pieces])
    clips = [f"{source.name}/{item.file}" if source.kind == "video" else "" for item in taken]
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


def _labelled(
    rows: Rows, labels: npt.NDArray[np.int64], ledger: Ledger, words: npt.NDArray[np.str_] | None = None
) -> Rows:
    """The rows with these labels; those without one are written down."""
    labelled = Rows(**{**vars(rows), "labels": labels.astype(np.int64)})
    return ledger.without(labelled, labels == NO_LABEL, "label", words)


def _freed(rows: Rows) -> Rows:
    return Rows(**{**vars(rows), "split": np.full(len(rows), FREE, np.int8)})


def _sized(pictures: npt.NDArray[np.uint8], output: Output) -> npt.NDArray[np.uint8]:
    if pictures.shape[1:] == (output.size, output.size) and output.channels == 1:
        return pictures
    to_channels = images.to_grey if output.channels == 1 else images.to_rgb
    return np.stack([images.resize(to_channels(picture), output.size, output.size) for picture in pictures])
