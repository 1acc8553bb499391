"""Takes parcels home: into the folder of all runs, where studies, exports and reports look for them."""

from __future__ import annotations

import json
from pathlib import Path, PurePosixPath
from typing import Any

from mien.errors import ConfigError
from mien.files import write_whole
from mien.training.folder import BEST, HISTORY, LAST
from mien.training.queue.parcel import read_parcel
from mien.training.study.records import FAILURE, load_history

_ORDER = (LAST, BEST, HISTORY)


def take_parcel(paths: list[Path], runs: Path) -> tuple[list[str], list[str]]:
    """Write a parcel's files below `runs`: which ones, and which were left because what is there is further on.

    A run here that has more epochs than the parcel's stays as it is.

    Raises:
        DataError: the parcel is damaged.
        ConfigError: a run here is another one than the parcel's of the same name.
    """
    files = read_parcel(paths)
    folders = sorted({str(PurePosixPath(name).parent) for name in files})
    kept = {folder for folder in folders if _is_behind(files.get(f"{folder}/{HISTORY}"), runs / folder)}
    taken: list[str] = []
    for name in sorted(files, key=_rank):
        path = PurePosixPath(name)
        if str(path.parent) in kept:
            continue
        (runs / path.parent).mkdir(parents=True, exist_ok=True)
        write_whole(runs / path, files[name])
        taken.append(name)
        if path.name == HISTORY and f"{path.parent}/{FAILURE}" not in files:
            (runs / path.parent / FAILURE).unlink(missing_ok=True)
    return taken, sorted(name for name in files if str(PurePosixPath(name).parent) in kept)


def _rank(name: str) -> tuple[str, int]:
    """The history of a run comes last: what it tells of is there by then."""
    path = PurePosixPath(name)
    return str(path.parent), _ORDER.index(path.name) if path.name in _ORDER else -1


def _is_behind(history: bytes | None, folder: Path) -> bool:
    """Whether a run here has more epochs than the parcel's.

    Raises:
        ConfigError: it is another run.
    """
    here = load_history(folder)
    if history is None or here is None:
        return False
    saved: dict[str, Any] = json.loads(history)
    if saved["identity"] != here[0]:
        raise ConfigError(f"{folder} holds another run than the parcel: give other --runs, or remove that folder")
    return len(here[1]) > len(saved["history"])
