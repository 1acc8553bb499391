"""Oulu-CASIA: 80 persons, six posed expressions from neutral to their peak, in three lights, visible and near infrared.

| part of the path | means |
|---|---|
| `VL` or `NI`, also `VL_Acropped` | visible light, near infrared; cropped faces |
| `Strong`, `Weak`, `Dark` | light |
| `P001` | person |
| `Anger`, `Disgust`, `Fear`, `Happiness`, `Sadness`, `Surprise` | expression |
| `000.jpeg` … | frame of the sequence |

Read are the sequences in visible light, strong: the last three frames have the label, as is usual, and a model that was
not trained on the set is measured on the last one of each of the 480. The others are passed over and counted.

Source: Zhao, Huang, Taini, Li, Pietikäinen, "Facial expression recognition from near-infrared videos", Image and Vision
Computing, 2011.
"""

from __future__ import annotations

import re
from collections import Counter

from mien.errors import DataError
from mien.labels import canonical
from mien.workshop.data.file_tree import FileTree
from mien.workshop.data.layouts.sample import Layout, Listing, Sample, by_person, counted, find_root, place

PATTERN = r"(VL|NI)(?:_\w+)?/(Strong|Weak|Dark)/(P\d{3})/([^/]+)/(\d+)\.jpe?g"
FRAME = re.compile(rf"(?:.*/)?{PATTERN}", re.IGNORECASE)
SIX = ("angry", "disgust", "fear", "happy", "sad", "surprise")
PEAK_FRAMES = 3
PROTOCOL = "Oulu-CASIA's peak frames (the last of every sequence in strong visible light, all persons)"


def find(files: FileTree) -> str | None:
    """Frames by spectrum, light, person and expression."""
    return find_root(files, PATTERN)


def read(files: FileTree, root: str) -> Listing:
    """The sequences in strong visible light."""
    sequences: dict[tuple[str, str], list[str]] = {}
    others: Counter[str] = Counter()
    for name in files.below(root):
        found = FRAME.fullmatch(name)
        if found is None:
            continue
        if (found[1].upper(), found[2].lower()) == ("VL", "strong"):
            sequences.setdefault((found[3].upper(), found[4]), []).append(name)
        else:
            others[f"{found[1].upper()} {found[2].lower()}"] += 1
    if not sequences:
        raise DataError(
            f"{place(files, root)}: Oulu-CASIA without VL/Strong: expected sequences in strong visible light, found "
            f"{', '.join(others)}; get the missing part"
        )
    samples: list[Sample] = []
    for (person, folder), names in sorted(sequences.items()):
        label = _label(folder, place(files, names[0]))
        frames = sorted(names)
        for number, name in enumerate(frames):
            still = number >= len(frames) - PEAK_FRAMES
            samples.append(
                Sample(
                    name, label if still else "", person=person, clip=f"{person}/{folder}", frame=number, still=still,
                    measured=number == len(frames) - 1,
                )
            )  # fmt: skip
    notes = [f"Of each sequence the last {PEAK_FRAMES} frames have its label."]
    if others:
        passed = ", ".join(f"{count:,} {light}" for light, count in others.items())
        notes.append(f"{counted(others.total(), 'frame')} in other light passed over: {passed}.")
    crops = any("cropped" in name.lower() for name in next(iter(sequences.values())))
    detail = f"{counted(len(sequences), 'sequence')} in strong visible light"
    return Listing(by_person(samples), crops, detail, tuple(notes), PROTOCOL, splits="person")


def _label(folder: str, where: str) -> str:
    try:
        label = canonical(folder)
    except KeyError:
        label = ""
    if label not in SIX:
        raise DataError(f"{where}: {folder!r} is not an expression of Oulu-CASIA: expected {', '.join(SIX)}")
    return label


OULU_CASIA = Layout("oulu_casia", "Oulu-CASIA", find, read, clips="whole")
