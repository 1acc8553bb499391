"""Published layouts, read from tiny copies; each broken in three ways gives one clear line."""

from __future__ import annotations

import shutil
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from layout_replicas import REPLICAS, Replica, place_of

from mien.errors import DataError, MienError
from mien.labels import SEVEN
from mien.workshop.data.base import FaceDataset
from mien.workshop.data.clips import iter_frames
from mien.workshop.data.factory import LoadOptions, load_clips, load_dataset

# Every image is taken as one face: the copies show noise.
WHOLE = LoadOptions(detector="none")
BROKEN = [(replica, number) for replica in REPLICAS for number in range(3)]


def make(replica: Replica, folder: Path) -> Path:
    root = folder / "data"
    root.mkdir(parents=True)
    replica.write(root)
    return root


def labels_of(dataset: FaceDataset) -> dict[str, int]:
    contempt = dataset.contempt if dataset.contempt is not None else np.zeros(len(dataset), bool)
    return Counter(
        "contempt" if other else SEVEN[label] if label >= 0 else "none"
        for label, other in zip(dataset.labels.tolist(), contempt.tolist(), strict=True)
    )


@pytest.mark.parametrize("replica", REPLICAS, ids=lambda replica: replica.name)
def test_layout_is_recognised_and_read(replica: Replica, tmp_path: Path) -> None:
    path = place_of(replica, make(replica, tmp_path))
    dataset = load_dataset(path, replace(WHOLE, cache_dir=tmp_path / "cache"))
    assert dataset.origin is not None
    assert dataset.origin.layout == replica.layout
    assert len(dataset) == replica.rows
    assert labels_of(dataset) == replica.labels
    assert tuple(np.bincount(dataset.split, minlength=3)) == replica.splits
    assert (0 if dataset.measured is None else dataset.measured.sum()) == replica.measured
    assert (0 if dataset.persons is None else len(set(dataset.persons.tolist()))) == replica.persons
    assert bool(dataset.origin.protocol) == bool(replica.measured)
    told = " ".join(dataset.origin.lines)
    for part in replica.says:
        assert part in told
    # Out of the cache the same comes back.
    again = load_dataset(path, replace(WHOLE, cache_dir=tmp_path / "cache"))
    assert again.sha256 == dataset.sha256
    assert (again.images == dataset.images).all()
    assert again.origin == dataset.origin


@pytest.mark.parametrize(("replica", "number"), BROKEN, ids=[f"{replica.name}-{number}" for replica, number in BROKEN])
def test_what_is_wrong_is_said_in_one_line(replica: Replica, number: int, tmp_path: Path) -> None:
    root = make(replica, tmp_path)
    change, message = replica.breaks[number]
    change(root)
    with pytest.raises(DataError, match=message) as caught:
        load_dataset(place_of(replica, root), WHOLE)
    assert "\n" not in str(caught.value)
    assert "data" in str(caught.value)


FOLDERS = [replica for replica in REPLICAS if replica.name != "fer2013_zip"]
VIDEOS = ("mmi", "afew", "ravdess", "crema_d", "clips_by_class")


@pytest.mark.parametrize("replica", FOLDERS, ids=lambda replica: replica.name)
def test_a_folder_around_it_is_looked_through(replica: Replica, tmp_path: Path) -> None:
    plain = load_dataset(make(replica, tmp_path / "download"), WHOLE)
    wrapped = load_dataset(tmp_path / "download", WHOLE)
    assert wrapped.origin == plain.origin
    assert (wrapped.images == plain.images).all()
    assert wrapped.labels.tolist() == plain.labels.tolist()


@pytest.mark.parametrize("replica", FOLDERS, ids=lambda replica: replica.name)
def test_archives_are_read_as_they_are(replica: Replica, tmp_path: Path) -> None:
    root = make(replica, tmp_path)
    archive = Path(shutil.make_archive(str(tmp_path / "packed"), "zip", root))
    if replica.name in VIDEOS:
        with pytest.raises(MienError, match="videos are read from a folder"):
            load_dataset(archive, WHOLE)
        return
    plain, packed = load_dataset(root, WHOLE), load_dataset(archive, WHOLE)
    assert (packed.images == plain.images).all()
    assert packed.origin == plain.origin


CLIPS = {
    "ck_plus": (3, 6), "oulu_casia": (6, 5), "aff_wild2": (2, 11), "afew_va": (3, 2),
    "mmi": (2, None), "afew": (4, None), "ravdess": (6, None), "crema_d": (6, None), "clips_by_class": (4, None),
}  # fmt: skip
"""How many clips, and frames of each; of a video they are counted when it is opened."""


@pytest.mark.parametrize("replica", [replica for replica in REPLICAS if replica.name in CLIPS], ids=lambda r: r.name)
def test_sequences_and_videos_are_clips(replica: Replica, tmp_path: Path) -> None:
    clips = load_clips(make(replica, tmp_path)).clips
    count, frames = CLIPS[replica.name]
    assert len(clips) == count
    assert {clip.frames for clip in clips} == {frames}
    for clip in clips:
        assert len(list(iter_frames(clip))) == (frames or 3)
        # Nobody is on two sides.
        assert len({other.split for other in clips if other.person == clip.person}) == 1 or not clip.person
    if replica.name in ("aff_wild2", "afew_va"):
        assert clips[0].valence is not None
        assert clips[0].label == -1
    else:
        assert all(clip.label >= 0 for clip in clips)


def test_clips_keep_frames_in_order_with_the_times_of_those_that_are_missing(tmp_path: Path) -> None:
    clip = load_clips(make(next(r for r in REPLICAS if r.name == "aff_wild2"), tmp_path)).clips[0]
    assert clip.labels is not None
    assert clip.labels.tolist() == [3] * 7 + [-1, -1, 6, 6]
    # The fourth frame has no face and is not there.
    assert np.diff(clip.times_s).round(3).tolist() == [0.04, 0.04, 0.08] + [0.04] * 7


def test_what_has_no_clips_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="JAFFE has no clips"):
        load_clips(make(next(r for r in REPLICAS if r.name == "jaffe"), tmp_path))
