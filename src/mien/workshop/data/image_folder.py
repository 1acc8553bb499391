"""Pictures in folders by class, in splits (`train/happy/…`, `test/happy/…`) or not (`happy/…`), or named in a table.

Crops become a `FaceDataset`; of photos as people took them the faces have to be found first, see `LabelledPhotos`.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import zipfile
import zlib
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import numpy as np

from mien.arrays import Int8, Int64, UInt8
from mien.errors import DataError, SourceError
from mien.images import pictures as images
from mien.images.pictures import MAX_BYTES
from mien.labels import ALIASES, EIGHT, SEVEN, canonical
from mien.workshop.data import cache
from mien.workshop.data.base import SPLITS, FaceDataset, read_csv_rows

SIDE_PX = 48
SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".webp", ".tif", ".tiff")
"""Endings of the files that are taken for pictures."""

SPLIT_NAMES = {
    "train": "train", "training": "train",
    "validation": "validation", "valid": "validation", "val": "validation", "publictest": "validation",
    "test": "test", "privatetest": "test",
}  # fmt: skip
"""Names that a split's folder may have, in any case."""

TABLE = "labels.csv"
ARCHIVE = "images.zip"
FILE_COLUMNS = ("image", "file", "filename", "path")
LABEL_COLUMNS = ("emotion", "label", "class", "expression")
MAX_NAMED = 5


@dataclass(frozen=True)
class Picture:
    """A picture that is not opened yet, with its class and split as numbers."""

    path: Path
    id: str
    label: int
    split: int


def read_folder(path: Path, *, cache_dir: Path | None = None) -> FaceDataset:
    """Read a tree of pictures of any size as grey 48×48; from the second time on out of a cache.

    A class is called by its name or an alias in any case (`happy`, `Happiness`), or by FER2013's number.
    Without split folders all rows are train. In a test folder, files called `PublicTest_…` are validation:
    this is how the image-folder form of FER2013 marks its two test splits. Names that start with a dot
    or an underscore and files that are no pictures by their ending are passed over.

    Args:
        path: the folder; rows come in the order of their paths, which are their ids.
        cache_dir: where the pictures are kept, under the hash of all names, sizes and times.

    Raises:
        DataError: for a folder that is not a class, for pictures that cannot be read, or when there are none.
    """
    pictures = find_pictures(path)
    if not pictures:
        raise DataError(f"{path}: no pictures in it: expected train/<class>/… and test/<class>/…, or <class>/…")
    folder = cache_dir or cache.default_cache_dir()
    key = f"folder-{_hash_stats(path, pictures)}"
    cached = cache.load(folder, key, ("images",))
    stack = _fitting(cached, len(pictures))
    if stack is None:
        stack = _read_all(path, pictures)
        cache.save(folder, key, {"images": stack})
    labels = np.array([picture.label for picture in pictures], np.int64)
    split = np.array([picture.split for picture in pictures], np.int8)
    ids = np.array([picture.id for picture in pictures], np.str_)
    # Of names and pixels, not of times: the same pictures elsewhere are the same data set.
    content = hashlib.sha256("\n".join(ids).encode("utf-8", "surrogateescape") + stack.tobytes())
    return FaceDataset(path.resolve().name, stack, labels, split, ids, sha256=content.hexdigest())


def find_pictures(root: Path) -> list[Picture]:
    """The pictures of a tree as `read_folder` describes it, in the order of their paths; none is opened."""
    tops = _subfolders(root)
    splits = [folder for folder in tops if folder.name.lower() in SPLIT_NAMES]
    if not splits:
        return [picture for top in tops for picture in _find_class(root, top, "train")]
    for folder in tops:
        if folder not in splits:
            raise DataError(f"{folder}: not a split: beside {splits[0].name}/ expected {', '.join(SPLIT_NAMES)}")
    return [
        picture
        for folder in splits
        for top in _subfolders(folder)
        for picture in _find_class(root, top, SPLIT_NAMES[folder.name.lower()])
    ]


def _find_class(root: Path, folder: Path, split: str) -> list[Picture]:
    label = _label(folder)
    found = []
    # Sorted: file systems list in any order, and rows are known by their place.
    for file in sorted(folder.rglob("*")):
        if file.suffix.lower() in SUFFIXES and not file.name.startswith((".", "_")):
            public = split == "test" and file.name.lower().startswith("publictest_")
            part = SPLITS.index("validation" if public else split)
            found.append(Picture(file, file.relative_to(root).as_posix(), label, part))
    return found


def _label(folder: Path) -> int:
    """FER2013's number of the class that a folder is called after."""
    name = folder.name.strip()
    label = expression_of(name)
    if label not in SEVEN:
        aliases = ", ".join(alias for alias in ALIASES if ALIASES[alias] in SEVEN)
        raise DataError(
            f"{folder}: {name!r} is not a class: expected {', '.join(SEVEN)}, FER2013's numbers 0–6, "
            f"another word for one of them ({aliases}), or splits (train, validation, test)"
        )
    return SEVEN.index(label)


def _subfolders(path: Path) -> list[Path]:
    try:
        return sorted(entry for entry in path.iterdir() if entry.is_dir() and not entry.name.startswith((".", "_")))
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror or error}") from error


def _hash_stats(root: Path, pictures: list[Picture]) -> str:
    digest = hashlib.sha256(os.fsencode(root.resolve()))
    for picture in pictures:
        stat = picture.path.stat()
        # No content: to read all files is just what the cache saves.
        stamp = (picture.id, stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns, stat.st_ino)
        digest.update(f"{stamp}\n".encode("utf-8", "surrogateescape"))
    return digest.hexdigest()


def _fitting(arrays: cache.Arrays | None, rows: int) -> UInt8 | None:
    """Cached pictures, if they are what `_read_all` gives."""
    stack = None if arrays is None else arrays["images"]
    if stack is None or stack.shape != (rows, SIDE_PX, SIDE_PX) or stack.dtype != np.uint8:
        return None
    return stack


def _read_all(root: Path, pictures: list[Picture]) -> UInt8:
    """Grey pictures (N, 48, 48); the error names those that cannot be read."""
    # Threads: OpenCV decodes outside of Python's lock.
    with ThreadPoolExecutor() as pool:
        results = list(pool.map(_read, pictures))
    wrong = [result for result in results if isinstance(result, str)]
    refuse(root, wrong, f"of {len(pictures):,} pictures cannot be read")
    return np.stack([result for result in results if not isinstance(result, str)])


def _read(picture: Picture) -> UInt8 | str:
    """The picture, or what is wrong with it."""
    try:
        return images.resize(images.to_grey(images.read(picture.path)), SIDE_PX, SIDE_PX)
    except SourceError as error:
        return str(error)


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
        notes: what was left out, in a sentence each.
    """

    name: str
    ids: tuple[str, ...]
    labels: Int64
    split: Int8
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
                found: bytes | SourceError
                try:
                    found = read_file(name, place, archive)
                except SourceError as error:
                    found = error
                yield found


def read_file(label: str, place: Path | str, archive: zipfile.ZipFile | None) -> bytes:
    """The content of a file, or of an entry of an archive.

    Raises:
        SourceError: it cannot be read, or is over `images.MAX_BYTES`; the message begins with the label.
    """
    try:
        with place.open("rb") if isinstance(place, Path) else archive.open(place) as file:  # type: ignore[union-attr]
            # One byte more than allowed is enough to refuse it; an archive's own figures of sizes are not believed.
            data = file.read(MAX_BYTES + 1)
    # An encrypted entry and an unknown compression are RuntimeErrors, damage is what zlib and zipfile make of it.
    except (OSError, RuntimeError, EOFError, ValueError, zipfile.BadZipFile, zlib.error) as error:
        raise SourceError(f"{label}: cannot be read: {error}") from error
    if len(data) > MAX_BYTES:
        raise SourceError(f"{label}: over {MAX_BYTES:,} bytes, expected one picture")
    return data


def has_table(path: Path) -> bool:
    """Whether a folder holds a table of photos, `labels.csv`."""
    return (path / TABLE).is_file()


def find_photos(path: Path) -> LabelledPhotos:
    """List the labelled photos below a folder.

    With a `labels.csv` they are those that it names, in the folder itself, in its `images/`, or in `images.zip`; all
    are test. Its columns are `image` (or `file`, `filename`, `path`) and `emotion` (or `label`, `class`,
    `expression`). Else they are in folders by class as `read_folder` describes; those of validation and test are
    listed, and without splits all are test. Labels are the vocabulary's words, their aliases, or FER2013's numbers;
    contempt, not one of the seven, is left out and noted.

    Raises:
        DataError: no such folder, no photo, an unknown label, or a missing file that the table names.
    """
    if not path.is_dir():
        raise DataError(
            f"{path}: expected a folder of photos: with {TABLE} beside images/ or {ARCHIVE}, or with a folder a class"
        )
    return _photos_of_table(path) if has_table(path) else _photos_in_folders(path)


def _photos_in_folders(path: Path) -> LabelledPhotos:
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
        notes=(f"Photos of train, which are not used: {left_out:,}.",) if left_out else (),
    )


def _photos_of_table(path: Path) -> LabelledPhotos:
    rows = _read_table(path / TABLE)
    expressions = [(name, expression_of(label)) for _, name, label in rows]
    refuse(
        path / TABLE,
        [
            f"line {line}: {label!r}"
            for (line, _, label), (_, known) in zip(rows, expressions, strict=True)
            if not known
        ],
        f"unknown labels: expected {', '.join(EIGHT)}, another word for one of them, or FER2013's numbers 0–6",
    )
    kept = [(name, SEVEN.index(label)) for name, label in expressions if label in SEVEN]
    if not kept:
        raise DataError(f"{path / TABLE}: no photo with one of the labels {', '.join(SEVEN)}")
    files = locate(path, [name for name, _ in kept])
    left_out = len(rows) - len(kept)
    note = f"Photos labelled contempt, which is not one of the seven classes, left out: {left_out:,}."
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


def expression_of(label: str) -> str | None:
    """The vocabulary's word for a label, a name, alias or FER2013's number; None if it is none of them."""
    if label in {str(index) for index in range(len(SEVEN))}:
        return SEVEN[int(label)]
    try:
        return canonical(label)
    except KeyError:
        return None


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
