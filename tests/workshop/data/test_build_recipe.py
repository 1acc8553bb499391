"""Recipes and sources that are not as they should be, each told with what to do."""

from __future__ import annotations

import zipfile
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("pydantic")

from small_sources import WORDS, picture, votes_for, write_fer2013, write_folder, write_recipe, write_small, write_table

from mien.errors import ConfigError, DataError, MienError, SourceError
from mien.images import pictures as images
from mien.workshop.data.file_tree import FileTree
from mien.workshop.data.recipes.building import BuildOptions, build
from mien.workshop.data.recipes.recipe import Duplicates, load_recipe, parse_recipe, shipped
from mien.workshop.data.recipes.selecting import find_groups

FOLDER = {"name": "p", "kind": "folder", "path": "p", "licence": "CC0"}


def build_small(recipe: str, out: Path) -> None:
    build(load_recipe(recipe), out, BuildOptions(), lambda step, done, total: None)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"licence": ""}, r'no licence.*licence = "unknown"'),
        ({"licenze": "CC0"}, "unknown key sources.0.licenze: expected one of name, [a-z_, ]+$"),
        ({"table": "a.csv"}, "unknown key table for kind 'folder'"),
        ({"labels": {"joy": "hapy"}}, r"labels.joy = 'hapy'.*happy"),
        ({"kind": "movie"}, "sources.0.kind"),
        ({"person": "("}, "no regular expression"),
        ({"split": {"train": 0.5}}, "sum to 1"),
        ({"every_s": 1.0}, "unknown key every_s"),
    ],
)
def test_a_source_that_cannot_be_used(change: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        parse_recipe({"name": "r", "sources": [FOLDER | change]})


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"sources": [FOLDER, FOLDER]}, "two sources are called 'p'"),
        ({"sources": []}, "sources"),
        ({"sources": [FOLDER], "train_on": ["q"]}, "no source is called 'q'"),
        ({"sources": [FOLDER], "output": {"sise": 48}}, "unknown key output.sise: expected one of size"),
        ({"sources": [FOLDER], "outputs": {}}, "unknown key outputs: expected one of name"),
        ({"sources": [{"name": "s", "kind": "synthetic", "licence": "x"}]}, "needs of"),
    ],
)
def test_a_recipe_that_cannot_be_used(values: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        parse_recipe({"name": "r", **values})


def test_recipes_that_come_with_mien_are_whole(tmp_path: Path) -> None:
    assert {"ferplus-curated", "hybrid"} <= set(shipped())
    for name in shipped():
        with pytest.raises(ConfigError, match=r"--data [a-z0-9]+=PATH"):
            load_recipe(name)


def test_an_unknown_recipe_names_those_that_there_are() -> None:
    with pytest.raises(ConfigError, match="ferplus-curated"):
        load_recipe("ferplus")


def test_sources_are_found_beside_the_recipe_or_where_data_says(tmp_path: Path) -> None:
    recipe = write_small(tmp_path)
    with pytest.raises(ConfigError, match="no such source: expected one of pictures, table"):
        load_recipe(recipe, {"picture": tmp_path})
    moved = (tmp_path / "table").rename(tmp_path / "elsewhere")
    with pytest.raises(ConfigError, match="is not there: give it by --data table=PATH"):
        load_recipe(recipe)
    (moved / "table").mkdir()
    for name in ("images.zip", "labels.csv"):
        (moved / name).rename(moved / "table" / name)
    assert load_recipe(recipe, {"table": moved}).tables["table"] == moved / "table" / "labels.csv"


def test_unknown_labels_are_listed(tmp_path: Path) -> None:
    recipe = write_small(tmp_path)
    write_folder(tmp_path / "pictures" / "more", {"bored": 1, "tired": 1})
    for name in ("bored", "tired"):
        (tmp_path / "pictures" / "more" / name).rename(tmp_path / "pictures" / name)
    with pytest.raises(DataError, match=r"unknown label 'bored', 'tired'.*drop"):
        build_small(recipe, tmp_path / "out")


def test_contempt_of_the_crowd_is_asked_for_even_where_nobody_shows_it(tmp_path: Path) -> None:
    write_fer2013(tmp_path / "fer", [votes_for("happiness")], ["Training"], [1])
    recipe = write_recipe(
        tmp_path,
        'name = "r"\n[[sources]]\nname = "f"\nkind = "fer2013"\npath = "fer"\nlicence = "unknown"\n',
    )
    with pytest.raises(DataError, match="unknown label 'contempt'"):
        build_small(recipe, tmp_path / "out")


def test_votes_that_do_not_fit_the_pictures(tmp_path: Path) -> None:
    fer = write_fer2013(tmp_path / "fer", [votes_for("happiness")] * 2, ["Training"] * 2, [1, 2])
    lines = (fer / "ferplus.csv").read_text().splitlines()
    (fer / "ferplus.csv").write_text("\n".join(lines[:-1]) + "\n")
    recipe = write_recipe(
        tmp_path,
        'name = "r"\n[[sources]]\nname = "f"\nkind = "fer2013"\npath = "fer"\nlicence = "unknown"\n',
    )
    with pytest.raises(DataError, match="row by row"):
        build_small(recipe, tmp_path / "out")


@pytest.mark.parametrize("member", ["../evil.png", "/evil.png", "a/../../evil.png", "..\\evil.png", "C:/evil.png"])
def test_an_archive_that_names_files_outside_itself_is_refused(tmp_path: Path, member: str) -> None:
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr(member, b"x")
    with pytest.raises(DataError, match="outside the archive"):
        FileTree(tmp_path / "a.zip")


def test_a_damaged_archive(tmp_path: Path) -> None:
    (tmp_path / "a.zip").write_bytes(b"PK no archive")
    with pytest.raises(DataError, match="zip archive"):
        FileTree(tmp_path / "a.zip")


def test_a_damaged_entry_of_an_archive_is_an_unreadable_picture(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("0.png", bytes(range(256)) * 40)
        offset = archive.getinfo("0.png").header_offset + 30 + len("0.png")
    data = bytearray((tmp_path / "a.zip").read_bytes())
    data[offset : offset + 20] = b"\xff" * 20
    (tmp_path / "a.zip").write_bytes(data)
    with pytest.raises(SourceError, match=r"a\.zip/0\.png: cannot be read"):
        FileTree(tmp_path / "a.zip").read("0.png")


def rows_of_table(n: int = 9) -> list[dict[str, str]]:
    return [{"file": f"{n}.png", "label": WORDS[n % 3], "split": "train"} for n in range(n)]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda text: text.replace("file,label", "path,label"), "no column file, found path, label"),
        (lambda text: text + "0.png,happy,train\n", "more than one row, the first 'images/0.png'"),
        (lambda text: text + "99.png,happy,train\n", "1 of 10 rows name a file that is not in .*99.png"),
        (lambda text: text + "99.png\n", "line 11: expected 3 columns"),
        (lambda text: text.replace("happy,train", "happy,tarin"), "line 2: split 'tarin'"),
        (lambda text: text.splitlines()[0], "no pictures"),
    ],
)
def test_a_table_that_does_not_fit(tmp_path: Path, change: object, message: str) -> None:
    table = write_table(tmp_path / "table", rows_of_table()) / "labels.csv"
    table.write_text(change(table.read_text()))  # type: ignore[operator]
    recipe = write_recipe(
        tmp_path,
        'name = "r"\n[[sources]]\nname = "t"\nkind = "table"\npath = "table/images.zip"\ntable = "table/labels.csv"\n'
        'licence = "CC0"\nkeep_splits = true\n',
    )
    with pytest.raises(DataError, match=message):
        build_small(recipe, tmp_path / "out")


def test_nothing_left_says_where_it_went(tmp_path: Path) -> None:
    write_folder(tmp_path / "p", {"happy": 3})
    recipe = write_recipe(
        tmp_path,
        'name = "r"\n[[sources]]\nname = "p"\nkind = "folder"\npath = "p"\nlicence = "CC0"\n'
        'labels = { happy = "drop" }\n',
    )
    with pytest.raises(DataError, match="no face with a label is left of 3"):
        build_small(recipe, tmp_path / "out")


def test_pictures_outside_a_class_are_refused(tmp_path: Path) -> None:
    recipe = write_small(tmp_path)
    images.write(tmp_path / "pictures" / "loose.png", picture(1))
    with pytest.raises(DataError, match=r"1 files are not in a folder.*loose\.png"):
        build_small(recipe, tmp_path / "out")


def test_faces_are_found_none_found_and_several_refused(tmp_path: Path) -> None:
    """With Haar, which comes with OpenCV; noise has no face."""
    recipe = write_small(tmp_path)
    text = Path(recipe).read_text().replace('licence = "made up"', 'licence = "made up"\ndetect = true')
    write_recipe(tmp_path, text, more='[output]\ndetector = "haar"\n')
    build_small(recipe, tmp_path / "out")
    text = (tmp_path / "out" / "left-out.csv").read_text()
    assert text.count("no face") == 24


def test_the_same_photograph_is_found_shifted_relit_and_mirrored() -> None:
    originals = np.stack([detailed(seed) for seed in range(6)])
    shifted = np.roll(originals[0], 1, axis=1)
    relit = (originals[1] * 0.6 + 20).astype(np.uint8)
    mirrored = np.ascontiguousarray(originals[2][:, ::-1])
    stack = np.stack([*originals, shifted, relit, mirrored, originals[3]])
    rules = Duplicates()
    assert find_groups(stack, rules, lambda *args: None).tolist() == [0, 1, 2, 3, 4, 5, 0, 1, 2, 3]
    exact = find_groups(stack, Duplicates(find="exact"), lambda *args: None)
    assert exact.tolist() == [0, 1, 2, 3, 4, 5, 6, 7, 8, 3]
    assert find_groups(stack, Duplicates(find="none"), lambda *args: None).tolist() == list(range(10))


def test_pictures_alike_from_afar_are_not_the_same() -> None:
    """A bright oval on a dark wall is what frontal faces have in common."""
    rows, columns = np.mgrid[:48, :48]
    oval = 180.0 * (((rows - 24) / 20) ** 2 + ((columns - 24) / 15) ** 2 < 1)
    noise = np.random.default_rng(0).normal(0, 12, (2, 48, 48))
    faces = np.clip(oval + 20 + noise, 0, 255).astype(np.uint8)
    assert find_groups(faces, Duplicates(similarity=0.98), lambda *args: None).tolist() == [0, 1]


def detailed(seed: int) -> np.ndarray:
    generator = np.random.default_rng(seed)
    coarse = images.resize(generator.normal(128, 60, (6, 6)).astype(np.float32), 48, 48)
    fine = images.resize(generator.normal(0, 40, (24, 24)).astype(np.float32), 48, 48)
    return np.clip(coarse + fine, 0, 255).astype(np.uint8)


def test_errors_are_miens_own(tmp_path: Path) -> None:
    recipe = write_small(tmp_path)
    (tmp_path / "table" / "labels.csv").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(MienError):
        build_small(recipe, tmp_path / "out")
