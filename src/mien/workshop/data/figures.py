"""A data set as pictures: how many faces of each class, and samples of them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from mien.arrays import Int8, Int64, UInt8
from mien.errors import OutputError
from mien.files import replacing
from mien.images.pictures import resize
from mien.labels import AFFECT, CROWD, SEVEN
from mien.workshop.data.base import SPLITS, FaceDataset, flat, leaked, repeated
from mien.workshop.data.fer2013 import distribution, majority
from mien.workshop.reports import charts
from mien.workshop.reports.charts import INK, LINE, SPLIT_COLOURS

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_CELL_PX, _GAP_PX = 96, 4


def draw_distribution(dataset: FaceDataset) -> Figure:
    """Bars of faces by class and split, with counts; a second chart for the majority of the votes, if any.

    Raises:
        MissingExtraError: without matplotlib.
    """
    panels: list[tuple[str, tuple[str, ...], Int64]] = [(f"{dataset.name}: labels", SEVEN, dataset.labels)]
    if dataset.votes is not None:
        panels.append(("FER+: majority of the votes", CROWD, majority(dataset.votes)))
    figure = new_figure(11, 4.2 * len(panels), gap_in=0.16)
    for axes, (title, names, labels) in zip(figure.subplots(len(panels), squeeze=False)[:, 0], panels, strict=True):
        draw_bars(axes, counts(labels, dataset.split, len(names)), names)
        axes.set_title(title, loc="left", fontsize=13, color=INK, pad=12)
    return figure


def draw_samples(dataset: FaceDataset, *, columns: int = 12, seed: int = 0) -> Figure:
    """A sheet with a row of randomly picked faces for each class; the same seed picks the same ones.

    Raises:
        MissingExtraError: without matplotlib.
    """
    generator = np.random.default_rng(seed)
    figure = new_figure(columns * 0.92 + 0.6, len(SEVEN) * 0.92 + 0.5, gap_in=0.04)
    figure.suptitle(f"{dataset.name}: samples of each class", x=0.01, ha="left", fontsize=13, color=INK)
    # A class without faces keeps its empty row, or it would not be missed.
    for label, axes in enumerate(figure.subplots(len(SEVEN))):
        rows = np.flatnonzero(dataset.labels == label)
        picked = generator.choice(rows, min(columns, len(rows)), replace=False)
        axes.imshow(_strip(dataset.images[picked], columns), aspect="equal", interpolation="nearest")
        axes.set_ylabel(f"{SEVEN[label]}\n{len(rows):,}", rotation=0, ha="right", va="center", fontsize=11, color=INK)
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
        # Rows without a majority or label have −1 and take the last name, but `labelled` leaves them out.
        masks["label is the majority"] = labelled & (np.array(CROWD)[top] == np.array(SEVEN)[dataset.labels])
    if dataset.affect is not None:
        masks |= {f"with {name}": ~np.isnan(dataset.affect[:, place]) for place, name in enumerate(AFFECT)}
    for name, mask in (("contempt, not one of the seven", dataset.contempt), ("of its protocol", dataset.measured)):
        if mask is not None:
            masks[name] = mask
    return {name: np.bincount(dataset.split[mask], minlength=len(SPLITS)) for name, mask in masks.items()}


def draw_overview(dataset: FaceDataset, folder: Path | str, *, seed: int = 0) -> list[Path]:
    """Draw distribution.png, faces by class and split, and samples.png, faces of each class that `seed` picks.

    Raises:
        OutputError: the folder cannot be made.
        MissingExtraError: without matplotlib.
    """
    place = make_folder(Path(folder))
    figures = {"distribution.png": draw_distribution(dataset), "samples.png": draw_samples(dataset, seed=seed)}
    return [save_figure(figure, place / name) for name, figure in figures.items()]


def make_folder(folder: Path) -> Path:
    """Make a folder for what is drawn.

    Raises:
        OutputError: it cannot be made.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError.of(folder, error) from error
    return folder


def save_figure(figure: Figure, path: Path) -> Path:
    """Write a figure as PNG, atomically."""
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


def new_figure(width_in: float, height_in: float, *, gap_in: float) -> Figure:
    """An empty figure with room around each of its axes.

    Raises:
        MissingExtraError: without matplotlib.
    """
    figure = charts.new_figure(width_in, height_in)
    figure.set_layout_engine("constrained", w_pad=0.12, h_pad=gap_in, rect=(0, 0.01, 1, 0.98))
    return figure


def draw_bars(axes: Axes, table: Int64, names: Sequence[str]) -> None:
    """Draw bars with their counts; `table` is (3, classes), a row a split, as `counts` gives it."""
    shown = [part for part in range(len(SPLITS)) if table[part].any()]
    width = 0.86 / max(len(shown), 1)
    for place, part in enumerate(shown):
        x = np.arange(len(names)) + (place - (len(shown) - 1) / 2) * width
        total = table[part].sum()
        bars = axes.bar(
            x, table[part], width * 0.94, color=SPLIT_COLOURS[SPLITS[part]], label=f"{SPLITS[part]} ({total:,})"
        )
        axes.bar_label(bars, [f"{count:,}" for count in table[part]], fontsize=8, color=INK, padding=2)
    axes.set_xticks(range(len(names)), names, fontsize=11, color=INK)
    axes.tick_params(length=0, labelcolor=INK)
    axes.yaxis.set_major_formatter("{x:,.0f}")
    axes.grid(axis="y", color=LINE, linewidth=0.8)
    axes.set_axisbelow(True)
    axes.margins(x=0.02, y=0.1)
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.spines["bottom"].set_color(LINE)
    if shown:
        axes.legend(frameon=False, fontsize=10, labelcolor=INK)


def _strip(images: UInt8, columns: int) -> UInt8:
    """Pictures side by side on white, RGB (cell, columns × cell, 3)."""
    step = _CELL_PX + _GAP_PX
    strip = np.full((_CELL_PX, columns * step - _GAP_PX, 3), 255, np.uint8)
    for place, image in enumerate(images):
        sized = resize(image, _CELL_PX, _CELL_PX)
        strip[:, place * step : place * step + _CELL_PX] = sized if sized.ndim == 3 else sized[:, :, None]
    return strip
