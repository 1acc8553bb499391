"""A built data set as a folder: pictures by split and class, a table with a line each, and all of it packed."""

from __future__ import annotations

import hashlib
import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np

from mien.arrays import Float32, UInt8
from mien.errors import DataError, SourceError
from mien.files import read_npz
from mien.images import pictures as images
from mien.labels import AFFECT, SEVEN, VOTE_COLUMNS
from mien.workshop.data.affect_columns import none_if_empty, parse_affect
from mien.workshop.data.base import SPLITS, FaceDataset, parse_votes, read_csv_rows

TABLE, PACKED, CARD = "faces.csv", "faces.npz", "card.json"

COLUMNS = (
    "file", "label", "split", "source", "id", "person", "clip", "group", "x", "y", "width", "height", *VOTE_COLUMNS,
)  # fmt: skip
"""Of the table; the box is in pixels of the original picture, empty for what was a crop already."""

_READ = ("file", "label", "split", "source", "id", *VOTE_COLUMNS)
_MAX_NAMED = 5


def is_built(folder: Path) -> bool:
    """Whether `mien data build` wrote this folder."""
    return (folder / TABLE).is_file() and (folder / CARD).is_file()


def read_built(folder: Path) -> FaceDataset:
    """Read a built data set.

    The table decides which faces there are, with which label and split: it may be edited by hand. Pictures
    come from the packed file; those that it lacks, or all if it is missing, from their own files.

    Raises:
        DataError: the table or the card is damaged, or pictures are missing; the message names line or file.
    """
    rows = _read_faces(folder / TABLE)
    stack = _read_pictures(folder, [row["file"] for row in rows])
    cells = [[row[name] for name in VOTE_COLUMNS] for row in rows]
    votes = np.array(
        [parse_votes(c, f"{folder / TABLE}, line {line}") for line, c in enumerate(cells, start=2)], np.uint8
    )
    dataset = FaceDataset(
        _name(folder),
        stack,
        np.array([_index(folder, row, "label", SEVEN, line) for line, row in enumerate(rows, start=2)], np.int64),
        np.array([_index(folder, row, "split", SPLITS, line) for line, row in enumerate(rows, start=2)], np.int8),
        np.array([f"{row['source']}/{row['id']}" for row in rows], np.str_),
        votes=votes if votes.any() else None,
        sources=np.array([row["source"] for row in rows], np.str_),
        affect=_affect(folder, rows),
        sha256=_sha256(folder, stack),
    )
    if len(np.unique(dataset.ids)) < len(dataset):
        raise DataError(f"{folder / TABLE}: two lines have the same source and id")
    return dataset


def _affect(folder: Path, rows: list[dict[str, str]]) -> Float32 | None:
    """Columns that no build writes, but that the table may be given."""
    columns = {name: [row[name] for row in rows] for name in AFFECT if name in rows[0]}
    return none_if_empty(parse_affect(columns, str(folder / TABLE))) if columns else None


def _name(folder: Path) -> str:
    try:
        card = json.loads((folder / CARD).read_text(encoding="utf-8"))
        return str(card["name"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DataError(f"{folder / CARD} is not the card of a built data set: {error}") from error


def _read_faces(path: Path) -> list[dict[str, str]]:
    header, lines = read_csv_rows(path, "the table of a built data set", errors="surrogateescape")
    missing = [name for name in _READ if name not in header]
    if missing:
        raise DataError(f"{path}, line 1: no column {', '.join(missing)}: expected {', '.join(COLUMNS)}")
    if not lines:
        raise DataError(f"{path} has a header but no faces")
    wrong = next((line for line, row in lines if len(row) != len(header)), None)
    if wrong is not None:
        raise DataError(f"{path}, line {wrong}: expected {len(COLUMNS)} columns ({', '.join(COLUMNS)})")
    return [dict(zip(header, row, strict=True)) for _, row in lines]


def _index(folder: Path, row: dict[str, str], column: str, names: tuple[str, ...], line: int) -> int:
    if row[column] not in names:
        raise DataError(f"{folder / TABLE}, line {line}: {column} {row[column]!r}: expected one of {', '.join(names)}")
    return names.index(row[column])


def _read_pictures(folder: Path, files: list[str]) -> UInt8:
    """The pictures of these files, in their order, uint8 (N, H, W) or (N, H, W, 3)."""
    # One file instead of tens of thousands; the pictures beside it are for other tools, and for people.
    packed = _load_packed(folder / PACKED)
    found: dict[str, UInt8] = {}
    if packed is not None:
        places = {str(name): place for place, name in enumerate(packed["files"])}
        rows = [places.get(file, -1) for file in files]
        if min(rows) >= 0:
            picked: UInt8 = packed["images"][np.array(rows)]
            return picked
        found = {file: packed["images"][row] for file, row in zip(files, rows, strict=True) if row >= 0}
    missing = [file for file in files if file not in found]
    with ThreadPoolExecutor() as pool:
        read = list(pool.map(lambda file: _read_picture(folder, file), missing))
    wrong = [result for result in read if isinstance(result, str)]
    if wrong:
        named = "\n".join(wrong[:_MAX_NAMED])
        raise DataError(f"{folder}: {len(wrong):,} of {len(files):,} pictures cannot be read:\n{named}")
    found |= {file: picture for file, picture in zip(missing, read, strict=True) if not isinstance(picture, str)}
    return _stack(folder, [found[file] for file in files])


def _stack(folder: Path, pictures: list[UInt8]) -> UInt8:
    """All pictures as one array; grey where all of them are grey."""
    # Many grey pictures are stored with three equal colours.
    if all(p.ndim == 2 or (p[..., :1] == p).all() for p in pictures):
        pictures = [p if p.ndim == 2 else p[..., 0] for p in pictures]
    else:
        pictures = [images.to_rgb(picture) for picture in pictures]
    sizes = {picture.shape[:2] for picture in pictures}
    if len(sizes) > 1:
        raise DataError(f"{folder}: pictures of different sizes ({', '.join(map(str, sorted(sizes)))}): expected one")
    return np.stack(pictures)


def _read_picture(folder: Path, file: str) -> UInt8 | str:
    name = PurePosixPath(file)
    # The table can be edited by hand, or come from elsewhere.
    if name.is_absolute() or ".." in name.parts:
        return f"{file}: is outside the data set"
    try:
        return images.read(folder / name)
    except SourceError as error:
        return str(error)


def _load_packed(path: Path) -> dict[str, Any] | None:
    """Names and pictures, or None where there is no such file."""
    if not path.is_file():
        return None
    try:
        arrays = read_npz(path, ("files", "images"))
    except (OSError, ValueError) as error:
        raise DataError(f"{path} is damaged: {error}: remove it, and the pictures are read from their files") from error
    pictures = arrays["images"]
    if len(arrays["files"]) != len(pictures) or pictures.dtype != np.uint8 or pictures.ndim not in (3, 4):
        raise DataError(f"{path} is damaged: remove it, and the pictures are read from their files")
    return arrays


def _sha256(folder: Path, stack: UInt8) -> str:
    return hashlib.sha256((folder / TABLE).read_bytes() + np.ascontiguousarray(stack).tobytes()).hexdigest()
