"""A data set from a path, whatever its format."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from mien.errors import DataError
from mien.labels import SEVEN
from mien.workshop.data import built, fer2013
from mien.workshop.data.base import HELD_OUT, NO_LABEL, FaceDataset, Origin, hold_out
from mien.workshop.data.clip_folder import is_clips, read_clips
from mien.workshop.data.clips import ClipDataset
from mien.workshop.data.crop_table import has_crop_table, read_crop_table
from mien.workshop.data.file_tree import FileTree
from mien.workshop.data.layouts.class_folders import FOLDERS, find_class_folders, read_class_folders
from mien.workshop.data.layouts.codings import CODINGS, LEFT_OUT, Classes, in_words
from mien.workshop.data.layouts.opening import SIDE_PX, OpenOptions, open_listing
from mien.workshop.data.layouts.published_clips import list_clips
from mien.workshop.data.layouts.registry import recognise
from mien.workshop.data.layouts.sample import Layout, Listing, find_root

ACCEPTED = (
    "FER2013's csv (fer2013.csv or icml_face_data.csv), a folder that holds it, an .npz of it, "
    "a folder that `mien data build` wrote, a folder of face crops whose labels.csv has a column split, "
    "a published data set as it is handed out, or a folder of pictures in train/<class> and test/<class>, or in "
    "<class>; a folder may be zipped"
)
"""The formats that `load_dataset` reads, in words."""

ARCHIVES = (".zip", ".tar", ".gz", ".tgz", ".rar", ".7z", ".001")
"""Endings of what has to be unpacked, or to be named itself."""


@dataclass(frozen=True)
class LoadOptions:
    """How a data set is read.

    Args:
        classes: names or numbers of its classes with a label each, where they are not what Mien would take them for.
        cache_dir: where parsed data is kept; Mien's own cache folder by default.
        side_px: side of the pictures of published layouts; other forms are read as 48×48.
        detector: finds faces in images that are no crops.
        crops: whether images are face crops; None for what the layout says.
    """

    classes: Classes = field(default_factory=dict)
    cache_dir: Path | None = None
    side_px: int = SIDE_PX
    detector: str = "auto"
    crops: bool | None = None


def load_dataset(path: Path, options: LoadOptions = LoadOptions(), *, cache_dir: Path | None = None) -> FaceDataset:
    """Read the data set at `path`: FER2013 in any form, a published one as it is handed out, a built one, or pictures.

    Where `fer2013new.csv` or `ferplus.csv` is beside FER2013's csv, its votes are read as well. What was recognised,
    how labels were read and what was left out is in the data set's `origin`.

    Args:
        path: file, folder or zip archive; what is wrapped in further folders is found.
        options: see there.
        cache_dir: as in the options.

    Raises:
        DataError: when there is nothing, or it is not as expected.
    """
    path = Path(path)
    options = replace(options, cache_dir=cache_dir or options.cache_dir)
    if not path.exists():
        raise DataError(f"{path}: no such file or folder: expected {ACCEPTED}")
    # No file ends in a slash, so it can stand for folders.
    reader = READERS.get("/" if path.is_dir() else path.suffix.lower())
    if reader is None:
        raise DataError(f"{path}: unknown format: expected {ACCEPTED}")
    return reader(path, options)


def as_dataset(data: FaceDataset | Path | str) -> FaceDataset:
    """A data set that was loaded before, or the one at a path; see `load_dataset`."""
    return data if isinstance(data, FaceDataset) else load_dataset(Path(data))


def with_validation(data: FaceDataset | Path | str, *, seed: int) -> FaceDataset:
    """A data set, with a tenth of its training rows held out for validation if it has no such split; see `hold_out`."""
    return hold_out(as_dataset(data), HELD_OUT, seed=seed)


@dataclass(frozen=True)
class Recognised:
    """A published layout in a tree, with the faces that it lists."""

    files: FileTree
    layout: Layout
    listing: Listing


def find_layout(path: Path, classes: Classes | None = None) -> Recognised:
    """Recognise the layout of a folder or zip archive and list its faces; no image is opened.

    Args:
        path: the folder or archive.
        classes: names or numbers of folders with a label each: given, the data set is read as folders by class.

    Raises:
        DataError: a part is missing, a label is unknown, or there is nothing to read.
    """
    files = FileTree(path)
    found = None if classes else recognise(files)
    if found is not None and found[0] is not FOLDERS:
        layout, root = found
        return Recognised(files, layout, layout.read(files, root))
    # Folders that are not recognised as classes give the error that names them.
    root = (found[1] if found else find_class_folders(files, classes or ())) or ""
    listing = read_class_folders(files, root, classes)
    if not listing.samples:
        archives = [name for name in files.names if name.lower().endswith(ARCHIVES)]
        hint = f"; {', '.join(archives[:3])} in it: give a .zip itself, unpack others" if archives else ""
        raise DataError(f"{path}: no pictures in it: expected train/<class>/… and test/<class>/…, or <class>/…{hint}")
    return Recognised(files, FOLDERS, listing)


def load_clips(path: Path, classes: Classes | None = None) -> ClipDataset:
    """Read the clips at `path`: a folder with clips.csv, a published set of videos or sequences, or videos by class.

    Args:
        path: the folder.
        classes: as `LoadOptions` has it.

    Raises:
        DataError: there are no clips, or they are not as expected.
    """
    if path.is_dir() and is_clips(path):
        return read_clips(path)
    if not path.is_dir():
        raise DataError(f"{path}: expected a folder of clips: with clips.csv, a published data set, or videos by class")
    found = find_layout(path, classes)
    name = path.resolve().name if found.layout is FOLDERS else found.layout.title
    return list_clips(found.files, found.layout, found.listing, name)


def is_published(path: Path, classes: Classes | None = None) -> bool:
    """Whether a folder or zip archive is a published data set by its names of files, not just folders by class."""
    if classes or not (path.is_dir() or path.suffix.lower() == ".zip") or built.is_built(path):
        return False
    if not path.exists() or has_crop_table(path):
        return False
    files = FileTree(path)
    found = recognise(files)
    files.close()
    return found is not None and found[0] is not FOLDERS


def _read_csv(path: Path, options: LoadOptions, member: str = "") -> FaceDataset:
    dataset = fer2013.read_csv(path, member=member, cache_dir=options.cache_dir)
    votes = _first(path.parent, fer2013.VOTE_FILE_NAMES)
    dataset = dataset if votes is None else fer2013.with_votes(dataset, votes)
    return _as_fer2013(dataset, options, f"csv{'' if votes is None else f' and votes of {votes.name}'}")


def _read_npz(path: Path, options: LoadOptions) -> FaceDataset:
    return _as_fer2013(fer2013.read_archive(path, cache_dir=options.cache_dir), options, "npz")


def _as_fer2013(dataset: FaceDataset, options: LoadOptions, form: str) -> FaceDataset:
    """With its origin, and labels by the mapping that is given."""
    line = f"Recognised as {fer2013.NAME} ({form}, {len(dataset):,} faces, the challenge's own splits)."
    origin = Origin("fer2013", line, coding="FER2013")
    if options.classes:
        known = CODINGS["FER2013"] | dict(options.classes)
        strange = sorted(set(options.classes) - set(CODINGS["FER2013"]))
        if strange:
            raise DataError(f"{dataset.name} has the numbers 0–6, and not the class {strange[0]!r} that is given")
        words = [known[str(number)] for number in range(len(SEVEN))]
        table = np.array([SEVEN.index(word) if word in SEVEN else NO_LABEL for word in words] + [NO_LABEL])
        contempt = np.array([word == "contempt" for word in words] + [False])[dataset.labels]
        dataset = replace(dataset, labels=table[dataset.labels], contempt=contempt if contempt.any() else None)
        note = f"The numbers are read as given: {in_words(options.classes)}; {LEFT_OUT} is left without a label."
        origin = replace(origin, notes=(note,), coding="")
    return replace(dataset, origin=origin)


def _read_folder(path: Path, options: LoadOptions) -> FaceDataset:
    # First, because a built data set is also a folder of pictures, but its table decides.
    if built.is_built(path):
        dataset = built.read_built(path)
        return replace(dataset, origin=Origin("built", "Recognised as a data set that mien data build wrote."))
    if has_crop_table(path):
        return read_crop_table(path, options.classes)
    if is_clips(path):
        raise DataError(f"{path} holds clips, each a face over time: expected single pictures: {ACCEPTED}")
    csv = _first(path, fer2013.FILE_NAMES)
    return _read_tree(path, options) if csv is None else _read_csv(csv, options)


def _read_tree(path: Path, options: LoadOptions) -> FaceDataset:
    """A folder or zip archive that does not hold FER2013's csv at its top."""
    files = FileTree(path)
    for name in fer2013.FILE_NAMES:
        root = find_root(files, name)
        if root is not None:
            inside = next(found for found in files.samples if found.lower() == f"{root}{name}".lower())
            files.close()
            return _read_csv(path, options, inside) if files.archive else _read_csv(path / inside, options)
    files.close()
    found = find_layout(path, options.classes)
    listing = found.listing if options.crops is None else replace(found.listing, crops=options.crops)
    named = found.layout is not FOLDERS
    name = found.layout.title if named else path.resolve().name
    opening = OpenOptions(options.side_px if named else SIDE_PX, options.detector, options.cache_dir)
    origin = Origin(
        found.layout.key,
        _line(found, listing),
        (),
        listing.protocol,
        listing.coding,
        listing.splits != "none",
        listing.crops,
    )
    try:
        return open_listing(found.files, listing, origin, name, opening)
    finally:
        found.files.close()


def _line(found: Recognised, listing: Listing) -> str:
    """What was recognised, as a sentence for people."""
    faces = "face crops" if listing.crops else "faces are found first"
    if found.layout is FOLDERS:
        return f"Recognised as {listing.detail} ({faces})."
    return f"Recognised as {found.layout.title} ({listing.detail}; {faces})."


def _first(directory: Path, names: tuple[str, ...]) -> Path | None:
    """The first of these files that is there."""
    return next((directory / name for name in names if (directory / name).is_file()), None)


READERS: dict[str, Callable[[Path, LoadOptions], FaceDataset]] = {
    ".csv": _read_csv,
    ".npz": _read_npz,
    ".zip": _read_tree,
    "/": _read_folder,
}
"""A reader for each ending of a file, and one for folders."""
