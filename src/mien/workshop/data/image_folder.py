"""Photos as people took them, in folders by class or named in a table; their faces have to be found first."""

from __future__ import annotations

import contextlib
import zipfile
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import numpy as np

from mien.arrays import Int8, Int64
from mien.errors import DataError, SourceError
from mien.labels import EIGHT, SEVEN
from mien.workshop.data.base import SPLITS, read_csv_rows
from mien.workshop.data.file_tree import FileTree, read_file
from mien.workshop.data.layouts.class_folders import find_class_folders, read_class_folders
from mien.workshop.data.layouts.codings import Classes, read_classes

SIDE_PX = 48
TABLE = "labels.csv"
ARCHIVE = "images.zip"
FILE_COLUMNS = ("image", "file", "filename", "path")
LABEL_COLUMNS = ("emotion", "label", "class", "expression")
MAX_NAMED = 5


@dataclass(frozen=True)
class LabelledPhotos:
    """Photos that are not opened yet, with their labels.

    Args:
        name: what the data set is called in reports.
        ids: str (N,), which file each comes from.
        labels: int64 (N,), index into `labels.SEVEN`.
        split: int8 (N,), index into `base.SPLITS`.
        files: where each is: a file, or its name in `archive`.
        archive: a zip file, or None.
        notes: how labels were read and what was left out, in a sentence each.
        coding: whose numbers the labels were read as, one of `layouts.codings.CODINGS`; empty for words.
    """

    name: str
    ids: tuple[str, ...]
    labels: Int64
    split: Int8
    files: tuple[Path | str, ...]
    archive: Path | None = None
    notes: tuple[str, ...] = ()
    coding: str = ""

    def __len__(self) -> int:
        return len(self.ids)

    def iter_bytes(self) -> Iterator[bytes | SourceError]:
        """The file of each photo in turn, or why it cannot be read; at most `images.MAX_BYTES` of it."""
        with contextlib.ExitStack() as stack:
            archive = stack.enter_context(zipfile.ZipFile(self.archive)) if self.archive else None
            for name, place in zip(self.ids, self.files, strict=True):
                found: bytes | SourceError
                try:
                    found = read_file(name, place, archive)
                except SourceError as error:
                    found = error
                yield found


def has_table(path: Path) -> bool:
    """Whether a folder holds a table of photos, `labels.csv`."""
    return (path / TABLE).is_file()


def find_photos(path: Path, classes: Classes | None = None) -> LabelledPhotos:
    """List the labelled photos below a folder.

    With a `labels.csv` they are those that it names, in the folder itself, in its `images/`, or in `images.zip`; all
    are test. Its columns are `image` (or `file`, `filename`, `path`) and `emotion` (or `label`, `class`,
    `expression`). Else they are in folders by class as `layouts.class_folders` describes; those of validation and test
    are listed, and without splits all are test. Labels are the vocabulary's words, their aliases, or FER2013's numbers;
    contempt, not one of the seven, is left out and noted.

    Args:
        path: the folder.
        classes: names or numbers of classes, with a label each.

    Raises:
        DataError: no such folder, no photo, an unknown label, or a missing file that the table names.
    """
    if not path.is_dir():
        raise DataError(
            f"{path}: expected a folder of photos: with {TABLE} beside images/ or {ARCHIVE}, or with a folder a class"
        )
    return _photos_of_table(path, classes or {}) if has_table(path) else _photos_in_folders(path, classes or {})


def _photos_in_folders(path: Path, classes: Classes) -> LabelledPhotos:
    files = FileTree(path)
    listing = read_class_folders(files, find_class_folders(files, classes) or "", classes)
    samples = [sample for sample in listing.samples if sample.label in SEVEN]
    if not samples:
        raise DataError(f"{path}: no photos in it: expected {TABLE}, or <class>/… or test/<class>/…")
    test, in_splits = SPLITS.index("test"), listing.splits == "own"
    kept = [sample for sample in samples if not in_splits or sample.split != "train"]
    if not kept:
        raise DataError(
            f"{path}: no photo outside of train ({len(samples):,} there): expected some in test/ or validation/"
        )
    left_out = len(samples) - len(kept)
    return LabelledPhotos(
        name=path.resolve().name,
        ids=tuple(sample.file for sample in kept),
        labels=np.array([SEVEN.index(sample.label) for sample in kept], np.int64),
        split=np.array([SPLITS.index(sample.split) if in_splits else test for sample in kept], np.int8),
        files=tuple(path / sample.file for sample in kept),
        coding=listing.coding,
        notes=(*listing.notes, *([f"Photos of train, which are not used: {left_out:,}."] if left_out else [])),
    )


def _photos_of_table(path: Path, classes: Classes) -> LabelledPhotos:
    rows = _read_table(path / TABLE)
    words = dict.fromkeys(label for _, _, label in rows)
    reading = read_classes(words, path.resolve().name, classes, where=str(path / TABLE), what="labels")
    refuse(
        path / TABLE,
        [f"line {line}: {label!r}" for line, _, label in rows if not reading.labels[label]],
        f"unknown labels: expected {', '.join(EIGHT)}, another word for one of them, or FER2013's numbers 0–6",
    )
    expressions = [(name, reading.labels[label]) for _, name, label in rows]
    kept = [(name, SEVEN.index(label)) for name, label in expressions if label in SEVEN]
    if not kept:
        raise DataError(f"{path / TABLE}: no photo with one of the labels {', '.join(SEVEN)}")
    files = locate(path, [name for name, _ in kept])
    contempt = sum(label == EIGHT[-1] for _, label in expressions)
    note = f"Photos labelled contempt, which is not one of the seven classes, left out: {contempt:,}."
    return LabelledPhotos(
        name=path.resolve().name,
        ids=tuple(name for name, _ in kept),
        labels=np.array([label for _, label in kept], np.int64),
        split=np.full(len(kept), SPLITS.index("test"), np.int8),
        files=tuple(files),
        archive=path / ARCHIVE if any(isinstance(place, str) for place in files) else None,
        coding=reading.coding,
        notes=(*reading.notes, *([note] if contempt else [])),
    )


def _read_table(table: Path) -> list[tuple[int, str, str]]:
    """Line, file and label of each row."""
    names, rows = read_csv_rows(table, "a csv of labels")
    header = [name.lower() for name in names]
    columns = [
        next((header.index(name) for name in names if name in header), -1) for names in (FILE_COLUMNS, LABEL_COLUMNS)
    ]
    if -1 in columns:
        raise DataError(
            f"{table}, line 1: expected a column {' or '.join(FILE_COLUMNS)} and a column "
            f"{' or '.join(LABEL_COLUMNS)}, found {', '.join(header) or 'nothing'}"
        )
    short = [f"line {line}" for line, row in rows if len(row) <= max(columns)]
    refuse(table, short, "rows that end early")
    found = [(line, row[columns[0]].strip(), row[columns[1]].strip()) for line, row in rows]
    counts = Counter(name for _, name, _ in found)
    twice = [f"line {line}: {name}" for line, name, _ in found if counts[name] > 1]
    refuse(table, twice, "lines that name a file which another line names as well")
    return found


def locate(path: Path, names: Iterable[str]) -> list[Path | str]:
    """Where each file of a folder's table is: a path, or its name in `images.zip`.

    Raises:
        DataError: naming those that are nowhere.
    """
    archive = path / ARCHIVE
    entries = _entries(archive) if archive.is_file() else {}
    found: list[Path | str] = []
    missing = []
    for name in names:
        # A table that somebody else made must not name files outside of its folder.
        inside = PurePosixPath(name)
        place = next((path / part / name for part in ("", "images") if (path / part / name).is_file()), None)
        entry = next((entries[key] for key in (name, f"images/{name}") if key in entries), None)
        if not name or inside.is_absolute() or ".." in inside.parts or (place is None and entry is None):
            missing.append(name or "(no name)")
        elif place is not None:
            found.append(place)
        else:
            assert entry is not None
            found.append(entry)
    refuse(path / TABLE, missing, f"files that are neither in {path}, in its images/, nor in {ARCHIVE}")
    return found


def _entries(archive: Path) -> Mapping[str, str]:
    try:
        with zipfile.ZipFile(archive) as file:
            # Some archives made on Windows have backslashes.
            return {name.replace("\\", "/"): name for name in file.namelist()}
    except (OSError, zipfile.BadZipFile) as error:
        raise DataError(f"{archive} cannot be read as a zip archive: {error}") from error


def refuse(path: Path, wrong: list[str], what: str) -> None:
    """Raise DataError if anything is wrong; the message counts it, says what it is and names the first ones."""
    if wrong:
        more = f"\nand {len(wrong) - MAX_NAMED:,} more" if len(wrong) > MAX_NAMED else ""
        named = "\n".join(wrong[:MAX_NAMED])
        raise DataError(f"{path}: {len(wrong):,} {what}:\n{named}{more}")
