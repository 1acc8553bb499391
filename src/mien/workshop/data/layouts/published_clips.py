"""Published layouts as clips: the frames of a sequence, or a video, with their labels; none of them is opened."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from mien.errors import DataError
from mien.labels import EIGHT
from mien.workshop.data.base import NO_LABEL, SPLITS
from mien.workshop.data.clips import RATE_HZ, Clip, ClipDataset, fingerprint
from mien.workshop.data.file_tree import FileTree, is_picture
from mien.workshop.data.layouts.sample import Layout, Listing, Sample


def list_clips(files: FileTree, layout: Layout, listing: Listing, name: str) -> ClipDataset:
    """The clips of a listing: one a video or sequence; samples of no sequence are left out.

    Args:
        files: where they are; a folder, as videos and frames are opened one by one.
        layout: says whether the whole clip has a label, that of its last frame, or each of its frames.
        listing: the samples.
        name: what the data set is called.

    Raises:
        DataError: there is no clip, or the files are in an archive.
    """
    groups: dict[str, list[Sample]] = {}
    for sample in listing.samples:
        if sample.clip:
            groups.setdefault(sample.clip, []).append(sample)
    if not layout.clips or not groups:
        raise DataError(f"{files.path}: {name} has no clips: expected sequences of frames, or videos")
    if files.archive is not None:
        raise DataError(f"{files.path}: clips are read from a folder, not from an archive: unpack it")
    root = files.path
    whole = layout.clips == "whole"
    clips = tuple(
        _clip(root, key, sorted(group, key=lambda sample: sample.frame), whole=whole, cropped=listing.crops)
        for key, group in groups.items()
    )
    return ClipDataset(name, clips, fingerprint(clips, root))


def _clip(root: Path, key: str, samples: Sequence[Sample], *, whole: bool, cropped: bool) -> Clip:
    last = samples[-1]
    common = {
        "id": key, "split": SPLITS.index(last.split), "cropped": cropped, "person": last.person,
        "label": _index(last.label) if whole else NO_LABEL,
    }  # fmt: skip
    if not is_picture(last.file):
        return Clip(source=root / last.file, **common)  # type: ignore[arg-type]
    labels = np.array([_index(sample.label) for sample in samples], np.int64)
    affect = np.array([sample.affect[:2] for sample in samples], np.float32)
    # Frames in which nobody found a face are missing: the others keep their times.
    times_s = np.array([sample.frame for sample in samples], np.float64) / RATE_HZ
    return Clip(
        source=tuple(root / sample.file for sample in samples),
        times_s=times_s,
        labels=labels if (labels != NO_LABEL).any() else None,
        valence=None if np.isnan(affect[:, 0]).all() else affect[:, 0],
        arousal=None if np.isnan(affect[:, 1]).all() else affect[:, 1],
        **common,  # type: ignore[arg-type]
    )


def _index(label: str) -> int:
    return EIGHT.index(label) if label else NO_LABEL
