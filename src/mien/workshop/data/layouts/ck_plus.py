"""CK+: 593 sequences of 123 persons from neutral to a posed expression, 327 of them labelled.

| form | layout |
|---|---|
| release | `cohn-kanade-images/S005/001/S005_001_00000001.png`, and `Emotion/S005/001/S005_001_00000011_emotion.txt` |
|  | with one number such as `3.0000000e+00`; most sequences have no such file |
| CK+48 | `anger/S010_004_00000017.png`, …: the last three frames of each labelled sequence, 48×48 crops (Kaggle) |

Labels: 0 neutral, 1 anger, 2 contempt, 3 disgust, 4 fear, 5 happy, 6 sadness, 7 surprise; all seven but neutral occur.
Of a labelled sequence the last three frames carry its label and the first one shows a neutral face, as is usual; a
model that was not trained on CK+ is measured on the last frame of each.

Source: Lucey et al., "The Extended Cohn-Kanade Dataset (CK+)", CVPR Workshops 2010; the release's readme.
"""

from __future__ import annotations

import re

from mien.errors import DataError
from mien.labels import canonical
from mien.workshop.data.file_tree import FileTree
from mien.workshop.data.layouts.class_folders import contempt_note
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

EXPRESSIONS = {
    "0": "neutral", "1": "angry", "2": "contempt", "3": "disgust", "4": "fear", "5": "happy", "6": "sad",
    "7": "surprise",
}  # fmt: skip
FRAME = re.compile(r"(?:.*/)?(S\d{3})_(\d{3})_(\d{8})\.png", re.IGNORECASE)
LABEL = re.compile(r"(?:.*/)?(S\d{3}_\d{3})_\d{8}_emotion\.txt", re.IGNORECASE)
PROTOCOL = "CK+'s peak frames (the last of every labelled sequence, all persons)"
PEAK_FRAMES = 3


def find_sequences(files: FileTree) -> str | None:
    """Sequences in folders by person, or their labels where those are missing."""
    found = find_root(files, r"[^/]*images/S\d{3}/\d{3}/S\d{3}_\d{3}_\d{8}\.png")
    return found if found is not None else find_root(files, r"[^/]*/S\d{3}/\d{3}/S\d{3}_\d{3}_\d{8}_emotion\.txt")


def read_sequences(files: FileTree, root: str) -> Listing:
    """The release: sequences, and their labels from wherever they are in the tree."""
    labels = {found[1].upper(): name for name in files.names if (found := LABEL.fullmatch(name))}
    sequences: dict[str, list[str]] = {}
    for name in files.below(root):
        found = FRAME.fullmatch(name)
        if found:
            sequences.setdefault(f"{found[1]}_{found[2]}".upper(), []).append(name)
    if not sequences:
        missing(files, root, "CK+'s labels without images", "cohn-kanade-images/S005/001/… beside Emotion/")
    if not labels:
        missing(files, root, "CK+'s images without labels", "Emotion/S005/001/…_emotion.txt beside them")
    absent = sorted(set(labels) - set(sequences))
    if absent:
        missing(
            files, root, f"labels of {counted(len(absent), 'sequence')} without images ({absent[0]})", "all of them"
        )
    samples: list[Sample] = []
    for sequence in sorted(labels):
        label = _read_label(files, labels[sequence])
        frames = sorted(sequences[sequence])
        for number, name in enumerate(frames):
            peak = number >= max(1, len(frames) - PEAK_FRAMES)
            word = label if peak else "neutral" if number == 0 else ""
            samples.append(
                Sample(
                    name, word, person=sequence[:4], clip=sequence, frame=number, still=word != "",
                    measured=number == len(frames) - 1,
                )
            )  # fmt: skip
    notes = [f"Of each labelled sequence the last {PEAK_FRAMES} frames have its label, the first one is neutral."]
    unlabelled = len(sequences) - len(labels)
    if unlabelled:
        notes.append(f"{counted(unlabelled, 'sequence')} without a label passed over.")
    contempt = sum(sample.label == "contempt" for sample in samples)
    if contempt:
        notes.append(contempt_note(contempt))
    return Listing(
        by_person(samples), False, f"{len(labels):,} labelled sequences", tuple(notes), PROTOCOL, splits="person"
    )


def _read_label(files: FileTree, name: str) -> str:
    where, text = place(files, name), files.read_text(name).strip()
    try:
        number = float(text)
    except ValueError:
        raise DataError(f"{where}: expected one number 0–7, found {text[:20]!r}") from None
    return code(EXPRESSIONS, f"{number:g}", where)


def find_crops(files: FileTree) -> str | None:
    """Frames of CK+'s names in folders by class."""
    return find_root(files, r"(?:anger|contempt|disgust|fear|happy|sadness|surprise)/S\d{3}_\d{3}_\d{8}\.png")


def read_crops(files: FileTree, root: str) -> Listing:
    """CK+48: every third file of a person and session is the peak."""
    found: dict[str, list[tuple[str, str]]] = {}
    for name in files.below(root):
        match = FRAME.fullmatch(name)
        if match is None:
            continue
        folder = name.removeprefix(root).partition("/")[0]
        try:
            label = canonical(folder)
        except KeyError:
            raise DataError(f"{place(files, root + folder)}: {folder!r} is not a class of CK+48") from None
        found.setdefault(f"{match[1]}_{match[2]}".upper(), []).append((name, label))
    samples = [
        Sample(name, label, person=sequence[:4], clip=sequence, frame=number, measured=number == len(frames) - 1)
        for sequence, frames in sorted(found.items())
        for number, (name, label) in enumerate(sorted(frames, key=lambda entry: entry[0].rpartition("/")[2]))
    ]
    contempt = sum(sample.label == "contempt" for sample in samples)
    notes = (contempt_note(contempt),) if contempt else ()
    return Listing(by_person(samples), True, "CK+48, crops by class", notes, PROTOCOL, splits="person")


SEQUENCES = Layout("ck_plus", "CK+", find_sequences, read_sequences, clips="whole")
CROPS = Layout("ck_plus_48", "CK+", find_crops, read_crops)
