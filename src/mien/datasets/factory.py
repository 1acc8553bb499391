"""A data set from a path, whatever its form."""

from __future__ import annotations

from pathlib import Path

from mien.datasets import fer2013, ferplus
from mien.datasets.base import FaceDataset
from mien.errors import DataError


def load_dataset(path: Path, *, cache_dir: Path | None = None, check_counts: bool = True) -> FaceDataset:
    """Read the data set at `path`: FER2013's csv (with FER+ votes when they lie beside it) or a folder with it.

    Args:
        path: file or folder.
        cache_dir: where parsed data is kept; by default in Mien's own cache folder.
        check_counts: expect FER2013's csv to have exactly the challenge's rows.

    Raises:
        DataError: when there is nothing there, or it is not what it should be.
    """
    path = Path(path)
    if path.is_dir():
        path = next((path / name for name in fer2013.FILE_NAMES if (path / name).is_file()), path)
    if not path.is_file():
        raise DataError(f"{path}: no data set there")
    dataset = fer2013.read_csv(path, cache_dir=cache_dir, check_counts=check_counts)
    votes = next((path.parent / name for name in ferplus.FILE_NAMES if (path.parent / name).is_file()), None)
    return dataset if votes is None else ferplus.with_votes(dataset, votes)
