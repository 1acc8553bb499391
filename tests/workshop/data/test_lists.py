from __future__ import annotations

import json
import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from mien.errors import ConfigError, DataError
from mien.labels import SEVEN
from mien.workshop.data.base import FaceDataset
from mien.workshop.data.lists import (
    Drop,
    Relabel,
    RowList,
    apply_lists,
    find_list,
    known_lists,
    load_list,
    match_list,
    next_version,
    picture_digest,
    save_list,
)


def drop(faces: FaceDataset, row: int) -> Drop:
    return Drop(str(faces.ids[row]), picture_digest(faces.images[row]), "flat")


def relabel(faces: FaceDataset, row: int, new: str) -> Relabel:
    return Relabel(
        str(faces.ids[row]), picture_digest(faces.images[row]), SEVEN[faces.labels[row]], new, "another label"
    )


def make_list(faces: FaceDataset, name: str = "toy", version: int = 1, **changes: object) -> RowList:
    rows = RowList(
        name, version, "2026-01-01T00:00:00+00:00", faces.name, faces.sha256, len(faces),
        (drop(faces, 3), drop(faces, 7)), (relabel(faces, 5, "happy"),), ("by hand",), ("Ada",),
    )  # fmt: skip
    return replace(rows, **changes)  # type: ignore[arg-type]


def apply_list(dataset: FaceDataset, rows: RowList, splits: tuple[str, ...] = ("train",)) -> FaceDataset:
    return apply_lists(dataset, [match_list(dataset, rows, splits)])


def test_rows_are_dropped_and_relabelled(faces: FaceDataset) -> None:
    found = apply_list(faces, make_list(faces))
    kept = [row for row in range(len(faces)) if row not in (3, 7)]
    assert found.ids.tolist() == faces.ids[kept].tolist()
    assert found.labels[found.ids == "5"].tolist() == [SEVEN.index("happy")]
    assert np.array_equal(found.labels[found.ids != "5"], faces.labels[kept][faces.ids[kept] != "5"])
    assert (found.name, found.sha256) == (faces.name, faces.sha256)
    assert faces.labels[5] == 0
    assert len(faces) == 100


def test_votes_stay_as_they_are(faces: FaceDataset) -> None:
    votes = np.random.default_rng(0).integers(0, 10, (100, 10), dtype=np.uint8)
    found = apply_list(replace(faces, votes=votes), make_list(faces))
    assert found.votes is not None
    assert np.array_equal(found.votes, np.delete(votes, [3, 7], axis=0))


def test_rows_of_other_splits_are_left_alone(faces: FaceDataset) -> None:
    split = np.zeros(100, np.int8)
    split[3], split[5] = 1, 2
    mixed = replace(faces, split=split)
    match = match_list(mixed, make_list(faces))
    assert (match.drops.tolist(), match.relabels.tolist(), match.elsewhere, match.absent) == ([7], [], 2, 0)
    assert len(apply_list(mixed, make_list(faces), splits=("train", "validation"))) == 98


def test_entries_that_do_not_fit_are_counted_and_the_first_is_named(faces: FaceDataset) -> None:
    images = faces.images.copy()
    images[[7, 5]] = 0
    with pytest.raises(DataError, match=r"2 of 3 entries of the list toy@1 do not fit noise .*: 7 is another picture"):
        apply_list(replace(faces, images=images), make_list(faces))
    labels = faces.labels.copy()
    labels[5] = 6
    with pytest.raises(DataError, match="5 is labelled neutral, not angry"):
        apply_list(replace(faces, labels=labels), make_list(faces))
    with pytest.raises(DataError, match="the first: 3 is not there"):
        apply_list(replace(faces, ids=np.char.add("x", faces.ids)), make_list(faces))


def test_of_a_part_of_the_data_set_absent_rows_are_counted(faces: FaceDataset) -> None:
    match = match_list(faces[np.arange(5)], make_list(faces))
    assert (match.drops.tolist(), match.absent) == ([3], 2)


def test_lists_are_matched_against_the_data_set_as_it_is(faces: FaceDataset) -> None:
    other = make_list(faces, drops=(drop(faces, 5),), relabels=(relabel(faces, 3, "sad"), relabel(faces, 8, "fear")))
    found = apply_lists(faces, [match_list(faces, rows) for rows in (make_list(faces), other)])
    assert sorted(set(faces.ids) - set(found.ids)) == ["3", "5", "7"]
    assert found.labels[found.ids == "8"].tolist() == [SEVEN.index("fear")]


def test_a_row_stands_in_a_list_once(faces: FaceDataset) -> None:
    with pytest.raises(DataError, match="the row 3 is named twice"):
        make_list(faces, relabels=(relabel(faces, 3, "sad"),))


@pytest.mark.parametrize("name", ["Toy", "a b", "", "../x", "toy@1"])
def test_names_are_plain(faces: FaceDataset, name: str) -> None:
    with pytest.raises(DataError, match="a list has a name of small letters"):
        make_list(faces, name=name)


def test_what_is_saved_is_found_by_name_version_and_path(faces: FaceDataset, tmp_path: Path) -> None:
    assert next_version("toy") == 1
    paths = [save_list(make_list(faces, version=version, notes=(f"v{version}",))) for version in (1, 2, 10)]
    assert paths[2] == Path(os.environ["MIEN_HOME"]) / "lists" / "toy@10.json"
    assert find_list("toy") == make_list(faces, version=10, notes=("v10",))
    assert find_list("toy@2").notes == ("v2",)
    assert find_list(str(paths[0])).version == 1
    assert next_version("toy") == 11
    elsewhere = save_list(make_list(faces), tmp_path / "new" / "mine.json")
    assert load_list(elsewhere) == make_list(faces)
    assert [path.name for path in elsewhere.parent.iterdir()] == ["mine.json"]


def test_an_own_list_goes_before_a_shipped_one(
    faces: FaceDataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mien.workshop.data.lists.SHIPPED", tmp_path)
    save_list(make_list(faces, notes=("shipped",)), tmp_path / "toy@1.json")
    assert find_list("toy").notes == ("shipped",)
    save_list(make_list(faces, notes=("own",)))
    assert find_list("toy@1").notes == ("own",)


def test_an_unknown_list_names_those_that_are_there(faces: FaceDataset, tmp_path: Path) -> None:
    save_list(make_list(faces))
    with pytest.raises(ConfigError, match=r"no list 'toy@3' .*toy@1"):
        find_list("toy@3")
    for name in ("toy@", "toy@x", ""):
        with pytest.raises(ConfigError, match="NAME@VERSION or a file"):
            find_list(name)
    with pytest.raises(ConfigError, match="no list at"):
        find_list(str(tmp_path / "none.json"))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "not a list of rows"),
        ("[]", "not a list of rows"),
        ('{"format": 2}', "a list of another format"),
        ('{"format": 1, "version": 1, "data_rows": 3}', "not a list of rows"),
    ],
)
def test_what_is_no_list_is_refused(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "x.json").write_text(text)
    with pytest.raises(DataError, match=message):
        load_list(tmp_path / "x.json")


def test_an_entry_of_other_kinds_is_refused(faces: FaceDataset, tmp_path: Path) -> None:
    path = save_list(make_list(faces), tmp_path / "x.json")
    values = json.loads(path.read_text())
    values["drops"][0]["id"] = 3
    path.write_text(json.dumps(values))
    with pytest.raises(DataError, match="an entry is made of texts"):
        load_list(path)


def test_the_hash_is_of_what_the_list_does(faces: FaceDataset) -> None:
    rows = make_list(faces)
    assert rows.sha256 == make_list(faces, notes=(), drops=rows.drops[::-1], version=4).sha256
    assert rows.sha256 != make_list(faces, drops=rows.drops[:1]).sha256


@pytest.mark.data
def test_a_list_of_the_csv_fits_the_archive(fer2013: FaceDataset, tmp_path: Path) -> None:
    from mien.workshop.data.factory import load_dataset

    archive = tmp_path / "fer.npz"
    usage, label = fer2013.split, fer2013.labels.astype(np.int8)
    np.savez(archive, images=fer2013.images, label=label, usage=usage)
    match = match_list(load_dataset(archive, cache_dir=tmp_path), make_list(fer2013))
    assert match.drops.tolist() == [3, 7]


def test_shipped_lists_can_be_read() -> None:
    for (name, version), path in known_lists().items():
        assert load_list(path).title == f"{name}@{version}"
