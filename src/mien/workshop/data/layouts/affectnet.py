"""AffectNet: about 290,000 training and 4,000 validation faces from the web, with valence and arousal.

| form | layout |
|---|---|
| `.npy` | `train_set/images/7.jpg` and `val_set/…`, 224×224 crops; `train_set/annotations/7_exp.npy`, `7_val.npy`, |
|  | `7_aro.npy` |
| csv | `training.csv`, `validation.csv` (without a header in some releases): subDirectory_filePath, face_x, face_y, |
|  | face_width, face_height, facial_landmarks, expression, valence, arousal; photographs in `…/<n>/<name>` |
| copy | `labels.csv` with pth, label, relFCs beside folders by class (Kaggle: noamsegal/affectnet-training-data) |

Expressions: 0 neutral, 1 happy, 2 sad, 3 surprise, 4 fear, 5 disgust, 6 anger, 7 contempt, 8 none, 9 uncertain,
10 no face. Valence and arousal are −1 to 1, −2 where nobody gave them. The test set was never published.

Source: Mollahosseini, Hasani, Mahoor, "AffectNet", IEEE Trans. Affective Computing, 2017; the release's readme.
"""

from __future__ import annotations

import io
import math
import re
from collections import Counter
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from mien.errors import DataError, SourceError
from mien.workshop.data.file_tree import FileTree, is_picture
from mien.workshop.data.layouts.class_folders import contempt_note
from mien.workshop.data.layouts.codings import CODINGS
from mien.workshop.data.layouts.sample import (
    Layout,
    Listing,
    Sample,
    code,
    counted,
    find_root,
    missing,
    place,
    refuse,
)
from mien.workshop.data.layouts.tables import iter_csv, read_number

EXPRESSIONS = CODINGS["AffectNet"] | {"8": "", "9": "", "10": ""}
NO_AFFECT = -2
COLUMNS = (
    "subDirectory_filePath", "face_x", "face_y", "face_width", "face_height", "facial_landmarks", "expression",
    "valence", "arousal",
)  # fmt: skip
PROTOCOL = "AffectNet's validation set (4,000 faces, 500 of each of eight classes)"
SETS = {"train_set": "train", "val_set": "validation"}
TABLES = {"training.csv": "train", "validation.csv": "validation"}
LARGEST_NPY = 4096
"""Bytes of an annotation at most; it holds one number."""


def find_arrays(files: FileTree) -> str | None:
    """`train_set/annotations` or `val_set/annotations`."""
    return find_root(files, r"(?:train_set|val_set)/annotations/\d+_\w{3}\.npy")


def read_arrays(files: FileTree, root: str) -> Listing:
    """The form with an `.npy` for each number."""
    samples: list[Sample] = []
    for folder, split in SETS.items():
        names = files.below(f"{root}{folder}/")
        images = {_stem(name): name for name in names if "/images/" in name and is_picture(name)}
        known = sorted(
            {found[1] for name in names if (found := re.search(r"/annotations/(\d+)_exp\.npy$", name))}, key=int
        )
        if not known:
            continue
        refuse(
            place(files, f"{root}{folder}"),
            [f"{stem}_exp.npy" for stem in known if stem not in images],
            "annotations without an image in images/",
        )
        with ThreadPoolExecutor() as pool:
            numbers = pool.map(lambda stem, at=f"{root}{folder}/annotations/": _numbers(files, at, stem), known)
            samples += [
                _sample(images[stem], split, *found, where=place(files, images[stem]))
                for stem, found in zip(known, numbers, strict=True)
            ]
    return _listing(files, root, samples, crops=True, detail="images with .npy annotations")


def find_tables(files: FileTree) -> str | None:
    """A `training.csv` or `validation.csv` of this header, or with rows of this form."""
    for name in files.samples:
        if name.rpartition("/")[2].lower() in TABLES:
            where_row = next(iter_csv(files, name), None)
            if where_row and (where_row[1][0].lower() == COLUMNS[0].lower() or _is_row(where_row[1])):
                return name.rpartition("/")[0] + "/" if "/" in name else ""
    return None


def read_tables(files: FileTree, root: str) -> Listing:
    """The form with tables and photographs."""
    samples: list[Sample] = []
    absent: list[str] = []
    for table, split in TABLES.items():
        name = next((n for n in files.below(root) if n.lower() == f"{root}{table}".lower()), None)
        if name is None:
            continue
        for where, row in _iter_rows(files, name):
            cells = dict(zip(COLUMNS, row, strict=True))
            file = _locate(files, cells[COLUMNS[0]])
            if file is None:
                absent.append(cells[COLUMNS[0]])
                continue
            x, y, width, height = (read_number(cells[f"face_{key}"], where) for key in ("x", "y", "width", "height"))
            affect = (read_number(cells["valence"], where), read_number(cells["arousal"], where))
            found = _sample(file, split, cells["expression"], *affect, where=where, box=(x, y, x + width, y + height))
            samples.append(found)
    if not samples:
        missing(files, root, "the tables name no image that is there", "Manually_Annotated_Images/<n>/… beside them")
    refuse(place(files, root), absent, "images that the tables name are missing")
    return _listing(files, root, samples, crops=False, detail="tables and photographs")


def find_copy(files: FileTree) -> str | None:
    """A `labels.csv` with a column `pth`."""
    for name in files.samples:
        if name.rpartition("/")[2].lower() == "labels.csv":
            first = next(iter_csv(files, name), ("", []))[1]
            if {"pth", "label"} <= {cell.lower() for cell in first}:
                return name.rpartition("/")[0] + "/" if "/" in name else ""
    return None


def read_copy(files: FileTree, root: str) -> Listing:
    """The copy in folders by class, whose table decides."""
    rows = iter_csv(files, next(n for n in files.below(root) if n.lower() == f"{root}labels.csv".lower()))
    header = [cell.lower() for cell in next(rows)[1]]
    samples, absent = [], []
    words = {"anger": "angry", "contempt": "contempt", "disgust": "disgust", "fear": "fear", "happy": "happy",
             "neutral": "neutral", "sad": "sad", "surprise": "surprise"}  # fmt: skip
    for where, row in rows:
        if len(row) != len(header):
            raise DataError(f"{where}: {len(row)} cells, expected {len(header)}")
        cells = dict(zip(header, row, strict=True))
        label, name = code(words, cells["label"].lower(), where), f"{root}{cells['pth']}"
        if name in files.known:
            samples.append(Sample(name, label))
        else:
            absent.append(cells["pth"])
    refuse(place(files, root), absent, "images that labels.csv names are missing")
    notes = _contempt(samples)
    return Listing(tuple(samples), crops=True, detail="copy with labels.csv", notes=tuple(notes), splits="none")


def _sample(
    file: str, split: str, expression: object, valence: float, arousal: float, *, where: str,
    box: tuple[float, float, float, float] | None = None,
) -> Sample:  # fmt: skip
    label = code(EXPRESSIONS, str(expression), where)
    known = [math.nan if value <= NO_AFFECT else value for value in (valence, arousal)]
    if any(abs(value) > 1 for value in known):
        raise DataError(f"{where}: valence {valence:g}, arousal {arousal:g}: expected −1 to 1, or −2 for unknown")
    return Sample(
        file,
        label,
        split,
        measured=split == "validation" and label != "",
        box=box,
        affect=(known[0], known[1], math.nan),
    )


def _listing(files: FileTree, root: str, samples: list[Sample], *, crops: bool, detail: str) -> Listing:
    kept = [sample for sample in samples if sample.label or not all(map(math.isnan, sample.affect))]
    if not kept:
        raise DataError(f"{place(files, root)}: AffectNet without a face that has an expression, valence or arousal")
    notes = []
    if len(kept) < len(samples):
        notes.append(
            f"{counted(len(samples) - len(kept), 'face')} of none, uncertain or no face, without valence and arousal, "
            "left out."
        )
    splits = Counter(sample.split for sample in kept)
    absent = next((split for split in ("train", "validation") if not splits[split]), None)
    if absent:
        notes.append(f"There is no {absent} part.")
    notes += _contempt(kept)
    return Listing(tuple(kept), crops, detail, tuple(notes), PROTOCOL if splits["validation"] else "")


def _contempt(samples: Iterable[Sample]) -> list[str]:
    count = sum(sample.label == "contempt" for sample in samples)
    return [contempt_note(count)] if count else []


def _numbers(files: FileTree, folder: str, stem: str) -> tuple[str, float, float]:
    """Expression, valence and arousal of an image."""
    values = []
    for kind in ("exp", "val", "aro"):
        name = f"{folder}{stem}_{kind}.npy"
        if name not in files.known:
            missing(files, folder, f"no {stem}_{kind}.npy", "three numbers for every image: _exp, _val and _aro")
        values.append(_number(files, name))
    return f"{values[0]:g}", values[1], values[2]


def _number(files: FileTree, name: str) -> float:
    """The one number of an `.npy`, which may be stored as text."""
    try:
        data = files.read(name)
        stream = io.BytesIO(data)
        version = np.lib.format.read_magic(stream)
        header = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
        shape, _, kind = header(stream)
        # NumPy allocates what the header promises before it reads a byte.
        if len(data) > LARGEST_NPY or math.prod(shape) != 1 or kind.hasobject:
            raise ValueError(f"an array {shape} of {kind}")
        return float(np.load(io.BytesIO(data), allow_pickle=False).item())
    except (SourceError, ValueError, OSError, EOFError) as error:
        raise DataError(f"{place(files, name)}: expected one number, found {error}") from error


def _iter_rows(files: FileTree, name: str) -> Iterator[tuple[str, list[str]]]:
    for number, (where, row) in enumerate(iter_csv(files, name)):
        if number == 0 and row[0].lower() == COLUMNS[0].lower():
            continue
        if len(row) != len(COLUMNS):
            raise DataError(f"{where}: {len(row)} cells, expected {len(COLUMNS)}: {', '.join(COLUMNS)}")
        yield where, row


def _is_row(row: list[str]) -> bool:
    return len(row) == len(COLUMNS) and is_picture(row[0]) and row[6].isdecimal()


def _locate(files: FileTree, name: str) -> str | None:
    """Photographs are below a folder whose name differs between releases."""
    return name if name in files.known else files.find_end(name)


def _stem(name: str) -> str:
    return name.rpartition("/")[2].partition(".")[0]


ARRAYS = Layout("affectnet_arrays", "AffectNet", find_arrays, read_arrays)
TABLES_LAYOUT = Layout("affectnet_tables", "AffectNet", find_tables, read_tables)
COPY = Layout("affectnet_copy", "AffectNet", find_copy, read_copy)
