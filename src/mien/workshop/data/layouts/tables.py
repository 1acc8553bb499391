"""Tables inside a tree: csv files and lists, line by line."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator

from mien.errors import DataError
from mien.workshop.data.file_tree import FileTree
from mien.workshop.data.layouts.sample import place


def iter_csv(files: FileTree, name: str) -> Iterator[tuple[str, list[str]]]:
    """Where each line of a csv is, and its cells without the space around them; empty lines are passed over.

    Raises:
        DataError: it is no csv.
    """
    where = place(files, name)
    reader = csv.reader(io.StringIO(files.read_text(name), newline=""))
    try:
        for row in reader:
            if row:
                # The reader's own count: a quoted cell may hold line ends.
                yield f"{where}, line {reader.line_num}", [cell.strip() for cell in row]
    except csv.Error as error:
        raise DataError(f"{where}, line {reader.line_num}: not a csv: {error}") from error


def iter_words(files: FileTree, name: str) -> Iterator[tuple[str, list[str]]]:
    """Where each line of a text file is, and its words; empty lines are passed over."""
    where = place(files, name)
    for number, line in enumerate(files.read_text(name).splitlines(), start=1):
        if line.strip():
            yield f"{where}, line {number}", line.split()


def read_number(text: str, where: str) -> float:
    """A number of a table.

    Raises:
        DataError: it is something else.
    """
    try:
        return float(text)
    except ValueError:
        raise DataError(f"{where}: expected a number, found {text[:20]!r}") from None
