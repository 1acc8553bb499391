"""Clips: faces over time with their labels, in memory and as a folder.

In memory a data set is a `ClipDataset` of `Clip`s, which readers of published data sets build; no picture is opened
before it is needed. On disk it is a folder:

    clips.csv     a row a clip: clip, source, split, and optionally label, person, rate_hz, cropped
    frames.csv    optional, a row a frame: clip, frame, and optionally time_s, label, valence, arousal

| column | means |
|---|---|
| `clip` | its name, each once in clips.csv |
| `source` | relative to the folder: a video, a folder of images in natural order, or an `.npz` with `frames`, uint8 |
|          | (T, H, W) grey or (T, H, W, 3) RGB, and optionally `times_s` |
| `split` | train, validation or test; a person belongs in one of them |
| `label` | a word of `labels.EIGHT`, or empty; in clips.csv that of the whole clip |
| `person` | who it is; any text |
| `rate_hz` | frames a second of images and arrays that have no times, 25 if not given; a video has its own |
| `cropped` | 1 (default): each frame is a face crop; 0: faces are found, and the one seen longest is taken |
| `frame` | number of the frame in its source, from 0; frames that are not listed have no label |
| `time_s` | seconds from the start of the clip, for images whose neighbours are missing |
| `valence`, `arousal` | −1 to 1, or empty |
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from mien.arrays import Float32, Float64, Int64, UInt8
from mien.errors import DataError, MienError
from mien.files import read_npz
from mien.images import pictures
from mien.labels import EIGHT
from mien.sources.opening import open_source
from mien.workshop.data.base import NO_LABEL, SPLITS

RATE_HZ = 25.0
"""Frames a second of what has no times."""

Source = Path | tuple[Path, ...] | UInt8


# Compared by identity: arrays have no single truth value.
@dataclass(frozen=True, eq=False)
class Clip:
    """A face over time.

    Args:
        id: its name, each once in a data set.
        split: index into `SPLITS`.
        source: a video or an `.npz`, the images of its frames in order, or the frames themselves, uint8 (T, H, W[, 3]).
        times_s: when each frame is shown, rising, float64 (T,); None for the times of the file, or for `rate_hz`.
        rate_hz: frames a second of what has no times.
        cropped: each frame is a face crop; otherwise faces are found, and the one seen longest is taken.
        person: who it is, or nothing.
        label: of the whole clip, index into `labels.EIGHT`, or -1.
        labels: one a frame, int64 (T,), -1 where there is none; shorter than a video where its end is not labelled.
        valence, arousal: one a frame, −1 to 1, float32 (T,), NaN where there is none.

    Raises:
        DataError: when the parts do not fit one another.
    """

    id: str
    split: int
    source: Source = field(repr=False)
    times_s: Float64 | None = field(default=None, repr=False)
    rate_hz: float = RATE_HZ
    cropped: bool = True
    person: str = ""
    label: int = NO_LABEL
    labels: Int64 | None = field(default=None, repr=False)
    valence: Float32 | None = field(default=None, repr=False)
    arousal: Float32 | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        where = f"clip {self.id!r}"
        if not 0 <= self.split < len(SPLITS):
            raise DataError(f"{where}: expected a split in 0–{len(SPLITS) - 1}, not {self.split}")
        known = np.array([self.label, *([] if self.labels is None else self.labels)])
        if known.min() < NO_LABEL or known.max() >= len(EIGHT):
            raise DataError(f"{where}: expected labels in -1–{len(EIGHT) - 1}, got {known.min()}–{known.max()}")
        if not 0 < self.rate_hz <= 1000:
            raise DataError(f"{where}: expected a rate above 0 and up to 1,000 frames a second, not {self.rate_hz:g}")
        if self.frames is not None:
            for name in ("times_s", "labels", "valence", "arousal"):
                part = getattr(self, name)
                if part is not None and part.shape != (self.frames,):
                    raise DataError(f"{where}: {self.frames} frames but {name} of shape {part.shape}")
        if self.times_s is not None and (np.diff(self.times_s) <= 0).any():
            raise DataError(f"{where}: expected times that rise from frame to frame")
        for name in ("valence", "arousal"):
            part = getattr(self, name)
            if part is not None and (np.abs(part[np.isfinite(part)]) > 1).any():
                low, high = np.nanmin(part), np.nanmax(part)
                raise DataError(f"{where}: expected {name} from -1 to 1, got {low:g} to {high:g}")

    @property
    def frames(self) -> int | None:
        """How many there are; None where the file has to be opened to know."""
        return None if isinstance(self.source, Path) else len(self.source)


@dataclass(frozen=True, eq=False)
class ClipDataset:
    """Clips with their labels.

    Args:
        name: what it is called in reports.
        clips: each with an id of its own.
        sha256: hash of the annotations and of the sources' names, sizes and times of writing.

    Raises:
        DataError: two clips have the same id.
    """

    name: str
    clips: tuple[Clip, ...]
    sha256: str = ""

    def __post_init__(self) -> None:
        name, count = max(Counter(clip.id for clip in self.clips).items(), key=lambda entry: entry[1], default=("", 0))
        if count > 1:
            raise DataError(f"{self.name}: {count} clips are called {name!r}: give each a name of its own")

    def __len__(self) -> int:
        return len(self.clips)

    def part(self, *names: str) -> ClipDataset:
        """The clips of one or several splits, in their order: `part("validation", "test")`."""
        wanted = {SPLITS.index(name) for name in names}
        return replace(self, clips=tuple(clip for clip in self.clips if clip.split in wanted))


def iter_frames(clip: Clip) -> Iterator[tuple[float, UInt8]]:
    """The frames of a clip as they are on disk, each with its time in seconds: uint8 (H, W) or RGB (H, W, 3).

    Raises:
        DataError: a file is missing or cannot be read.
    """
    try:
        yield from _iter_source(clip)
    except (OSError, ValueError, MienError) as error:
        raise DataError(f"clip {clip.id!r}: {error}") from error


def _iter_source(clip: Clip) -> Iterator[tuple[float, UInt8]]:
    source, times_s = clip.source, clip.times_s
    if isinstance(source, Path) and source.suffix.lower() == ".npz":
        found = read_npz(source, ("frames",), optional=("times_s",))
        source = found["frames"]
        times_s = times_s if times_s is not None else found.get("times_s")
        if source.dtype != np.uint8 or source.ndim not in (3, 4):
            raise ValueError(f"frames are uint8 (T, H, W) or (T, H, W, 3), not {source.dtype} {source.shape}")
        if times_s is not None and times_s.shape != (len(source),):
            raise ValueError(f"{len(source)} frames but times_s of shape {times_s.shape}")
    if isinstance(source, Path):
        with open_source(source) as opened:
            for number, frame in enumerate(opened):
                # Beyond the given times a video has no frame of the clip.
                if times_s is not None and number >= len(times_s):
                    return
                yield (frame.time_s if times_s is None else float(times_s[number])), frame.image
        return
    for number, item in enumerate(source):
        image = pictures.read(item) if isinstance(item, Path) else item
        yield (number / clip.rate_hz if times_s is None else float(times_s[number])), image


def fingerprint(clips: tuple[Clip, ...], root: Path) -> str:
    """Hash of annotations, and of the sources' contents in memory or names, sizes and times of writing on disk."""
    digest = hashlib.sha256()
    for clip in clips:
        digest.update(json.dumps([clip.id, clip.split, clip.rate_hz, clip.cropped, clip.person, clip.label]).encode())
        for part in (clip.times_s, clip.labels, clip.valence, clip.arousal):
            digest.update(b"-" if part is None else np.ascontiguousarray(part).tobytes())
        if isinstance(clip.source, np.ndarray):
            digest.update(np.ascontiguousarray(clip.source).tobytes())
            continue
        for path in (clip.source,) if isinstance(clip.source, Path) else clip.source:
            try:
                stat = path.stat()
            except OSError as error:
                raise DataError(f"clip {clip.id!r}: {path} cannot be read: {error.strerror or error}") from error
            name = path.relative_to(root) if path.is_relative_to(root) else path
            digest.update(json.dumps([name.as_posix(), stat.st_size, stat.st_mtime_ns]).encode())
    return digest.hexdigest()
