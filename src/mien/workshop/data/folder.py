"""Pictures in folders by class, in splits (`train/happy/…`, `test/happy/…`) or not (`happy/…`)."""

from __future__ import annotations

import hashlib
import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from mien.errors import DataError, SourceError
from mien.images import pictures as images
from mien.labels import ALIASES, SEVEN, canonical
from mien.workshop.data import cache
from mien.workshop.data.base import SPLITS, FaceDataset

SIDE_PX = 48
SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".webp", ".tif", ".tiff")
"""Endings of the files that are taken for pictures."""

SPLIT_NAMES = {
    "train": "train", "training": "train",
    "validation": "validation", "valid": "validation", "val": "validation", "publictest": "validation",
    "test": "test", "privatetest": "test",
}  # fmt: skip
"""Names that a split's folder may have, in any case."""

_MAX_NAMED = 5


@dataclass(frozen=True)
class Picture:
    """A picture that is not opened yet, with its class and split as numbers."""

    path: Path
    id: str
    label: int
    split: int


def read_folder(path: Path, *, cache_dir: Path | None = None) -> FaceDataset:
    """Read a tree of pictures of any size as grey 48×48; from the second time on out of a cache.

    A class is called by its name or an alias in any case (`happy`, `Happiness`), or by FER2013's number.
    Without split folders all rows are train. In a test folder, files called `PublicTest_…` are validation:
    this is how the image-folder form of FER2013 tells its two test splits apart. Names that start with a dot
    or an underscore and files that are no pictures by their ending are passed over.

    Args:
        path: the folder; rows come in the order of their paths, which are their ids.
        cache_dir: where the pictures are kept, under the hash of all names, sizes and times.

    Raises:
        DataError: for a folder that is no class, for pictures that cannot be read, or when there are none.
    """
    pictures = find_pictures(path)
    if not pictures:
        raise DataError(f"{path}: no pictures in it: expected train/<class>/… and test/<class>/…, or <class>/…")
    folder = cache_dir or cache.default_cache_dir()
    key = f"folder-{_hash_stats(path, pictures)}"
    cached = cache.load(folder, key, ("images",))
    stack = _fitting(cached, len(pictures))
    if stack is None:
        stack = _read_all(path, pictures)
        cache.save(folder, key, {"images": stack})
    labels = np.array([picture.label for picture in pictures], np.int64)
    split = np.array([picture.split for picture in pictures], np.int8)
    ids = np.array([picture.id for picture in pictures], np.str_)
    content = hashlib.sha256("\n".join(ids).encode("utf-8", "surrogateescape") + stack.tobytes())
    return FaceDataset(path.resolve().name, stack, labels, split, ids, sha256=content.hexdigest())


def find_pictures(root: Path) -> list[Picture]:
    """The pictures of a tree as `read_folder` describes it, in the order of their paths; none is opened."""
    tops = _subfolders(root)
    splits = [folder for folder in tops if folder.name.lower() in SPLIT_NAMES]
    if not splits:
        return [picture for top in tops for picture in _find_class(root, top, "train")]
    for folder in tops:
        if folder not in splits:
            raise DataError(f"{folder}: no split: beside {splits[0].name}/ expected {', '.join(SPLIT_NAMES)}")
    return [
        picture
        for folder in splits
        for top in _subfolders(folder)
        for picture in _find_class(root, top, SPLIT_NAMES[folder.name.lower()])
    ]


def _find_class(root: Path, folder: Path, split: str) -> list[Picture]:
    label = _label(folder)
    found = []
    for file in sorted(folder.rglob("*")):
        if file.suffix.lower() in SUFFIXES and not file.name.startswith((".", "_")):
            public = split == "test" and file.name.lower().startswith("publictest_")
            part = SPLITS.index("validation" if public else split)
            found.append(Picture(file, file.relative_to(root).as_posix(), label, part))
    return found


def _label(folder: Path) -> int:
    """FER2013's number of the class that a folder is called after."""
    name = folder.name.strip()
    if name in {str(index) for index in range(len(SEVEN))}:
        return int(name)
    try:
        return SEVEN.index(canonical(name))
    except (KeyError, ValueError):
        aliases = ", ".join(alias for alias in ALIASES if ALIASES[alias] in SEVEN)
        raise DataError(
            f"{folder}: {name!r} is no class: expected {', '.join(SEVEN)}, FER2013's numbers 0–6, "
            f"another word for one of them ({aliases}), or splits (train, validation, test)"
        ) from None


def _subfolders(path: Path) -> list[Path]:
    try:
        return sorted(entry for entry in path.iterdir() if entry.is_dir() and not entry.name.startswith((".", "_")))
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror or error}") from error


def _hash_stats(root: Path, pictures: list[Picture]) -> str:
    digest = hashlib.sha256(os.fsencode(root.resolve()))
    for picture in pictures:
        stat = picture.path.stat()
        stamp = (picture.id, stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns, stat.st_ino)
        digest.update(f"{stamp}\n".encode("utf-8", "surrogateescape"))
    return digest.hexdigest()


def _fitting(arrays: cache.Arrays | None, rows: int) -> npt.NDArray[np.uint8] | None:
    """Cached pictures, if they are what `_read_all` gives."""
    stack = None if arrays is None else arrays["images"]
    if stack is None or stack.shape != (rows, SIDE_PX, SIDE_PX) or stack.dtype != np.uint8:
        return None
    return stack


def _read_all(root: Path, pictures: list[Picture]) -> npt.NDArray[np.uint8]:
    """Grey pictures (N, 48, 48); the error names those that cannot be read."""
    with ThreadPoolExecutor() as pool:
        results = list(pool.map(_read, pictures, chunksize=64))
    wrong = [result for result in results if isinstance(result, str)]
    if wrong:
        more = f"\nand {len(wrong) - _MAX_NAMED:,} more" if len(wrong) > _MAX_NAMED else ""
        named = "\n".join(wrong[:_MAX_NAMED])
        raise DataError(f"{root}: {len(wrong):,} of {len(pictures):,} pictures cannot be read:\n{named}{more}")
    return np.stack([result for result in results if not isinstance(result, str)])


def _read(picture: Picture) -> npt.NDArray[np.uint8] | str:
    """The picture, or what is wrong with it."""
    try:
        return images.resize(images.to_grey(images.read(picture.path)), SIDE_PX, SIDE_PX)
    except SourceError as error:
        return str(error)
