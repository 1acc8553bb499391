from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from mien.errors import DataError
from mien.images import pictures as images
from mien.workshop.data.factory import load_dataset


def put(root: Path, name: str, value: int = 0, size: tuple[int, int] = (48, 48)) -> Path:
    path = root / name
    path.parent.mkdir(parents=True, exist_ok=True)
    return images.write(path, np.full(size, value, np.uint8))


def read(root: Path, tmp_path: Path):
    return load_dataset(root, cache_dir=tmp_path / "cache")


def test_splits_and_classes_come_from_the_folders(tmp_path: Path) -> None:
    root = tmp_path / "own"
    for place, name in enumerate(("train/angry/b", "train/angry/a", "val/happy/a", "test/neutral/a")):
        put(root, f"{name}.png", 10 * place)
    dataset = read(root, tmp_path)
    assert dataset.ids.tolist() == [
        "test/neutral/a.png", "train/angry/a.png", "train/angry/b.png", "val/happy/a.png",
    ]  # fmt: skip
    assert dataset.images[:, 0, 0].tolist() == [30, 10, 0, 20]
    assert dataset.split.tolist() == [2, 0, 0, 1]
    assert dataset.labels.tolist() == [6, 0, 0, 3]
    assert dataset.name == "own"


def test_tree_without_splits_is_all_train(tmp_path: Path) -> None:
    root = tmp_path / "own"
    for name in ("Happiness/x.jpg", "ANGER/deep/y.bmp", "0/z.webp", "surprised/s.tiff"):
        put(root, name)
    dataset = read(root, tmp_path)
    assert dataset.split.tolist() == [0] * 4
    assert dict(zip(dataset.ids.tolist(), dataset.labels.tolist(), strict=True)) == {
        "0/z.webp": 0, "ANGER/deep/y.bmp": 0, "Happiness/x.jpg": 3, "surprised/s.tiff": 5,
    }  # fmt: skip


def test_public_test_files_are_validation(tmp_path: Path) -> None:
    root = tmp_path / "fer"
    for name in ("train/sad/Training_1.png", "test/sad/PrivateTest_3.png", "test/sad/PublicTest_2.png"):
        put(root, name)
    dataset = read(root, tmp_path)
    assert dict(zip(dataset.ids.tolist(), dataset.split.tolist(), strict=True)) == {
        "test/sad/PrivateTest_3.png": 2, "test/sad/PublicTest_2.png": 1, "train/sad/Training_1.png": 0,
    }  # fmt: skip


def test_usage_names_are_splits_as_well(tmp_path: Path) -> None:
    root = tmp_path / "fer"
    for usage in ("Training", "PublicTest", "PrivateTest"):
        put(root, f"{usage}/fear/1.png")
    assert read(root, tmp_path).split.tolist() == [2, 1, 0]


def test_any_size_and_colour_becomes_grey_48(tmp_path: Path) -> None:
    root = tmp_path / "own"
    put(root, "happy/large.png", 200, (300, 200))
    colour = np.zeros((20, 20, 3), np.uint8)
    colour[..., 1] = 255
    images.write(root / "happy" / "green.png", colour)
    dataset = read(root, tmp_path)
    assert dataset.images.shape == (2, 48, 48)
    assert dataset.images[0, 5, 5] == 150
    assert dataset.images[1].min() == dataset.images[1].max() == 200


def test_what_is_no_picture_is_passed_over(tmp_path: Path) -> None:
    root = tmp_path / "own"
    put(root, "happy/a.png")
    (root / "happy" / "Thumbs.db").write_bytes(b"x")
    (root / "happy" / "._a.png").write_bytes(b"x")
    (root / "__MACOSX").mkdir()
    (root / ".git").mkdir()
    assert len(read(root, tmp_path)) == 1


def test_unknown_class_lists_the_valid_ones(tmp_path: Path) -> None:
    root = tmp_path / "own"
    put(root, "train/happy/a.png")
    put(root, "train/bored/a.png")
    with pytest.raises(DataError, match=r"bored.*expected angry, disgust, fear, happy, sad, surprise, neutral"):
        read(root, tmp_path)


@pytest.mark.parametrize(
    ("name", "message"), [("7", "follow no known numbers"), ("-1", "is not a class"), ("hap", "is not a class")]
)
def test_no_class(name: str, message: str, tmp_path: Path) -> None:
    put(tmp_path / "own", f"{name}/a.png")
    with pytest.raises(DataError, match=f"{message}.*--classes"):
        read(tmp_path / "own", tmp_path)


def test_contempt_is_kept_beside_the_seven(tmp_path: Path) -> None:
    for name in ("contempt", "happy"):
        put(tmp_path / "own", f"{name}/a.png")
    dataset = read(tmp_path / "own", tmp_path)
    assert dataset.labels.tolist() == [-1, 3]
    assert dataset.contempt.tolist() == [True, False]
    assert "1 face labelled contempt" in dataset.origin.notes[0]


def test_class_beside_splits_is_refused(tmp_path: Path) -> None:
    root = tmp_path / "own"
    put(root, "train/happy/a.png")
    put(root, "happy/a.png")
    with pytest.raises(DataError, match=r"not a split: beside train/"):
        read(root, tmp_path)


def test_unreadable_pictures_are_named_and_nothing_is_cached(tmp_path: Path) -> None:
    root = tmp_path / "own"
    whole = put(root, "happy/a.png").read_bytes()
    (root / "happy" / "cut.png").write_bytes(whole[: len(whole) // 2])
    (root / "happy" / "empty.jpg").write_bytes(b"")
    (root / "happy" / "text.jpg").write_text("not a picture")
    with pytest.raises(DataError, match="3 of 4 pictures cannot be read") as caught:
        read(root, tmp_path)
    for name in ("cut.png", "empty.jpg", "text.jpg"):
        assert str(root / "happy" / name) in str(caught.value)
    assert not (tmp_path / "cache").exists()


def test_long_list_of_unreadable_pictures_is_cut(tmp_path: Path) -> None:
    folder = tmp_path / "own" / "happy"
    folder.mkdir(parents=True)
    for number in range(9):
        (folder / f"{number}.png").write_bytes(b"")
    with pytest.raises(DataError, match="and 4 more"):
        read(tmp_path / "own", tmp_path)


@pytest.mark.parametrize("folder", [".", "happy", "train/happy"])
def test_no_pictures(folder: str, tmp_path: Path) -> None:
    (tmp_path / "own" / folder).mkdir(parents=True)
    with pytest.raises(DataError, match="no pictures in it: expected train/<class>"):
        read(tmp_path / "own", tmp_path)


def test_cache_notices_a_changed_picture(tmp_path: Path) -> None:
    root = tmp_path / "own"
    put(root, "happy/a.png", 10)
    first = read(root, tmp_path)
    again = read(root, tmp_path)
    assert again.sha256 == first.sha256
    assert (again.images == first.images).all()
    put(root, "happy/a.png", 20)
    changed = read(root, tmp_path)
    assert changed.images[0, 0, 0] == 20
    assert changed.sha256 != first.sha256
