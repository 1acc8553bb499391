from __future__ import annotations

import cv2
import numpy as np
import pytest
from faces_made_up import draw_faces

from mien.curation.alike import nearest
from mien.curation.hashing import SURE_DISTANCE, close_pairs, dhash, distance, phash
from mien.curation.near import Pairs, correlate, find_near, group, near_pairs


def neighbours_of(images: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """No embedding helps."""
    return np.full((len(images), 1), -1, np.int64), np.full((len(images), 1), -1, np.float32)


def test_distance_counts_bits() -> None:
    random = np.random.default_rng(0)
    one, other = random.integers(0, 2**63, (2, 50)).astype(np.uint64)
    assert distance(one, other).tolist() == [
        int(a ^ b).bit_count() for a, b in zip(one.tolist(), other.tolist(), strict=True)
    ]


def test_all_close_pairs_are_found() -> None:
    random = np.random.default_rng(1)
    hashes = random.integers(0, 2**63, 300).astype(np.uint64)
    for row in range(0, 300, 2):
        flips = random.choice(64, int(random.integers(0, 10)), replace=False)
        hashes[row + 1] = hashes[row] ^ np.uint64(sum(1 << int(bit) for bit in flips))
    every = [
        (i, j) for i in range(300) for j in range(i + 1, 300) if int(hashes[i] ^ hashes[j]).bit_count() <= SURE_DISTANCE
    ]
    assert every
    assert [tuple(pair) for pair in close_pairs(hashes).tolist()] == every


def test_pairs_between_two_views_are_each_named_once() -> None:
    hashes = np.uint64([1 << 60, 7, 9])
    assert close_pairs(hashes, np.uint64([7, 1 << 60, 1 << 20 | 0xFFFF]), limit=2).tolist() == [[0, 1]]


@pytest.mark.parametrize("function", [phash, dhash])
def test_a_hash_withstands_light_and_size(function: object) -> None:
    faces = draw_faces(20)
    brighter = np.clip(faces * 0.7 + 60, 0, 255).astype(np.uint8)
    same = distance(function(faces), function(brighter))  # type: ignore[operator]
    others = distance(function(faces), function(np.roll(faces, 1, axis=0)))  # type: ignore[operator]
    assert same.max() <= 10 < others.mean()


def test_copies_that_were_shifted_recoded_and_mirrored_are_found() -> None:
    faces = draw_faces(40)
    recoded = cv2.imdecode(cv2.imencode(".jpg", faces[3], [cv2.IMWRITE_JPEG_QUALITY, 40])[1], cv2.IMREAD_GRAYSCALE)
    shifted = np.roll(faces[7], 1, axis=1)
    images = np.concatenate([faces, recoded[None], shifted[None], faces[11][None, :, ::-1]])
    found = near_pairs(images, *neighbours_of(images), threshold=0.95)
    pairs = {tuple(pair): bool(turned) for pair, turned in zip(found.rows.tolist(), found.mirrored, strict=True)}
    assert pairs[3, 40] is False
    assert pairs[7, 41] is False
    assert pairs[11, 42] is True
    assert (found.similarity[:-1] >= found.similarity[1:]).all()


def test_flat_pictures_are_no_copies_of_one_another() -> None:
    images = np.stack([np.full((48, 48), value, np.uint8) for value in (0, 1, 128)])
    assert correlate(images, np.int64([[0, 1], [1, 2]])).tolist() == [0, 0]
    assert len(near_pairs(images, *neighbours_of(images)).rows) == 0


def test_a_chain_is_cut() -> None:
    rows = np.int64([[0, 1], [1, 2], [2, 3], [3, 4], [7, 8]])
    groups = group(Pairs(rows, np.ones(5, np.float32), np.zeros(5, bool)))
    assert sorted(sorted(star.tolist()) for star in groups) == [[0, 1, 2], [3, 4], [7, 8]]


def test_near_copies_across_splits_with_other_labels_are_told_as_both() -> None:
    pairs = Pairs(np.int64([[0, 2]]), np.float32([0.97]), np.array([True]))
    found = find_near(pairs, np.int64([0, 0, 2]), np.int64([3, 3, 4]), np.int8([0, 0, 2]))
    assert [f.kind for f in found] == ["near-duplicate", "conflict"]
    assert found[0].rows == (2, 0, 1)
    assert found[0].suggestion == "drop"
    assert "mirrored" in found[0].detail


def test_the_nearest_are_named_in_order() -> None:
    vectors = np.float32([[1, 0], [0.9, 0.1], [-1, 0.2], [0.95, 0.3]])
    found, cosines = nearest(vectors, count=5)
    assert found.shape == (4, 5)
    assert (found[:, 3:] == -1).all()
    assert (np.diff(cosines[:, :3], axis=1) <= 0).all()
    assert all(row not in found[row] for row in range(4))
    assert nearest(np.zeros((1, 3), np.float32))[0].tolist() == [[-1] * 10]
    assert nearest(np.zeros((0, 0), np.float32))[0].shape == (0, 10)


def test_the_nearest_are_those_of_a_plain_search() -> None:
    vectors = np.random.default_rng(0).normal(size=(700, 5)).astype(np.float32)
    units = vectors - vectors.mean(axis=0)
    units /= np.linalg.norm(units, axis=1, keepdims=True)
    products = units @ units.T
    np.fill_diagonal(products, -2)
    found, cosines = nearest(vectors, count=10)
    assert cosines == pytest.approx(-np.sort(-products, axis=1)[:, :10], abs=1e-5)
    assert np.take_along_axis(products, found, axis=1) == pytest.approx(cosines, abs=1e-5)
