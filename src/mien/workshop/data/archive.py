"""FER2013 as one `.npz`: images, label, usage and, where there are any, the FER+ votes."""

from __future__ import annotations

import zipfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from mien.errors import DataError
from mien.labels import SEVEN, VOTE_COLUMNS
from mien.workshop.data import cache, fer2013
from mien.workshop.data.base import FaceDataset

_NAMES = ("images", "label", "usage")


def read_npz(path: Path, *, cache_dir: Path | None = None, check_counts: bool = True) -> FaceDataset:
    """Read `images` uint8 (N, 48, 48), `label` (N,), `usage` (N,) and, if it is there, `votes` (N, 10).

    Args:
        path: the archive; a row's usage is 0, 1 or 2 for Training, PublicTest and PrivateTest.
        cache_dir: where the file's hash is kept.
        check_counts: expect exactly the challenge's rows of each Usage.

    Raises:
        DataError: for anything that is not as expected.
    """
    sha256 = cache.file_sha256(path, cache_dir or cache.default_cache_dir())
    arrays = _load(path)
    n = len(arrays["images"])
    if arrays["images"].dtype != np.uint8 or arrays["images"].shape != (n, fer2013.SIDE_PX, fer2013.SIDE_PX):
        found = f"{arrays['images'].dtype} {arrays['images'].shape}"
        raise DataError(f"{path}: images are uint8 (N, 48, 48), found {found}")
    labels = _indices(path, arrays["label"], "label", n, len(SEVEN))
    split = _indices(path, arrays["usage"], "usage", n, len(fer2013.USAGES))
    if check_counts:
        fer2013.require_counts(path, split)
    dataset = fer2013.from_arrays(arrays["images"], labels, split, sha256=sha256)
    return replace(dataset, votes=_votes(path, arrays["votes"], n)) if "votes" in arrays else dataset


def _load(path: Path) -> cache.Arrays:
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as archive:
            missing = [name for name in _NAMES if name not in archive]
            if missing:
                found = ", ".join(archive.files)
                raise DataError(f"{path}: no array {', '.join(missing)}: expected {', '.join(_NAMES)}, found {found}")
            return {name: archive[name] for name in (*_NAMES, "votes") if name in archive}
    except (OSError, ValueError, EOFError, zipfile.BadZipFile) as error:
        raise DataError(f"{path} cannot be read as an npz archive of faces: {error}") from error


def _votes(path: Path, values: npt.NDArray[Any], n: int) -> npt.NDArray[np.uint8]:
    if values.shape != (n, len(VOTE_COLUMNS)) or values.dtype.kind not in "iu":
        raise DataError(
            f"{path}: votes are whole numbers ({n}, {len(VOTE_COLUMNS)}), a row for each of {n:,} faces, "
            f"found {values.dtype} {values.shape}"
        )
    wrong = np.flatnonzero(((values < 0) | (values > np.iinfo(np.uint8).max)).any(axis=1))
    if wrong.size:
        row = int(wrong[0])
        raise DataError(f"{path}, row {row + 1}: votes are counts 0–255, found {values[row].tolist()}")
    return values.astype(np.uint8)


def _indices(path: Path, values: npt.NDArray[Any], name: str, n: int, limit: int) -> npt.NDArray[np.int8]:
    if values.shape != (n,) or values.dtype.kind not in "iu":
        raise DataError(f"{path}: {name} is a whole number for each of {n:,} faces, found {values.shape}")
    wrong = np.flatnonzero((values < 0) | (values >= limit))
    if wrong.size:
        row = int(wrong[0])
        raise DataError(f"{path}, row {row + 1}: {name} is a number 0–{limit - 1}, found {values[row]}")
    return values.astype(np.int8)
