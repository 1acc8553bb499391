"""Videos of actors whose names say everything: RAVDESS and CREMA-D.

| data set | file | read as |
|---|---|---|
| RAVDESS | `Actor_12/01-01-06-01-02-01-12.mp4` | modality (01 with sound, 02 without, 03 sound alone), speech or |
|  |  | song, expression, intensity, statement, repetition, actor |
| CREMA-D | `VideoFlash/1001_DFA_ANG_XX.flv` | actor, sentence, expression, intensity |

RAVDESS: 01 neutral, 02 calm, 03 happy, 04 sad, 05 angry, 06 fearful, 07 disgust, 08 surprised; calm is read as neutral.
Of a performance with and without sound one file is read. CREMA-D: ANG, DIS, FEA, HAP, NEU, SAD. Every frame has the
label of its video. Splits are by actor; a model that was not trained on them is measured on all videos.

Sources: Livingstone, Russo, "The Ryerson Audio-Visual Database of Emotional Speech and Song", PLoS ONE, 2018,
zenodo.org/records/1188976; Cao et al., "CREMA-D", IEEE Trans. Affective Computing, 2014,
github.com/CheyneyComputerScience/CREMA-D.
"""

from __future__ import annotations

import re

from mien.workshop.data.file_tree import FileTree, is_video
from mien.workshop.data.layouts.sample import (
    Layout,
    Listing,
    Sample,
    by_person,
    code,
    counted,
    find_root,
    missing,
    place,
)

RAVDESS_NAME = re.compile(r"(\d\d)-(\d\d-(\d\d)-\d\d-\d\d-\d\d-(\d\d))\.(\w+)")
RAVDESS_WORDS = {
    "01": "neutral", "02": "neutral", "03": "happy", "04": "sad", "05": "angry", "06": "fear", "07": "disgust",
    "08": "surprise",
}  # fmt: skip
CREMA_NAME = re.compile(r"(\d{4})_[A-Z]{3}_([A-Z]{3})_(?:LO|MD|HI|XX|X)\.(\w+)", re.IGNORECASE)
CREMA_WORDS = {"ANG": "angry", "DIS": "disgust", "FEA": "fear", "HAP": "happy", "NEU": "neutral", "SAD": "sad"}


def find_ravdess(files: FileTree) -> str | None:
    """A file of such a name, in the folder of its actor or not."""
    return find_root(files, rf"(?:[^/]*Actor_\d\d/)*{RAVDESS_NAME.pattern}")


def read_ravdess(files: FileTree, root: str) -> Listing:
    """The videos, one for each performance."""
    found: dict[str, str] = {}
    samples, passed, calm = [], 0, 0
    # Sorted, so that 01, with sound, comes before 02.
    for name in sorted(files.below(root), key=lambda name: name.rpartition("/")[2]):
        match = RAVDESS_NAME.fullmatch(name.rpartition("/")[2])
        if match is None:
            continue
        label = code(RAVDESS_WORDS, match[3], place(files, name))
        if not is_video(name) or match[2] in found:
            passed += 1
            continue
        found[match[2]] = name
        calm += match[3] == "02"
        samples.append(Sample(name, label, person=f"Actor_{match[4]}", clip=name, measured=True))
    if not samples:
        missing(files, root, "RAVDESS without videos", "the parts Video_Speech_Actor_… beside the sound")
    notes = [f"{counted(calm, 'video')} of calm read as neutral."] if calm else []
    notes += [f"{counted(passed, 'file')} of the same performances or of sound alone passed over."] if passed else []
    protocol = "RAVDESS's videos (every half second, all actors)"
    return Listing(by_person(samples), False, counted(len(samples), "video"), tuple(notes), protocol, splits="person")


def find_crema(files: FileTree) -> str | None:
    """A file of such a name."""
    return find_root(files, rf"(?:[^/]+/)?{CREMA_NAME.pattern}")


def read_crema(files: FileTree, root: str) -> Listing:
    """The videos."""
    samples, others = [], 0
    for name in files.below(root):
        match = CREMA_NAME.fullmatch(name.rpartition("/")[2])
        if match is None:
            continue
        label = code(CREMA_WORDS, match[2].upper(), place(files, name))
        if is_video(name):
            samples.append(Sample(name, label, person=match[1], clip=name, measured=True))
        else:
            others += 1
    if not samples:
        missing(files, root, "CREMA-D without videos", "VideoFlash/….flv beside AudioWAV/")
    notes = (f"{counted(others, 'sound file')} passed over.",) if others else ()
    protocol = "CREMA-D's videos (every half second, all actors)"
    return Listing(by_person(samples), False, counted(len(samples), "video"), notes, protocol, splits="person")


RAVDESS = Layout("ravdess", "RAVDESS", find_ravdess, read_ravdess, clips="whole")
CREMA_D = Layout("crema_d", "CREMA-D", find_crema, read_crema, clips="whole")
