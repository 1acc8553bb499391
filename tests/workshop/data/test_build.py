"""Data sets of several sources: what is built, that it is whole, and that a stopped build goes on."""

from __future__ import annotations

import csv
import json
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("pydantic")

from clips import write_clip
from small_sources import (
    WORDS,
    picture,
    votes_for,
    write_fer2013,
    write_folder,
    write_recipe,
    write_small,
    write_table,
)

from mien.errors import ConfigError, DataError
from mien.images import pictures as images
from mien.labels import SEVEN
from mien.workshop.data.factory import load_dataset
from mien.workshop.data.recipes import reading
from mien.workshop.data.recipes.building import BuildOptions, Built, build
from mien.workshop.data.recipes.recipe import load_recipe


def quiet(step: str, done: int, total: int) -> None:
    assert 0 <= done <= total, step


def build_here(recipe: str, out: Path, **options: Any) -> Built:
    return build(load_recipe(recipe), out, BuildOptions(**options), quiet)


def table_of(folder: Path) -> list[dict[str, str]]:
    with (folder / "faces.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def left_out(folder: Path) -> dict[str, str]:
    """Reason by source and id."""
    with (folder / "left-out.csv").open(newline="") as file:
        return {f"{row['source']}/{row['id']}": row["reason"] for row in csv.DictReader(file)}


def contents(folder: Path) -> dict[str, bytes]:
    """Every file that does not tell the time."""
    files = [path for path in folder.rglob("*") if path.is_file() and not path.name.startswith("card")]
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}


def test_a_data_set_is_built_and_read_back(tmp_path: Path) -> None:
    built = build_here(write_small(tmp_path), tmp_path / "out")
    dataset = load_dataset(tmp_path / "out")
    assert dataset.name == "small"
    assert len(dataset) == built.card["rows"] == 54
    assert dataset.images.shape == (54, 48, 48)
    assert dataset.sources is not None
    assert Counter(dataset.sources.tolist()) == {"pictures": 24, "table": 30}
    assert Counter(SEVEN[label] for label in dataset.labels) == {"happy": 22, "sad": 17, "neutral": 15}
    rows = table_of(tmp_path / "out")
    pictures = [images.to_grey(images.read(tmp_path / "out" / row["file"])) for row in rows]
    assert np.array_equal(np.stack(pictures), dataset.images)
    assert not list(tmp_path.glob(".*")), "nothing is left beside the data set"


def test_pictures_lie_by_split_and_class_so_that_other_tools_read_them(tmp_path: Path) -> None:
    build_here(write_small(tmp_path), tmp_path / "out")
    whole, plain = load_dataset(tmp_path / "out"), load_dataset(tmp_path / "out" / "images")
    assert Counter(zip(plain.split, plain.labels, strict=True)) == Counter(zip(whole.split, whole.labels, strict=True))


def test_a_person_stands_on_one_side(tmp_path: Path) -> None:
    build_here(write_small(tmp_path), tmp_path / "out")
    sides: dict[str, set[str]] = {}
    for row in table_of(tmp_path / "out"):
        if row["person"]:
            sides.setdefault(row["person"], set()).add(row["split"])
    assert set(sides) == {"table/ann", "table/bob", "table/cid"}
    assert all(len(side) == 1 for side in sides.values())


def test_shares_are_kept_class_by_class(tmp_path: Path) -> None:
    write_folder(tmp_path / "pictures", {"happy": 40, "sad": 20})
    recipe = write_recipe(
        tmp_path,
        'name = "small"\n[[sources]]\nname = "p"\nkind = "folder"\npath = "pictures"\nlicence = "CC0"\n'
        "split = { train = 0.5, validation = 0.25, test = 0.25 }\n",
    )
    built = build_here(recipe, tmp_path / "out")
    counts = built.card["counts"]["p"]
    assert [counts[split]["happy"] for split in ("train", "validation", "test")] == [20, 10, 10]
    assert [counts[split]["sad"] for split in ("train", "validation", "test")] == [10, 5, 5]


def test_majority_labels_leaks_and_non_faces_of_fer2013(tmp_path: Path) -> None:
    split = ["neutral"] * 5 + ["sadness"] * 5
    rows = [  # votes, usage, picture
        (votes_for("happiness"), "Training", 1),
        (votes_for("sadness"), "Training", 2),  # stands in PrivateTest too
        (votes_for("contempt"), "Training", 3),
        (votes_for("NF"), "Training", 4),
        (votes_for("unknown"), "Training", 5),
        ([split.count(name) for name in _columns()], "Training", 6),
        (votes_for("anger"), "PublicTest", 7),
        (votes_for("anger"), "PublicTest", 1),  # stands in Training too
        (votes_for("sadness"), "PrivateTest", 2),
        (votes_for("fear"), "PrivateTest", 2),  # the same picture again, under another label
        (votes_for("neutral"), "Training", 8),
    ]
    fer = write_fer2013(tmp_path / "fer", *zip(*rows, strict=True))
    recipe = write_recipe(
        tmp_path,
        f'name = "small"\n[[sources]]\nname = "fer"\nkind = "fer2013"\npath = "{fer.name}"\nlicence = "unknown"\n'
        'keep_splits = true\nlabels = { contempt = "drop" }\n',
    )
    built = build_here(recipe, tmp_path / "out")
    assert left_out(tmp_path / "out") == {
        "fer/Training_00000": "leak",
        "fer/Training_00001": "leak",
        "fer/Training_00002": "label",
        "fer/Training_00003": "not a face",
        "fer/Training_00004": "unclear",
        "fer/Training_00005": "no majority",
        "fer/PrivateTest_00009": "duplicate",
    }
    dataset = load_dataset(tmp_path / "out")
    found = {str(name): SEVEN[label] for name, label in zip(dataset.ids, dataset.labels, strict=True)}
    assert found == {
        "fer/PublicTest_00006": "angry",
        "fer/PublicTest_00007": "angry",
        "fer/PrivateTest_00008": "sad",
        "fer/Training_00010": "neutral",
    }
    assert dataset.votes is not None
    assert dataset.votes.sum(axis=1).tolist() == [10] * 4
    assert built.card["duplicates"]["groups_with_several_labels"] == 2
    assert any("rights in the pictures of fer" in line for line in built.card["limits"])


def _columns() -> tuple[str, ...]:
    from mien.labels import VOTE_COLUMNS

    return VOTE_COLUMNS


def test_a_build_that_was_killed_goes_on_and_comes_out_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe = write_small(tmp_path)
    monkeypatch.setattr(reading, "PIECE", 4)
    build_here(recipe, tmp_path / "whole", jobs=1)

    decode, count = images.decode, 0

    def failing(data: bytes, *, name: str = "", max_pixels: int = images.MAX_PIXELS) -> Any:
        nonlocal count
        count += 1
        if count > 30:
            raise KeyboardInterrupt
        return decode(data, name=name, max_pixels=max_pixels)

    with monkeypatch.context() as patch:
        patch.setattr(images, "decode", failing)
        with pytest.raises(KeyboardInterrupt):
            build_here(recipe, tmp_path / "stopped", jobs=1)
    assert not (tmp_path / "stopped").exists()

    read: list[str] = []

    def counting(data: bytes, *, name: str = "", max_pixels: int = images.MAX_PIXELS) -> Any:
        read.append(name)
        return decode(data, name=name, max_pixels=max_pixels)

    with monkeypatch.context() as patch:
        patch.setattr(images, "decode", counting)
        build_here(recipe, tmp_path / "stopped", jobs=3)
    assert 0 < len(read) <= 30, "what was read is not read again"
    assert contents(tmp_path / "stopped") == contents(tmp_path / "whole")


def test_a_build_that_stops_while_it_writes_leaves_nothing_half(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe = write_small(tmp_path)
    encode = images.encode

    def full(image: Any, image_format: str = "png", *, quality: int = 95) -> bytes:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(images, "encode", full)
    with pytest.raises(ConfigError, match="No space left"):
        build_here(recipe, tmp_path / "out")
    assert not (tmp_path / "out").exists()
    monkeypatch.setattr(images, "encode", encode)
    assert build_here(recipe, tmp_path / "out").card["rows"] == 54


def test_a_folder_that_is_there_is_refused_resumed_or_replaced(tmp_path: Path) -> None:
    recipe = write_small(tmp_path)
    first = build_here(recipe, tmp_path / "out")
    with pytest.raises(ConfigError, match="already exists"):
        build_here(recipe, tmp_path / "out")
    # A build that was killed when its result was in place, and its pieces not yet gone.
    (tmp_path / ".out.part" / "pieces").mkdir(parents=True)
    again = build_here(recipe, tmp_path / "out", resume=True)
    assert again.found
    assert again.card == first.card
    assert not (tmp_path / ".out.part").exists()
    write_recipe(tmp_path, more="[balance]\nper_class = 2\n")
    with pytest.raises(ConfigError, match="another recipe"):
        build_here(recipe, tmp_path / "out", resume=True)
    balanced = build_here(recipe, tmp_path / "out", overwrite=True)
    assert {balanced.card["counts"]["pictures"]["train"][name] for name in ("angry", "fear")} == {0}
    dataset = load_dataset(tmp_path / "out").part("train")
    assert np.bincount(dataset.labels).max() == 2


def test_a_folder_of_something_else_is_not_overwritten(tmp_path: Path) -> None:
    recipe = write_small(tmp_path)
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "precious.txt").write_text("mine")
    with pytest.raises(ConfigError, match="not a built data set"):
        build_here(recipe, tmp_path / "out", overwrite=True)
    assert (tmp_path / "out" / "precious.txt").read_text() == "mine"


def test_the_other_sides_stay_when_one_source_is_trained_on(tmp_path: Path) -> None:
    recipe = write_small(tmp_path)
    build(load_recipe(recipe), tmp_path / "both", BuildOptions(), quiet)
    build(load_recipe(recipe, train_on=("pictures",)), tmp_path / "one", BuildOptions(), quiet)
    both, one = load_dataset(tmp_path / "both"), load_dataset(tmp_path / "one")
    for split in ("validation", "test"):
        assert both.part(split).ids.tolist() == one.part(split).ids.tolist()
    assert one.part("train").sources is not None
    assert set(one.part("train").sources.tolist()) == {"pictures"}  # type: ignore[union-attr]


def test_unreadable_pictures_are_counted_and_too_many_are_an_error(tmp_path: Path) -> None:
    recipe = write_small(tmp_path)
    (tmp_path / "pictures" / "happy" / "0.png").write_bytes(b"no picture")
    built = build_here(recipe, tmp_path / "out")
    assert built.card["sources"][0]["left_out"] == {"unreadable": 1}
    assert left_out(tmp_path / "out") == {"pictures/happy/0.png": "unreadable"}
    for number in range(1, 4):
        (tmp_path / "pictures" / "happy" / f"{number}.png").write_bytes(b"no picture")
    with pytest.raises(DataError, match=r"4 of 24 pictures cannot be read"):
        build_here(recipe, tmp_path / "other")


def test_flat_pictures_go_before_they_are_taken_for_copies_of_one_another(tmp_path: Path) -> None:
    recipe = write_small(tmp_path)
    for number in range(2):
        images.write(tmp_path / "pictures" / "happy" / f"{number}.png", np.full((48, 48), 90 + number, np.uint8))
    build_here(recipe, tmp_path / "out")
    assert set(left_out(tmp_path / "out").values()) == {"flat"}


def test_duplicates_across_sources_keep_one_or_stand_together(tmp_path: Path) -> None:
    recipe = write_small(tmp_path)
    for number in range(4):
        images.write(tmp_path / "pictures" / "happy" / f"{number}.png", picture(2000 + 3 * number)[:, ::-1])
    build_here(recipe, tmp_path / "one")
    assert list(left_out(tmp_path / "one").values()) == ["duplicate"] * 4
    write_recipe(tmp_path, more='[duplicates]\nkeep = "all"\n')
    build_here(recipe, tmp_path / "all")
    rows = table_of(tmp_path / "all")
    assert len(rows) == 54
    sides: dict[str, set[str]] = {}
    for row in rows:
        sides.setdefault(row["group"], set()).add(row["split"])
    assert len(sides) == 50
    assert all(len(side) == 1 for side in sides.values())


def test_synthetic_copies_are_trained_on_alone(tmp_path: Path) -> None:
    more = (
        '[[sources]]\nname = "worse"\nkind = "synthetic"\nof = "pictures"\nshare = 0.5\nlicence = "as pictures"\n'
        'make = ["dark", "rotated", "blurred", "coarse", "compressed"]\n'
    )
    recipe = write_small(tmp_path)
    write_recipe(tmp_path, more=more)
    built = build_here(recipe, tmp_path / "out")
    counts = built.card["counts"]
    originals = sum(counts["pictures"]["train"].values())
    assert sum(counts["worse"]["train"].values()) == 5 * round(0.5 * originals)
    assert not any(counts["worse"]["test"].values())
    rows = {(row["source"], row["id"]): row for row in table_of(tmp_path / "out")}
    for (source, name), row in rows.items():
        if source == "worse":
            assert row["label"] == rows["pictures", name.partition("#")[0]]["label"]
    assert any("worse copies" in line for line in built.card["limits"])


def test_the_card_tells_terms_counts_and_hashes(tmp_path: Path) -> None:
    import hashlib

    build_here(write_small(tmp_path), tmp_path / "out")
    card = json.loads((tmp_path / "out" / "card.json").read_text())
    assert [source["licence"] for source in card["sources"]] == ["made up", "CC0"]
    for name, sha256 in card["files"].items():
        assert hashlib.sha256((tmp_path / "out" / name).read_bytes()).hexdigest() == sha256
    page = (tmp_path / "out" / "card.html").read_text()
    text = (tmp_path / "out" / "card.md").read_text()
    for part in ("made up", "not what the person felt", "kind = "):
        assert part in page
        assert part in text
    assert "<script" not in page


def test_colour_pictures_of_another_size(tmp_path: Path) -> None:
    recipe = write_small(tmp_path)
    write_recipe(tmp_path, more="[output]\nsize = 64\nchannels = 3\n")
    build_here(recipe, tmp_path / "out")
    assert load_dataset(tmp_path / "out").images.shape == (54, 64, 64, 3)


def test_a_folder_of_a_table_is_read_as_well_as_its_archive(tmp_path: Path) -> None:
    rows = [{"file": f"ann_{n}.png", "label": WORDS[n % 3], "split": "test" if n < 3 else "train"} for n in range(9)]
    write_table(tmp_path / "table", rows, zipped=False)
    recipe = write_recipe(
        tmp_path,
        'name = "small"\n[[sources]]\nname = "t"\nkind = "table"\npath = "table/images"\ntable = "table/labels.csv"\n'
        'licence = "CC0"\nkeep_splits = true\n',
    )
    built = build_here(recipe, tmp_path / "out")
    assert [sum(built.card["counts"]["t"][split].values()) for split in ("train", "validation", "test")] == [6, 0, 3]


def test_frames_of_a_clip_are_sampled_and_stay_together(tmp_path: Path) -> None:
    for label in ("happy", "sad"):
        (tmp_path / "clips" / label).mkdir(parents=True)
        for name in ("a", "b"):
            write_clip(tmp_path / "clips" / label / f"{name}.mp4", [n / 10 for n in range(21)])
    (tmp_path / "clips" / "sad" / "broken.mp4").write_bytes(b"no clip")
    recipe = write_recipe(
        tmp_path,
        'name = "small"\n[[sources]]\nname = "v"\nkind = "video"\npath = "clips"\nlicence = "CC0"\nevery_s = 0.5\n'
        'max_unreadable = 0.2\n[duplicates]\nfind = "none"\n[filter]\nflat = false\n'
        "[split]\ntrain = 0.5\nvalidation = 0.0\ntest = 0.5\n",
    )
    built = build_here(recipe, tmp_path / "out")
    rows = table_of(tmp_path / "out")
    assert [row["id"] for row in rows if row["id"].startswith("happy/a")] == [
        f"happy/a.mp4@{time_s:.3f}" for time_s in (0, 0.5, 1, 1.5, 2)
    ]
    assert built.card["counts"]["v"]["train"] == built.card["counts"]["v"]["test"]
    sides = {(row["clip"], row["split"]) for row in rows}
    assert len(sides) == len({row["clip"] for row in rows}) == 4
    assert built.card["sources"][0]["left_out"] == {"unreadable": 1}


def test_files_that_are_no_pictures_are_counted_on_the_card(tmp_path: Path) -> None:
    recipe = write_small(tmp_path)
    for name in ("notes.txt", "clip.mp4", "more.txt"):
        (tmp_path / "pictures" / "happy" / name).write_bytes(b"x")
    built = build_here(recipe, tmp_path / "out")
    assert built.card["passed_over"] == ["Files of pictures passed over: 2 .txt, 1 .mp4."]
    assert "2 .txt, 1 .mp4" in (tmp_path / "out" / "card.md").read_text()
