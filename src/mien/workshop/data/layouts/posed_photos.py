"""Posed photographs whose names say everything: JAFFE and KDEF.

| data set | file | read as |
|---|---|---|
| JAFFE | `KA.AN1.39.tiff` | person KA, expression AN (AN, DI, FE, HA, NE, SA, SU), picture 1 of it, number 39; 213 of |
|  |  | 10 women |
| KDEF | `AF01/AF01ANS.JPG` | series A, person F01, expression AN (AF, AN, DI, HA, NE, SA, SU), angle S straight (FL, |
|  |  | HL, HR, FR); 4,900 of 70 persons |

Both release their pictures for research without faces cut out: they are found first. A model that was not trained on
them is measured on all of JAFFE, and on KDEF's 980 straight views.

Sources: Lyons et al., "Coding facial expressions with Gabor wavelets", FG 1998, zenodo.org/records/3451524; Lundqvist,
Flykt, Öhman, "The Karolinska Directed Emotional Faces", 1998, kdef.se.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from mien.errors import DataError
from mien.workshop.data.file_tree import FileTree, is_picture
from mien.workshop.data.layouts.sample import (
    LISTED,
    Layout,
    Listing,
    Sample,
    by_person,
    code,
    counted,
    find_root,
    place,
)

JAFFE_NAME = re.compile(r"([A-Z]{2})\.([A-Z]{2})\d+\.\d+\.tiff?", re.IGNORECASE)
JAFFE_WORDS = {
    "AN": "angry", "DI": "disgust", "FE": "fear", "HA": "happy", "NE": "neutral", "SA": "sad", "SU": "surprise",
}  # fmt: skip
KDEF_NAME = re.compile(r"([AB])([FM]\d{2})([A-Z]{2})(FL|HL|S|HR|FR)\.JPE?G", re.IGNORECASE)
KDEF_WORDS = {
    "AF": "fear", "AN": "angry", "DI": "disgust", "HA": "happy", "NE": "neutral", "SA": "sad", "SU": "surprise",
}  # fmt: skip


def find_jaffe(files: FileTree) -> str | None:
    """A TIFF of such a name."""
    return find_root(files, JAFFE_NAME.pattern)


def read_jaffe(files: FileTree, root: str) -> Listing:
    """The pictures by name."""
    samples, odd = [], []
    for name in files.below(root):
        found = JAFFE_NAME.fullmatch(name.rpartition("/")[2])
        if found:
            label = code(JAFFE_WORDS, found[2].upper(), place(files, name))
            samples.append(Sample(name, label, person=found[1].upper(), measured=True))
        elif is_picture(name):
            odd.append(name.rpartition("/")[2])
    return Listing(
        by_person(samples),
        False,
        "by file name",
        _odd(odd),
        "JAFFE's pictures (all of them, all persons)",
        splits="person",
    )


def find_kdef(files: FileTree) -> str | None:
    """A JPEG of such a name, in the folder of its person or not."""
    return find_root(files, rf"(?:[AB][FM]\d{{2}}/)?{KDEF_NAME.pattern}")


def read_kdef(files: FileTree, root: str) -> Listing:
    """The pictures by name; a few of the release are misnamed (`AM31H.JPG`) and counted."""
    samples, odd = [], []
    for name in files.below(root):
        found = KDEF_NAME.fullmatch(name.rpartition("/")[2])
        if found:
            label = code(KDEF_WORDS, found[3].upper(), place(files, name))
            straight = found[4].upper() == "S"
            samples.append(Sample(name, label, person=found[2].upper(), measured=straight))
        elif is_picture(name):
            odd.append(name.rpartition("/")[2])
    if not any(sample.measured for sample in samples):
        raise DataError(f"{place(files, root)}: KDEF without a straight view (…S.JPG): get the missing part")
    return Listing(
        by_person(samples),
        False,
        "by file name",
        _odd(odd),
        "KDEF's straight views (980, all persons)",
        splits="person",
    )


def _odd(names: Iterable[str]) -> tuple[str, ...]:
    found = list(names)
    if not found:
        return ()
    return (f"{counted(len(found), 'image')} of other names passed over: {', '.join(found[:LISTED])}.",)


JAFFE = Layout("jaffe", "JAFFE", find_jaffe, read_jaffe)
KDEF = Layout("kdef", "KDEF", find_kdef, read_kdef)
