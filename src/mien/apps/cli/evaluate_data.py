"""What `mien evaluate` is to score: a data set of face crops, or photos in which the faces are found first."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from rich.table import Table

    from mien.artifact.input import InputSpec
    from mien.workshop.data.base import FaceDataset
    from mien.workshop.evaluation.scores import Evaluation, PhotoEvaluation, PhotoFaces

LARGE_PX = 128
"""Pictures of folders that are mostly longer than this look like photos rather than crops."""


class DataWishes(NamedTuple):
    """How DATA is to be taken.

    Args:
        photos: its pictures are photos with faces to find (True), face crops (False), or what its form says (None).
        detector: finds the faces of photos; None is `auto`.
        any_size: accept a FER2013 with other numbers of rows.
    """

    photos: bool | None = None
    detector: str | None = None
    any_size: bool = False


def load_faces(path: Path, wishes: DataWishes, spec: InputSpec) -> tuple[FaceDataset, PhotoFaces | None, list[str]]:
    """The faces to score, where they were found if they come from photos, and sentences for the user.

    A folder with `labels.csv` holds photos; everything else holds face crops, unless `wishes` say otherwise.

    Raises:
        ConfigError: a detector for what are crops, or one that is not there.
        DataError: the data is not what it should be.
    """
    from mien.errors import ConfigError, DataError
    from mien.workshop.data.factory import load_dataset
    from mien.workshop.data.photos import has_table

    table = path.is_dir() and has_table(path)
    if wishes.photos or (wishes.photos is None and table) or (table and wishes.photos is False):
        if not path.exists():
            raise DataError(f"{path}: no such folder")
        if wishes.photos is False and wishes.detector:
            raise ConfigError("--detector finds faces in photos: it has nothing to do with --crops")
        faces = _find(path, "none" if wishes.photos is False else wishes.detector or "auto", spec)
        return faces.dataset, faces, []
    if wishes.detector:
        raise ConfigError(f"--detector finds faces in photos, but {path} is taken for face crops: add --photos")
    dataset = load_dataset(path, check_counts=not wishes.any_size)
    return _tested(path, dataset, wishes)


def photos_table(found: PhotoEvaluation, evaluation: Evaluation) -> Table:
    """Accuracy and mean recall among the photos with a face, and of all photos."""
    from rich import box
    from rich.table import Table
    from rich.text import Text

    table = Table(title="from photo to label", title_justify="left", title_style="bold", box=box.SIMPLE_HEAD)
    table.add_column("photos")
    for name in ("rows", "accuracy %", "mean recall %"):
        table.add_column(name, justify="right", no_wrap=True)
    sets = {scores.faces.key: scores for scores in evaluation.sets}
    for row in found.scores:
        scores = sets[row.key]
        table.add_section()
        table.add_row(Text(f"head {scores.faces.head}, {scores.faces.title}", style="dim"))
        for title, rows, accuracy, (low, high), recall in (
            ("with a face found", row.found, row.accuracy_found, scores.accuracy_interval, row.mean_recall_found),
            ("all, missed as errors", row.photos, row.accuracy_all, row.accuracy_all_interval, row.mean_recall_all),
        ):
            cells = (f"{rows:,}", f"{100 * accuracy:.2f}\n{100 * low:.1f}–{100 * high:.1f}", f"{100 * recall:.1f}")
            table.add_row(title, *cells)
    return table


def _find(path: Path, detector: str, spec: InputSpec) -> PhotoFaces:
    """With a progress bar on a terminal's stderr."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    from mien.faces.factory import create_detector
    from mien.workshop.data.photos import find_photos
    from mien.workshop.evaluation.photos import find_faces

    photos, finder = find_photos(path), create_detector(detector)
    columns = (TextColumn("photos"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    console = Console(stderr=True)
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task("photos", total=len(photos))
        return find_faces(
            photos, finder, spec, progress=lambda done, total: bar.update(task, completed=done, total=total)
        )


def _tested(path: Path, dataset: FaceDataset, wishes: DataWishes) -> tuple[FaceDataset, None, list[str]]:
    """A folder by class without splits is a test set here; large pictures are remarked on."""
    from mien.workshop.data.base import SPLITS
    from mien.workshop.data.folder import SPLIT_NAMES

    notes = []
    if _is_class_folder(path):
        if not any(entry.name.lower() in SPLIT_NAMES for entry in path.iterdir() if entry.is_dir()):
            dataset = replace(dataset, split=dataset.split * 0 + SPLITS.index("test"))
            notes.append(f"{path} has no splits: all its {len(dataset):,} faces are tested.")
        if wishes.photos is None and _mostly_large(path):
            notes.append(
                f"Most pictures of {path} are longer than {LARGE_PX} px and are taken for face crops as they are: "
                "if they are photos, add --photos, and faces are found in them first."
            )
    return dataset, None, notes


def _is_class_folder(path: Path) -> bool:
    from mien.workshop.data import fer2013
    from mien.workshop.data.built import is_built

    return path.is_dir() and not is_built(path) and not any((path / name).is_file() for name in fer2013.FILE_NAMES)


def _mostly_large(path: Path) -> bool:
    """By the headers of up to twenty pictures from all over the folder."""
    from mien.images.header import read_size, sniff
    from mien.workshop.data.folder import find_pictures

    pictures = find_pictures(path)
    sizes = []
    for picture in pictures[:: max(1, len(pictures) // 20)]:
        with picture.path.open("rb") as file:
            head = file.read(2**18)
        kind = sniff(head)
        try:
            sizes.append(max(read_size(head, kind)) if kind else 0)
        except ValueError:
            continue
    return sum(size > LARGE_PX for size in sizes) > len(sizes) / 2
