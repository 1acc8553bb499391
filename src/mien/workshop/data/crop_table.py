"""A folder of face crops with a table of them: `labels.csv` with a column `split`.

    image,label,split,valence,arousal,intensity
    faces/0001.png,happy,train,0.7,0.3,1
    faces/0002.png,,validation,-0.25,,

Every column but `image` and `split` may be missing, and every cell of them may be empty. Without a column `split` such
a table lists photos to evaluate models on, in which faces have to be found first: see `image_folder.find_photos`.
"""

from __future__ import annotations

import hashlib
import zipfile
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

from mien.arrays import UInt8
from mien.errors import DataError, SourceError
from mien.images import pictures as images
from mien.labels import EIGHT, SEVEN
from mien.workshop.data.affect_columns import affect_names, none_if_empty, parse_affect
from mien.workshop.data.base import NO_LABEL, SPLIT_NAMES, SPLITS, FaceDataset, Origin, read_csv_rows
from mien.workshop.data.file_tree import read_file
from mien.workshop.data.image_folder import (
    ARCHIVE,
    FILE_COLUMNS,
    LABEL_COLUMNS,
    SIDE_PX,
    TABLE,
    locate,
    refuse,
)
from mien.workshop.data.layouts.codings import Classes, Reading, read_classes

SPLIT = "split"


def has_crop_table(folder: Path) -> bool:
    """Whether a folder's `labels.csv` lists face crops by split."""
    table = folder / TABLE
    return table.is_file() and SPLIT in [name.lower() for name in read_csv_rows(table, "a csv of labels")[0]]


def read_crop_table(folder: Path, classes: Classes | None = None) -> FaceDataset:
    """Read the crops of a folder's `labels.csv` as grey 48×48, in the order of its lines; their ids are their files.

    Images are in the folder itself, in its `images/`, or in `images.zip`. Labels are the vocabulary's words, their
    aliases, or FER2013's numbers; contempt, which is not one of the seven, is a row without a label. Splits are train,
    validation and test, or another word for one of them.

    Args:
        folder: the folder.
        classes: names or numbers of classes, with a label each.

    Raises:
        DataError: an unknown label or split, a value out of range, a row with neither label nor value, or an image that
            is missing or damaged; the message names line or file.
    """
    table = folder / TABLE
    names, lines = read_csv_rows(table, "a csv of labels")
    header = [name.lower() for name in names]
    file_column = next((header.index(name) for name in FILE_COLUMNS if name in header), None)
    if file_column is None or not lines:
        raise DataError(f"{table}: expected a column {' or '.join(FILE_COLUMNS)}, and rows")
    short = [f"line {line}" for line, row in lines if len(row) != len(header)]
    refuse(table, short, f"rows that have not {len(header)} cells, as the first line has")
    label_column = next((header.index(name) for name in LABEL_COLUMNS if name in header), None)
    words = ["" if label_column is None else row[label_column].strip() for _, row in lines]
    there = dict.fromkeys(filter(None, words))
    reading = read_classes(there, folder.resolve().name, classes or {}, where=str(table), what="labels")
    labels = np.array(
        [_label(table, line, word, reading) for (line, _), word in zip(lines, words, strict=True)], np.int64
    )
    contempt = np.array([word != "" and reading.labels[word] == EIGHT[-1] for word in words])
    split = np.array([_split(table, line, row[header.index(SPLIT)]) for line, row in lines], np.int8)
    columns = {name: [row[place] for _, row in lines] for name, place in affect_names(names).items()}
    affect = none_if_empty(parse_affect(columns, str(table))) if columns else None
    if affect is None and not (labels >= 0).any():
        raise DataError(f"{table}: no row has a label, valence, arousal or intensity: there is nothing to learn from")
    ids = [row[file_column].strip() for _, row in lines]
    refuse(table, [name for name, count in Counter(ids).items() if count > 1], "files that several lines name")
    stack = _read_images(folder, ids)
    content = hashlib.sha256(table.read_bytes() + stack.tobytes())
    origin = Origin("crop_table", "Recognised as face crops with labels.csv.", reading.notes, coding=reading.coding)
    return FaceDataset(
        folder.resolve().name, stack, labels, split, np.array(ids, np.str_), sha256=content.hexdigest(), affect=affect,
        contempt=contempt if contempt.any() else None, origin=origin,
    )  # fmt: skip


def _label(table: Path, line: int, word: str, reading: Reading) -> int:
    if not word:
        return NO_LABEL
    label = reading.labels[word]
    if not label:
        raise DataError(f"{table}, line {line}: {word!r} is not a label: expected {', '.join(SEVEN)}, or nothing")
    return SEVEN.index(label) if label in SEVEN else NO_LABEL


def _split(table: Path, line: int, cell: str) -> int:
    name = SPLIT_NAMES.get(cell.strip().lower())
    if name is None:
        raise DataError(f"{table}, line {line}: split {cell.strip()[:20]!r}: expected one of {', '.join(SPLITS)}")
    return SPLITS.index(name)


def _read_images(folder: Path, names: list[str]) -> UInt8:
    """Grey crops (N, 48, 48); the error names those that cannot be read."""
    places = locate(folder, names)
    archive = zipfile.ZipFile(folder / ARCHIVE) if any(isinstance(place, str) for place in places) else None

    def read(entry: tuple[str, Path | str]) -> UInt8 | str:
        try:
            picture = images.decode(read_file(entry[0], entry[1], archive))
        except SourceError as error:
            return str(error)
        return images.resize(images.to_grey(picture), SIDE_PX, SIDE_PX)

    try:
        with ThreadPoolExecutor() as pool:
            results = list(pool.map(read, zip(names, places, strict=True)))
    finally:
        if archive:
            archive.close()
    refuse(folder, [result for result in results if isinstance(result, str)], "images cannot be read")
    return np.stack([result for result in results if not isinstance(result, str)])
