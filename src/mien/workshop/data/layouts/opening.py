"""The faces of a listing brought into memory: images decoded, frames of videos taken, faces found if need be."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from mien.arrays import Bool, Float32, Str, UInt8
from mien.errors import DataError, SourceError
from mien.faces.detection import Detector, crop_square, overlaps
from mien.faces.detectors import create_detector
from mien.images import pictures as images
from mien.labels import EIGHT, SEVEN, VOTE_COLUMNS
from mien.sources.stream import Sampling
from mien.sources.video import VideoFile
from mien.workshop.data import cache
from mien.workshop.data.base import NO_LABEL, SPLITS, FaceDataset, Origin
from mien.workshop.data.file_tree import FileTree, is_video
from mien.workshop.data.layouts.sample import Listing, Sample, counted, refuse

SIDE_PX = 48
CROP_SCALE = 0.95
"""Side of a crop in heights of the detector's box, as the bundled models take it."""

LARGE_PX = 128
"""Images that are mostly longer than this look like photos rather than crops."""

EVERY_S = 0.5
"""Seconds between the frames of a video that a data set of pictures takes."""

_KEPT = ("images", "rows", "times_s", "longest_px")

SAME_FACE = 0.3
"""Overlap from which a detector's box is the face that the data set's own box means."""


@dataclass(frozen=True)
class OpenOptions:
    """How faces are brought into memory.

    Args:
        side_px: side of the pictures.
        detector: finds the faces where the images are no crops.
        cache_dir: where the pictures are kept; Mien's own cache folder by default.
    """

    side_px: int = SIDE_PX
    detector: str = "auto"
    cache_dir: Path | None = None


@dataclass(frozen=True)
class _Face:
    """One picture, which sample it is of, the longer side of its image; `time_s` is NaN outside of videos."""

    sample: int
    image: UInt8
    longest_px: int
    time_s: float = float("nan")


def open_listing(
    files: FileTree, listing: Listing, origin: Origin, name: str, options: OpenOptions = OpenOptions()
) -> FaceDataset:
    """The pictures of a listing, grey; from the second time on out of a cache.

    Of each image in which no face is found, and of each video without one, nothing is kept: a note counts them.

    Args:
        files: where they are.
        listing: which.
        origin: how the data set was recognised; the listing's notes are added.
        name: what the data set is called.
        options: see there.

    Raises:
        DataError: images or videos that cannot be read, the first of them by name; or none is left.
    """
    samples = [sample for sample in listing.samples if sample.still]
    if not samples:
        raise DataError(f"{files.path}: {name} without a single labelled image: {' '.join(listing.notes)}")
    folder = options.cache_dir or cache.default_cache_dir()
    key = f"layout-{_stamp(files, samples, listing, options)}"
    kept = cache.load(folder, key, _KEPT)
    if kept is None or kept["images"].shape[1:] != (options.side_px, options.side_px):
        kept = _read(files, samples, listing, options)
        cache.save(folder, key, kept)
    rows = kept["rows"]
    notes = [*listing.notes, *_missed(samples, len(np.unique(rows)), listing)]
    if not len(rows):
        raise DataError(f"{files.path}: no face is found in any of the {counted(len(samples), 'image')} of {name}")
    origin = replace(origin, notes=(*origin.notes, *notes), large=bool(np.median(kept["longest_px"]) > LARGE_PX))
    dataset = _assemble(name, [samples[row] for row in rows], kept, origin)
    return replace(dataset, origin=replace(origin, notes=(*origin.notes, *_about(dataset, listing))))


def _assemble(name: str, samples: Sequence[Sample], kept: cache.Arrays, origin: Origin) -> FaceDataset:
    """The data set of some samples, a row each."""
    stack = kept["images"]
    times = kept["times_s"]
    ids = np.array(
        [s.name if np.isnan(t) else f"{s.name}@{t:.3f}" for s, t in zip(samples, times, strict=True)], np.str_
    )
    labels = np.array([SEVEN.index(s.label) if s.label in SEVEN else NO_LABEL for s in samples], np.int64)
    # Of names and pixels, not of times: the same pictures elsewhere are the same data set.
    content = hashlib.sha256("\n".join(ids).encode("utf-8", "surrogateescape") + stack.tobytes())
    voted = any(sample.votes for sample in samples)
    none = (0,) * len(VOTE_COLUMNS)
    return FaceDataset(
        name=name,
        images=stack,
        labels=labels,
        split=np.array([SPLITS.index(s.split) for s in samples], np.int8),
        ids=ids,
        votes=np.array([s.votes or none for s in samples], np.uint8) if voted else None,
        sha256=content.hexdigest(),
        persons=_texts([s.person for s in samples]),
        contempt=_mask([s.label == EIGHT[-1] for s in samples]),
        measured=_mask([s.measured for s in samples]),
        affect=_affect(samples),
        origin=origin,
    )


def _about(dataset: FaceDataset, listing: Listing) -> list[str]:
    """Sentences about persons and protocol."""
    notes = []
    if dataset.persons is not None and listing.splits == "person":
        counts = [len(np.unique(dataset.persons[dataset.split == split])) for split in range(len(SPLITS))]
        parts = ", ".join(f"{count} {split}" for count, split in zip(counts, SPLITS, strict=True) if count)
        notes.append(f"Splits are by person: {parts}.")
    if dataset.measured is not None:
        notes.append(f"Its protocol: {listing.protocol}; here {counted(int(dataset.measured.sum()), 'face')}.")
    return notes


def _texts(words: Sequence[str]) -> Str | None:
    return np.array(words, np.str_) if any(words) else None


def _mask(values: Sequence[bool]) -> Bool | None:
    return np.array(values, np.bool_) if any(values) else None


def _affect(samples: Sequence[Sample]) -> Float32 | None:
    values = np.array([sample.affect for sample in samples], np.float32)
    return None if np.isnan(values).all() else values


def _stamp(files: FileTree, samples: Sequence[Sample], listing: Listing, options: OpenOptions) -> str:
    """What the pictures depend on, but not on labels, so that a corrected label costs no reading."""
    about = f"{files.path.resolve()} {options.side_px} {'' if listing.crops else options.detector}\n"
    boxes = "\n".join(f"{sample.file} {sample.box}" for sample in samples)
    names = dict.fromkeys(sample.file for sample in samples)
    content = f"{about}{files.stamp(names, replaced=True)}\n{boxes}"
    return hashlib.sha256(content.encode("utf-8", "surrogateescape")).hexdigest()


def _missed(samples: Sequence[Sample], found: int, listing: Listing) -> list[str]:
    lost = len(samples) - found
    if listing.crops or not lost:
        return []
    return [f"No face is found in {lost:,} of {len(samples):,} images, which are left out."]


def _read(files: FileTree, samples: Sequence[Sample], listing: Listing, options: OpenOptions) -> cache.Arrays:
    """Grey pictures (N, side, side) with what `_Face` says of each; the error names what is unreadable."""
    opener = _Opener(files, listing.crops, options)
    # Threads: OpenCV and FFmpeg decode outside of Python's lock.
    with ThreadPoolExecutor() as pool:
        results = list(pool.map(opener.open, range(len(samples)), samples))
    wrong = [result for result in results if isinstance(result, str)]
    refuse(str(files.path), wrong, f"of {len(samples):,} pictures cannot be read")
    faces = [face for result in results if not isinstance(result, str) for face in result]
    side = options.side_px
    return {
        "images": np.array([face.image for face in faces], np.uint8).reshape(-1, side, side),
        "rows": np.array([face.sample for face in faces], np.int64),
        "times_s": np.array([face.time_s for face in faces], np.float64),
        "longest_px": np.array([face.longest_px for face in faces], np.int64),
    }


class _Opener:
    """Opens samples in any thread."""

    def __init__(self, files: FileTree, crops: bool, options: OpenOptions) -> None:
        self._files, self._crops, self._options = files, crops, options
        self._own = threading.local()

    def open(self, number: int, sample: Sample) -> list[_Face] | str:
        """The faces of a sample, or what is wrong with it."""
        try:
            if is_video(sample.file) and not images.SUFFIXES.get(Path(sample.file).suffix.lower()):
                return list(self._frames(number, sample))
            picture = images.decode(self._files.read(sample.file), name=str(self._files.path / sample.file))
        except SourceError as error:
            return str(error)
        face = self._crop(picture, sample)
        return [] if face is None else [_Face(number, face, max(picture.shape[:2]))]

    def _frames(self, number: int, sample: Sample) -> Iterator[_Face]:
        with VideoFile(self._files.path_of(sample.file), Sampling(rate_hz=1 / EVERY_S)) as frames:
            for frame in frames:
                face = self._crop(frame.image, sample)
                if face is not None:
                    yield _Face(number, face, max(frame.image.shape[:2]), frame.time_s)

    def _crop(self, picture: UInt8, sample: Sample) -> UInt8 | None:
        """The face, grey in the size of the options; None if there is none."""
        crop = picture if self._crops else self._find(picture, sample)
        side = self._options.side_px
        return None if crop is None else images.resize(images.to_grey(crop), side, side)

    def _find(self, picture: UInt8, sample: Sample) -> UInt8 | None:
        """The largest face, or the one that the data set's box means."""
        faces = self._detector().detect(picture)
        if sample.box is not None:
            box = np.array([sample.box], np.float32)
            shares = overlaps(faces.boxes, box)[:, 0]
            # The detector's own box where there is one: the models expect its margins.
            if len(shares) and shares.max() >= SAME_FACE:
                box = faces.boxes[[int(shares.argmax())]]
            return crop_square(picture, box[0], scale=CROP_SCALE)
        if not len(faces):
            return None
        sides = faces.boxes[:, 2:] - faces.boxes[:, :2]
        return crop_square(picture, faces.boxes[int(sides.prod(axis=1).argmax())], scale=CROP_SCALE)

    def _detector(self) -> Detector:
        """One a thread: a shared one would let a single picture in at a time."""
        if not hasattr(self._own, "detector"):
            self._own.detector = create_detector(self._options.detector)
        own: Detector = self._own.detector
        return own
