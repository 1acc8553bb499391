"""Small sources for recipes: pictures, tables, archives."""

from __future__ import annotations

import csv
import zipfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from mien.images import pictures as images
from mien.labels import VOTE_COLUMNS

WORDS = ("happy", "sad", "neutral")


def picture(seed: int, side: int = 48) -> np.ndarray:
    """Noise, smoothed, so that no two are alike; grey (side, side)."""
    noise = np.random.default_rng(seed).integers(0, 256, (12, 12)).astype(np.float32)
    return images.resize(noise, side, side).astype(np.uint8)


def write_fer2013(folder: Path, votes: Sequence[Sequence[int]], usages: Sequence[str], seeds: Sequence[int]) -> Path:
    """A folder with fer2013.csv and ferplus.csv."""
    folder.mkdir(parents=True, exist_ok=True)
    lines, voted = ["emotion,pixels,Usage"], [f"Usage,Image name,{','.join(VOTE_COLUMNS)}"]
    for vote, usage, seed in zip(votes, usages, seeds, strict=True):
        lines.append(f"3,{' '.join(map(str, picture(seed).ravel()))},{usage}")
        voted.append(f"{usage},x.png,{','.join(map(str, vote))}")
    (folder / "fer2013.csv").write_text("\n".join(lines) + "\n")
    (folder / "ferplus.csv").write_text("\n".join(voted) + "\n")
    return folder


def votes_for(name: str, count: int = 10) -> list[int]:
    """All votes for one column."""
    return [count if column == name else 0 for column in VOTE_COLUMNS]


def write_folder(folder: Path, counts: dict[str, int], *, first_seed: int = 1000) -> Path:
    """Pictures in folders by class."""
    seed = first_seed
    for name, count in counts.items():
        (folder / name).mkdir(parents=True)
        for number in range(count):
            images.write(folder / name / f"{number}.png", picture(seed))
            seed += 1
    return folder


def write_table(folder: Path, rows: Sequence[dict[str, str]], *, first_seed: int = 2000, zipped: bool = True) -> Path:
    """A csv with a picture for each row, in images.zip or in images/."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "labels.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    files = {row["file"]: images.encode(picture(first_seed + n)) for n, row in enumerate(rows)}
    if zipped:
        with zipfile.ZipFile(folder / "images.zip", "w") as archive:
            for name, data in files.items():
                archive.writestr(f"images/{name}", data)
    else:
        (folder / "images").mkdir()
        for name, data in files.items():
            (folder / "images" / name).write_bytes(data)
    return folder


RECIPE = """
name = "small"
[[sources]]
name = "pictures"
kind = "folder"
path = "pictures"
licence = "made up"
[[sources]]
name = "table"
kind = "table"
path = "table/images.zip"
table = "table/labels.csv"
licence = "CC0"
person = '^([a-z]+)_'
"""


def write_recipe(folder: Path, text: str = RECIPE, *, more: str = "") -> str:
    """A recipe's file; `more` is added at its end."""
    path = folder / "recipe.toml"
    path.write_text(text + more)
    return str(path)


def write_small(folder: Path) -> str:
    """A recipe with a folder of 24 pictures and a table of 30, three persons of ten pictures each."""
    write_folder(folder / "pictures", {"happy": 10, "sadness": 8, "neutral": 6})
    people = ("ann", "bob", "cid")
    rows = [{"file": f"{who}_{n}.jpg.png", "label": WORDS[n % 3]} for who in people for n in range(10)]
    write_table(folder / "table", rows)
    return write_recipe(folder)
