"""AFEW-VA: 600 clips of movies, 30,051 frames with valence and arousal each.

| file | what it is |
|---|---|
| `001/00000.png` … | the frames of clip 001 |
| `001/001.json` | `video_id`, `actor`, and in `frames` by number (`"00000"`): `valence`, `arousal` and `landmarks` |

Valence and arousal are whole numbers −10 to 10, read as −1 to 1; there are no expressions. The box of the face is made
of the 68 landmarks. Its authors cross-validate by person: splits are by actor, and a model that was not trained on the
set is measured on all frames.

Source: Kossaifi, Tzimiropoulos, Todorovic, Pantic, "AFEW-VA database for valence and arousal estimation in-the-wild",
Image and Vision Computing, 2017.
"""

from __future__ import annotations

import json
import math
import re
from typing import Any

from mien.errors import DataError
from mien.workshop.data.file_tree import FileTree, is_picture
from mien.workshop.data.layouts.sample import (
    Layout,
    Listing,
    Sample,
    by_person,
    counted,
    find_root,
    missing,
    place,
    refuse,
)

TABLE = re.compile(r"(?:.*/)?(\d{3})/\1\.json")
LARGEST = 10
PROTOCOL = "AFEW-VA's frames (all of them, all persons; CCC of valence and arousal)"


def find(files: FileTree) -> str | None:
    """A clip's json in its folder."""
    return find_root(files, r"(?:[^/]+/)?\d{3}/\d{3}\.json")


def read(files: FileTree, root: str) -> Listing:
    """The frames that the json of their clip lists."""
    samples: list[Sample] = []
    tables = [name for name in files.below(root) if TABLE.fullmatch(name)]
    for table in tables:
        samples += _clip(files, table)
    pictured = {name.rpartition("/")[0] for name in files.below(root) if is_picture(name)}
    clips = {folder for folder in pictured if re.fullmatch(r"(?:.*/)?\d{3}", folder)}
    bare = clips - {name.rpartition("/")[0] for name in tables}
    if bare:
        missing(
            files, min(bare), f"{counted(len(bare), 'clip')} without a json", f"{min(bare)[-3:]}.json beside the frames"
        )
    return Listing(by_person(samples), False, counted(len(tables), "clip"), (), PROTOCOL, splits="person")


def _clip(files: FileTree, table: str) -> list[Sample]:
    where, folder = place(files, table), table.rpartition("/")[0]
    try:
        content = json.loads(files.read_text(table))
        frames = dict(content["frames"])
        # A few clips name no actor: each is then a person of its own.
        person = str(content.get("actor") or content.get("video_id") or folder)
    except (ValueError, KeyError, TypeError) as error:
        raise DataError(f"{where}: expected a json with frames, found {type(error).__name__}: {error}") from error
    images = {name.rpartition("/")[2].partition(".")[0]: name for name in files.below(f"{folder}/") if is_picture(name)}
    refuse(where, [key for key in frames if key not in images], "frames without an image")
    samples = []
    for number, (key, frame) in enumerate(sorted(frames.items())):
        at = f"{where}, frame {key}"
        affect, box = _affect(frame, at), _box(frame, at)
        samples.append(
            Sample(images[key], person=person, clip=folder, frame=number, measured=True, box=box, affect=affect)
        )
    return samples


def _affect(frame: Any, where: str) -> tuple[float, float, float]:
    try:
        valence, arousal = float(frame["valence"]), float(frame["arousal"])
    except (KeyError, TypeError, ValueError) as error:
        raise DataError(f"{where}: expected valence and arousal, found {str(frame)[:40]!r}") from error
    if not (abs(valence) <= LARGEST and abs(arousal) <= LARGEST):
        raise DataError(f"{where}: valence {valence:g}, arousal {arousal:g}: expected −10 to 10")
    return valence / LARGEST, arousal / LARGEST, math.nan


def _box(frame: Any, where: str) -> tuple[float, float, float, float] | None:
    """The face around its landmarks."""
    points = frame.get("landmarks") or []
    if not points:
        return None
    try:
        xs, ys = zip(*((float(x), float(y)) for x, y in points), strict=True)
    except (TypeError, ValueError) as error:
        raise DataError(f"{where}: landmarks are pairs of numbers: {error}") from error
    return min(xs), min(ys), max(xs), max(ys)


AFEW_VA = Layout("afew_va", "AFEW-VA", find, read, clips="frames")
