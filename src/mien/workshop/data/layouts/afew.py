"""AFEW and SFEW: moments of movies, as videos and as still frames, in the splits of the EmotiW challenges.

| data set | layout |
|---|---|
| SFEW 2.0 | `Train/Angry/Airheads_000519240_00000005.png`, `Val/…`; also `Train_Aligned_Faces/…` with face crops |
| AFEW | `Train_AFEW/Angry/000046280.avi`, `Val_AFEW/…` |

Folders: Angry, Disgust, Fear, Happy, Neutral, Sad, Surprise. The labels of `Test` were never published: what is there
is passed over and counted. Models are measured on `Val`, as in papers (SFEW 436 frames, AFEW 383 videos). The splits
share no movie.

Source: Dhall, Goecke, Lucey, Gedeon, "Collecting large, richly annotated facial-expression databases from movies", IEEE
MultiMedia, 2012; Dhall et al., EmotiW 2015.
"""

from __future__ import annotations

import re

from mien.errors import DataError
from mien.labels import SEVEN, canonical
from mien.workshop.data.file_tree import FileTree, is_picture, is_video
from mien.workshop.data.layouts.sample import Layout, Listing, Sample, counted, find_root, missing, place

STILL = r"(Train|Val|Test)(?:_Aligned_Faces)?/(?:([^/]+)/)?[^/]+_\d{9}_\d{8}\.(?:png|jpg)"
VIDEO = r"(Train|Val|Test)(?:_AFEW)?/(?:([^/]+)/)?\d{9}\.(?:avi|mp4)"
SPLITS = {"train": "train", "val": "validation"}


def find_stills(files: FileTree) -> str | None:
    """Frames of SFEW's names in splits."""
    return find_root(files, STILL)


def find_videos(files: FileTree) -> str | None:
    """Videos of AFEW's names in splits."""
    return find_root(files, VIDEO)


def read_stills(files: FileTree, root: str) -> Listing:
    """SFEW: the aligned faces where they are there, otherwise the frames."""
    aligned = any("_aligned_faces/" in name.lower() for name in files.below(root))
    names = [name for name in files.below(root) if is_picture(name) and ("_aligned_faces/" in name.lower()) == aligned]
    samples, notes = _samples(files, root, names, STILL, "SFEW")
    detail = "aligned faces" if aligned else "frames"
    return Listing(samples, aligned, detail, notes, "SFEW 2.0's validation set (436 frames)")


def read_videos(files: FileTree, root: str) -> Listing:
    """AFEW's videos."""
    names = [name for name in files.below(root) if is_video(name)]
    samples, notes = _samples(files, root, names, VIDEO, "AFEW")
    return Listing(samples, False, "videos", notes, "AFEW's validation set (383 videos)")


def _samples(
    files: FileTree, root: str, names: list[str], pattern: str, title: str
) -> tuple[tuple[Sample, ...], tuple[str, ...]]:
    compiled = re.compile(pattern, re.IGNORECASE)
    samples, hidden = [], 0
    for name in names:
        found = compiled.fullmatch(name.removeprefix(root))
        if found is None:
            raise DataError(f"{place(files, name)}: expected Train/<class>/ or Val/<class>/, as {title} has them")
        if found[1].lower() == "test":
            hidden += 1
            continue
        label = _label(found[2] or "", place(files, name), title)
        split = SPLITS[found[1].lower()]
        clip = name if is_video(name) and not is_picture(name) else ""
        samples.append(Sample(name, label, split, clip=clip, measured=split == "validation"))
    if not any(sample.measured for sample in samples):
        missing(files, root, f"{title} without Val", "Train/ and Val/ side by side")
    notes = (f"{counted(hidden, 'file')} of Test passed over: no labels were published.",) if hidden else ()
    return tuple(samples), notes


def _label(folder: str, where: str, title: str) -> str:
    try:
        label = canonical(folder)
    except KeyError:
        label = ""
    if label not in SEVEN:
        raise DataError(f"{where}: {folder!r} is not a class of {title}: expected {', '.join(SEVEN)}")
    return label


SFEW = Layout("sfew", "SFEW 2.0", find_stills, read_stills)
AFEW = Layout("afew", "AFEW", find_videos, read_videos, clips="whole")
