"""FER+ as its authors' script writes it: a folder a split, with the pictures and a table of votes.

| file | what it is |
|---|---|
| `FER2013Train/`, `FER2013Valid/`, `FER2013Test/` | the splits: Training, PublicTest, PrivateTest |
| `…/fer0000000.png` | a face, 48×48 |
| `…/label.csv` | no header: picture, box `"(0, 0, 48, 48)"`, then ten votes in the order of `labels.VOTE_COLUMNS` |

A face's label is the majority of its votes, by the authors' rule (`fer2013.majority`); faces without one keep their
votes.

Source: Barsoum, Zhang, Canton Ferrer, Zhang, "Training Deep Networks for Facial Expression Recognition with
Crowd-Sourced Label Distribution", ICMI 2016; github.com/microsoft/FERPlus.
"""

from __future__ import annotations

import numpy as np

from mien.errors import DataError
from mien.labels import CROWD, VOTE_COLUMNS
from mien.workshop.data.base import parse_votes
from mien.workshop.data.fer2013 import majority
from mien.workshop.data.file_tree import FileTree
from mien.workshop.data.layouts.class_folders import contempt_note
from mien.workshop.data.layouts.sample import Layout, Listing, Sample, counted, find_root, missing, place, refuse
from mien.workshop.data.layouts.tables import iter_csv

SPLITS = {"FER2013Train": "train", "FER2013Valid": "validation", "FER2013Test": "test"}


def find(files: FileTree) -> str | None:
    """A split's table."""
    return find_root(files, r"FER2013(?:Train|Valid|Test)/label\.csv")


def read(files: FileTree, root: str) -> Listing:
    """The faces of all splits."""
    samples: list[Sample] = []
    for folder, split in SPLITS.items():
        table = f"{root}{folder}/label.csv"
        if table not in files.known:
            missing(files, root, f"FER+ without {folder}/label.csv", f"{', '.join(SPLITS)} side by side")
        absent = []
        for where, row in iter_csv(files, table):
            if len(row) != 2 + len(VOTE_COLUMNS):
                raise DataError(f"{where}: {len(row)} cells, expected picture, box and {len(VOTE_COLUMNS)} votes")
            votes = parse_votes(row[2:], where)
            top = int(majority(np.array([votes], np.uint8))[0])
            name = f"{root}{folder}/{row[0]}"
            if name not in files.known:
                absent.append(row[0])
            samples.append(Sample(name, CROWD[top] if top >= 0 else "", split, votes=votes))
        refuse(place(files, f"{root}{folder}"), absent, "pictures that label.csv names are missing")
    notes = []
    undecided = sum(not sample.label for sample in samples)
    if undecided:
        notes.append(f"{counted(undecided, 'face')} without a majority: votes, but no label.")
    contempt = sum(sample.label == "contempt" for sample in samples)
    if contempt:
        notes.append(contempt_note(contempt))
    return Listing(tuple(samples), True, "votes by split", tuple(notes))


FERPLUS = Layout("ferplus_folders", "FER+", find, read)
