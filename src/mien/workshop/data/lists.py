"""Curated lists: which rows of a data set to drop and which to give another label, by name and version.

A list names rows and what is wrong with them; it holds no picture, and the data set itself is never changed.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from mien.arrays import Int64, UInt8
from mien.artifact.store import home
from mien.errors import ConfigError, DataError, OutputError
from mien.files import write_whole
from mien.labels import SEVEN
from mien.workshop.data.base import NO_LABEL, SPLITS, FaceDataset

FORMAT = 1
SHIPPED = Path(__file__).parent / "curated"
"""The lists that come with Mien."""

NAME = re.compile(r"[a-z0-9][a-z0-9._-]*")


@dataclass(frozen=True)
class Drop:
    """A row to leave out: its id, the digest of its picture (see `picture_digest`), and why."""

    id: str
    digest: str
    reason: str = ""


@dataclass(frozen=True)
class Relabel:
    """A row to give another label: as `Drop`, and both labels by name; `old` is empty for a row that has none."""

    id: str
    digest: str
    old: str
    new: str
    reason: str = ""


@dataclass(frozen=True)
class RowList:
    """What people, or a table of issues by itself, decided about the rows of a data set.

    Args:
        name: small letters, digits, `.`, `_` and `-`.
        version: from 1 on.
        created: ISO date and time, UTC.
        data: name of the data set.
        data_sha256: its hash when the list was made.
        data_rows: its number of rows.
        drops, relabels: no row is in both, or twice in either.
        notes: how it came about.
        reviewers: who decided.

    Raises:
        DataError: the parts do not fit one another.
    """

    name: str
    version: int
    created: str
    data: str
    data_sha256: str
    data_rows: int
    drops: tuple[Drop, ...] = ()
    relabels: tuple[Relabel, ...] = ()
    notes: tuple[str, ...] = ()
    reviewers: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not NAME.fullmatch(self.name) or self.version < 1:
            raise DataError(
                f"a list has a name of small letters, digits, '.', '_' and '-', and a version from 1 on, "
                f"not {self.name!r} and {self.version}"
            )
        seen: set[str] = set()
        for entry in self.entries:
            if entry.id in seen:
                raise DataError(f"{self.title}: the row {entry.id} is named twice")
            seen.add(entry.id)
        for change in self.relabels:
            if change.new not in SEVEN or change.old not in ("", *SEVEN):
                raise DataError(
                    f"{self.title}, {change.id}: labels are {', '.join(SEVEN)}, not {change.old!r} to {change.new!r}"
                )

    @property
    def entries(self) -> tuple[Drop | Relabel, ...]:
        """All of them."""
        return (*self.drops, *self.relabels)

    @property
    def title(self) -> str:
        """Name and version, as trainings take it."""
        return f"{self.name}@{self.version}"

    @property
    def sha256(self) -> str:
        """Hash of what the list does: its drops and relabels, whatever their order, reasons and notes."""
        lines = [f"drop {entry.id} {entry.digest}" for entry in self.drops]
        lines += [f"relabel {entry.id} {entry.digest} {entry.old} {entry.new}" for entry in self.relabels]
        return hashlib.sha256("\n".join(sorted(lines)).encode("utf-8", "surrogateescape")).hexdigest()


@dataclass(frozen=True)
class Match:
    """Which rows of a data set the entries of a list mean.

    Args:
        drops: int64 (D,), rows to leave out.
        relabels: int64 (R,), rows with another label.
        labels: int64 (R,), their labels then.
        elsewhere: entries of rows in splits that were not asked for.
        absent: entries of rows that a part of the data set does not have.
    """

    drops: Int64
    relabels: Int64
    labels: Int64
    elsewhere: int
    absent: int


def picture_digest(image: UInt8) -> str:
    """A short hash of a picture's shape and pixels, 16 hexadecimal digits.

    >>> picture_digest(np.zeros((48, 48), np.uint8))
    'b4c663b2a413fef6'
    """
    # With the shape: the same bytes make other pictures in other shapes.
    content = f"{image.shape}".encode() + np.ascontiguousarray(image).tobytes()
    return hashlib.sha256(content).hexdigest()[:16]


def label_name(label: int) -> str:
    """The name of a label of a data set, empty for none."""
    return "" if label == NO_LABEL else SEVEN[label]


def match_list(dataset: FaceDataset, rows: RowList, splits: Sequence[str] = ("train",)) -> Match:
    """Find the rows of a list in a data set, each by id and picture; a relabelled one by its label as well.

    Where the data set has fewer rows than the list was made for, it is taken for a part of it, and what it lacks is
    counted; else a row that is not there is an error.

    Raises:
        DataError: entries do not fit; the message says how many, and which one is the first.
    """
    places = {str(name): row for row, name in enumerate(dataset.ids)}
    part = len(dataset) < rows.data_rows
    wrong: list[str] = []
    found: dict[str, list[int]] = {"drop": [], "relabel": [], "label": []}
    elsewhere = absent = 0
    wanted = {SPLITS.index(split) for split in splits}
    for entry in rows.entries:
        row = places.get(entry.id)
        if row is None and part:
            absent += 1
            continue
        fault = _misfit(dataset, row, entry)
        if fault or row is None:
            wrong.append(fault)
        elif dataset.split[row] not in wanted:
            elsewhere += 1
        elif isinstance(entry, Relabel):
            found["relabel"].append(row)
            found["label"].append(SEVEN.index(entry.new))
        else:
            found["drop"].append(row)
    if wrong:
        raise DataError(
            f"{len(wrong):,} of {len(rows.entries):,} entries of the list {rows.title} do not fit "
            f"{dataset.name} ({len(dataset):,} rows); the first: {wrong[0]}. "
            f"The list was made for {rows.data} ({rows.data_rows:,} rows): give that data, or another list"
        )
    drops, relabels, labels = (np.array(values, np.int64) for values in found.values())
    return Match(drops, relabels, labels, elsewhere, absent)


def apply_lists(dataset: FaceDataset, matches: Iterable[Match]) -> FaceDataset:
    """The data set after several lists, each matched against it as it is.

    Where lists disagree on a label the later one counts, and a dropped row is dropped. FER+ votes stay as they are:
    a list corrects the data set's own labels. Name and hash stay too: they identify where the rows come from.
    """
    kept, labels = np.ones(len(dataset), np.bool_), dataset.labels.copy()
    for match in matches:
        kept[match.drops] = False
        labels[match.relabels] = match.labels
    # Relabelled before rows go, while the numbers of the matches still hold.
    return replace(dataset, labels=labels)[kept]


def find_list(name: str) -> RowList:
    """The list of a name (its newest version), `name@version`, or a file.

    Looked for as a file, then in `lists` of Mien's own folder, then among the lists that come with Mien.

    Raises:
        ConfigError: there is none; the message names those that are there.
        DataError: the file is no list.
    """
    path = Path(name)
    # What looks like a path is not looked for by name: a misspelt file would be told as an unknown list.
    if path.suffix == ".json" or len(path.parts) > 1:
        if not path.is_file():
            raise ConfigError(f"no list at {path}: give a file that mien data apply wrote, or a list's name")
        return load_list(path)
    stem, _, version = name.partition("@")
    if not NAME.fullmatch(stem) or (version and not version.isdecimal()) or name.endswith("@"):
        raise ConfigError(f"a list is given as NAME, NAME@VERSION or a file, not {name!r}")
    there = known_lists()
    versions = [known for known in there if known[0] == stem and (not version or known[1] == int(version))]
    if not versions:
        names = ", ".join(f"{known}@{number}" for known, number in sorted(there)) or "none"
        raise ConfigError(
            f"no list {name!r} in {lists_folder()} or among those that come with Mien (there: {names}): "
            "mien data apply makes one"
        )
    return load_list(there[max(versions)])


def known_lists() -> dict[tuple[str, int], Path]:
    """All lists that `find_list` finds by name: where each (name, version) is."""
    found: dict[tuple[str, int], Path] = {}
    # The user's own last: it wins over a shipped one of the same name and version.
    for folder in (SHIPPED, lists_folder()):
        for path in folder.glob("*@*.json"):
            stem, _, version = path.stem.rpartition("@")
            if NAME.fullmatch(stem) and version.isdecimal():
                found[stem, int(version)] = path
    return found


def lists_folder() -> Path:
    """Where a user's own lists are kept; it may not exist yet."""
    return home() / "lists"


def next_version(name: str) -> int:
    """The version that a new list of this name gets."""
    return max((version for known, version in known_lists() if known == name), default=0) + 1


def save_list(rows: RowList, path: Path | None = None) -> Path:
    """Write a list atomically, by default to its place in `lists_folder`.

    Raises:
        OutputError: it cannot be written.
    """
    path = path or lists_folder() / f"{rows.title}.json"
    about = {key: value for key, value in asdict(rows).items() if key not in ("drops", "relabels")}
    lines = [f" {json.dumps(key)}: {json.dumps(value, ensure_ascii=False)}" for key, value in about.items()]
    for key, entries in (("drops", rows.drops), ("relabels", rows.relabels)):
        # A line each, so that two versions of a list can be compared by any diff.
        listed = ",\n".join(f"  {json.dumps(asdict(entry), ensure_ascii=False)}" for entry in entries)
        lines.append(f" {json.dumps(key)}: [\n{listed}\n ]" if listed else f" {json.dumps(key)}: []")
    content = "{\n" + ",\n".join([f' "format": {FORMAT}', *lines]) + "\n}\n"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_whole(path, content.encode("utf-8", "surrogateescape"))
    except OSError as error:
        raise OutputError.of(path, error) from error
    return path


def load_list(path: Path) -> RowList:
    """Read a list.

    Raises:
        DataError: not readable, not a list, or one of a newer form.
    """
    try:
        values = json.loads(path.read_text(encoding="utf-8", errors="surrogateescape"))
        if values.pop("format") != FORMAT:
            raise DataError(f"{path}: a list of another format: expected {FORMAT}")
        # Not isinstance, for which `true` is a whole number.
        if not all(type(values[key]) is int for key in ("version", "data_rows")):
            raise TypeError("version and data_rows are whole numbers")
        return RowList(
            drops=tuple(Drop(**_strings(entry)) for entry in values.pop("drops")),
            relabels=tuple(Relabel(**_strings(entry)) for entry in values.pop("relabels")),
            notes=tuple(values.pop("notes")),
            reviewers=tuple(values.pop("reviewers")),
            **values,
        )
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror or error}") from error
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise DataError(f"{path}: not a list of rows ({error}): expected what mien data apply writes") from error


def _strings(entry: dict[str, Any]) -> dict[str, str]:
    if not all(isinstance(value, str) for value in entry.values()):
        raise TypeError(f"an entry is made of texts, not {entry}")
    return entry


def _misfit(dataset: FaceDataset, row: int | None, entry: Drop | Relabel) -> str:
    """Why an entry does not fit the row of its id, empty if it does."""
    if row is None:
        return f"{entry.id} is not there"
    # The id alone is not enough: other files have rows of the same names.
    if picture_digest(dataset.images[row]) != entry.digest:
        return f"{entry.id} is another picture"
    label = label_name(int(dataset.labels[row]))
    if isinstance(entry, Relabel) and label != entry.old:
        return f"{entry.id} is labelled {label or 'not at all'}, not {entry.old or 'without a label'}"
    return ""
