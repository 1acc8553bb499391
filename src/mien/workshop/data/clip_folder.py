"""Clips in a folder with `clips.csv`: the form is described in `mien.workshop.data.clips`."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np

from mien.arrays import Float64, Int64
from mien.errors import DataError, SourceError
from mien.files import replacing, write_whole
from mien.labels import EIGHT, canonical
from mien.sources.photos import find_pictures
from mien.workshop.data.base import NO_LABEL, SPLIT_NAMES, SPLITS, csv_bytes, read_csv_rows
from mien.workshop.data.clips import RATE_HZ, Clip, ClipDataset, Source, fingerprint

CLIPS, FRAMES = "clips.csv", "frames.csv"
REQUIRED, OPTIONAL = ("clip", "source", "split"), ("label", "person", "rate_hz", "cropped")
FRAME_REQUIRED, FRAME_OPTIONAL = ("clip", "frame"), ("time_s", "label", "valence", "arousal")
LONGEST_CLIP = 10_000_000
"""Frames of a clip at most: a mistyped number must not fill the memory."""

Cells = dict[str, str]


def is_clips(path: Path) -> bool:
    """Whether a folder is in this form."""
    return (path / CLIPS).is_file()


def read_clips(path: Path) -> ClipDataset:
    """Read a folder of clips; no source is opened yet.

    Raises:
        DataError: a table is wrong, with its line, or a source is missing.
    """
    root = Path(path)
    if not is_clips(root):
        raise DataError(f"{root}: expected a folder with {CLIPS}, which has the columns {', '.join(REQUIRED)}")
    frames = _read_frames(root / FRAMES) if (root / FRAMES).is_file() else {}
    clips = []
    for where, cells in _rows(root / CLIPS, REQUIRED, OPTIONAL):
        clips.append(_clip(root, where, cells, frames.pop(cells["clip"], {})))
    if not clips:
        raise DataError(f"{root / CLIPS}: there is no clip in it")
    if frames:
        raise DataError(f"{root / FRAMES}: the clip {next(iter(frames))!r} is not in {CLIPS}")
    _check_persons(root / CLIPS, clips)
    return ClipDataset(root.name, tuple(clips), fingerprint(tuple(clips), root))


def _clip(root: Path, where: str, cells: Cells, rows: Mapping[int, tuple[str, Cells]]) -> Clip:
    source = _find_source(root, where, cells["source"])
    split = SPLIT_NAMES.get(cells["split"].lower())
    if split is None:
        raise DataError(f"{where}: expected the split {', '.join(SPLITS)}, not {cells['split']!r}")
    if cells["cropped"] not in ("", "0", "1"):
        raise DataError(f"{where}: cropped is 1 or 0, not {cells['cropped']!r}")
    clip = Clip(
        id=cells["clip"], split=SPLITS.index(split), source=source, cropped=cells["cropped"] != "0",
        person=cells["person"], label=_label(where, cells["label"]),
        rate_hz=_number(where, cells["rate_hz"], "rate_hz") if cells["rate_hz"] else RATE_HZ,
    )  # fmt: skip
    # How many frames a file has is known once it is opened: until then, as many as the table lists.
    count = max(rows, default=-1) + 1 if clip.frames is None else clip.frames
    if rows and max(rows) >= count:
        raise DataError(f"{rows[max(rows)][0]}: frame {max(rows)} of a clip of {count} frames, which count from 0")
    return replace(clip, times_s=_times(where, rows, count), **_annotations(rows, count))


def _find_source(root: Path, where: str, name: str) -> Source:
    if not name:
        raise DataError(f"{where}: has no source: expected a video, a folder of images or an .npz")
    path = root / PurePosixPath(name.replace("\\", "/"))
    if path.is_file():
        return path
    try:
        return tuple(find_pictures(str(path)))
    except (SourceError, OSError) as error:
        reason = error if path.is_dir() else f"{path}: no such file or folder"
        raise DataError(f"{where}: {reason}") from error


def _times(where: str, rows: Mapping[int, tuple[str, Cells]], count: int) -> Float64 | None:
    given = {number: _number(at, row["time_s"], "time_s") for number, (at, row) in rows.items() if row["time_s"]}
    if given and len(given) < count:
        raise DataError(f"{where}: {len(given)} of {count} frames have a time_s: give all of them one, or none")
    return np.array([given[number] for number in sorted(given)], np.float64) if given else None


def _annotations(rows: Mapping[int, tuple[str, Cells]], count: int) -> dict[str, Any]:
    if not rows:
        return {}
    labels: Int64 = np.full(count, NO_LABEL, np.int64)
    values = {name: np.full(count, np.nan, np.float32) for name in ("valence", "arousal")}
    for number, (where, row) in rows.items():
        labels[number] = _label(where, row["label"])
        for name, column in values.items():
            column[number] = _number(where, row[name], name) if row[name] else np.nan
    return {
        "labels": labels if (labels != NO_LABEL).any() else None,
        **{name: column if np.isfinite(column).any() else None for name, column in values.items()},
    }


def _read_frames(path: Path) -> dict[str, dict[int, tuple[str, Cells]]]:
    """By clip and number, where each row is and what it says."""
    found: dict[str, dict[int, tuple[str, Cells]]] = {}
    for where, cells in _rows(path, FRAME_REQUIRED, FRAME_OPTIONAL):
        text = cells["frame"]
        number = int(text) if text.isascii() and text.isdigit() else -1
        if not 0 <= number < LONGEST_CLIP:
            raise DataError(f"{where}: expected the number of a frame from 0, not {text!r}")
        rows = found.setdefault(cells["clip"], {})
        if number in rows:
            raise DataError(f"{where}: frame {number} of {cells['clip']!r} is there twice, see {rows[number][0]}")
        rows[number] = (where, cells)
    return found


def _rows(path: Path, required: tuple[str, ...], optional: tuple[str, ...]) -> list[tuple[str, Cells]]:
    """Where each row is, and its cells by column; a column that is not there is empty."""
    header, lines = read_csv_rows(path, "a table of clips")
    names = [name.lower() for name in header]
    missing = [name for name in required if name not in names]
    unknown = [name for name in names if name not in (*required, *optional)]
    if missing or unknown:
        problem = f"no column {missing[0]!r}" if missing else f"an unknown column {unknown[0]!r}"
        raise DataError(f"{path}: has {problem}: expected {', '.join(required)} and of {', '.join(optional)} any")
    rows = []
    for line, row in lines:
        if len(row) != len(names):
            raise DataError(f"{path}, line {line}: {len(row)} cells under {len(names)} columns")
        cells = dict.fromkeys((*required, *optional), "") | dict(zip(names, map(str.strip, row), strict=True))
        rows.append((f"{path}, line {line}", cells))
    return rows


def _label(where: str, text: str) -> int:
    if not text:
        return NO_LABEL
    try:
        return EIGHT.index(canonical(text))
    except KeyError:
        raise DataError(f"{where}: unknown label {text!r}: expected one of {', '.join(EIGHT)}, or nothing") from None


def _number(where: str, text: str, name: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise DataError(f"{where}: {name} is a number, not {text!r}")
    return value


def _check_persons(path: Path, clips: list[Clip]) -> None:
    """Nobody may be in two splits: a model would be measured on faces that it knows."""
    home: dict[str, Clip] = {}
    for clip in clips:
        first = home.setdefault(clip.person, clip)
        if clip.person and first.split != clip.split:
            raise DataError(
                f"{path}: {clip.person!r} is in {SPLITS[first.split]} (clip {first.id!r}) and in {SPLITS[clip.split]} "
                f"(clip {clip.id!r}): a person belongs in one split"
            )


def write_clips(dataset: ClipDataset, folder: Path) -> Path:
    """Write clips whose frames are in memory, an `.npz` each, in a new folder; the tables come last.

    Raises:
        DataError: the folder holds clips already, a clip's frames are in other files, or it cannot be written.
    """
    if is_clips(folder):
        raise DataError(f"{folder} holds clips already: choose another folder")
    clips, frames = [], []
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for number, clip in enumerate(dataset.clips):
            if not isinstance(clip.source, np.ndarray):
                raise DataError(f"clip {clip.id!r}: its frames are files, and only those in memory are written")
            name = f"{number:05}.npz"
            times_s = np.arange(len(clip.source)) / clip.rate_hz if clip.times_s is None else clip.times_s
            with replacing(folder / name) as out:
                np.savez_compressed(out, allow_pickle=False, frames=clip.source, times_s=times_s)
            label = EIGHT[clip.label] if clip.label != NO_LABEL else ""
            clips.append([clip.id, name, SPLITS[clip.split], label, clip.person, int(clip.cropped)])
            frames += _frame_rows(clip, len(times_s))
        if frames:
            write_whole(folder / FRAMES, csv_bytes([("clip", "frame", "label", "valence", "arousal"), *frames]))
        write_whole(folder / CLIPS, csv_bytes([(*REQUIRED, "label", "person", "cropped"), *clips]))
    except OSError as error:
        raise DataError(f"cannot write {folder}: {error.strerror or error}") from error
    return folder


def _frame_rows(clip: Clip, count: int) -> list[list[Any]]:
    if clip.labels is None and clip.valence is None and clip.arousal is None:
        return []
    rows: list[list[Any]] = []
    for frame in range(count):
        label = NO_LABEL if clip.labels is None else int(clip.labels[frame])
        values = [math.nan if part is None else float(part[frame]) for part in (clip.valence, clip.arousal)]
        cells = ["" if math.isnan(value) else f"{value:.4g}" for value in values]
        rows.append([clip.id, frame, "" if label == NO_LABEL else EIGHT[label], *cells])
    return rows
