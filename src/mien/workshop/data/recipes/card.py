"""The data card: what a built data set holds, where it comes from, what was left out, and what it is not."""

from __future__ import annotations

import datetime
import io
from collections.abc import Mapping
from importlib.util import find_spec
from typing import Any

import numpy as np

from mien import __version__
from mien.labels import SEVEN
from mien.workshop.data.base import SPLITS
from mien.workshop.data.figures import draw_bars, new_figure
from mien.workshop.data.recipes.reading import Opened
from mien.workshop.data.recipes.recipe import REASONS, Ledger, LoadedRecipe, Rows, Source
from mien.workshop.reports.document import Block, Bullets, Cards, Code, Grid, Heading, Picture, Text

FORMAT = 1
FEW = 50
"""A class with fewer test faces has rough figures only, which the card notes."""

NOT_FEELINGS = (
    "Labels say which expression people saw in a face, not what the person felt: people express themselves "
    "differently, and a picture shows one moment."
)

DISTRIBUTION = "distribution.png"


def make_card(
    loaded: LoadedRecipe,
    rows: Rows,
    ledger: Ledger,
    opened: Mapping[str, Opened],
    *,
    conflicts: int,
    detector: str,
    fingerprint: str,
) -> dict[str, Any]:
    """The content of the card, as plain values; the hashes of the files are added when they are written.

    `conflicts` counts the groups of equal pictures with different labels; `detector` is empty if none was asked.
    """
    recipe = loaded.recipe
    lost = ledger.counts()
    return {
        "format": FORMAT,
        "name": recipe.name,
        "version": recipe.version,
        "title": recipe.title or recipe.name,
        "description": recipe.description.strip(),
        "created": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "mien": __version__,
        "fingerprint": fingerprint,
        "rows": len(rows),
        "picture": {"height": rows.images.shape[1], "width": rows.images.shape[2], "channels": recipe.output.channels},
        "counts": {source.name: _counts(rows, source.name) for source in recipe.sources},
        "sources": [_about(source, rows, ledger, lost, opened) for source in recipe.sources],
        "train_on": list(recipe.train_on),
        "detector": detector,
        "duplicates": {
            "find": recipe.duplicates.find,
            "keep": recipe.duplicates.keep,
            "groups_with_several_labels": conflicts,
            "rows_left_out": sum(row.get("duplicate", 0) + row.get("leak", 0) for row in lost.values()),
        },
        "with_votes": int(rows.votes.any(axis=1).sum()),
        "persons": len(np.unique(rows.persons[rows.persons != ""])),
        "passed_over": [
            f"Files of {name} passed over: {one.passed_over}." for name, one in opened.items() if one.passed_over
        ],
        "limits": [*recipe.limits, *_limits(loaded, rows, conflicts)],
        "recipe": loaded.text,
    }


def _counts(rows: Rows, source: str) -> dict[str, dict[str, int]]:
    """Faces of a source by split and class."""
    mine = rows.sources == source
    return {
        split: {
            name: int((mine & (rows.split == part) & (rows.labels == label)).sum()) for label, name in enumerate(SEVEN)
        }
        for part, split in enumerate(SPLITS)
    }


def _about(
    source: Source, rows: Rows, ledger: Ledger, lost: Mapping[str, Mapping[str, int]], opened: Mapping[str, Opened]
) -> dict[str, Any]:
    return {
        "name": source.name,
        "kind": source.kind,
        "licence": source.licence,
        "citation": source.citation,
        "url": source.url,
        "note": source.note.strip(),
        "sha256": opened[source.name].stamp if source.name in opened else "",
        "given": ledger.given.get(source.name, 0),
        "kept": int((rows.sources == source.name).sum()),
        "left_out": dict(lost.get(source.name, {})),
    }


def _limits(loaded: LoadedRecipe, rows: Rows, conflicts: int) -> list[str]:
    """Limits that follow from the rows themselves."""
    recipe = loaded.recipe
    said = [NOT_FEELINGS]
    unclear = [source.name for source in recipe.sources if "unknown" in source.licence.lower()]
    if unclear:
        said.append(
            f"The rights in the pictures of {', '.join(unclear)} are not known, wholly or in part: do not pass the "
            "pictures on, and clear the rights before a product depends on them."
        )
    faceless = [s.name for s in recipe.sources if s.kind != "synthetic" and not _knows_persons(rows, s.name)]
    if faceless:
        said.append(f"{', '.join(faceless)} does not name people: photographs of one person may be in several splits.")
    for part in ("train", "test"):
        counts = np.bincount(rows.labels[rows.split == SPLITS.index(part)], minlength=len(SEVEN))
        none = [SEVEN[label] for label in np.flatnonzero(counts == 0)]
        few = [f"{SEVEN[label]} ({counts[label]})" for label in np.flatnonzero((counts > 0) & (counts < FEW))]
        if none:
            said.append(f"No face in {part}: {', '.join(none)}.")
        if few:
            said.append(f"Fewer than {FEW} faces in {part}: {', '.join(few)}. Figures for these classes are rough.")
    if conflicts and recipe.duplicates.conflicts == "keep":
        said.append(f"{conflicts:,} groups of equal pictures had several labels; the picture that stays keeps its own.")
    made = sum(int((rows.sources == source.name).sum()) for source in recipe.sources if source.kind == "synthetic")
    if made:
        said.append(f"{made:,} training rows are worse copies of other training rows: they show no new face.")
    return said


def _knows_persons(rows: Rows, source: str) -> bool:
    """Whether nearly all rows of a source have a person."""
    mine = rows.persons[rows.sources == source]
    # Nearly all, since a pattern for file names seldom fits each of them.
    return bool(len(mine) == 0 or (mine != "").mean() > 0.9)


def card_blocks(card: dict[str, Any]) -> list[Block]:
    """The card, section by section."""
    return [
        *_head(card),
        Heading("Faces by class"),
        *_by_class(card),
        Heading("Sources and their terms"),
        *_sources(card),
        Heading("What was left out"),
        *_left_out(card),
        Heading("How it was made"),
        Bullets(_steps(card)),
        Heading("What it is not"),
        Bullets([*card["limits"], *card.get("passed_over", [])]),
        Heading("Files"),
        *_files(card),
        Heading("Recipe"),
        Code(card["recipe"].rstrip().splitlines()),
    ]


def lead(card: dict[str, Any]) -> str:
    """The line below the title."""
    return f"{card['name']} {card['version']}, built {card['created'][:10]} with Mien {card['mien']}"


def _head(card: dict[str, Any]) -> list[Block]:
    totals = {split: sum(_total(card, split).values()) for split in SPLITS}
    figures = [(f"{card['rows']:,}", "faces"), *((f"{count:,}", split) for split, count in totals.items())]
    figures.append((str(sum(1 for source in card["sources"] if source["kept"])), "sources"))
    lost = sum(sum(source["left_out"].values()) for source in card["sources"])
    figures.append((f"{lost:,}", "left out, each with its reason"))
    return [Cards(figures), *([Text(card["description"])] if card["description"] else [])]


def _total(card: dict[str, Any], split: str, source: str | None = None) -> dict[str, int]:
    """Faces of a split by class, of one source or of all."""
    chosen = [source] if source else list(card["counts"])
    return {name: sum(card["counts"][one][split][name] for one in chosen) for name in SEVEN}


def _by_class(card: dict[str, Any]) -> list[Block]:
    blocks: list[Block] = []
    png = draw_card(card)
    if png is not None:
        blocks.append(Picture(DISTRIBUTION, png, "Faces of each class by split"))
    several = len(card["counts"]) > 1
    parts = [(source, source) for source in card["counts"]] if several else []
    rows = [
        [title, split, *_numbers(_total(card, split, source))]
        for title, source in [*parts, ("**all**" if several else card["name"], None)]
        for split in SPLITS
        if any(_total(card, split, source).values())
    ]
    return [*blocks, Grid(["source", "split", *SEVEN, "all"], rows, 2)]


def _numbers(counts: dict[str, int]) -> list[str]:
    return [*(f"{counts[name]:,}" for name in SEVEN), f"{sum(counts.values()):,}"]


def _sources(card: dict[str, Any]) -> list[Block]:
    rows = [
        [source["name"], source["kind"], source["licence"], f"{source['given']:,}", f"{source['kept']:,}"]
        for source in card["sources"]
    ]
    said = []
    for source in card["sources"]:
        parts = [source["note"], source["citation"], source["url"]]
        parts.append(f"SHA-256 of what was read: `{source['sha256']}`" if source["sha256"] else "")
        said.append(f"**{source['name']}**: " + " · ".join(part for part in parts if part))
    return [Grid(["source", "kind", "terms", "pictures", "kept"], rows, 3), Bullets(said)]


def _left_out(card: dict[str, Any]) -> list[Block]:
    names = [source["name"] for source in card["sources"]]
    lost = {source["name"]: source["left_out"] for source in card["sources"]}
    rows = [
        [reason, meaning, *(f"{lost[name].get(reason, 0):,}" for name in names)]
        for reason, meaning in REASONS.items()
        if any(lost[name].get(reason) for name in names)
    ]
    if not rows:
        return [Text("Nothing.")]
    return [Grid(["reason", "meaning", *names], rows, 2), Text("`left-out.csv` lists each row with its reason.")]


def _steps(card: dict[str, Any]) -> list[str]:
    picture, duplicates = card["picture"], card["duplicates"]
    colours = "grey" if picture["channels"] == 1 else "RGB"
    steps = [f"Pictures are {picture['width']} × {picture['height']} pixels, {colours}."]
    if card["detector"]:
        steps.append(f"In raw photographs faces were found by {card['detector']} and cropped as Mien's models expect.")
    if duplicates["find"] != "none":
        how = "pixel by pixel" if duplicates["find"] == "exact" else "pixel by pixel, re-cropped, relit and mirrored"
        kept = "one of them stays" if duplicates["keep"] == "one" else "all of them are in one split"
        steps.append(f"Copies of photographs were searched for within and across sources ({how}); {kept}.")
    steps.append("No photograph, person or clip that is known as such is in two splits.")
    if card["persons"]:
        steps.append(f"{card['persons']:,} persons are known by name.")
    if card["with_votes"]:
        steps.append(f"{card['with_votes']:,} faces have the votes of several annotators.")
    if card["train_on"]:
        steps.append(f"Only rows of {', '.join(card['train_on'])} are trained on; the other sides are as without that.")
    return steps


def _files(card: dict[str, Any]) -> list[Block]:
    rows = [[f"`{name}`", f"`{sha256}`"] for name, sha256 in card.get("files", {}).items()]
    use = [f"mien data show {card['name']}", f"mien train CONFIG {card['name']} --out RUN",
           f"mien model evaluate mien-s {card['name']}"]  # fmt: skip
    return [Grid(["file", "SHA-256"], rows, 2), Code(use)]


def draw_card(card: dict[str, Any]) -> bytes | None:
    """Bars of faces by class and split as a PNG, or None without matplotlib."""
    # A card without its picture is better than a build that fails at its end.
    if find_spec("matplotlib") is None:
        return None
    figure = new_figure(9.6, 3.6, gap_in=0.08)
    draw_bars(figure.subplots(), np.array([list(_total(card, split).values()) for split in SPLITS]), SEVEN)
    out = io.BytesIO()
    figure.savefig(out, format="png", dpi=110)
    return out.getvalue()
