"""Pictures of a study: accuracy with the published figures, accuracy by epoch, and losses side by side."""

from __future__ import annotations

import io
import math
from typing import TYPE_CHECKING

from mien.errors import MissingExtraError
from mien.workshop.experiments.study.results import EntryResult, StudyResults
from mien.workshop.reports.evaluation.pictures import GREY, INK

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

PALETTE = (
    "#2f6fb0", "#c2571a", "#3f8f5b", "#8a5aa8", "#b23a48", "#7a6a2f", "#2a8c94", "#c07a9e", "#55606c", "#d09a2c",
)  # fmt: skip
"""A colour an entry, in the order of the file."""
DPI = 130
COLOURS = 96
_COLUMNS = 3


def accuracy_png(results: StudyResults) -> bytes:
    """A line an entry: our mean accuracy with its interval, and the published figure.

    Raises:
        MissingExtraError: without matplotlib.
    """
    entries = results.measured[::-1]
    figure = _figure(8.2, 1.15 + 0.42 * len(entries))
    axes = figure.subplots()
    for row, entry in enumerate(entries):
        spread = entry.spread("accuracy")
        assert spread is not None
        low, high = (100 * end for end in spread.interval)
        colour = _colour(results, entry)
        axes.plot([low, high], [row, row], color=colour, linewidth=2.4, alpha=0.45, solid_capstyle="butt")
        for run in entry.measured:
            axes.plot(100 * run.main.accuracy, row, "o", color=colour, markersize=3.5, alpha=0.7)
        axes.plot(100 * spread.mean, row, "o", color=colour, markersize=8)
        published = entry.entry.published.accuracy
        if published is not None:
            axes.plot(100 * published, row, "D", color="white", markeredgecolor=INK, markersize=6.5)
    axes.plot([], [], "o", color=GREY, markersize=8, label="ours, mean and 95 % interval")
    axes.plot([], [], "D", color="white", markeredgecolor=INK, markersize=6.5, label="published")
    axes.set_yticks(range(len(entries)), [entry.name for entry in entries])
    axes.set_ylim(-0.6, len(entries) - 0.4)
    axes.set_xlabel(f"accuracy on {results.any_run.main.faces.title} (%)")
    figure.legend(frameon=False, fontsize=9, ncols=2, loc="outside upper right")
    _plain(axes, along="x")
    return _png(figure)


def progress_png(results: StudyResults) -> bytes:
    """Validation score by epoch, a colour an entry and a line a seed; a dot is the epoch that was kept."""
    figure = _figure(8.2, 4.2)
    axes = figure.subplots()
    for entry in results.entries:
        for number, run in enumerate(entry.trained):
            values = [100 * row["score"] for row in run.history]
            label = f"{entry.name}: {max(values):.1f}" if number == 0 else None
            colour = _colour(results, entry)
            axes.plot(range(1, len(values) + 1), values, color=colour, linewidth=1.6, alpha=0.85, label=label)
            axes.plot(run.best_epoch, values[run.best_epoch - 1], "o", color=colour, markersize=5)
    axes.set(xlabel="epoch", ylabel="validation accuracy (%)")
    figure.legend(frameon=False, fontsize=9, loc="outside right upper")
    _plain(axes, along="both")
    return _png(figure)


def losses_png(results: StudyResults) -> bytes:
    """Training and validation loss by epoch, a panel an entry, all on the same scales."""
    entries = [entry for entry in results.entries if entry.trained]
    columns = min(_COLUMNS, len(entries))
    rows = math.ceil(len(entries) / columns)
    figure = _figure(max(5.2, 3.05 * columns), 0.55 + 2.5 * rows)
    panels = figure.subplots(rows, columns, sharex=True, sharey=True, squeeze=False)
    for axes, entry in zip(panels.flat, entries, strict=False):
        _draw_losses(axes, entry, _colour(results, entry))
    for axes in panels.flat[len(entries) :]:
        axes.set_axis_off()
    for axes in panels[:, 0]:
        axes.set_ylabel("loss (nats)")
    for column in range(columns):
        lowest = [axes for axes in panels[:, column] if axes.axison][-1]
        lowest.set_xlabel("epoch")
        lowest.tick_params(labelbottom=True)
    panels[0, 0].plot([], [], color=INK, linewidth=1.6, label="validation")
    panels[0, 0].plot([], [], color=GREY, linewidth=1.6, linestyle="--", label="train, augmented")
    figure.legend(frameon=False, fontsize=9, ncols=2, loc="outside upper right")
    return _png(figure)


def _draw_losses(axes: Axes, entry: EntryResult, colour: str) -> None:
    for run in entry.trained:
        epochs = range(1, len(run.history) + 1)
        axes.plot(epochs, [row["train_loss"] for row in run.history], color=GREY, linewidth=1.5, linestyle="--")
        axes.plot(epochs, [row["loss"] for row in run.history], color=colour, linewidth=1.6)
        axes.plot(run.best_epoch, run.history[run.best_epoch - 1]["loss"], "o", color=colour, markersize=5)
    axes.set_title(entry.name, fontsize=10, color=INK, loc="left")
    _plain(axes, along="both")


def _colour(results: StudyResults, entry: EntryResult) -> str:
    return PALETTE[results.entries.index(entry) % len(PALETTE)]


def _plain(axes: Axes, *, along: str) -> None:
    from matplotlib.ticker import MaxNLocator

    axes.grid(axis=along, alpha=0.25)  # type: ignore[arg-type]
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color(GREY)
    axes.tick_params(labelsize=9, labelcolor=INK, color=GREY)
    for label in (axes.xaxis.label, axes.yaxis.label):
        label.set(color=INK, fontsize=9)
    if along == "both":
        axes.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=6))


def _figure(width_in: float, height_in: float) -> Figure:
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise MissingExtraError("matplotlib", "train") from error
    return Figure(figsize=(width_in, height_in), dpi=DPI, facecolor="white", layout="constrained")


def _png(figure: Figure) -> bytes:
    """The picture with a palette, a third of the bytes; equal results give equal files."""
    from PIL import Image

    drawn, packed = io.BytesIO(), io.BytesIO()
    figure.savefig(drawn, format="png", pil_kwargs={"compress_level": 1})
    picture = Image.open(drawn).convert("RGB").quantize(COLOURS, method=Image.Quantize.MEDIANCUT)
    picture.save(packed, "png", optimize=True)
    return packed.getvalue()
