"""Parsed data sets kept on disk, each under the hash of the file that it was read from."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any

import numpy as np
import numpy.typing as npt

from mien.artifact.store import home
from mien.errors import DataError
from mien.files import read_npz, replacing

Arrays = dict[str, npt.NDArray[Any]]


def default_cache_dir() -> Path:
    """Where parsed data sets are kept when no other folder is named."""
    return home() / "cache" / "datasets"


def file_sha256(path: Path, cache_dir: Path) -> str:
    """SHA-256 of a file's content, remembered in `cache_dir` while its size, times and inode stay the same.

    Raises:
        DataError: when the file cannot be read.
    """
    memo = cache_dir / f"{hashlib.sha256(os.fsencode(path.resolve())).hexdigest()[:16]}.json"
    try:
        stat = path.stat()
        # Tools that copy can set the time of writing back, but neither the time of change nor the inode.
        stamp = [stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns, stat.st_ino]
        known = _read_memo(memo)
        if known.get("stamp") == stamp:
            return str(known["sha256"])
        with path.open("rb") as file:
            sha256 = hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror or error}") from error
    content = json.dumps({"stamp": stamp, "sha256": sha256}).encode()
    _write(memo, lambda out: out.write(content))
    return sha256


def load(cache_dir: Path, key: str, names: tuple[str, ...]) -> Arrays | None:
    """The arrays `names` kept under `key`, or None when they are not there or damaged."""
    try:
        return read_npz(cache_dir / f"{key}.npz", names)
    except (OSError, ValueError):
        return None


def save(cache_dir: Path, key: str, arrays: Arrays) -> None:
    """Keep arrays under `key`; a folder that cannot be written to is no reason to stop."""
    _write(cache_dir / f"{key}.npz", lambda out: np.savez(out, allow_pickle=False, **arrays))


def _read_memo(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_bytes())
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) and "sha256" in content else {}


def _write(path: Path, write: Callable[[IO[bytes]], object]) -> None:
    """Write a file atomically, or not at all if the disk refuses."""
    # A full disk or a read-only home costs the next run time, and nothing else.
    with contextlib.suppress(OSError):
        path.parent.mkdir(parents=True, exist_ok=True)
        with replacing(path) as out:
            write(out)
