"""MMI: videos of posed expressions, from neutral to a peak and back, a session each.

| file | what it is |
|---|---|
| `Sessions/1767/S028-090.avi` | the video; S028 is the person |
| `Sessions/1767/session.xml` | about the session; an element with `Name="Emotion" Value="4"` where it has an emotion |

Emotions: 1 anger, 2 disgust, 3 fear, 4 happiness, 5 sadness, 6 surprise; other numbers (scream, bored, sleepy) and
sessions of single action units are passed over and counted. The whole clip has the label; its peak is about its middle.

Source: Pantic, Valstar, Rademaker, Maat, "Web-based database for facial expression analysis", ICME 2005. The names of
files follow published readers of the set; they could not be compared with a copy.
"""

from __future__ import annotations

import re
from xml.etree import ElementTree

from mien.errors import DataError
from mien.workshop.data.file_tree import FileTree, is_video
from mien.workshop.data.layouts.sample import Layout, Listing, Sample, by_person, counted, find_root, missing, place

EXPRESSIONS = {"1": "angry", "2": "disgust", "3": "fear", "4": "happy", "5": "sad", "6": "surprise"}
VIDEO = re.compile(r"(S\d{3})-\d{3}\.(?:avi|mpg|mp4)", re.IGNORECASE)
PROTOCOL = "MMI's labelled videos (all persons)"
LARGEST_XML = 1 << 20


def find(files: FileTree) -> str | None:
    """A video of such a name in the folder of its session."""
    return find_root(files, rf"\d+/{VIDEO.pattern}")


def read(files: FileTree, root: str) -> Listing:
    """The videos whose session has one of the six emotions."""
    tables: dict[str, list[str]] = {}
    for name in files.below(root):
        if name.lower().endswith(".xml"):
            tables.setdefault(name.rpartition("/")[0], []).append(name)
    samples, without = [], 0
    for name in files.below(root):
        found = VIDEO.fullmatch(name.rpartition("/")[2])
        if found is None or not is_video(name):
            continue
        session = name.rpartition("/")[0]
        if session not in tables:
            missing(files, session, "a video without its session.xml", "the session's description beside it")
        label = next(filter(None, (_emotion(files, table) for table in tables[session])), "")
        if label:
            samples.append(Sample(name, label, person=found[1].upper(), clip=name, measured=True))
        else:
            without += 1
    if not samples:
        raise DataError(f"{place(files, root)}: MMI without a session that has one of the six emotions")
    notes = (f"{counted(without, 'video')} without one of the six emotions passed over.",) if without else ()
    return Listing(by_person(samples), False, counted(len(samples), "labelled video"), notes, PROTOCOL, splits="person")


def _emotion(files: FileTree, name: str) -> str:
    """The emotion that a description names, empty for none or another."""
    where, text = place(files, name), files.read_text(name)
    # Entities can make a small file huge when they are expanded; no description has any.
    if len(text) > LARGEST_XML or "<!ENTITY" in text:
        raise DataError(f"{where}: expected a session's description, found something else")
    try:
        elements = list(ElementTree.fromstring(text).iter())
    except ElementTree.ParseError as error:
        raise DataError(f"{where}: not an XML file: {error}") from error
    for element in elements:
        if element.get("Name", "").lower() == "emotion":
            value = element.get("Value", "").strip()
            if not value.isdecimal():
                raise DataError(f"{where}: the emotion is a number, found {value[:20]!r}")
            return EXPRESSIONS.get(value, "")
    return ""


MMI = Layout("mmi", "MMI", find, read, clips="whole")
