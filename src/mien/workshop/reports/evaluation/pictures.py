"""Confusion matrices and reliability diagrams as pictures, drawn with matplotlib (extra `train`)."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

import numpy as np

from mien.errors import MissingExtraError
from mien.workshop.evaluation.calibration import Reliability
from mien.workshop.evaluation.scores import SetScores

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

INK, GREY, BLUE, LIGHT_BLUE, RED = "#1f2933", "#9aa5b1", "#2f6fb0", "#9cc3e6", "#f0a8a4"
DPI = 110
COLOURS = 96
_CELL_IN = 0.72


def confusion_png(scores: SetScores) -> bytes:
    """The confusion matrix as PNG: per cent of each row of truth over counts; a row without a face is dashed.

    Raises:
        MissingExtraError: without matplotlib.
    """
    classes = scores.faces.classes
    left, right, top, bottom = 1.2, 0.2, 0.9, 0.6
    square = _CELL_IN * len(classes)
    width, height = left + square + right, top + square + bottom
    figure = _figure(width, height)
    axes = figure.add_axes((left / width, bottom / height, square / width, square / height))
    shares = _shares(scores)
    axes.imshow(np.nan_to_num(shares), cmap="Blues", vmin=0, vmax=1)
    for row, column in np.ndindex(shares.shape):
        _write_cell(axes, row, column, float(shares[row, column]), int(scores.confusion[row, column]))
    _name_classes(axes, scores)
    figures = f"accuracy {scores.accuracy:.1%}, macro F1 {scores.macro_f1:.3f}, {scores.rows:,} faces"
    _write_title(figure, scores, f"{figures}; per cent of each row")
    return _png(figure)


def reliability_png(scores: SetScores) -> bytes:
    """The reliability diagram as PNG: accuracy against confidence, and how many faces stand in each bin.

    Raises:
        MissingExtraError: without matplotlib.
    """
    figure = _figure(6.0, 6.2)
    above, below = figure.subplots(2, 1, sharex=True, height_ratios=[4, 1])
    figure.subplots_adjust(left=0.12, right=0.96, top=0.85, bottom=0.09, hspace=0.08)
    measure = "accuracy" if scores.faces.shares is None else "share of votes"
    _draw_bins(above, scores.reliability, measure)
    above.plot([0, 1], [0, 1], color=INK, linewidth=1, linestyle="--", label="perfect")
    above.set(xlim=(0, 1), ylim=(0, 1), ylabel=measure)
    above.legend(frameon=False, loc="upper left", fontsize=9)
    counts = scores.reliability.counts
    middles = (scores.reliability.edges[1:] + scores.reliability.edges[:-1]) / 2
    below.bar(middles, counts / counts.sum(), 0.92 / len(counts), color=GREY)
    below.set(xlabel="confidence of the top label", ylabel="share of faces")
    for axes in (above, below):
        axes.spines[["top", "right"]].set_visible(False)
        axes.tick_params(labelsize=9, labelcolor=INK, color=GREY)
    figures = f"calibration error {scores.ece:.3f}, accuracy {scores.accuracy:.1%}, {scores.rows:,} faces"
    _write_title(figure, scores, figures)
    return _png(figure)


def _shares(scores: SetScores) -> np.ndarray[tuple[int, ...], np.dtype[np.float64]]:
    """Each cell's share of its row, NaN in rows without a face."""
    support = np.where(scores.support == 0, np.nan, scores.support)
    return np.asarray(scores.confusion / support[:, None])


def _write_cell(axes: Axes, row: int, column: int, share: float, count: int) -> None:
    if np.isnan(share):
        axes.text(column, row, "–", ha="center", va="center", color=GREY, fontsize=10)
        return
    colour = "white" if share > 0.5 else INK if count else GREY
    weight = "bold" if row == column else "normal"
    per_cent = f"{100 * share:.1f}" if 0 < share < 0.095 else f"{100 * share:.0f}"
    height = row - 0.1 if count else row
    axes.text(column, height, per_cent, ha="center", va="center", color=colour, fontsize=11, weight=weight)
    if count:
        axes.text(column, row + 0.24, f"{count:,}", ha="center", va="center", color=colour, fontsize=7.5)


def _name_classes(axes: Axes, scores: SetScores) -> None:
    classes = scores.faces.classes
    axes.set_xticks(range(len(classes)), classes)
    axes.set_yticks(
        range(len(classes)), [f"{name}\n{int(n):,}" for name, n in zip(classes, scores.support, strict=True)]
    )
    axes.set_xlabel("predicted", color=INK)
    axes.set_ylabel("labelled, with the number of faces", color=INK)
    for between in np.arange(1, len(classes)) - 0.5:
        axes.axhline(between, color="white", linewidth=1.5)
        axes.axvline(between, color="white", linewidth=1.5)
    axes.tick_params(length=0, labelcolor=INK, labelsize=9)
    axes.spines[:].set_visible(False)


def _draw_bins(axes: Axes, found: Reliability, measure: str) -> None:
    """A bar a bin: the measure, and its gap to confidence in red where the model promises more than it holds."""
    middles, width = (found.edges[1:] + found.edges[:-1]) / 2, 0.92 / len(found.counts)
    accuracy, confidence = np.nan_to_num(found.accuracy), np.nan_to_num(found.confidence)
    lower = np.minimum(accuracy, confidence)
    axes.bar(middles, lower, width, color=BLUE, label=measure)
    more, less = np.maximum(accuracy - confidence, 0), np.maximum(confidence - accuracy, 0)
    axes.bar(middles, more, width, lower, color=LIGHT_BLUE, label=f"{measure} above confidence")
    axes.bar(middles, less, width, lower, color=RED, label=f"confidence above {measure}")


def _write_title(figure: Figure, scores: SetScores, figures: str) -> None:
    faces = scores.faces
    left, height = 0.12 / figure.get_figwidth(), figure.get_figheight()
    figure.text(left, 1 - 0.12 / height, faces.title, fontsize=11, weight="bold", color=INK, va="top")
    figure.text(
        left, 1 - 0.36 / height, f"{faces.labels_from}, head {faces.head}\n{figures}",
        fontsize=9, color=INK, va="top", linespacing=1.4,
    )  # fmt: skip


def _figure(width_in: float, height_in: float) -> Figure:
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise MissingExtraError("matplotlib", "train") from error
    return Figure(figsize=(width_in, height_in), dpi=DPI, facecolor="white")


def _png(figure: Figure) -> bytes:
    """The picture with a palette, a third of the bytes; equal scores give equal files."""
    from PIL import Image

    drawn, packed = io.BytesIO(), io.BytesIO()
    figure.savefig(drawn, format="png", pil_kwargs={"compress_level": 1})
    picture = Image.open(drawn).convert("RGB").quantize(COLOURS, method=Image.Quantize.MEDIANCUT)
    picture.save(packed, "png", optimize=True)
    return packed.getvalue()
