"""ExpW: 91,793 faces in 106,962 photographs from the web, with a box and an expression each.

| file | what it is |
|---|---|
| `label/label.lst` | a line a face: image, number of the face in it, box (top, left, right, bottom), confidence of |
|  | the detector, expression; separated by spaces |
| `image/origin/….jpg` | the photographs, which the release packs in parts of one archive |

Expressions: 0 angry, 1 disgust, 2 fear, 3 happy, 4 sad, 5 surprise, 6 neutral. The set has no splits of its own: all
rows may be trained on, and a model that was not is measured on all of them.

Source: Zhang, Luo, Loy, Tang, "From Facial Expression Recognition to Interpersonal Relation Prediction", IJCV 2018; the
release's readme.
"""

from __future__ import annotations

from mien.errors import DataError
from mien.workshop.data.file_tree import FileTree, is_picture
from mien.workshop.data.layouts.codings import CODINGS
from mien.workshop.data.layouts.sample import Layout, Listing, Sample, code, missing, place, refuse
from mien.workshop.data.layouts.tables import iter_words, read_number

COLUMNS = 8
PROTOCOL = "ExpW's labelled faces (all of them)"


def find(files: FileTree) -> str | None:
    """A `label.lst` of eight columns."""
    for name in files.samples:
        if (
            name.rpartition("/")[2].lower() == "label.lst"
            and len(next(iter_words(files, name), ("", []))[1]) == COLUMNS
        ):
            folder = name.rpartition("/")[0]
            # The images are beside the folder of the list.
            return (
                f"{folder.rpartition('/')[0]}/".lstrip("/")
                if folder.lower().endswith("label")
                else f"{folder}/".lstrip("/")
            )
    return None


def read(files: FileTree, root: str) -> Listing:
    """A face a line."""
    table = next(name for name in files.below(root) if name.rpartition("/")[2].lower() == "label.lst")
    images = {name.rpartition("/")[2]: name for name in files.below(root) if is_picture(name)}
    if not images:
        missing(files, root, "label.lst without images", "the photographs in image/origin/, joined and unpacked")
    samples, absent = [], []
    for where, row in iter_words(files, table):
        if len(row) != COLUMNS:
            raise DataError(
                f"{where}: {len(row)} columns, expected {COLUMNS}: image, face, box, confidence, expression"
            )
        label = code(CODINGS["FER2013"], row[7], where)
        top, left, right, bottom = (read_number(cell, where) for cell in row[2:6])
        if not (left < right and top < bottom):
            raise DataError(f"{where}: expected a box top < bottom, left < right, found {' '.join(row[2:6])}")
        if row[0] in images:
            box = (left, top, right, bottom)
            samples.append(Sample(images[row[0]], label, measured=True, box=box, id=f"{row[0]}#{row[1]}"))
        else:
            absent.append(row[0])
    refuse(place(files, root), absent, "images that label.lst names are missing")
    return Listing(tuple(samples), False, "a box a face", (), PROTOCOL, splits="none")


EXPW = Layout("expw", "ExpW", find, read)
