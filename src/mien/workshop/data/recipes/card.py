"""The data card: what a built data set holds, where it comes from, what was left out, and what it is not."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from mien.arrays import Int8, Int64, UInt8
from mien.errors import MissingExtraError, OutputError
from mien.files import replacing
from mien.images.pictures import resize
from mien.labels import CROWD, SEVEN
from mien.workshop.data.base import SPLITS, FaceDataset, flat, leaked, repeated
from mien.workshop.data.fer2013 import distribution, majority

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

import datetime
import io
from collections.abc import Mapping
from importlib.util import find_spec
from typing import Any

from mien import __version__
from mien.workshop.data.recipes.gathering import Opened
from mien.workshop.data.recipes.recipe import REASONS, Ledger, LoadedRecipe, Rows, Source
from mien.workshop.reports.document import Block, Bullets, Cards, Code, Grid, Heading, Picture, Text

FORMAT = 1
FEW = 50
"""A class with fewer test faces is measured roughly only; the card says so."""

NOT_FEELINGS = (
    "Labels say which expression people saw in a face, not what the person felt: people express themselves "
    "differently, and a picture shows one moment."
)

DISTRIBUTION = "distribution.png"
_COLOURS = {"train": "#2f6fb0", "validation": "#e0a458", "test": "#b3403a"}
_SPLIT_COLOURS = ("#28536b", "#e0a458", "#b0413e")
_INK, _PALE = "#22303a", "#d9dee2"
_CELL_PX, _GAP_PX = 96, 4


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
    """Everything that the card says, as plain values; the hashes of the files are added when they are written.

    Args:
        loaded: the recipe.
        rows: what was kept.
        ledger: what was not.
        opened: the sources.
        conflicts: groups of equal pictures with different labels.
        detector: which found the faces, empty if none was asked.
        fingerprint: of the recipe and the content of its sources.
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
    """What can be told from the rows themselves."""
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
        said.append(
            f"{', '.join(faceless)} does not say who is who: other photographs of one person may stand on "
            "several sides."
        )
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
           f"mien model evaluate mien-s {card['name']}"]  # fmt: skip
    return [Grid(["file", "SHA-256"], rows, 2), Code(use)]


def draw_card(card: dict[str, Any]) -> bytes | None:
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


def draw_distribution(dataset: FaceDataset) -> Figure:
    """Bars of faces by class and split, with counts; a second panel for the majority of the votes, if any.

    Raises:
        MissingExtraError: without matplotlib.
    """
    panels: list[tuple[str, tuple[str, ...], Int64]] = [(f"{dataset.name}: labels", SEVEN, dataset.labels)]
    if dataset.votes is not None:
        panels.append(("FER+: majority of the votes", CROWD, majority(dataset.votes)))
    figure = _figure(11, 4.2 * len(panels), gap_in=0.16)
    for axes, (title, names, labels) in zip(figure.subplots(len(panels), squeeze=False)[:, 0], panels, strict=True):
        _draw_bars(axes, counts(labels, dataset.split, len(names)), names)
        axes.set_title(title, loc="left", fontsize=13, color=_INK, pad=12)
    return figure


def draw_samples(dataset: FaceDataset, *, columns: int = 12, seed: int = 0) -> Figure:
    """A sheet with a row of randomly picked faces for each class; the same seed picks the same ones.

    Raises:
        MissingExtraError: without matplotlib.
    """
    generator = np.random.default_rng(seed)
    figure = _figure(columns * 0.92 + 0.6, len(SEVEN) * 0.92 + 0.5, gap_in=0.04)
    figure.suptitle(f"{dataset.name}: samples of each class", x=0.01, ha="left", fontsize=13, color=_INK)
    for label, axes in enumerate(figure.subplots(len(SEVEN))):
        rows = np.flatnonzero(dataset.labels == label)
        picked = generator.choice(rows, min(columns, len(rows)), replace=False)
        axes.imshow(_strip(dataset.images[picked], columns), aspect="equal", interpolation="nearest")
        axes.set_ylabel(f"{SEVEN[label]}\n{len(rows):,}", rotation=0, ha="right", va="center", fontsize=11, color=_INK)
        axes.set(xticks=[], yticks=[])
        axes.spines[:].set_visible(False)
    return figure


def row_facts(dataset: FaceDataset) -> dict[str, Int64]:
    """How many rows of each split, int64 (3,), are repeated, leaked, of one colour, voted on, and the like."""
    masks = {"repeated pictures": repeated(dataset), "also in train": leaked(dataset), "of one colour": flat(dataset)}
    if dataset.votes is not None:
        top = majority(dataset.votes)
        labelled = (top >= 0) & (dataset.labels >= 0)
        masks["with votes"] = np.asarray(dataset.votes.any(axis=1))
        masks["5 or more votes for emotions"] = distribution(dataset.votes)[1]
        masks["FER+ majority"] = top >= 0
        masks["label is the majority"] = labelled & (np.array(CROWD)[top] == np.array(SEVEN)[dataset.labels])
    return {name: np.bincount(dataset.split[mask], minlength=len(SPLITS)) for name, mask in masks.items()}


def draw_overview(dataset: FaceDataset, folder: Path, *, seed: int = 0) -> list[Path]:
    """Draw distribution.png, faces by class and split, and samples.png, faces of each class that `seed` picks.

    Raises:
        OutputError: the folder cannot be made.
        MissingExtraError: without matplotlib.
    """
    make_folder(folder)
    figures = {"distribution.png": draw_distribution(dataset), "samples.png": draw_samples(dataset, seed=seed)}
    return [save_figure(figure, folder / name) for name, figure in figures.items()]


def make_folder(folder: Path) -> None:
    """Make a folder for what is drawn.

    Raises:
        OutputError: it cannot be made.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"{folder} cannot be made: {error.strerror or error}") from error


def save_figure(figure: Figure, path: Path) -> Path:
    """Write a figure as PNG, whole or not at all."""
    with replacing(path) as file:
        figure.savefig(file, format="png", dpi=110, facecolor="white")
    return path


def counts(labels: Int64, split: Int8, classes: int) -> Int64:
    """Rows of each split and class, int64 (3, classes); rows without a label, -1, are not counted.

    >>> counts(np.array([0, 1, 1, -1]), np.array([0, 0, 2, 2], np.int8), 2).tolist()
    [[1, 1], [0, 0], [0, 1]]
    """
    return np.stack(
        [np.bincount(labels[(split == part) & (labels >= 0)], minlength=classes) for part in range(len(SPLITS))]
    )


def _figure(width_in: float, height_in: float, *, gap_in: float) -> Figure:
    try:
        from matplotlib.figure import Figure
        from matplotlib.layout_engine import ConstrainedLayoutEngine
    except ImportError as error:
        raise MissingExtraError("matplotlib", "train") from error
    layout = ConstrainedLayoutEngine(w_pad=0.12, h_pad=gap_in, rect=(0, 0.01, 1, 0.98))
    return Figure(figsize=(width_in, height_in), layout=layout)


def _draw_bars(axes: Axes, table: Int64, names: Sequence[str]) -> None:
    shown = [part for part in range(len(SPLITS)) if table[part].any()]
    width = 0.86 / max(len(shown), 1)
    for place, part in enumerate(shown):
        x = np.arange(len(names)) + (place - (len(shown) - 1) / 2) * width
        total = table[part].sum()
        bars = axes.bar(x, table[part], width * 0.94, color=_SPLIT_COLOURS[part], label=f"{SPLITS[part]} ({total:,})")
        axes.bar_label(bars, [f"{count:,}" for count in table[part]], fontsize=8, color=_INK, padding=2)
    axes.set_xticks(range(len(names)), names, fontsize=11, color=_INK)
    axes.tick_params(length=0, labelcolor=_INK)
    axes.yaxis.set_major_formatter("{x:,.0f}")
    axes.grid(axis="y", color=_PALE, linewidth=0.8)
    axes.set_axisbelow(True)
    axes.margins(x=0.02, y=0.1)
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.spines["bottom"].set_color(_PALE)
    if shown:
        axes.legend(frameon=False, fontsize=10, labelcolor=_INK)


def _strip(images: UInt8, columns: int) -> UInt8:
    """Pictures side by side on white, RGB (cell, columns × cell, 3)."""
    step = _CELL_PX + _GAP_PX
    strip = np.full((_CELL_PX, columns * step - _GAP_PX, 3), 255, np.uint8)
    for place, image in enumerate(images):
        sized = resize(image, _CELL_PX, _CELL_PX)
        strip[:, place * step : place * step + _CELL_PX] = sized if sized.ndim == 3 else sized[:, :, None]
    return strip
