"""Finds the input that ends its worker's process, so that one such file in millions costs an error and not the batch.

Ray starts a dead worker again and gives it the unit again. The first attempt leaves a note that it began; a later one
also notes which input it has come to. An input at which two attempts ended is left out of the next.
"""

from __future__ import annotations

from collections import Counter

from mien.apps.batch.plan import ATTEMPTS, Unit
from mien.apps.storage import Storage

ENDED_TWICE = 2


class Attempt:
    """One attempt at a unit.

    Args:
        storage: the output.
        unit: what is read.

    Raises:
        OutputError, StorageError: the notes cannot be written or read.
    """

    def __init__(self, storage: Storage, unit: Unit) -> None:
        self._storage = storage
        folder = f"{ATTEMPTS}/{unit.id}"
        notes = [path for path, _ in storage.list(folder)]
        ended = Counter(storage.read(path).decode("utf-8", "surrogateescape") for path in notes)
        self.deadly = frozenset(name for name, times in ended.items() if name and times >= ENDED_TWICE)
        if not notes:
            storage.make_folders(folder)
        self._path = f"{folder}/{len(notes)}"
        # Notes of every input cost time, so the first attempt makes none: it seldom needs them.
        self._careful = bool(notes)
        self._note("")

    def begins(self, name: str) -> bool:
        """Note that this input comes next; whether it may be read."""
        if name in self.deadly:
            return False
        if self._careful:
            self._note(name)
        return True

    def _note(self, name: str) -> None:
        with self._storage.writing(self._path) as file:
            file.write(name.encode("utf-8", "surrogateescape"))
