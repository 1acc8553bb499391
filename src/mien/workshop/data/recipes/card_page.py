"""The data card as a page and as Markdown."""

from __future__ import annotations

import io
from importlib.util import find_spec
from typing import Any

from mien.labels import SEVEN
from mien.workshop.data.base import SPLITS
from mien.workshop.data.recipes.rows import REASONS
from mien.workshop.reports.document import Block, Bullets, Cards, Code, Grid, Heading, Picture, Text

DISTRIBUTION = "distribution.png"
_COLOURS = {"train": "#2f6fb0", "validation": "#e0a458", "test": "#b3403a"}


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
        Bullets(card["limits"]),
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
    png = draw_distribution(card)
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
    return [Grid(["reason", "meaning", *names], rows, 2), Text("Each row with its reason stands in `left-out.csv`.")]


def _steps(card: dict[str, Any]) -> list[str]:
    picture, duplicates = card["picture"], card["duplicates"]
    colours = "grey" if picture["channels"] == 1 else "RGB"
    steps = [f"Pictures are {picture['width']} × {picture['height']} pixels, {colours}."]
    if card["detector"]:
        steps.append(f"In raw photographs faces were found by {card['detector']} and cropped as Mien's models expect.")
    if duplicates["find"] != "none":
        how = "pixel by pixel" if duplicates["find"] == "exact" else "pixel by pixel, re-cropped, relit and mirrored"
        kept = "one of them stays" if duplicates["keep"] == "one" else "all of them stand on one side"
        steps.append(f"The same photographs were looked for within and across sources ({how}); {kept}.")
    steps.append("No photograph, person or clip that is known as such stands on two sides.")
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
           f"mien evaluate mien-s {card['name']}"]  # fmt: skip
    return [Grid(["file", "SHA-256"], rows, 2), Code(use)]


def draw_distribution(card: dict[str, Any]) -> bytes | None:
    """Bars of faces by class and split as a PNG, or None without matplotlib."""
    if find_spec("matplotlib") is None:
        return None
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9.6, 3.4), dpi=110, layout="constrained")
    axes = figure.subplots()
    width = 0.27
    for place, split in enumerate(SPLITS):
        counts = list(_total(card, split).values())
        positions = [index + (place - 1) * width for index in range(len(SEVEN))]
        bars = axes.bar(positions, counts, width * 0.92, color=_COLOURS[split], label=split)
        axes.bar_label(bars, [f"{count:,}" for count in counts], padding=2, fontsize=7, color="#5f6c7b")
    axes.set_xticks(range(len(SEVEN)), SEVEN)
    axes.tick_params(length=0, labelsize=10, colors="#1f2933")
    axes.yaxis.set_visible(False)
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.legend(frameon=False, ncols=3, loc="upper left", fontsize=9)
    axes.margins(y=0.18)
    out = io.BytesIO()
    figure.savefig(out, format="png")
    return out.getvalue()
