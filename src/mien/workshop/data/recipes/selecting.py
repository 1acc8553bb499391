"""Which rows are left out for what they are, and which to keep classes and sources in proportion."""

from __future__ import annotations

import zlib
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import cv2
import numpy as np

from mien.arrays import Bool, Int8, Int64, UInt8
from mien.errors import DataError
from mien.images import pictures as images
from mien.images.pictures import resize, to_grey
from mien.labels import SEVEN, VOTE_COLUMNS
from mien.workshop.curation.copies import DETAILS, connected, near_pairs
from mien.workshop.curation.similarity import close_cells
from mien.workshop.data import lists
from mien.workshop.data.base import SPLITS, TRAIN, flat, picture_groups
from mien.workshop.data.recipes.recipe import FREE, Balance, Duplicates, Filter, Ledger, Recipe, Rows, Source
from mien.workshop.progress import OnProgress

NF = VOTE_COLUMNS.index("NF")

DETAIL_PX = 48
PRIORITY = {"test": 3, "validation": 2, "train": 1}
"""Which picture of a group stays: what is tested on stays whole, what is trained on gives way."""
Random = np.random.Generator


def filtered(rows: Rows, rules: Filter, ledger: Ledger) -> Rows:
    """Without flat pictures, what most annotators saw no face in, and the rows of drop lists.

    Raises:
        ConfigError: a list is not found.
        DataError: a list names another picture under an id of these rows.
    """
    if rules.flat:
        rows = ledger.without(rows, flat(rows.dataset("rows")), "flat")
    if rules.non_faces:
        # A single vote counts as none, as in `fer2013.majority`.
        counted = np.where(rows.votes > 1, rows.votes, 0)
        rows = ledger.without(rows, counted.any(axis=1) & (counted.argmax(axis=1) == NF), "not a face")
    for name in rules.drop_lists:
        rows = _without_listed(rows, name, ledger)
    return rows


def _without_listed(rows: Rows, name: str, ledger: Ledger) -> Rows:
    """Without the rows that a list drops, as far as they may be trained on: what is tested on stays whole."""
    listed = lists.find_list(name)
    entries = {entry.id: entry for entry in listed.drops}
    lost = np.zeros(len(rows), np.bool_)
    details = np.full(len(rows), "", object)
    # Up to TRAIN: a row without a split yet (FREE, −1) may still come to train.
    for row in np.flatnonzero((rows.split <= TRAIN) & np.isin(rows.ids, list(entries))):
        entry = entries[str(rows.ids[row])]
        if lists.picture_digest(rows.images[row]) != entry.digest:
            raise DataError(
                f"the list {listed.title} names another picture under {entry.id} than source "
                f"{rows.sources[row]!r} has: it was made for {listed.data} ({listed.data_rows:,} rows); "
                "give that data, or another list"
            )
        lost[row], details[row] = True, f"{listed.title}: {entry.reason}".removesuffix(": ")
    return ledger.without(rows, lost, "drop list", details)


def trained_on(rows: Rows, sources: tuple[str, ...], ledger: Ledger) -> Rows:
    """Without the training rows of all but these sources; none named is all of them."""
    if not sources:
        return rows
    return ledger.without(rows, (rows.split == TRAIN) & ~np.isin(rows.sources, sources), "not trained on")


def balanced(rows: Rows, rules: Balance, seed: int, ledger: Ledger) -> Rows:
    """At most so many training rows of each source, then of each class, drawn at random."""
    generator = np.random.default_rng(seed)
    for source, most in rules.per_source.items():
        surplus = _surplus((rows.split == TRAIN) & (rows.sources == source), most, generator)
        rows = ledger.without(rows, surplus, "balance")
    for label in np.unique(rows.labels) if rules.per_class else ():
        surplus = _surplus((rows.split == TRAIN) & (rows.labels == label), rules.per_class, generator)
        rows = ledger.without(rows, surplus, "balance")
    return rows


def _surplus(mask: Bool, most: int, generator: np.random.Generator) -> Bool:
    """The rows of a mask over so many, drawn at random; none for a limit of 0."""
    there = np.flatnonzero(mask)
    out = np.zeros(len(mask), np.bool_)
    if most and len(there) > most:
        out[generator.permutation(there)[most:]] = True
    return out


def find_groups(images: UInt8, rules: Duplicates, progress: Callable[[str, int, int], None]) -> Int64:
    """The first row that shows the same face in the same photograph, for each row, int64 (N,).

    No model takes part, so that a recipe means the same data set whatever models there are: all pictures are compared
    with all others from afar (see `cells`), and those alike by their details.

    Args:
        images: uint8 (N, H, W) or (N, H, W, 3).
        rules: `find` and `similarity` are used.
        progress: called as `progress(step, done, total)`.
    """
    n = len(images)
    if rules.find == "none":
        return np.arange(n)
    groups = picture_groups(images)
    if rules.find == "exact" or n < 2:
        return groups
    different = np.unique(groups)
    # In grey and at one size: sources differ in both.
    small = np.stack([resize(to_grey(images[row]), DETAIL_PX, DETAIL_PX) for row in different])

    def step(name: str) -> OnProgress:
        return lambda done, total: progress(name, done, total)

    proposed = close_cells(small, on_progress=step("find duplicates"))
    likeness = replace(DETAILS, similarity=rules.similarity)
    pairs = near_pairs(small, proposed, likeness, on_progress=step("compare their details"))
    near = connected(len(different), pairs.rows)
    return different[near][np.searchsorted(different, groups)]


def find_conflicts(rows: Rows) -> Int64:
    """The groups whose pictures have different labels."""
    pairs = np.unique(np.stack([rows.groups, rows.labels]), axis=1)
    groups, labels = np.unique(pairs[0], return_counts=True)
    return groups[labels > 1]


def keep_one(rows: Rows, ledger: Ledger) -> Rows:
    """One picture of each group: of those that are tested on, else validated with, else trained on, the first."""
    # One more for FREE, −1, which picks the last.
    weight = np.zeros(len(SPLITS) + 1, np.int64)
    for name, value in PRIORITY.items():
        weight[SPLITS.index(name)] = value
    order = np.lexsort((np.arange(len(rows)), -weight[rows.split], rows.groups))
    heads = order[np.r_[True, rows.groups[order][1:] != rows.groups[order][:-1]]] if len(rows) else order
    kept = np.zeros(len(rows), np.bool_)
    kept[heads] = True
    stays = {int(rows.groups[row]): int(row) for row in heads}
    head = np.array([stays[int(group)] for group in rows.groups], np.int64)
    details: Any = np.array([f"{rows.sources[row]}/{rows.ids[row]} stays" for row in head], object)
    # A copy on another side of the split is told as what it is, a leak.
    leak = ~kept & (rows.split != FREE) & (rows.split != rows.split[head])
    rows_left = ledger.without(rows, leak, "leak", details)
    return ledger.without(rows_left, ~kept[~leak], "duplicate", details[~leak])


def units(rows: Rows) -> Int64:
    """The number of the unit that each row belongs to, int64 (N,): the same for one face, person or clip."""
    pairs = [np.zeros((0, 2), np.int64)]
    for names in (rows.groups.astype(np.str_), rows.persons, rows.clips):
        known = np.flatnonzero(names != "")
        if known.size:
            _, first, place = np.unique(names[known], return_index=True, return_inverse=True)
            pairs.append(np.stack([known[first][place], known], axis=1))
    return connected(len(rows), np.concatenate(pairs))


def split_rows(rows: Rows, recipe: Recipe, ledger: Ledger) -> Rows:
    """Every row on a side.

    A unit that has rows with a split of their own goes to the most precious of these: test before
    validation before train; its other rows of other sides are left out, and its free rows follow. Units that are
    free as a whole are divided by the shares of their source, class by class.
    """
    unit = units(rows)
    fixed = np.full(len(rows), FREE, np.int8)
    # Splits are numbered so that the highest is the most precious.
    np.maximum.at(fixed, unit, rows.split)
    side = fixed[unit]
    leaks = (rows.split != FREE) & (rows.split != side)
    details = [f"also in {SPLITS[part]}" if part != FREE else "" for part in side]
    free = np.flatnonzero(side == FREE)
    shares = {source.name: (source.split or recipe.split).values for source in recipe.sources}
    for source in recipe.sources:
        mine = free[rows.sources[free] == source.name]
        # A free unit of several sources is divided with the first of them.
        mine = mine[side[mine] == FREE]
        if mine.size:
            whole = free[np.isin(unit[free], unit[mine])]
            side[whole] = _divide(unit[whole], rows.labels[whole], shares[source.name], recipe.seed)
    settled = Rows(**{**vars(rows), "split": side.astype(np.int8)})
    return ledger.without(settled, leaks, "leak", details)


def _divide(unit: Int64, labels: Int64, shares: tuple[float, float, float], seed: int) -> Int8:
    """A side for each row: large units first, each to where its classes are most lacking."""
    names, place = np.unique(unit, return_inverse=True)
    counts = np.zeros((len(names), len(SEVEN)))
    np.add.at(counts, (place, labels), 1)
    wanted = np.outer(shares, counts.sum(axis=0))
    have = np.zeros_like(wanted)
    order = np.random.default_rng(seed).permutation(len(names))
    order = order[np.argsort(-counts[order].sum(axis=1), kind="stable")]
    chosen = np.zeros(len(names), np.int8)
    for number in order:
        missing = ((wanted - have) / np.maximum(wanted, 1e-9)) @ counts[number]
        # A side without a share gets nothing, even where the others are full.
        missing[np.array(shares) == 0] = -np.inf
        chosen[number] = best = int(missing.argmax())
        have[best] += counts[number]
    return chosen[place]


def with_synthetic(rows: Rows, recipe: Recipe, ledger: Ledger) -> Rows:
    """The rows and what every synthetic source of the recipe makes of them."""
    parts = [rows]
    for source in recipe.sources:
        if source.kind == "synthetic":
            made = make_copies(rows, source, recipe.seed)
            ledger.given[source.name] = len(made)
            parts.append(made)
    return Rows.joined(parts)


def make_copies(rows: Rows, source: Source, seed: int) -> Rows:
    """Copies of a share of the training faces of one source, for each degradation; they stay in the face's group."""
    wanted = [SEVEN.index(name) for name in source.classes or SEVEN]
    candidates = np.flatnonzero((rows.split == TRAIN) & (rows.sources == source.of) & np.isin(rows.labels, wanted))
    parts = [rows[:0]]
    for number, name in enumerate(source.make):
        # A generator each: another kind or source changes no copies of this one. Not hash(), which differs by process.
        generator = np.random.default_rng([seed, zlib.crc32(source.name.encode()), number])
        count = round(source.share * len(candidates))
        part = rows[np.sort(generator.permutation(candidates)[:count])]
        pictures = [MAKERS[name](image, generator) for image in part.images]
        fresh = {
            "images": np.array(pictures, np.uint8).reshape(part.images.shape),
            "ids": np.array([f"{one}#{name}" for one in part.ids], np.str_),
            "sources": np.full(len(part), source.name),
            "votes": np.zeros_like(part.votes),
        }
        parts.append(Rows(**{**vars(part), **fresh}))
    return Rows.joined(parts)


def darken(image: UInt8, random: Random) -> UInt8:
    """A fifth to a half of the light, with the noise of a sensor that makes up for it."""
    light = random.uniform(0.2, 0.5)
    noise = random.normal(0, random.uniform(2, 6), image.shape[:2])
    # The same for all colours, or it would be coloured.
    noise = noise if image.ndim == 2 else noise[:, :, None]
    return np.clip(image * light + noise, 0, 255).round().astype(np.uint8)


def rotate(image: UInt8, random: Random) -> UInt8:
    """10 to 30 degrees, either way; beyond the picture its edge is repeated."""
    height, width = image.shape[:2]
    angle = float(random.uniform(10, 30) * random.choice([-1, 1]))
    turn = cv2.getRotationMatrix2D(((width - 1) / 2, (height - 1) / 2), angle, 1.0)
    return np.asarray(cv2.warpAffine(image, turn, (width, height), borderMode=cv2.BORDER_REPLICATE), np.uint8)


def blur(image: UInt8, random: Random) -> UInt8:
    """Out of focus: a Gaussian of a fortieth to a twentieth of the side."""
    sigma = float(random.uniform(0.025, 0.05)) * image.shape[0]
    return np.asarray(cv2.GaussianBlur(image, (0, 0), sigma), np.uint8)


def coarsen(image: UInt8, random: Random) -> UInt8:
    """As from afar: a third to a half of the size and back."""
    height, width = image.shape[:2]
    ratio = float(random.uniform(1 / 3, 1 / 2))
    small = images.resize(image, max(1, round(ratio * height)), max(1, round(ratio * width)))
    return images.resize(small, height, width)


def compress(image: UInt8, random: Random) -> UInt8:
    """JPEG of a quality of 5 to 20."""
    data = images.encode(image, "jpeg", quality=int(random.integers(5, 21)))
    decoded = images.decode(data)
    return images.to_grey(decoded) if image.ndim == 2 else decoded


MAKERS: dict[str, Callable[[UInt8, Random], UInt8]] = {
    "dark": darken,
    "rotated": rotate,
    "blurred": blur,
    "coarse": coarsen,
    "compressed": compress,
}
