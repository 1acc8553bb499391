"""What a layout's reader gives: the faces of a data set as its files name them, none of them opened."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Literal, NoReturn

from mien.errors import DataError
from mien.workshop.data.file_tree import FileTree

UNKNOWN_AFFECT = (math.nan, math.nan, math.nan)
LISTED = 5
"""So many are named in a message; the rest is counted."""


@dataclass(frozen=True, slots=True)
class Sample:
    """One face of a data set.

    Args:
        file: the image, or the video, by its name in the tree.
        label: a word of `labels.EIGHT`, or empty where there is none.
        split: a word of `base.SPLITS`.
        person: who it shows, empty if unknown; no two persons have one name.
        clip: which sequence of frames it belongs to, empty for a single image.
        frame: place in that sequence, from 0.
        still: whether a data set of pictures has this face; the other frames of a clip are for clips only.
        measured: whether it belongs to the rows of the data set's own protocol.
        box: xyxy pixels of the face in the image, where the data set gives it.
        affect: valence and arousal −1 to 1, intensity 0 to 1; NaN for unknown.
        votes: of annotators, in the order of `labels.VOTE_COLUMNS`.
        id: name of the row; that of the file if empty.
    """

    file: str
    label: str = ""
    split: str = "train"
    person: str = ""
    clip: str = ""
    frame: int = 0
    still: bool = True
    measured: bool = False
    box: tuple[float, float, float, float] | None = None
    affect: tuple[float, float, float] = UNKNOWN_AFFECT
    votes: tuple[int, ...] | None = None
    id: str = ""

    @property
    def name(self) -> str:
        """Of the row."""
        return self.id or self.file


@dataclass(frozen=True)
class Listing:
    """The faces of a data set.

    Args:
        samples: in the order of their files.
        crops: whether the images are face crops already; otherwise faces are found in them.
        detail: which form of the layout it is, for the line that says what was recognised.
        notes: how labels were read and what was left out, a sentence each.
        protocol: what the measured rows are, in words; empty where the data set has no protocol of its own.
        coding: which of `codings.CODINGS` the folders' numbers were read by, or empty.
        splits: the data set's `own`, made by `person`, or `none`: all rows train, and evaluation tests all of them.
    """

    samples: tuple[Sample, ...]
    crops: bool
    detail: str = ""
    notes: tuple[str, ...] = ()
    protocol: str = ""
    coding: str = ""
    splits: Literal["own", "person", "none"] = "own"


@dataclass(frozen=True)
class Layout:
    """One published layout.

    Args:
        key: short name, as of its file.
        title: the data set's name.
        find: gives the folder of the tree in which the layout begins, which ends in a slash or is empty; None where
            the tree has another layout. It looks at `FileTree.samples` only.
        read: lists the faces below that folder; raises DataError in one line for what is missing or unknown.
        clips: what is labelled where faces are in sequences or videos: the `whole` clip, or its `frames`; or empty.
    """

    key: str
    title: str
    find: Callable[[FileTree], str | None]
    read: Callable[[FileTree, str], Listing]
    clips: Literal["", "whole", "frames"] = ""


def find_root(files: FileTree, pattern: str) -> str | None:
    """The uppermost folder below which there is a file of this name: a pattern of the relative name, in any case."""
    compiled = re.compile(rf"((?:[^/]+/)*?)(?:{pattern})", re.IGNORECASE)
    return next((found.group(1) for name in files.samples if (found := compiled.fullmatch(name))), None)


def by_person(samples: Sequence[Sample]) -> tuple[Sample, ...]:
    """The samples with splits by person: of ten persons in order of name the ninth validates, the tenth tests.

    With fewer than ten persons the last one tests and the one before validates; with fewer than three all train.
    """
    persons = sorted({sample.person for sample in samples})
    splits = {}
    for place, person in enumerate(persons):
        left = len(persons) - place if len(persons) < 10 else 10 - place % 10
        splits[person] = {1: "test", 2: "validation"}.get(left, "train") if len(persons) > 2 else "train"
    return tuple(replace(sample, split=splits[sample.person]) for sample in samples)


def refuse(where: str, wrong: Iterable[str], what: str) -> None:
    """Raise DataError, in one line that counts and names them, if anything is wrong."""
    named = list(wrong)
    if named:
        more = f"; and {len(named) - LISTED:,} more" if len(named) > LISTED else ""
        raise DataError(f"{where}: {len(named):,} {what}: {'; '.join(named[:LISTED])}{more}")


def missing(files: FileTree, root: str, what: str, expected: str) -> NoReturn:
    """Raise DataError for a download that lacks a part."""
    raise DataError(f"{place(files, root)}: {what}: expected {expected}; get or unpack the missing part")


def place(files: FileTree, name: str) -> str:
    """Where a file or folder of the tree is, for messages."""
    return f"{files.path}/{name}".rstrip("/")


def code(table: dict[str, str], word: str, where: str) -> str:
    """The label of a data set's own number or word.

    Raises:
        DataError: it is not among them.
    """
    found = table.get(word)
    if found is None:
        known = ", ".join(f"{key} {label or 'none'}" for key, label in table.items())
        raise DataError(f"{where}: {word[:20]!r} is not a label of this data set: expected one of {known}")
    return found


def counted(number: int, noun: str) -> str:
    """A number with its noun: `1 image`, `2,000 images`."""
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"
