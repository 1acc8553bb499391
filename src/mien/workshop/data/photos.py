"""Photos as people took them, each with the expression of its face: in folders by class, or named in a table.

They are no `FaceDataset` yet: somebody has to find the faces first.
"""

from __future__ import annotations

import contextlib
import csv
import zipfile
import zlib
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import numpy as np
import numpy.typing as npt

from mien.errors import DataError, SourceError
from mien.images.pictures import MAX_BYTES
from mien.labels import EIGHT, SEVEN, canonical
from mien.workshop.data.base import SPLITS
from mien.workshop.data.folder import SPLIT_NAMES, find_pictures

TABLE = "labels.csv"
ARCHIVE = "images.zip"
FILE_COLUMNS = ("image", "file", "filename", "path")
LABEL_COLUMNS = ("emotion", "label", "class", "expression")

MAX_NAMED = 5


@dataclass(frozen=True)
class LabelledPhotos:
    """Photos that are not opened yet, with what people said of them.

    Args:
        name: what the data set is called in reports.
        ids: str (N,), which file each comes from.
        labels: int64 (N,), index into `labels.SEVEN`.
        split: int8 (N,), index into `base.SPLITS`.
        files: where each is: a file, or its name in `archive`.
        archive: a zip file, or None.
        notes: what was left out, in a sentence each.
    """

    name: str
    ids: tuple[str, ...]
    labels: npt.NDArray[np.int64]
    split: npt.NDArray[np.int8]
    files: tuple[Path | str, ...]
    archive: Path | None = None
    notes: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.ids)

    def iter_bytes(self) -> Iterator[bytes | SourceError]:
        """The file of each photo in turn, or why it cannot be read; at most `images.MAX_BYTES` of it."""
        with contextlib.ExitStack() as stack:
            archive = stack.enter_context(zipfile.ZipFile(self.archive)) if self.archive else None
            for name, place in zip(self.ids, self.files, strict=True):
                yield _read(name, place, archive)


def _read(name: str, place: Path | str, archive: zipfile.ZipFile | None) -> bytes | SourceError:
    try:
        if isinstance(place, Path):
            with place.open("rb") as file:
                data = file.read(MAX_BYTES + 1)
        else:
            assert archive is not None
            with archive.open(place) as entry:
                data = entry.read(MAX_BYTES + 1)
    # An encrypted entry and an unknown compression are RuntimeErrors, damage is what zlib and zipfile make of it.
    except (OSError, RuntimeError, EOFError, ValueError, zipfile.BadZipFile, zlib.error) as error:
        return SourceError(f"{name}: cannot be read: {error}")
    return data if len(data) <= MAX_BYTES else SourceError(f"{name}: over {MAX_BYTES:,} bytes, expected one picture")


def has_table(path: Path) -> bool:
    """Whether a folder holds a table of photos, `labels.csv`."""
    return (path / TABLE).is_file()


def find_photos(path: Path) -> LabelledPhotos:
    """List the labelled photos below a folder.

    With a `labels.csv` they are those that it names, in the folder itself, in its `images/`, or in `images.zip`; all
    are test. Its columns are `image` (or `file`, `filename`, `path`) and `emotion` (or `label`, `class`,
    `expression`). Else they lie in folders by class as `datasets.folder` describes; those of validation and test are
    listed, and without splits all are test. Labels are the vocabulary's words, their aliases, or FER2013's numbers;
    contempt, which is none of the seven, is left out and noted.

    Raises:
        DataError: no such folder, no photo, a label that is none, or a file that the table names and that is not there.
    """
    if not path.is_dir():
        raise DataError(
            f"{path}: expected a folder of photos: with {TABLE} beside images/ or {ARCHIVE}, or with a folder a class"
        )
    return _from_table(path) if has_table(path) else _from_folders(path)


def _from_folders(path: Path) -> LabelledPhotos:
    found = find_pictures(path)
    if not found:
        raise DataError(f"{path}: no photos in it: expected {TABLE}, or <class>/… or test/<class>/…")
    test = SPLITS.index("test")
    in_splits = any(entry.name.lower() in SPLIT_NAMES for entry in path.iterdir() if entry.is_dir())
    kept = [picture for picture in found if not in_splits or picture.split != SPLITS.index("train")]
    if not kept:
        raise DataError(
            f"{path}: no photo outside of train ({len(found):,} there): expected some in test/ or validation/"
        )
    left_out = len(found) - len(kept)
    return LabelledPhotos(
        name=path.resolve().name,
        ids=tuple(picture.id for picture in kept),
        labels=np.array([picture.label for picture in kept], np.int64),
        split=np.array([picture.split if in_splits else test for picture in kept], np.int8),
        files=tuple(picture.path for picture in kept),
        notes=(f"Photos of train that are not looked at: {left_out:,}.",) if left_out else (),
    )


def _from_table(path: Path) -> LabelledPhotos:
    rows = _read_table(path / TABLE)
    expressions = [(name, _expression(label)) for _, name, label in rows]
    _refuse(
        path / TABLE,
        [
            f"line {line}: {label!r}"
            for (line, _, label), (_, known) in zip(rows, expressions, strict=True)
            if not known
        ],
        f"labels that are none: expected {', '.join(EIGHT)}, another word for one of them, or FER2013's numbers 0–6",
    )
    kept = [(name, SEVEN.index(label)) for name, label in expressions if label in SEVEN]
    if not kept:
        raise DataError(f"{path / TABLE}: no photo with one of the labels {', '.join(SEVEN)}")
    files = _locate(path, [name for name, _ in kept])
    left_out = len(rows) - len(kept)
    note = f"Photos labelled contempt, which is none of the seven classes and left out: {left_out:,}."
    return LabelledPhotos(
        name=path.resolve().name,
        ids=tuple(name for name, _ in kept),
        labels=np.array([label for _, label in kept], np.int64),
        split=np.full(len(kept), SPLITS.index("test"), np.int8),
        files=tuple(files),
        archive=path / ARCHIVE if any(isinstance(place, str) for place in files) else None,
        notes=(note,) if left_out else (),
    )


def _read_table(table: Path) -> list[tuple[int, str, str]]:
    """Line, file and label of each row."""
    try:
        with table.open(newline="", encoding="utf-8-sig") as file:
            reader = csv.reader(file)
            header = [name.strip().lower() for name in next(reader, [])]
            rows = [(reader.line_num, row) for row in reader if row]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"{table} cannot be read as a csv of labels: {error}") from error
    columns = [
        next((header.index(name) for name in names if name in header), -1) for names in (FILE_COLUMNS, LABEL_COLUMNS)
    ]
    if -1 in columns:
        raise DataError(
            f"{table}, line 1: expected a column {' or '.join(FILE_COLUMNS)} and a column "
            f"{' or '.join(LABEL_COLUMNS)}, found {', '.join(header) or 'nothing'}"
        )
    short = [f"line {line}" for line, row in rows if len(row) <= max(columns)]
    _refuse(table, short, "rows that end early")
    found = [(line, row[columns[0]].strip(), row[columns[1]].strip()) for line, row in rows]
    counts = Counter(name for _, name, _ in found)
    twice = [f"line {line}: {name}" for line, name, _ in found if counts[name] > 1]
    _refuse(table, twice, "lines that name a file which another line names as well")
    return found


def _expression(label: str) -> str | None:
    if label in {str(index) for index in range(len(SEVEN))}:
        return SEVEN[int(label)]
    try:
        return canonical(label)
    except KeyError:
        return None


def _locate(path: Path, names: Iterable[str]) -> list[Path | str]:
    """Where each file of the table is; the error names those that are nowhere."""
    archive = path / ARCHIVE
    entries = _entries(archive) if archive.is_file() else {}
    found: list[Path | str] = []
    missing = []
    for name in names:
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
    _refuse(path / TABLE, missing, f"files that are neither in {path}, in its images/, nor in {ARCHIVE}")
    return found


def _entries(archive: Path) -> Mapping[str, str]:
    try:
        with zipfile.ZipFile(archive) as file:
            return {name.replace("\\", "/"): name for name in file.namelist()}
    except (OSError, zipfile.BadZipFile) as error:
        raise DataError(f"{archive} cannot be read as a zip archive: {error}") from error


def _refuse(table: Path, wrong: list[str], what: str) -> None:
    if wrong:
        more = f"\nand {len(wrong) - MAX_NAMED:,} more" if len(wrong) > MAX_NAMED else ""
        named = "\n".join(wrong[:MAX_NAMED])
        raise DataError(f"{table}: {len(wrong):,} {what}:\n{named}{more}")
