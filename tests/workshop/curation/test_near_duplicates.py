from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import cv2
import numpy as np
import pytest
from faces_made_up import draw_faces

from mien.images.pictures import resize
from mien.workshop.curation.copies import (
    DETAILS,
    PIXELS,
    Likeness,
    Pairs,
    by_hash_and_model,
    connected,
    correlate,
    find_near,
    near_pairs,
    stars,
)
from mien.workshop.curation.similarity import (
    COARSE,
    SURE_DISTANCE,
    close_cells,
    close_pairs,
    dhash,
    distance,
    nearest,
    phash,
)


def by_hash(images: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Pairs that no embedding helps to propose."""
    return by_hash_and_model(images, np.full((len(images), 1), -1, np.int64), np.full((len(images), 1), -1, np.float32))


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


@pytest.mark.parametrize(
    ("propose", "likeness"),
    [(by_hash, replace(PIXELS, similarity=0.95)), (close_cells, DETAILS)],
    ids=["hash", "cells"],
)
def test_copies_that_were_shifted_recoded_and_mirrored_are_found(
    propose: Callable[[np.ndarray], tuple[np.ndarray, np.ndarray]], likeness: Likeness
) -> None:
    faces = draw_faces(40)
    recoded = cv2.imdecode(cv2.imencode(".jpg", faces[3], [cv2.IMWRITE_JPEG_QUALITY, 40])[1], cv2.IMREAD_GRAYSCALE)
    shifted = np.roll(faces[7], 1, axis=1)
    images = np.concatenate([faces, recoded[None], shifted[None], faces[11][None, :, ::-1]])
    found = near_pairs(images, propose(images), likeness)
    pairs = {tuple(pair): bool(turned) for pair, turned in zip(found.rows.tolist(), found.mirrored, strict=True)}
    assert pairs[3, 40] is False
    assert pairs[7, 41] is False
    assert pairs[11, 42] is True
    assert (found.similarity[:-1] >= found.similarity[1:]).all()


def test_flat_pictures_are_no_copies_of_one_another() -> None:
    images = np.stack([np.full((48, 48), value, np.uint8) for value in (0, 1, 128)])
    assert correlate(images, np.int64([[0, 1], [1, 2]]), PIXELS).tolist() == [0, 0]
    assert len(near_pairs(images, by_hash(images)).rows) == 0
    assert [len(pairs) for pairs in close_cells(images)] == [0, 0]


def test_pictures_close_in_their_cells_are_those_of_a_plain_search() -> None:
    """More of them than are compared at once."""
    random = np.random.default_rng(2)
    scenes = random.normal(128, 50, (301, 6, 6)).astype(np.float32)
    images = np.stack([resize(scenes[row % 301], 24, 24) for row in range(1500)])
    images = np.clip(images + random.normal(0, 8, images.shape), 0, 255).astype(np.uint8)
    images[1::2] = images[1::2, :, ::-1]

    def cells(stack: np.ndarray) -> np.ndarray:
        return stack.reshape(1500, 12, 2, 12, 2).mean(axis=(2, 4)).reshape(1500, -1)

    for found, others in zip(close_cells(images), (images, images[:, :, ::-1]), strict=True):
        products = np.corrcoef(cells(images), cells(others))[:1500, 1500:]
        sure = {tuple(pair) for pair in np.argwhere(np.triu(products, 1) > COARSE + 1e-4).tolist()}
        assert len(sure) > 100
        assert sure <= {tuple(pair) for pair in found.tolist()}
        assert (products[found[:, 0], found[:, 1]] > COARSE - 1e-4).all()
        assert (found[:, 0] < found[:, 1]).all()


def test_progress_is_told_to_the_end() -> None:
    faces = draw_faces(8)
    told: list[tuple[int, int]] = []
    near_pairs(faces, close_cells(faces, on_progress=lambda *step: told.append(step)))
    assert told[-1] == (8, 8)
    proposed = np.int64([[0, 1], [2, 3]]), np.int64([[4, 5]])
    near_pairs(faces, proposed, on_progress=lambda *step: told.append(step))
    assert told[-1] == (3, 3)


def test_a_chain_is_cut() -> None:
    rows = np.int64([[0, 1], [1, 2], [2, 3], [3, 4], [7, 8]])
    assert sorted(sorted(star.tolist()) for star in stars(rows)) == [[0, 1, 2], [3, 4], [7, 8]]
    assert stars(np.zeros((0, 2), np.int64)) == []


def test_what_hangs_together_is_connected() -> None:
    assert connected(9, np.int64([[7, 2], [5, 8], [2, 5]])).tolist() == [0, 1, 2, 3, 4, 2, 6, 2, 2]
    assert connected(0, np.zeros((0, 2), np.int64)).tolist() == []


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
