from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from mien.errors import DataError
from mien.labels import CROWD
from mien.workshop.data.base import FaceDataset
from mien.workshop.data.fer2013 import distribution, majority, read_votes, with_votes

Write = Callable[..., Path]


def by_the_book(votes: list[int]) -> int:
    """The protocol of the FER+ authors in plain Python."""
    counted = [0 if vote <= 1 else vote for vote in votes]
    top = max(counted)
    if top <= 0.5 * sum(counted):
        return -1
    index = counted.index(top)
    return index if index < 8 else -1


def test_majority_agrees_with_the_protocol_written_out() -> None:
    votes = np.random.default_rng(0).multinomial(10, [0.4, 0.2, 0.1, 0.1, 0.05, 0.02, 0.03, 0.02, 0.05, 0.03], 500)
    votes[0] = 0
    votes[1:4] = [[1] * 10, [0] * 9 + [10], [0] * 8 + [6, 4]]
    expected = [by_the_book(row) for row in votes.tolist()]
    assert majority(votes.astype(np.uint8)).tolist() == expected
    assert 0 < np.mean(np.array(expected) == -1) < 1


def test_majority_needs_more_than_half() -> None:
    votes = np.array([[5, 5, 0, 0, 0, 0, 0, 0, 0, 0], [6, 4, 0, 0, 0, 0, 0, 0, 0, 0]], np.uint8)
    assert majority(votes).tolist() == [-1, 0]


def test_large_votes_do_not_overflow() -> None:
    assert majority(np.array([[200, 100, 0, 0, 0, 0, 0, 0, 0, 0]], np.uint8)).tolist() == [0]


def test_distribution_leaves_out_what_is_no_emotion() -> None:
    votes = np.array(
        [[4, 0, 0, 0, 0, 0, 0, 4, 1, 1], [4, 0, 0, 0, 0, 0, 0, 0, 6, 0], [0, 0, 0, 0, 0, 0, 0, 0, 0, 10]],
        np.uint8,
    )
    soft, usable = distribution(votes)
    assert soft.dtype == np.float32
    assert soft[0].tolist() == [0.5, 0, 0, 0, 0, 0, 0, 0.5]
    assert soft[1].tolist() == [1, 0, 0, 0, 0, 0, 0, 0]
    assert soft[2].tolist() == [0] * 8
    assert usable.tolist() == [True, False, False]
    assert distribution(votes, minimum_votes=4)[1].tolist() == [True, True, False]


def test_no_rows() -> None:
    none = np.zeros((0, 10), np.uint8)
    assert majority(none).shape == (0,)
    assert distribution(none)[0].shape == (0, len(CROWD))


def test_votes_go_to_the_same_row(faces: FaceDataset, write_votes: Write) -> None:
    votes = np.random.default_rng(0).integers(0, 11, (100, 10))
    paired = with_votes(faces, write_votes(["Training"] * 100, votes.tolist()))
    assert paired.votes is not None
    assert paired.votes.dtype == np.uint8
    assert (paired.votes == votes).all()
    assert paired.sha256 != faces.sha256


def test_other_number_of_rows_gives_both(faces: FaceDataset, write_votes: Write) -> None:
    path = write_votes(["Training"] * 99, [[1] * 10] * 99)
    with pytest.raises(DataError, match=r"99 rows, noise has 100"):
        with_votes(faces, path)


def test_other_order_names_the_first_row(faces: FaceDataset, write_votes: Write) -> None:
    path = write_votes(["Training"] * 40 + ["PublicTest"] * 60, [[1] * 10] * 100)
    with pytest.raises(DataError, match=r"row 41 \(line 42\): Usage is PublicTest, .* is in Training"):
        with_votes(faces, path)


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ([1, 2, 3], r"row 2 \(line 3\): the row ends early"),
        ([1] * 9 + ["x"], r"row 2 .*NF is a number of votes 0–255, found 'x'"),
        ([-1] + [1] * 9, r"row 2 .*neutral is a number"),
        ([300] + [1] * 9, r"row 2 .*neutral is a number"),
    ],
)
def test_bad_votes_are_named(row: list[object], message: str, write_votes: Write) -> None:
    with pytest.raises(DataError, match=message):
        read_votes(write_votes(["Training"] * 2, [[1] * 10, row]))


def test_blank_lines_and_no_rows(write_votes: Write) -> None:
    path = write_votes(["Training"], [[1] * 10])
    path.write_text(path.read_text() + "\n\n")
    split, votes = read_votes(path)
    assert split.tolist() == [0]
    assert votes.flags.writeable
    assert read_votes(write_votes([], []))[1].shape == (0, 10)


def test_unknown_usage(write_votes: Write) -> None:
    with pytest.raises(DataError, match=r"row 1 .*Usage is one of .*found 'Test'"):
        read_votes(write_votes(["Test"], [[1] * 10]))


@pytest.mark.parametrize("content", [b"", b"a,b\n1,2\n", b"\xff\xfe\x00\x01"])
def test_file_of_another_kind_is_refused(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "ferplus.csv"
    path.write_bytes(content)
    with pytest.raises(DataError, match=r"ferplus.csv"):
        read_votes(path)


@pytest.mark.data
def test_real_votes_keep_what_the_protocol_keeps(fer2013: FaceDataset) -> None:
    assert fer2013.votes is not None
    kept = majority(fer2013.votes) >= 0
    assert np.bincount(fer2013.split[kept]).tolist() == [25_060, 3_199, 3_153]
    soft, usable = distribution(fer2013.votes)
    np.testing.assert_allclose(soft[usable].sum(axis=1), 1, atol=1e-6)
    assert usable.mean() > 0.99
