from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from mien.errors import ConfigError
from mien.workshop.data.base import FaceDataset, flat, hold_out, leaked, picture_groups, repeated


def test_leaked_are_those_outside_train_that_stand_in_it(faces: FaceDataset) -> None:
    images, split = faces.images.copy(), faces.split.copy()
    split[50:75], split[75:] = 1, 2
    images[60] = images[3]
    images[80] = images[3]
    images[90] = images[70]
    images[4] = images[5]
    mask = leaked(replace(faces, images=images, split=split))
    assert np.flatnonzero(mask).tolist() == [60, 80]


def test_one_pixel_of_difference_is_no_leak(faces: FaceDataset) -> None:
    images, split = faces.images.copy(), faces.split.copy()
    split[99] = 2
    images[99] = images[0]
    images[99, 47, 47] ^= 1
    assert not leaked(replace(faces, images=images, split=split)).any()


def test_groups_and_flat_pictures(faces: FaceDataset) -> None:
    images = faces.images.copy()
    images[[10, 20]] = 0
    images[30] = 255
    changed = replace(faces, images=images)
    assert picture_groups(changed.images)[[10, 20, 30]].tolist() == [10, 10, 30]
    assert np.flatnonzero(repeated(changed)).tolist() == [20]
    assert np.flatnonzero(flat(changed)).tolist() == [10, 20, 30]


def test_hold_out_takes_the_share_of_each_class(faces: FaceDataset) -> None:
    held = hold_out(faces, 0.2, seed=0)
    assert np.bincount(held.labels[held.split == 1]).tolist() == [6, 1, 4, 4, 2, 2, 1]
    assert (faces.split == 0).all()


def test_hold_out_follows_its_seed(faces: FaceDataset) -> None:
    picks = [hold_out(faces, 0.3, seed=seed).split.tolist() for seed in (1, 1, 2)]
    assert picks[0] == picks[1] != picks[2]


def test_hold_out_keeps_repeats_together(faces: FaceDataset) -> None:
    images = faces.images.copy()
    images[1:30:2] = images[0:30:2]
    held = hold_out(replace(faces, images=images), 0.5, seed=0)
    assert (held.split[1:30:2] == held.split[0:30:2]).all()
    assert not leaked(held).any()


def test_hold_out_leaves_test_and_a_validation_split_alone(faces: FaceDataset) -> None:
    split = faces.split.copy()
    split[::2] = 2
    held = hold_out(replace(faces, split=split), 0.5, seed=0)
    assert (held.split[::2] == 2).all()
    assert hold_out(held, 0.5, seed=1) is held


@pytest.mark.parametrize("share", [0, 1, -0.1, float("nan")])
def test_share_that_is_none(share: float, faces: FaceDataset) -> None:
    with pytest.raises(ConfigError, match="between 0 and 1"):
        hold_out(faces, share, seed=0)


def test_no_rows(faces: FaceDataset) -> None:
    none = faces[:0]
    assert leaked(none).shape == flat(none).shape == (0,)
    assert len(hold_out(none, 0.5, seed=0)) == 0


@pytest.mark.data
def test_real_leaks(fer2013: FaceDataset) -> None:
    assert np.bincount(fer2013.split[leaked(fer2013)], minlength=3).tolist() == [0, 280, 288]
    assert flat(fer2013).sum() == 12
    assert repeated(fer2013).sum() == 35_887 - 34_034


def test_hold_out_moves_whole_persons_where_they_are_known(faces: FaceDataset) -> None:
    persons = np.array([f"person {row % 12}" for row in range(100)])
    held = hold_out(replace(faces, persons=persons), 0.2, seed=0)
    sides = [set(persons[held.split == split].tolist()) for split in (0, 1)]
    assert not sides[0] & sides[1]
    assert len(sides[1]) == 2
    # One of whom nobody knows who it is, and the share is of faces again.
    persons[0] = ""
    assert (hold_out(replace(faces, persons=persons), 0.2, seed=0).split == 1).sum() == 20


def test_hold_out_leaves_somebody_to_train_on(faces: FaceDataset) -> None:
    alone = hold_out(replace(faces, persons=np.array(["one"] * 100)), 0.5, seed=0)
    assert (alone.split == 0).all()
