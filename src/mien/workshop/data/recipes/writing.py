"""A built data set as a folder: pictures by split and class, a table with a line each, and all of it packed."""

from __future__ import annotations

import csv
import hashlib
import io
import re
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path, PurePosixPath

import numpy as np

from mien.files import replacing, write_whole
from mien.images import pictures as images
from mien.labels import SEVEN
from mien.workshop.data.base import SPLITS
from mien.workshop.data.built import COLUMNS, PACKED, TABLE
from mien.workshop.data.recipes.reading import Progress
from mien.workshop.data.recipes.rows import Ledger, Rows

LEFT_OUT = "left-out.csv"
_LONGEST_NAME = 100
_STEP = 512


def write_rows(rows: Rows, ledger: Ledger, folder: Path, *, workers: int, progress: Progress) -> dict[str, str]:
    """Write pictures, table, packed pictures and the list of what was left out.

    Returns:
        SHA-256 of the table and of the packed pictures, by file name.

    Raises:
        OSError: the disk is full, or not to be written to.
    """
    files = file_names(rows)
    for place in {PurePosixPath(name).parent for name in files}:
        (folder / place).mkdir(parents=True, exist_ok=True)

    def write(start: int) -> int:
        for name, picture in zip(files[start : start + _STEP], rows.images[start : start + _STEP], strict=True):
            (folder / name).write_bytes(images.encode(picture))
        return start

    with ThreadPoolExecutor(workers) as pool:
        for start in pool.map(write, range(0, len(rows), _STEP)):
            progress("write", min(start + _STEP, len(rows)), len(rows))
    table = _table(rows, files)
    write_whole(folder / TABLE, table)
    with replacing(folder / PACKED) as file:
        np.savez(file, allow_pickle=False, files=np.array(files, np.str_), images=rows.images)
    write_whole(folder / LEFT_OUT, _left_out(ledger))
    with (folder / PACKED).open("rb") as file:
        packed = hashlib.file_digest(file, "sha256").hexdigest()
    return {TABLE: hashlib.sha256(table).hexdigest(), PACKED: packed}


def file_names(rows: Rows) -> list[str]:
    """A name of its own for each row's picture: `images/train/happy/<source>-<id>.png`."""
    names: list[str] = []
    taken: set[str] = set()
    for split, label, source, one in zip(rows.split, rows.labels, rows.sources, rows.ids, strict=True):
        stem = re.sub(r"\.(?:png|jpe?g|bmp|webp|tiff?)(?=$|[#@])", "", str(one), flags=re.IGNORECASE)
        plain = re.sub(r"[^A-Za-z0-9._-]+", "_", f"{source}-{stem}").strip("._")[-_LONGEST_NAME:]
        base = f"images/{SPLITS[split]}/{SEVEN[label]}/{plain}"
        name, number = base, 1
        while name.lower() in taken:
            number += 1
            name = f"{base}-{number}"
        taken.add(name.lower())
        names.append(f"{name}.png")
    return names


def _table(rows: Rows, files: list[str]) -> bytes:
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(COLUMNS)
    for row, file in enumerate(files):
        x1, y1, x2, y2 = rows.boxes[row].tolist()
        box = ["", "", "", ""] if np.isnan(x1) else [f"{value:.1f}" for value in (x1, y1, x2 - x1, y2 - y1)]
        votes = rows.votes[row].tolist() if rows.votes[row].any() else [""] * rows.votes.shape[1]
        writer.writerow([
            file, SEVEN[rows.labels[row]], SPLITS[rows.split[row]], rows.sources[row], rows.ids[row],
            rows.persons[row], rows.clips[row], int(rows.groups[row]), *box, *votes,
        ])  # fmt: skip
    return out.getvalue().encode("utf-8", "surrogateescape")


def _left_out(ledger: Ledger) -> bytes:
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(["source", "id", "reason", "detail"])
    writer.writerows([loss.source, loss.id, loss.reason, loss.detail] for loss in ledger.losses)
    return out.getvalue().encode("utf-8", "surrogateescape")
