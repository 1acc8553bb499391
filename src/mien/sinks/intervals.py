"""Expression intervals as a table (CSV), an annotation document of ELAN (.eaf), and a TextGrid of Praat."""

from __future__ import annotations

import mimetypes
import os
import xml.etree.ElementTree as ET
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path

from mien.errors import ConfigError
from mien.reading.summary import Episode
from mien.reading.thresholds import ThresholdInterval
from mien.sinks.base import PartFile
from mien.sinks.tables import csv_text

COLUMNS = ("source", "track_id", "start_s", "end_s", "duration_s", "label", "mean_confidence", "frames", "mean_value")
_XSI = "http://www.w3.org/2001/XMLSchema-instance"
_TYPE = "expression"

Interval = Episode | ThresholdInterval
EpisodesOf = Mapping[str, Sequence[Interval]]
"""The intervals of each source, by its name."""


def intervals_csv(found: EpisodesOf) -> str:
    """A line an episode, after a line of column names."""
    lines = [
        (
            source, entry.track_id, f"{entry.start_s:.3f}", f"{entry.end_s:.3f}", f"{entry.duration_s:.3f}",
            entry.label, _mean(entry, Episode), entry.frames, _mean(entry, ThresholdInterval),
        )
        for source, episodes in found.items()
        for entry in episodes
    ]  # fmt: skip
    return csv_text([COLUMNS, *lines])


def _mean(entry: Interval, kind: type[Interval]) -> str:
    """The mean that an interval of this kind has, an empty cell for one of the other."""
    if not isinstance(entry, kind):
        return ""
    return f"{entry.mean_confidence if isinstance(entry, Episode) else entry.mean_value:.4f}"


def elan_document(found: EpisodesOf, folder: Path | None = None) -> str:
    """An annotation document after EAF 3.0: a tier a face, an annotation an episode, times in milliseconds.

    Args:
        found: intervals; ELAN plays one medium, so of one source.
        folder: where the document will be; the medium is also named relative to it.

    Raises:
        ConfigError: for more than one source.
    """
    source, episodes = _only(found, ".eaf")
    root = ET.Element(
        "ANNOTATION_DOCUMENT",
        {
            "AUTHOR": "Mien", "DATE": datetime.now(UTC).isoformat(timespec="seconds"),
            "FORMAT": "3.0", "VERSION": "3.0",
            # As plain attributes, because ElementTree would choose prefixes of its own.
            "xmlns:xsi": _XSI, "xsi:noNamespaceSchemaLocation": "http://www.mpi.nl/tools/elan/EAFv3.0.xsd",
        },
    )  # fmt: skip
    header = ET.SubElement(root, "HEADER", MEDIA_FILE="", TIME_UNITS="milliseconds")
    if Path(source).exists():
        _describe_medium(header, Path(source), folder or Path())
    ET.SubElement(header, "PROPERTY", NAME="lastUsedAnnotationId").text = str(len(episodes))
    slots = _add_slots(root, episodes)
    tiers = [_tier(entry) for entry in episodes]
    for track_id, name in sorted(set(tiers)):
        tier = ET.SubElement(root, "TIER", LINGUISTIC_TYPE_REF=_TYPE, TIER_ID=f"face {track_id}{name}")
        for number, entry in enumerate(episodes):
            if tiers[number] == (track_id, name):
                _add_annotation(tier, number, entry, slots[number])
    ET.SubElement(root, "LINGUISTIC_TYPE", LINGUISTIC_TYPE_ID=_TYPE, TIME_ALIGNABLE="true", GRAPHIC_REFERENCES="false")
    ET.indent(root, space="    ")
    return '<?xml version="1.0" encoding="UTF-8"?>\n' + ET.tostring(root, encoding="unicode") + "\n"


def text_grid(found: EpisodesOf) -> str:
    """A TextGrid of Praat in its long text form: an interval tier a face, without a label where none is shown.

    Args:
        found: episodes of one source.

    Raises:
        ConfigError: for more than one source.
    """
    _, episodes = _only(found, ".TextGrid")
    # Praat takes no time that ends where it begins.
    end_s = max((entry.end_s for entry in episodes), default=0.0) or 0.001
    kinds = sorted(set(map(_tier, episodes)))
    tiers = {f"face {kind[0]}{kind[1]}": [entry for entry in episodes if _tier(entry) == kind] for kind in kinds}
    lines = [
        'File type = "ooTextFile"', 'Object class = "TextGrid"', "", "xmin = 0", f"xmax = {end_s:.4f}",
        "tiers? <exists>", f"size = {max(len(tiers), 1)}", "item []:",
    ]  # fmt: skip
    for number, (name, entries) in enumerate((tiers or {"face": []}).items(), 1):
        spans = list(_without_gaps(entries, end_s))
        lines += [
            f"    item [{number}]:", '        class = "IntervalTier"', f'        name = "{name}"', "        xmin = 0",
            f"        xmax = {end_s:.4f}", f"        intervals: size = {len(spans)}",
        ]  # fmt: skip
        for place, (start, end, label) in enumerate(spans, 1):
            lines += [
                f"        intervals [{place}]:", f"            xmin = {start:.4f}", f"            xmax = {end:.4f}",
                f'            text = "{label}"',
            ]  # fmt: skip
    return "\n".join([*lines, ""])


def _only(found: EpisodesOf, ending: str) -> tuple[str, Sequence[Interval]]:
    if len(found) != 1:
        raise ConfigError(f"a file {ending} holds one recording, not {len(found)}: name one source, or a .csv file")
    ((source, episodes),) = found.items()
    return source, episodes


def _without_gaps(entries: Sequence[Interval], end_s: float) -> Iterator[tuple[float, float, str]]:
    """Start, end and label of all spans of a tier, which has to be covered whole; shorter than a step is left out."""
    at = 0.0
    for entry in sorted(entries, key=lambda entry: entry.start_s):
        start, end = max(round(entry.start_s, 4), at), round(entry.end_s, 4)
        if end <= start:
            continue
        if start > at:
            yield at, start, ""
        yield start, end, entry.label
        at = end
    if at < round(end_s, 4):
        yield at, end_s, ""


def write_episodes(path: Path, found: EpisodesOf) -> None:
    """Write a .csv, .eaf or .TextGrid file, whole or not at all.

    Raises:
        ConfigError: another ending, or the file cannot be written.
    """
    text = find_writer(path)(found, path.parent)
    file = PartFile(path)
    try:
        file.write(text)
    except ConfigError:
        file.release()
        file.part.unlink(missing_ok=True)
        raise
    file.close()


def find_writer(path: Path) -> Callable[[EpisodesOf, Path], str]:
    """What turns episodes into the text of a file with this ending.

    Raises:
        ConfigError: another ending.
    """
    if path.suffix.lower() not in WRITERS:
        raise ConfigError(f"cannot tell the format of {path}: expected a name ending in .csv, .eaf, .TextGrid")
    return WRITERS[path.suffix.lower()]


WRITERS: dict[str, Callable[[EpisodesOf, Path], str]] = {
    ".csv": lambda found, folder: intervals_csv(found),
    ".eaf": elan_document,
    ".textgrid": lambda found, folder: text_grid(found),
}


def _tier(entry: Interval) -> tuple[int, str]:
    """A tier's annotations must not overlap: expressions share one, each threshold has its own."""
    return entry.track_id, "" if isinstance(entry, Episode) else f", {entry.label}"


def _describe_medium(header: ET.Element, medium: Path, folder: Path) -> None:
    kind = mimetypes.guess_type(medium.name)[0] or "video/*"
    # ELAN looks there when the document and its medium have moved together.
    relative = Path(os.path.relpath(medium.resolve(), folder.resolve())).as_posix()
    ET.SubElement(
        header, "MEDIA_DESCRIPTOR", MEDIA_URL=medium.resolve().as_uri(), MIME_TYPE=kind,
        RELATIVE_MEDIA_URL=relative if relative.startswith("..") else f"./{relative}",
    )  # fmt: skip


def _add_slots(root: ET.Element, episodes: Sequence[Interval]) -> list[tuple[str, str]]:
    """Time slots in rising order; the two of each episode, at least a millisecond apart."""
    times = [
        time
        for number, entry in enumerate(episodes)
        for time in (
            (round(1000 * entry.start_s), number, 0),
            (max(round(1000 * entry.end_s), round(1000 * entry.start_s) + 1), number, 1),
        )
    ]
    order = ET.SubElement(root, "TIME_ORDER")
    names: dict[tuple[int, int], str] = {}
    for place, (time_ms, number, end) in enumerate(sorted(times), 1):
        names[number, end] = f"ts{place}"
        ET.SubElement(order, "TIME_SLOT", TIME_SLOT_ID=f"ts{place}", TIME_VALUE=str(time_ms))
    return [(names[number, 0], names[number, 1]) for number in range(len(episodes))]


def _add_annotation(tier: ET.Element, number: int, entry: Interval, slots: tuple[str, str]) -> None:
    outer = ET.SubElement(tier, "ANNOTATION")
    inner = ET.SubElement(
        outer, "ALIGNABLE_ANNOTATION", ANNOTATION_ID=f"a{number + 1}", TIME_SLOT_REF1=slots[0], TIME_SLOT_REF2=slots[1]
    )
    ET.SubElement(inner, "ANNOTATION_VALUE").text = entry.label
