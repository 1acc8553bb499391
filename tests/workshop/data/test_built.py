"""Built data sets: read as they are written, and as people change them."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest

from mien.errors import DataError
from mien.images import pictures as images
from mien.labels import VOTE_COLUMNS
from mien.workshop.data.base import FaceDataset
from mien.workshop.data.built import COLUMNS, read_built
from mien.workshop.data.factory import load_dataset


@pytest.fixture
def built(tmp_path: Path) -> Path:
    """Three faces of two sources, the second with votes."""
    folder = tmp_path / "set"
    (folder / "images").mkdir(parents=True)
    stack = np.random.default_rng(0).integers(0, 256, (3, 48, 48), dtype=np.uint8)
    files = [f"images/{number}.png" for number in range(3)]
    for file, picture in zip(files, stack, strict=True):
        images.write(folder / file, picture)
    votes = [""] * 10, ["0", "9", "1", *["0"] * 7], [""] * 10
    known = ("happy", "train", "a"), ("sad", "test", "b"), ("neutral", "test", "a")
    with (folder / "faces.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(COLUMNS)
        for name, (label, split, source), vote in zip(files, known, votes, strict=True):
            writer.writerow([name, label, split, source, name[-5], "", "", "0", "", "", "", "", *vote])
    np.savez(folder / "faces.npz", files=np.array(files), images=stack)
    (folder / "card.json").write_text(json.dumps({"name": "three"}))
    return folder


def edit(folder: Path, old: str, new: str) -> None:
    path = folder / "faces.csv"
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))


def test_it_is_read_with_sources_and_votes(built: Path) -> None:
    dataset = load_dataset(built)
    assert dataset.name == "three"
    assert dataset.labels.tolist() == [3, 4, 6]
    assert dataset.split.tolist() == [0, 2, 2]
    assert dataset.ids.tolist() == ["a/0", "b/1", "a/2"]
    assert dataset.sources is not None
    assert dataset.sources.tolist() == ["a", "b", "a"]
    assert dataset.votes is not None
    assert dataset.votes.sum(axis=1).tolist() == [0, 10, 0]
    assert dataset.part("test").sources.tolist() == ["b", "a"]  # type: ignore[union-attr]


def test_without_the_packed_file_pictures_are_read_one_by_one(built: Path) -> None:
    before = read_built(built)
    (built / "faces.npz").unlink()
    after = read_built(built)
    assert np.array_equal(after.images, before.images)
    assert after.sha256 == before.sha256


def test_what_a_person_changes_in_the_table_counts(built: Path) -> None:
    before = read_built(built)
    edit(built, "images/0.png,happy", "images/0.png,angry")
    lines = (built / "faces.csv").read_text().splitlines()
    (built / "faces.csv").write_text("\n".join(lines[:2] + lines[3:]) + "\n")
    after = read_built(built)
    assert after.labels.tolist() == [0, 6]
    assert np.array_equal(after.images, before.images[[0, 2]])
    assert after.votes is None
    assert after.sha256 != before.sha256


def test_a_picture_that_is_added_is_read_from_its_file(built: Path) -> None:
    new = np.full((48, 48), 7, np.uint8)
    images.write(built / "images" / "new.png", new)
    with (built / "faces.csv").open("a") as file:
        file.write("images/new.png,fear,train,a,new" + "," * (len(COLUMNS) - 5) + "\n")
    assert np.array_equal(read_built(built).images[3], new)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (",happy,", ",hapy,", r"line 2: label 'hapy'"),
        (",train,", ",training,", r"line 2: split 'training'"),
        ("images/0.png", "images/gone.png", r"1 of 3 pictures cannot be read"),
        ("images/0.png", "../secret.png", "outside the data set"),
        ("label", "emotion", "no column label"),
        ("0,9,1,", "0,nine,1,", "line 3: votes are numbers"),
        ("a,2,", "a,0,", "the same source and id"),
    ],
)
def test_a_damaged_table_is_told(built: Path, old: str, new: str, message: str) -> None:
    edit(built, old, new)
    with pytest.raises(DataError, match=message):
        read_built(built)


def test_a_damaged_packed_file_is_told(built: Path) -> None:
    (built / "faces.npz").write_bytes(b"PK")
    with pytest.raises(DataError, match="remove it"):
        read_built(built)


def test_a_damaged_card_is_told(built: Path) -> None:
    (built / "card.json").write_text("[]")
    with pytest.raises(DataError, match="card"):
        read_built(built)


def test_rows_without_votes_are_no_target_for_the_crowd(built: Path) -> None:
    from mien.workshop.data.fer2013 import distribution, majority

    votes = read_built(built).votes
    assert votes is not None
    assert votes.shape == (3, len(VOTE_COLUMNS))
    assert majority(votes).tolist() == [-1, 1, -1]
    assert distribution(votes)[1].tolist() == [False, True, False]


def test_sources_have_an_entry_for_each_face() -> None:
    with pytest.raises(DataError, match="sources"):
        FaceDataset(
            "x", np.zeros((2, 48, 48), np.uint8), np.zeros(2, np.int64), np.zeros(2, np.int8), np.array(["a", "b"]),
            sources=np.array(["a"]),
        )  # fmt: skip


def test_evaluation_scores_the_test_faces_of_each_source(built: Path) -> None:
    from mien.workshop.evaluation.sets import labelled_sets

    found, _ = labelled_sets(read_built(built), ("fer2013", "crowd"))
    rows = {one.key: one.rows.tolist() for one in found}
    assert rows["fer2013-test-a"] == rows["crowd-on-labels-test-a"] == [2]
    assert rows["fer2013-test-b"] == [1]
