from __future__ import annotations

import io
import os
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mien.errors import ConfigError, ImageTooLargeError, SourceError
from mien.images.pictures import encode, write
from mien.sources.photos import Item, iter_items, read_item

PICTURE = np.full((8, 10, 3), 77, np.uint8)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("b.png", "a.PNG", "sub/c.jpg", "sub/deep/d.webp", ".hidden.png", ".cache/e.png"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        write(tmp_path / name, PICTURE)
    (tmp_path / "notes.txt").write_text("no picture")
    return tmp_path


def names(sources: Any, root: Path) -> list[str]:
    return [os.path.relpath(item.name, root) for item in iter_items(sources)]


def test_a_folder_gives_its_pictures_sorted(folder: Path) -> None:
    assert names(folder, folder) == ["a.PNG", "b.png", "sub/c.jpg", "sub/deep/d.webp"]


def test_a_pattern_gives_the_files_that_match_sorted(folder: Path) -> None:
    assert names(str(folder / "*.png"), folder) == ["b.png"]
    assert names(str(folder / "**" / "*.[jw]*"), folder) == ["sub/c.jpg", "sub/deep/d.webp"]


def test_a_name_with_brackets_is_a_name_if_it_is_there(folder: Path) -> None:
    write(folder / "me[1].png", PICTURE)
    assert names(str(folder / "me[1].png"), folder) == ["me[1].png"]


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("nothing*.png", "no file matches"),
        ("missing.png", "no such file"),
        ("empty", "folder without images"),
        ("notes.txt", "notes.txt"),
    ],
)
def test_what_leads_to_no_picture_is_an_item_with_its_error(folder: Path, name: str, message: str) -> None:
    (folder / "empty").mkdir()
    (item,) = iter_items(str(folder / name))
    with pytest.raises(SourceError, match=message):
        read_item(item)


def test_nothing_is_opened_before_its_turn(folder: Path) -> None:
    items = iter_items([folder / "b.png", folder / "later.png"])
    next(items)
    write(folder / "later.png", PICTURE)
    assert read_item(next(items)).image.shape == PICTURE.shape


def test_files_bytes_and_arrays_are_frames(folder: Path) -> None:
    grey = np.full((8, 10), 77, np.uint8)
    frames = [read_item(item) for item in iter_items([folder / "b.png", encode(PICTURE), PICTURE, grey])]
    for frame in frames:
        np.testing.assert_array_equal(frame.image, PICTURE)
    assert [frame.source for frame in frames[1:]] == ["bytes 1", "array 2", "array 3"]


def test_standard_input(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(encode(PICTURE))))
    (item,) = iter_items("-")
    assert item.name == "-"
    np.testing.assert_array_equal(read_item(item).image, PICTURE)


def test_empty_standard_input(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO()))
    (item,) = iter_items("-")
    with pytest.raises(SourceError, match="-: the file is empty"):
        read_item(item)


@pytest.mark.parametrize(
    "array", [np.zeros((4, 4, 3), np.float32), np.zeros((4, 4, 5), np.uint8), np.zeros(4, np.uint8),
              np.zeros((0, 4, 3), np.uint8)]
)  # fmt: skip
def test_arrays_that_are_no_picture(array: Any) -> None:
    with pytest.raises(SourceError, match="array 0: expected"):
        read_item(next(iter_items(array)))


def test_the_limit_reaches_the_reader(folder: Path) -> None:
    with pytest.raises(ImageTooLargeError):
        read_item(Item("b", folder / "b.png"), max_pixels=79)
    assert read_item(Item("b", folder / "b.png"), max_pixels=80).image.shape == PICTURE.shape


@pytest.mark.parametrize("thing", [3, None, 1.5, {"a.png": 1}, object()])
def test_other_things_are_refused(thing: Any) -> None:
    with pytest.raises(ConfigError, match=f"not {type(thing).__name__}"):
        list(iter_items(thing))
    (item,) = iter_items([thing])
    assert "item 0: expected a path, bytes, a binary file" in str(item.content)
