"""A data set from a path, whatever its format."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from mien.errors import DataError
from mien.workshop.data import built, fer2013, image_folder
from mien.workshop.data.base import HELD_OUT, FaceDataset, hold_out
from mien.workshop.data.crop_table import has_crop_table, read_crop_table

ACCEPTED = (
    "FER2013's csv (fer2013.csv or icml_face_data.csv), a folder that holds it, an .npz of it, "
    "a folder that `mien data build` wrote, a folder of face crops whose labels.csv has a column split, "
    "or a folder of pictures in train/<class> and test/<class>, or in <class>"
)
"""The formats that `load_dataset` reads, in words."""


def load_dataset(path: Path, *, cache_dir: Path | None = None) -> FaceDataset:
    """Read the data set at `path`: a csv of FER2013, a folder with one, an `.npz`, a built one, or pictures.

    Where `ferplus.csv` or `fer2013new.csv` is beside the csv, its votes are read as well.

    Args:
        path: file or folder.
        cache_dir: where parsed data is kept; Mien's own cache folder by default.

    Raises:
        DataError: when there is nothing, or it is not as expected.
    """
    path = Path(path)
    if not path.exists():
        raise DataError(f"{path}: no such file or folder: expected {ACCEPTED}")
    # No file ends in a slash, so it can stand for folders.
    reader = READERS.get("/" if path.is_dir() else path.suffix.lower())
    if reader is None:
        raise DataError(f"{path}: unknown format: expected {ACCEPTED}")
    return reader(path, cache_dir)


def as_dataset(data: FaceDataset | Path | str) -> FaceDataset:
    """A data set that was loaded before, or the one at a path; see `load_dataset`."""
    return data if isinstance(data, FaceDataset) else load_dataset(Path(data))


def with_validation(data: FaceDataset | Path | str, *, seed: int) -> FaceDataset:
    """A data set, with a tenth of its training rows held out for validation if it has no such split; see `hold_out`."""
    return hold_out(as_dataset(data), HELD_OUT, seed=seed)


def _read_csv(path: Path, cache_dir: Path | None) -> FaceDataset:
    dataset = fer2013.read_csv(path, cache_dir=cache_dir)
    votes = _first(path.parent, fer2013.VOTE_FILE_NAMES)
    return dataset if votes is None else fer2013.with_votes(dataset, votes)


def _read_npz(path: Path, cache_dir: Path | None) -> FaceDataset:
    return fer2013.read_archive(path, cache_dir=cache_dir)


def _read_folder(path: Path, cache_dir: Path | None) -> FaceDataset:
    # First, because a built data set is also a folder of pictures, but its table decides.
    if built.is_built(path):
        return built.read_built(path)
    if has_crop_table(path):
        return read_crop_table(path)
    csv = _first(path, fer2013.FILE_NAMES)
    if csv is not None:
        return _read_csv(csv, cache_dir)
    return image_folder.read_folder(path, cache_dir=cache_dir)


def _first(directory: Path, names: tuple[str, ...]) -> Path | None:
    """The first of these files that is there."""
    return next((directory / name for name in names if (directory / name).is_file()), None)


READERS: dict[str, Callable[[Path, Path | None], FaceDataset]] = {
    ".csv": _read_csv,
    ".npz": _read_npz,
    "/": _read_folder,
}
"""A reader for each ending of a file, and one for folders."""
