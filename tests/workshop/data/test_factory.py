from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from mien.errors import DataError
from mien.images import pictures as images
from mien.workshop.data.factory import load_dataset

Write = Callable[..., Path]
Rows = list[tuple[str, str, str]]


@pytest.mark.parametrize("votes_name", ["ferplus.csv", "fer2013new.csv"])
@pytest.mark.parametrize("name", ["fer2013.csv", "icml_face_data.csv"])
def test_folder_and_csv_find_the_votes_beside(
    name: str, votes_name: str, rows: Rows, write_csv: Write, write_votes: Write
) -> None:
    path = write_csv(rows, name)
    write_votes([row[2] for row in rows], [[10] + [0] * 9] * len(rows), votes_name)
    for source in (path, path.parent):
        dataset = load_dataset(source)
        assert dataset.votes is not None
        assert dataset.votes[:, 0].tolist() == [10] * 12


def test_csv_alone_has_no_votes(rows: Rows, write_csv: Write) -> None:
    assert load_dataset(write_csv(rows)).votes is None


def test_folder_of_pictures(tmp_path: Path) -> None:
    (tmp_path / "own" / "happy").mkdir(parents=True)
    images.write(tmp_path / "own" / "happy" / "a.png", np.zeros((48, 48), np.uint8))
    assert load_dataset(tmp_path / "own").labels.tolist() == [3]


@pytest.mark.parametrize("name", ["none", "none.csv", "faces.pkl", "note.txt"])
def test_other_forms_list_what_is_accepted(name: str, tmp_path: Path) -> None:
    if not name.startswith("none"):
        (tmp_path / name).write_bytes(b"x")
    with pytest.raises(DataError, match=r"expected FER2013's csv .* \.npz .* folder of pictures"):
        load_dataset(tmp_path / name)


def arrays(n: int = 6) -> dict[str, np.ndarray]:
    return {
        "images": np.random.default_rng(0).integers(0, 256, (n, 48, 48), dtype=np.uint8),
        "label": np.arange(n, dtype=np.uint8),
        "usage": np.array([0, 0, 0, 1, 2, 2], np.uint8),
        "votes": np.ones((n, 10), np.uint8),
    }


def test_archive(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    np.savez(tmp_path / "fer2013.npz", **arrays())
    dataset = load_dataset(tmp_path / "fer2013.npz")
    assert (dataset.images == arrays()["images"]).all()
    assert dataset.labels.tolist() == [0, 1, 2, 3, 4, 5]
    assert dataset.split.tolist() == [0, 0, 0, 1, 2, 2]
    assert dataset.votes is not None
    assert "Training has 3 rows" in caplog.text


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"label": None}, "no array label: expected images, label, usage"),
        ({"images": np.zeros((6, 32, 32), np.uint8)}, r"images are uint8 \(N, 48, 48\)"),
        ({"images": np.zeros((6, 48, 48), np.float32)}, "found float32"),
        ({"label": np.array([0, 1, 2, 3, 7, 1])}, r"row 5: label is a number 0–6, found 7"),
        ({"usage": np.array([0, 1, 3, 0, 0, 0])}, r"row 3: usage is a number 0–2, found 3"),
        ({"usage": np.zeros(5, np.uint8)}, "usage is a whole number for each of 6 faces"),
        ({"votes": np.zeros((6, 8), np.uint8)}, r"votes are whole numbers \(6, 10\)"),
        ({"label": np.array([{}] * 6, dtype=object)}, "cannot be read as an npz archive"),
    ],
)
def test_bad_archive(changes: dict[str, np.ndarray | None], message: str, tmp_path: Path) -> None:
    content = {name: array for name, array in (arrays() | changes).items() if array is not None}
    np.savez(tmp_path / "bad.npz", **content)
    with pytest.raises(DataError, match=message):
        load_dataset(tmp_path / "bad.npz")


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 cut", b"text"])
def test_file_that_is_no_archive(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "bad.npz").write_bytes(content)
    with pytest.raises(DataError, match="cannot be read as an npz archive"):
        load_dataset(tmp_path / "bad.npz")
