"""RAF-DB, basic expressions: 12,271 training and 3,068 test faces from the web, about 40 annotators each.

| form | layout |
|---|---|
| release | `basic/EmoLabel/list_patition_label.txt` (so spelt): `train_00001.jpg 5` a line; aligned 100×100 crops in |
|  | `basic/Image/aligned/train_00001_aligned.jpg`, photographs in `basic/Image/original/train_00001.jpg` |
| copy | `DATASET/train/5/train_00001_aligned.jpg`, `DATASET/test/…`, `train_labels.csv`, `test_labels.csv` (Kaggle: |
|  | shuvoalok/raf-db-dataset) |

Labels: 1 surprise, 2 fear, 3 disgust, 4 happiness, 5 sadness, 6 anger, 7 neutral. `compound/`, faces with two words
each, is left out: Mien has no such labels.

Source: Li, Deng, Du, "Reliable Crowdsourcing and Deep Locality-Preserving Learning", CVPR 2017; the release's readme.
"""

from __future__ import annotations

import re

from mien.errors import DataError
from mien.workshop.data.file_tree import FileTree, is_picture
from mien.workshop.data.layouts.codings import CODINGS
from mien.workshop.data.layouts.sample import Layout, Listing, Sample, code, counted, find_root, missing, place, refuse
from mien.workshop.data.layouts.tables import iter_words

PROTOCOL = "RAF-DB's test set (basic, 3,068 faces)"
LIST = "EmoLabel/list_patition_label.txt"
NAME = re.compile(r"(train|test)_\d+(?:_aligned)?\.jpg", re.IGNORECASE)


def find_release(files: FileTree) -> str | None:
    """The list of labels, or its images where it is missing."""
    listed = find_root(files, LIST)
    return (
        listed
        if listed is not None
        else find_root(files, r"Image/(?:aligned|original)/(?:train|test)_\d+(?:_aligned)?\.jpg")
    )


def read_release(files: FileTree, root: str) -> Listing:
    """The aligned crops; the photographs where those are missing."""
    if f"{root}{LIST}" not in files.known:
        missing(files, root, f"RAF-DB's images without {LIST}", "the labels beside Image/")
    names = files.below(root)
    crops = any("/aligned/" in name for name in names)
    folder, ending = ("aligned", "_aligned") if crops else ("original", "")
    if not any(f"Image/{folder}/" in name for name in names):
        missing(files, root, f"{LIST} without its images", "Image/aligned/train_00001_aligned.jpg and so on")
    samples, absent = [], []
    for where, row in iter_words(files, f"{root}{LIST}"):
        if len(row) != 2:
            raise DataError(f"{where}: expected a file and a number 1–7, found {' '.join(row)[:40]!r}")
        label = code(CODINGS["RAF-DB"], row[1], where)
        stem, _, suffix = row[0].rpartition(".")
        file = f"{root}Image/{folder}/{stem}{ending}.{suffix}"
        split = row[0].partition("_")[0]
        if split not in ("train", "test"):
            raise DataError(f"{where}: expected train_….jpg or test_….jpg, found {row[0][:40]!r}")
        if file in files.known:
            samples.append(Sample(file, label, split, measured=split == "test"))
        else:
            absent.append(f"{stem}{ending}.{suffix}")
    refuse(place(files, f"{root}Image/{folder}"), absent, "images that the list names are missing")
    compound = sum("compound/" in name and is_picture(name) for name in files.names)
    notes = (f"{counted(compound, 'image')} of compound expressions passed over: two words each.",) if compound else ()
    return Listing(tuple(samples), crops, f"basic, {folder}", notes, PROTOCOL)


def find_copy(files: FileTree) -> str | None:
    """Files of RAF-DB's names in folders by number."""
    return find_root(files, r"(?:train|test)/[1-7]/(?:train|test)_\d+_aligned\.jpg")


def read_copy(files: FileTree, root: str) -> Listing:
    """The copy in folders by split and number."""
    samples = []
    for name in files.below(root):
        if not is_picture(name):
            continue
        parts = name.removeprefix(root).split("/")
        if len(parts) != 3 or parts[0].lower() not in ("train", "test"):
            raise DataError(f"{place(files, name)}: expected train/1…7/ and test/1…7/, as RAF-DB's copy has them")
        label = code(CODINGS["RAF-DB"], parts[1], place(files, f"{root}{parts[0]}/{parts[1]}"))
        split = parts[0].lower()
        samples.append(Sample(name, label, split, measured=split == "test"))
    if not any(sample.split == "test" for sample in samples):
        missing(files, root, "RAF-DB's copy without test/", "train/ and test/ side by side")
    return Listing(tuple(samples), True, "basic, aligned, in folders", (), PROTOCOL)


RELEASE = Layout("raf_db", "RAF-DB", find_release, read_release)
COPY = Layout("raf_db_folders", "RAF-DB", find_copy, read_copy)
