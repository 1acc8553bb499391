from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from mien.errors import ConfigError, DataError, MienError
from mien.workshop.curation.issues import Issue, IssueTable
from mien.workshop.curation.table import read_table, require_free_table, write_table

TABLE = IssueTable(
    issues=(
        Issue(1, "leak", (4, 0), 1.0, "drop", detail="stands in validation and train"),
        Issue(2, "label", (2,), 0.1 + 0.2, "relabel", "happy", 'out_of_fold "happy", 0.93'),
        Issue(3, "class", (), 0.5, "keep", detail="fear has 1 row"),
    ),
    data="/data/faces; 100 %",
    dataset="faces",
    sha256="ab" * 32,
    dataset_rows=5,
    ids={0: "a;b%3B.png", 2: "two.png", 4: "äöü, .png"},
    model="toy 1.0",
    created="2026-01-01T00:00:00+00:00",
    classes=("sad", "happy"),
    rows=np.int64([0, 2, 4]),
    probabilities=np.float32([[0.5, 0.5], [0.1, 0.9], [1, 0]]),
    neighbours=np.int64([[4, -1], [0, 4], [0, 2]]),
    notes=("no detector",),
    mapping={"0": "neutral", "1": "happy"},
)


def pairs(table: IssueTable) -> list[object]:
    """Everything, with arrays as lists."""
    return [value.tolist() if isinstance(value, np.ndarray) else value for value in vars(table).values()]


@pytest.mark.parametrize("name", ["issues.csv", "deep/folder/issues.csv", "issues.parquet"])
def test_a_table_comes_back_as_it_was(tmp_path: Path, name: str) -> None:
    if name.endswith("parquet"):
        pytest.importorskip("pyarrow")
    files = write_table(TABLE, tmp_path / name)
    assert [file.suffix for file in files] == [Path(name).suffix, ".json", ".npz"]
    found = read_table(tmp_path / name)
    assert pairs(found) == pairs(TABLE)
    assert found.evidence(2) == {"probabilities": pytest.approx({"sad": 0.1, "happy": 0.9}), "neighbours": [0, 4]}
    assert found.evidence(1) is None
    assert sorted(path.name for path in files[0].parent.iterdir()) == sorted(file.name for file in files)


def test_an_empty_table_comes_back(tmp_path: Path) -> None:
    empty = replace(
        TABLE, issues=(), ids={}, rows=np.zeros(0, np.int64), probabilities=np.zeros((0, 2), np.float32),
        neighbours=np.zeros((0, 3), np.int64),
    )  # fmt: skip
    write_table(empty, tmp_path / "issues.csv")
    assert pairs(read_table(tmp_path / "issues.csv")) == pairs(empty)


def test_names_that_are_no_unicode_are_kept(tmp_path: Path) -> None:
    odd = replace(TABLE, ids={**TABLE.ids, 2: b"caf\xe9.png".decode("utf-8", "surrogateescape")})
    write_table(odd, tmp_path / "issues.csv")
    assert read_table(tmp_path / "issues.csv").ids == odd.ids


def test_what_is_there_stays_unless_asked(tmp_path: Path) -> None:
    path = tmp_path / "issues.csv"
    write_table(TABLE, path)
    before = path.read_bytes()
    with pytest.raises(ConfigError, match="--overwrite"):
        write_table(replace(TABLE, issues=TABLE.issues[:1]), path)
    assert path.read_bytes() == before
    write_table(replace(TABLE, issues=TABLE.issues[:1]), path, overwrite=True)
    assert len(read_table(path).issues) == 1
    (tmp_path / "other.html").touch()
    with pytest.raises(ConfigError, match=r"other\.html"):
        require_free_table(tmp_path / "other.csv", overwrite=False)


def test_another_ending_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"\.csv or \.parquet"):
        write_table(TABLE, tmp_path / "issues.xlsx")


@pytest.mark.parametrize(
    ("file", "damage", "said"),
    [
        ("issues.csv", None, "No such file"),
        ("issues.json", None, "is missing"),
        ("issues.npz", None, "is missing"),
        ("issues.csv", lambda data: data[: len(data) // 2], "no table of issues|do not belong together"),
        ("issues.csv", lambda data: data.replace(b"sad", b"bad").replace(b"leak", b"flat"), "do not belong together"),
        ("issues.csv", lambda _: b"a,b\n1,2\n", "expected the columns"),
        ("issues.json", lambda data: data[:40], "cannot be read"),
        ("issues.json", lambda data: data.replace(b'"format": 1', b'"format": 9'), "expected format 1"),
        ("issues.json", lambda _: b"[]", "expected format 1"),
        ("issues.json", lambda data: data.replace(b'"model"', b'"mod"'), "`model` is missing"),
        ("issues.npz", lambda data: data[:100], "damaged"),
    ],
)
def test_damage_is_named(tmp_path: Path, file: str, damage: object, said: str) -> None:
    write_table(TABLE, tmp_path / "issues.csv")
    target = tmp_path / file
    if damage is None:
        target.unlink()
    else:
        target.write_bytes(damage(target.read_bytes()))  # type: ignore[operator]
    with pytest.raises(DataError, match=said):
        read_table(tmp_path / "issues.csv")


def test_files_of_two_runs_are_told_apart(tmp_path: Path) -> None:
    write_table(TABLE, tmp_path / "issues.csv")
    write_table(replace(TABLE, created="2026-02-02T00:00:00+00:00"), tmp_path / "other.csv")
    (tmp_path / "other.npz").replace(tmp_path / "issues.npz")
    with pytest.raises(DataError, match="different runs"):
        read_table(tmp_path / "issues.csv")


def test_rows_outside_the_data_set_are_refused(tmp_path: Path) -> None:
    write_table(replace(TABLE, dataset_rows=3), tmp_path / "issues.csv")
    with pytest.raises(MienError, match="data set of 3 rows"):
        read_table(tmp_path / "issues.csv")


def test_json_names_no_more_than_it_should(tmp_path: Path) -> None:
    write_table(TABLE, tmp_path / "issues.csv")
    assert set(json.loads((tmp_path / "issues.json").read_bytes())) == {
        "format", "issues", "fingerprint", "data", "dataset", "sha256", "dataset_rows", "model", "created", "classes",
        "notes", "mapping",
    }  # fmt: skip
