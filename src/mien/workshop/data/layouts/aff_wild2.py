"""Aff-Wild2: 564 videos of about 2.8 million frames from the web, annotated frame by frame (the ABAW challenges).

| part | layout |
|---|---|
| expressions | `EXPR_…/Train_Set/VIDEO.txt`, `…/Validation_Set/…`: a header, then a number a frame: 0 neutral, |
|  | 1 anger, 2 disgust, 3 fear, 4 happiness, 5 sadness, 6 surprise, 7 other, −1 not annotated |
| valence, arousal | `VA_…/Train_Set/VIDEO.txt`, …: the header `valence,arousal`, then two numbers a frame, −5 not |
|  | annotated |
| frames | `cropped_aligned/VIDEO/00001.jpg`: line n after the header is frame n; frames without a face are not there |

`EXPR_…` is EXPR_Set, EXPR_Classification_Challenge or EXPR_Recognition_Challenge, `VA_…` likewise. VIDEO may end in
`_left` or `_right` where a video shows two people. *Other* has no label in Mien. A data set of pictures takes every
tenth frame to train on and all frames of the validation set, on which models are measured.

Source: Kollias, Zafeiriou, "Aff-Wild2: Extending the Aff-Wild Database for Affect Recognition", 2019; Kollias, "ABAW:
Valence-Arousal Estimation, Expression Recognition, Action Unit Detection & Multi-Task Learning Challenges", CVPRW 2022.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from dataclasses import dataclass

from mien.errors import DataError
from mien.workshop.data.file_tree import FileTree, is_picture
from mien.workshop.data.layouts.sample import (
    UNKNOWN_AFFECT,
    Layout,
    Listing,
    Sample,
    code,
    counted,
    find_root,
    missing,
    place,
)
from mien.workshop.data.layouts.tables import read_number

EXPRESSIONS = {
    "-1": "", "0": "neutral", "1": "angry", "2": "disgust", "3": "fear", "4": "happy", "5": "sad", "6": "surprise",
    "7": "",
}  # fmt: skip
TABLE = re.compile(r"(?:.*/)?(EXPR|VA)_(?:Set|\w*Challenge)/(Train|Validation)_Set/([^/]+)\.txt", re.IGNORECASE)
FRAME = re.compile(r"(?:.*/)?(?:cropped_aligned|cropped)/([^/]+)/0*(\d+)\.(?:jpg|png)", re.IGNORECASE)
NO_AFFECT = -5
TRAINED_EVERY = 10
PROTOCOL = "Aff-Wild2's validation set (all annotated frames; macro F1 without Other, CCC of valence and arousal)"


@dataclass
class _Video:
    """What is known of a video, by frame from 1."""

    split: str = "train"
    labels: tuple[str, ...] = ()
    affect: tuple[tuple[float, float, float], ...] = ()


def find(files: FileTree) -> str | None:
    """Annotations of either kind, or the frames where those are missing."""
    found = find_root(files, r"(?:[^/]+/)?(?:EXPR|VA)_(?:Set|\w*Challenge)/(?:Train|Validation)_Set/[^/]+\.txt")
    if found is None:
        found = find_root(files, r"cropped_aligned/[^/]+/\d+\.jpg")
    # Annotations and frames are beside one another, in whatever folders.
    return None if found is None else ""


def read(files: FileTree, root: str) -> Listing:
    """The annotated frames that have a face."""
    videos = _videos(files)
    if not videos:
        missing(
            files, root, "Aff-Wild2's frames without annotations", "EXPR_…/ or VA_…/ with Train_Set and Validation_Set"
        )
    frames: dict[str, list[tuple[int, str]]] = {}
    for name in files.names:
        found = FRAME.fullmatch(name)
        if found and is_picture(name):
            frames.setdefault(found[1], []).append((int(found[2]), name))
    if not set(frames) & set(videos):
        missing(files, root, "Aff-Wild2's annotations without frames", "cropped_aligned/VIDEO/00001.jpg and so on")
    samples: list[Sample] = []
    for video in sorted(set(frames) & set(videos)):
        samples += _samples(video, videos[video], sorted(frames[video]))
    return Listing(tuple(samples), True, "annotated frames, cropped", tuple(_notes(videos, frames)), PROTOCOL)


def _samples(video: str, about: _Video, frames: list[tuple[int, str]]) -> list[Sample]:
    found = []
    for number, name in frames:
        label = about.labels[number - 1] if 0 < number <= len(about.labels) else ""
        affect = about.affect[number - 1] if 0 < number <= len(about.affect) else UNKNOWN_AFFECT
        known = label != "" or not math.isnan(affect[0])
        measured = known and about.split == "validation"
        still = measured or (known and number % TRAINED_EVERY == 1)
        found.append(
            Sample(name, label, about.split, video, video, number - 1, still=still, measured=measured, affect=affect)
        )
    return found


def _videos(files: FileTree) -> dict[str, _Video]:
    videos: dict[str, _Video] = {}
    for name in files.names:
        found = TABLE.fullmatch(name)
        if found is None:
            continue
        about = videos.setdefault(found[3], _Video())
        # The tasks have splits of their own: a video that validates either is not trained on.
        if found[2].lower() == "validation":
            about.split = "validation"
        if found[1].upper() == "EXPR":
            about.labels = _read_expressions(files, name)
        else:
            about.affect = _read_affect(files, name)
    return videos


def _lines(files: FileTree, name: str, columns: int) -> list[tuple[str, list[str]]]:
    """Where each line after the header is, and its cells."""
    where = place(files, name)
    lines = [line.strip() for line in files.read_text(name).splitlines()]
    if len(lines) < 2:
        raise DataError(f"{where}: expected a header and a line a frame, found {counted(len(lines), 'line')}")
    found = [(f"{where}, line {number}", line.split(",")) for number, line in enumerate(lines[1:], start=2) if line]
    for at, cells in found:
        if len(cells) != columns:
            raise DataError(f"{at}: expected {counted(columns, 'number')}, found {','.join(cells)[:30]!r}")
    return found


def _read_expressions(files: FileTree, name: str) -> tuple[str, ...]:
    return tuple(code(EXPRESSIONS, cells[0].strip(), at) for at, cells in _lines(files, name, 1))


def _read_affect(files: FileTree, name: str) -> tuple[tuple[float, float, float], ...]:
    values = []
    for at, cells in _lines(files, name, 2):
        valence, arousal = (read_number(cell, at) for cell in cells)
        if valence == NO_AFFECT or arousal == NO_AFFECT:
            values.append(UNKNOWN_AFFECT)
        elif abs(valence) <= 1 and abs(arousal) <= 1:
            values.append((valence, arousal, math.nan))
        else:
            raise DataError(f"{at}: valence {valence:g}, arousal {arousal:g}: expected −1 to 1, or −5 for unknown")
    return tuple(values)


def _notes(videos: dict[str, _Video], frames: dict[str, list[tuple[int, str]]]) -> list[str]:
    notes = [f"Every {TRAINED_EVERY}th annotated frame is trained on, all of the validation set are measured."]
    absent, unlisted = len(set(videos) - set(frames)), len(set(frames) - set(videos))
    if absent:
        notes.append(f"{counted(absent, 'annotated video')} without frames, left out.")
    if unlisted:
        notes.append(f"{counted(unlisted, 'video')} without annotations passed over (the test set has none).")
    splits = Counter(about.split for about in videos.values())
    if not splits["validation"]:
        notes.append("There is no validation part.")
    return notes


AFF_WILD2 = Layout("aff_wild2", "Aff-Wild2", find, read, clips="frames")
