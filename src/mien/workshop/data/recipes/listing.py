"""What there is to read in a source: pictures or clips with their labels, before any of them is opened."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from mien.errors import DataError
from mien.labels import CROWD, SEVEN, VOTE_COLUMNS, canonical
from mien.workshop.data.base import NO_LABEL, SPLIT_NAMES, SPLITS, parse_votes, read_csv_rows
from mien.workshop.data.file_tree import FileTree, is_picture, is_video
from mien.workshop.data.recipes.recipe import DROP, FREE, Source

COLUMNS = ("file", "label", "split", "person", *VOTE_COLUMNS)
"""The columns that a table may have; the first two it must."""

NO_VOTES = (0,) * len(VOTE_COLUMNS)
_MAX_NAMED = 8


@dataclass(frozen=True)
class Item:
    """A picture or clip to read: its name in the source's files, its label there, and what else is known."""

    file: str
    label: str
    split: int = FREE
    person: str = ""
    votes: tuple[int, ...] = NO_VOTES


def list_items(source: Source, files: FileTree, table: Path | None) -> list[Item]:
    """The pictures or clips of a source, in the order of the table or of their names.

    Raises:
        DataError: the table or the folders are not what they should be, or there is nothing.
    """
    items = _from_table(source, files, table) if table is not None else _from_folders(source, files)
    if not items:
        kind = "videos" if source.kind == "video" else "pictures"
        raise DataError(f"source {source.name!r}: no {kind} in {files.path}")
    return [_with_person(item, source) for item in items]


def label_numbers(source: Source, words: Iterable[str], *, known: tuple[str, ...] = ()) -> dict[str, int]:
    """Mien's number for each word of a source, -1 for those that its recipe drops.

    Args:
        source: its `labels` come first; a word that Mien knows as one of the seven needs none.
        words: the source's labels.
        known: words that are asked for whether or not they occur, so that nothing depends on the data.

    Raises:
        DataError: for words that are not known, with all of them.
    """
    numbers, unknown = {}, []
    # Each word once, in the order of the data, so that the message is the same every time.
    for word in dict.fromkeys([*words, *known]):
        label = source.labels.get(word, word if word in SEVEN else _canonical(word))
        if label == DROP:
            numbers[word] = NO_LABEL
        elif label in SEVEN:
            numbers[word] = SEVEN.index(label)
        else:
            unknown.append(word)
    if unknown:
        more = f" and {len(unknown) - _MAX_NAMED} more" if len(unknown) > _MAX_NAMED else ""
        named = ", ".join(repr(word) for word in unknown[:_MAX_NAMED])
        raise DataError(
            f"source {source.name!r}: unknown label {named}{more}: map it in [sources.labels] to one of "
            f"{', '.join(SEVEN)}, or to {DROP!r}"
        )
    return numbers


def crowd_numbers(source: Source) -> dict[int, int]:
    """Mien's number for each class of the crowd, by its position in `labels.CROWD`."""
    numbers = label_numbers(source, CROWD)
    return {index: numbers[name] for index, name in enumerate(CROWD)}


def _canonical(word: str) -> str:
    try:
        return canonical(word)
    except KeyError:
        return word


def _from_folders(source: Source, files: FileTree) -> list[Item]:
    """`happy/a.png`, or `train/happy/a.png` where the uppermost folders are splits."""
    names = [name for name in files.names if (is_video if source.kind == "video" else is_picture)(name)]
    tops = {PurePosixPath(name).parts[0] for name in names}
    with_splits = any(top.lower() in SPLIT_NAMES for top in tops)
    items, wrong = [], []
    for name in names:
        folders = PurePosixPath(name).parts[:-1]
        split = FREE
        if with_splits and folders and folders[0].lower() in SPLIT_NAMES:
            split, folders = SPLITS.index(SPLIT_NAMES[folders[0].lower()]), folders[1:]
        elif with_splits:
            wrong.append(name)
            continue
        if not folders:
            wrong.append(name)
            continue
        items.append(Item(name, folders[0], split))
    if wrong:
        raise DataError(
            f"source {source.name!r}: {len(wrong):,} files are not in a folder of a class, the first "
            f"{wrong[0]!r}: expected <class>/… or <split>/<class>/… below {files.path}, or a table"
        )
    return items


def _from_table(source: Source, files: FileTree, table: Path) -> list[Item]:
    """A line of the csv each."""
    rows, columns = _read_table(source, table)
    items, missing = [], []
    vote_columns = VOTE_COLUMNS if all(name in columns for name in VOTE_COLUMNS) else ()
    for number, row in rows:

        def cell(name: str, row: list[str] = row) -> str:
            return row[columns[name]].strip() if name in columns else ""

        file = files.find(cell("file"))
        if file is None:
            missing.append(cell("file"))
            continue
        split = _split(cell("split"), source, table, number)
        votes = parse_votes([cell(name) for name in vote_columns], f"{table}, line {number}")
        items.append(Item(file, cell("label"), split, cell("person"), votes or NO_VOTES))
    if missing:
        named = ", ".join(missing[:_MAX_NAMED])
        raise DataError(
            f"{table}: {len(missing):,} of {len(rows):,} rows name a file that is not in {files.path} "
            f"(or one of several with that name): {named}"
        )
    _refuse_repeats(table, [item.file for item in items])
    return items


def _read_table(source: Source, table: Path) -> tuple[list[tuple[int, list[str]]], dict[str, int]]:
    """The table's rows with their line numbers, and the position of each column that is known."""
    header, lines = read_csv_rows(table, "a csv")
    rows = [(number, row) for number, row in lines if any(row)]
    strange = [key for key in source.columns if key not in COLUMNS]
    if strange:
        raise DataError(f"source {source.name!r}: columns.{strange[0]}: expected one of {', '.join(COLUMNS[:4])}")
    names = {key: source.columns.get(key, key) for key in COLUMNS}
    columns = {key: header.index(name) for key, name in names.items() if name in header}
    asked = ["file", "label", *source.columns]
    missing = [names[key] for key in dict.fromkeys(asked) if key not in columns]
    if missing:
        raise DataError(
            f"{table}, line 1: no column {', '.join(missing)}, found {', '.join(header) or 'nothing'}: "
            f"name them in columns of source {source.name!r}"
        )
    short = next((number for number, row in rows if len(row) < len(header)), None)
    if short is not None:
        raise DataError(f"{table}, line {short}: expected {len(header)} columns ({', '.join(header)})")
    return rows, columns


def _split(word: str, source: Source, table: Path, number: int) -> int:
    if not word:
        return FREE
    # The column may mean something else, such as folds, where the source's splits are not kept.
    if word.lower() not in SPLIT_NAMES:
        if source.keep_splits:
            known = ", ".join(SPLIT_NAMES)
            raise DataError(f"{table}, line {number}: split {word!r}: expected one of {known}, or nothing")
        return FREE
    return SPLITS.index(SPLIT_NAMES[word.lower()])


def _refuse_repeats(table: Path, files: list[str]) -> None:
    twice = [file for file, count in Counter(files).items() if count > 1]
    if twice:
        raise DataError(
            f"{table}: {len(twice):,} files are in more than one row, the first {twice[0]!r}: expected each once"
        )


def _with_person(item: Item, source: Source) -> Item:
    """The person whom the table names, or the one whom the recipe's pattern finds in the file's name."""
    if item.person or not source.person:
        return item
    found = re.search(source.person, PurePosixPath(item.file).name)
    person = "" if found is None else (found.group(1) if found.re.groups else found.group(0)) or ""
    return Item(item.file, item.label, item.split, person, item.votes)
